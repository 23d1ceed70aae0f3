"""Maps of images of any size, tile by tile: in bounded memory, without seams, to be gone on with.

Tiles overlap, and what two of them say of one place fades from one into the other. Each finished
tile is a file in a folder of its own, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import StorageError, make_folder
from napari_histodiff.core.geometry import Region
from napari_histodiff.files import move_into_place

__all__ = ["ArraySource", "OnTile", "Source", "Tile", "TileFolder", "Tiling", "map_of"]

_SETTINGS: Final = "settings.json"

#: Called with (done, total) after each tile; raise `Cancelled` to stop there.
OnTile = Callable[[int, int], None]


class Source(Protocol):
    """What a map is made of."""

    def read(self, region: Region) -> NDArray[np.uint8]:
        """Return (h, w, 3) uint8 of a region."""


@dataclass(frozen=True, slots=True, eq=False)
class ArraySource:
    """An image in memory, (h, w, 3) uint8."""

    image: NDArray[np.uint8]

    def read(self, region: Region) -> NDArray[np.uint8]:
        """Return (h, w, 3) uint8 of a region inside the image."""
        return self.image[region.slices]


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of a map: `own` is what it counts for, `seen` what it is made from."""

    number: int
    own: Region
    seen: Region


@dataclass(frozen=True, slots=True)
class Tiling:
    """How an area is cut into tiles.

    Attributes
    ----------
    area : Region
        Of the level it is read at.
    side : int
        Pixels a side of what a tile counts for.
    margin : int
        Pixels that it sees around that.
    fade : int
        Pixels over which one tile turns into the next; at most twice the margin.
    factor : int
        Pixels a side of one value of the map; sides, margins and fades are multiples of it.
    """

    area: Region
    side: int = 512
    margin: int = 96
    fade: int = 64
    factor: int = 1

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the map."""
        return -(-self.area.height // self.factor), -(-self.area.width // self.factor)

    def tiles(self) -> Iterator[Tile]:
        """Yield the tiles, row by row."""
        number = 0
        for top in range(0, self.area.height, self.side):
            for left in range(0, self.area.width, self.side):
                y, x = self.area.y + top, self.area.x + left
                own = Region(self.area.level, y, x, self.side, self.side).intersect(self.area)
                yield Tile(number, own, self._grown(own, self.margin))
                number += 1

    def count(self) -> int:
        """How many tiles there are."""
        return math.prod(-(-side // self.side) for side in self.area.shape)

    def kept(self, tile: Tile) -> Region:
        """Where a tile has a part in the map: what it counts for, and half a fade around."""
        return self._grown(tile.own, self.fade // 2)

    def reduced(self, tile: Tile, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the values of `tile.seen` at the map's resolution, of `kept(tile)`."""
        inside = self.kept(tile).relative_to(tile.seen).slices
        part, step = values[inside], self.factor
        if step == 1:
            return np.ascontiguousarray(part, np.float32)
        pads = [(0, -side % step) for side in part.shape]
        whole = np.pad(part, pads, mode="edge")
        rows, columns = whole.shape[0] // step, whole.shape[1] // step
        blocks = whole.reshape(rows, step, columns, step)
        mean: NDArray[np.float32] = blocks.mean((1, 3)).astype(np.float32)
        return mean

    def place(self, tile: Tile) -> tuple[slice, slice]:
        """Return where the values of a tile lie in the map."""
        kept, step = self.kept(tile), self.factor
        y, x = (kept.y - self.area.y) // step, (kept.x - self.area.x) // step
        return (
            slice(y, y + -(-kept.height // step)),
            slice(x, x + -(-kept.width // step)),
        )

    def weights(self, tile: Tile) -> NDArray[np.float32]:
        """Return how much a tile counts at each value of the map; those of all tiles sum to 1."""
        kept = self.kept(tile)
        rows = self._weights(kept.y, kept.bottom, tile.own.y, tile.own.bottom, "y")
        columns = self._weights(kept.x, kept.right, tile.own.x, tile.own.right, "x")
        return rows[:, None] * columns[None, :]

    def _weights(
        self, start: int, stop: int, first: int, last: int, axis: str
    ) -> NDArray[np.float32]:
        begin = self.area.y if axis == "y" else self.area.x
        end = self.area.bottom if axis == "y" else self.area.right
        centres = np.arange(start, stop, self.factor) + self.factor / 2
        weights = np.ones(len(centres))
        if self.fade:
            if first > begin:
                weights = np.minimum(weights, (centres - first) / self.fade + 0.5)
            if last < end:
                weights = np.minimum(weights, (last - centres) / self.fade + 0.5)
        return weights.clip(0, 1).astype(np.float32)

    def _grown(self, region: Region, by: int) -> Region:
        grown = Region(
            region.level,
            region.y - by,
            region.x - by,
            region.height + 2 * by,
            region.width + 2 * by,
        )
        return grown.intersect(self.area)


class TileFolder:
    """The finished tiles of one map, one file each.

    Parameters
    ----------
    folder : Path
        Made when missing; removed by `remove`.
    settings : dict
        What decides the values: tiles of other settings are thrown away.

    Raises
    ------
    StorageError
        When it cannot be written.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self._folder = folder
        make_folder(folder)
        key = json.dumps(settings, sort_keys=True)
        told = folder / _SETTINGS
        with _writing(folder):
            if not told.exists() or told.read_text("utf-8") != key:
                for file in folder.glob("tile-*"):
                    file.unlink()
                told.write_text(key, "utf-8")

    def __contains__(self, tile: Tile) -> bool:
        return self._file(tile).exists()

    def put(self, tile: Tile, **arrays: NDArray[Any]) -> None:
        """Keep what was made of a tile: all of it, or nothing."""
        file = self._file(tile)
        scratch = file.with_suffix(f".{os.getpid()}")
        with _writing(self._folder):
            with scratch.open("wb") as stream:
                named: Any = arrays
                np.savez(stream, **named)
            move_into_place(scratch, file)

    def get(self, tile: Tile) -> dict[str, NDArray[Any]]:
        """Return what was kept of a tile."""
        with np.load(self._file(tile), allow_pickle=False) as arrays:
            return dict(arrays)

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def scratch(self, name: str) -> Path:
        """Return the path of a file that goes with the folder."""
        return self._folder / name

    def zeros(self, name: str, shape: tuple[int, int]) -> NDArray[np.float32]:
        """Return a map in a file that goes with the folder, (h, w) float32.

        All of it takes its room at once: a disk that turns out to be full behind a map ends the
        process without a word.

        Raises
        ------
        StorageError
            When the disk is full, or read-only.
        """
        path = self.scratch(name)
        with _writing(self._folder), path.open("wb") as file:
            said = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, said)
            row = bytes(4 * shape[1])
            for _ in range(shape[0]):
                file.write(row)
        return np.lib.format.open_memmap(path, "r+")

    def _file(self, tile: Tile) -> Path:
        return self._folder / f"tile-{tile.number:06d}.npz"


def map_of(
    tiling: Tiling,
    make: Callable[[Tile], dict[str, NDArray[Any]]],
    kept: TileFolder | None = None,
    *,
    take: Callable[[dict[str, NDArray[Any]]], None] | None = None,
    on_tile: OnTile | None = None,
) -> NDArray[np.float32]:
    """Return the map of all tiles, (h, w) float32; each fades into its neighbours.

    Parameters
    ----------
    tiling : Tiling
    make : callable
        Makes what there is to know of a tile, by name; "values" are those of the map, as
        `Tiling.reduced` returns them.
    kept : TileFolder, optional
        Where tiles are kept until all are there, and the map, which then lies in a file of it.
    take : callable, optional
        Called with what is known of each tile, in order.
    on_tile : callable, optional
        Called with how many of how many tiles are done; may raise to stop.
    """
    total = tiling.count()
    if kept is None:
        result = np.zeros(tiling.shape, np.float32)
    else:
        result = kept.zeros("map.npy", tiling.shape)
    for done, tile in enumerate(tiling.tiles(), start=1):
        if kept is None:
            found = make(tile)
        else:
            if tile not in kept:
                kept.put(tile, **make(tile))
            found = kept.get(tile)
        result[tiling.place(tile)] += tiling.weights(tile) * found["values"]
        if take is not None:
            take(found)
        if on_tile is not None:
            on_tile(done, total)
    return result


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Tell a full or read-only disk as an error of the family."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"expected to write into {folder}, got '{error.strerror or error}'; free some space or "
            "choose another folder"
        ) from error
