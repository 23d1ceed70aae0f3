"""The arrays of a slide on disk: zarr v3 with one chunk per tile, written and read one at a time.

zarr-python reads the same files (the codecs are bytes, zstd and crc32c). They are written here
because an edit needs what an array interface hides: a chunk's encoded bytes before and after, when
exactly a file is replaced, and which one of two damaged copies is whole. Tiles decoded lately are
kept within a limit of memory.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import google_crc32c
import numpy as np
from numcodecs.zstd import Zstd  # type: ignore[import-untyped]
from numpy.typing import NDArray
from zict import LRU

from napari_histodiff.core.colours import GLASS_COLOUR
from napari_histodiff.core.geometry import PyramidSpec, TileAddress
from napari_histodiff.core.recipe import TILE

__all__ = [
    "CACHE_BYTES",
    "EDITED_FINER",
    "EDITED_HERE",
    "FILL",
    "PLANES",
    "ChunkReader",
    "DamagedChunk",
    "Plane",
    "TileCache",
    "checksum_of",
    "chunk_key",
    "decode",
    "encode",
    "full",
    "level_folder",
    "metadata",
    "shape_of",
    "tile_cache",
]

#: Bits of the plane "edits": a pixel changed by an edit at its level, or at a finer one.
EDITED_HERE: Final = 1
EDITED_FINER: Final = 2

#: Shown by other programs where nothing was drawn: glass, as gray, since zarr has one fill value.
FILL: Final = GLASS_COLOUR[0]

_LEVEL: Final = 1
_CHECK_BYTES: Final = 4


class DamagedChunk(Exception):
    """A chunk that fails its checksum or has the wrong size."""


@dataclass(frozen=True, slots=True)
class Plane:
    """One kind of array, of every level.

    Attributes
    ----------
    folder : str
        Where its levels lie, relative to the slide.
    dtype : str
        As in zarr's metadata.
    fill : int
        Value of what is not stored.
    rgb : bool
        Whether it has three channels, the first axis on disk and the last in memory.
    """

    folder: str
    dtype: str
    fill: int
    rgb: bool


#: "image": what shows. "base": what was drawn at the level itself, where finer edits show over it.
#: "edits": which pixels the user changed (1 = at this level, 2 = at a finer one). "labels": nuclei.
#: "tissue": tissue classes, as painted on scans; of a synthetic slide those that its edits were
#: drawn with, each at the edit's own level, 0 where the layout's hold.
PLANES: Final[Mapping[str, Plane]] = MappingProxyType(
    {
        "image": Plane("", "uint8", FILL, rgb=True),
        "base": Plane("histodiff/base", "uint8", FILL, rgb=True),
        "edits": Plane("histodiff/edits", "uint8", 0, rgb=False),
        "labels": Plane("labels/nuclei", "int32", 0, rgb=False),
        "tissue": Plane("labels/tissue", "uint8", 0, rgb=False),
    }
)


def level_folder(plane: str, level: int, refined: int) -> str:
    """Return where a level of a plane lies, relative to the slide, with forward slashes.

    A level keeps its folder when finer ones are added: those of a new slide are called 0, 1, 2 ...
    from the finest on, and each one that was added below them fine1, fine2 ...

    Parameters
    ----------
    plane : str
        A key of `PLANES`.
    level : int
        Pyramid level, 0 = finest.
    refined : int
        How many levels were added, see `SlideRecipe`.
    """
    kind = PLANES[plane]
    start = f"{kind.folder}/" if kind.folder else ""
    first = level - refined
    return f"{start}{first}" if first >= 0 else f"{start}fine{-first}"


def chunk_key(plane: str, tile: TileAddress, refined: int) -> str:
    """Return the path of a tile's chunk, relative to the slide, with forward slashes."""
    channel = "0/" if PLANES[plane].rgb else ""
    return f"{level_folder(plane, tile.level, refined)}/c/{channel}{tile.row}/{tile.col}"


def shape_of(plane: str, spec: PyramidSpec, level: int) -> tuple[int, ...]:
    """Return the shape on disk: (3, h, w) for colours, (h, w) for numbers."""
    shape = spec.bounds(level).shape
    return (3, *shape) if PLANES[plane].rgb else shape


def encode(plane: str, pixels: NDArray[Any]) -> bytes:
    """Return the chunk of a tile.

    Parameters
    ----------
    plane : str
        A key of `PLANES`.
    pixels : (256, 256, 3) uint8 or (256, 256) of the plane's dtype
        The full tile.
    """
    kind = PLANES[plane]
    planar = pixels.transpose(2, 0, 1) if kind.rgb else pixels
    raw = np.ascontiguousarray(planar, np.dtype(kind.dtype).newbyteorder("<"))
    packed: bytes = Zstd(level=_LEVEL).encode(raw)
    check: int = google_crc32c.value(packed)
    return packed + check.to_bytes(_CHECK_BYTES, "little")


def full(pixels: NDArray[Any], shape: tuple[int, int] = (TILE, TILE)) -> NDArray[Any]:
    """Return a tile as a full one: colours beyond the slide repeat its edge, numbers are 0.

    Parameters
    ----------
    pixels : (h, w, 3) uint8 or (h, w)
        At least the part within the slide.
    shape : tuple of int
        Height and width of that part.
    """
    inside = pixels[: shape[0], : shape[1]]
    missing = [(0, TILE - side) for side in inside.shape[:2]]
    if not any(after for _, after in missing):
        return inside
    if inside.ndim == 2:
        return np.pad(inside, missing)
    return np.pad(inside, [*missing, (0, 0)], mode="edge")


def decode(plane: str, data: bytes) -> NDArray[Any]:
    """Return the tile of a chunk, always a full 256 pixels a side, not writable.

    Raises
    ------
    DamagedChunk
        When the chunk is torn or altered.
    """
    kind = PLANES[plane]
    packed = data[:-_CHECK_BYTES]
    if len(data) <= _CHECK_BYTES or google_crc32c.value(packed) != checksum_of(data):
        raise DamagedChunk
    dtype = np.dtype(kind.dtype)
    try:
        raw = np.frombuffer(Zstd().decode(packed), dtype.newbyteorder("<"))
        shape = (3, TILE, TILE) if kind.rgb else (TILE, TILE)
        planar = raw.reshape(shape).astype(dtype, copy=False)
    except (RuntimeError, ValueError) as error:
        raise DamagedChunk from error
    pixels = np.ascontiguousarray(planar.transpose(1, 2, 0)) if kind.rgb else planar
    pixels.setflags(write=False)
    return pixels


def checksum_of(data: bytes) -> int:
    """Return the checksum that a chunk carries: it tells the contents of two chunks apart."""
    return int.from_bytes(data[-_CHECK_BYTES:], "little")


def metadata(plane: str, spec: PyramidSpec, level: int) -> dict[str, Any]:
    """Return the zarr.json of one level of a plane (zarr v3 core specification)."""
    kind = PLANES[plane]
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape_of(plane, spec, level)),
        "data_type": kind.dtype,
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": [3, TILE, TILE] if kind.rgb else [TILE, TILE]},
        },
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": kind.fill,
        "codecs": [
            {"name": "bytes"}
            if kind.dtype == "uint8"
            else {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "zstd", "configuration": {"level": _LEVEL, "checksum": False}},
            {"name": "crc32c"},
        ],
        "dimension_names": ["c", "y", "x"] if kind.rgb else ["y", "x"],
        "attributes": {},
    }


#: How many bytes of decoded tiles are kept, unless told otherwise.
CACHE_BYTES: Final = 256 * 2**20

#: Tiles by key, which nobody writes to any more; those used least recently go first.
TileCache = LRU[Hashable, NDArray[Any]]


def tile_cache(max_bytes: int) -> TileCache:
    """Return an empty cache of so many bytes; safe to use from any thread."""
    return LRU(max_bytes, {}, weight=lambda _, tile: tile.nbytes)


class ChunkReader:
    """The chunk files of a slide.

    Parameters
    ----------
    path : Path
        The slide's folder.
    cache_bytes : int
        Limit of decoded tiles kept in memory.
    refined : int
        How many levels were added below the first ones, which tells the folder of each.
    """

    def __init__(self, path: Path, cache_bytes: int = CACHE_BYTES, refined: int = 0) -> None:
        self.path = path
        self.refined = refined
        self.cache = tile_cache(cache_bytes)
        # Chunks of an edit that is committed but not yet in place, by key; None = removed.
        self._waiting: Mapping[str, bytes | None] = {}
        self._waiting_lock = threading.Lock()

    def key(self, plane: str, tile: TileAddress) -> str:
        """Return the path of a tile's chunk, relative to the slide, with forward slashes."""
        return chunk_key(plane, tile, self.refined)

    def raw(self, key: str) -> bytes | None:
        """Return the contents of a file of the slide, None where there is none."""
        with self._waiting_lock:
            if key in self._waiting:
                return self._waiting[key]
        try:
            return (self.path / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def load(self, plane: str, tile: TileAddress, check: int = 0) -> NDArray[Any] | None:
        """Return a stored tile, full and not writable; None where there is none.

        Parameters
        ----------
        plane : str
            A key of `PLANES`.
        tile : TileAddress
            Which.
        check : int
            The checksum it is known to carry, for finding it in memory; 0 = unknown.

        Raises
        ------
        DamagedChunk
            When the file is torn or altered.
        """
        key = self.key(plane, tile)
        if check:
            found = self.cache.get((key, check))
            if found is not None:
                return found
        data = self.raw(key)
        if data is None:
            return None
        pixels = decode(plane, data)
        self.cache[key, checksum_of(data)] = pixels
        return pixels

    def forget(self) -> None:
        """Drop the tiles kept in memory."""
        self.cache = tile_cache(int(self.cache.n))

    def check(self, key: str) -> int:
        """Return the checksum that a chunk file carries now, 0 where there is none."""
        try:
            with (self.path / key).open("rb") as file:
                file.seek(-_CHECK_BYTES, 2)
                return checksum_of(file.read())
        except OSError:
            return 0

    def size(self, key: str) -> int:
        """Return the bytes of a file of the slide, 0 where there is none."""
        try:
            return (self.path / key).stat().st_size
        except OSError:
            return 0

    def overlay(self, files: Mapping[str, bytes | None]) -> None:
        """Answer with these contents instead of the files' own, until told otherwise."""
        with self._waiting_lock:
            self._waiting = dict(files)
