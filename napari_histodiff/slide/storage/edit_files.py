"""The kept edits of a slide, one file each: the tiles before and after it, and its request.

The file is a JSON description, the chunks it names one after the other, and a CRC-32 of it all. It
is written whole before the edit is committed; undo, redo and a restart only read it.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from napari_histodiff.core.errors import StorageError
from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.core.recipe import TILE
from napari_histodiff.slide.storage.dependencies import PlaneFrame
from napari_histodiff.slide.storage.tile_table import TileInfo, TileState
from napari_histodiff.slide.storage.transactions import remove_file, write_file

__all__ = ["Edit", "EditFiles", "Swap"]

_VERSION: Final = 1
_HEAD: Final = struct.Struct("<4sI")
_MAGIC: Final = b"HDE1"
_CHECK: Final = struct.Struct("<I")

#: Contents of a file before and after an edit; None where there is none.
Swap = tuple[bytes | None, bytes | None]

_Lines = dict[TileAddress, TileInfo]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What one edit changed.

    Attributes
    ----------
    region : Region
        Where pixels changed, for those who watch.
    boxes : tuple of Region
        What tiles drawn from it may depend on: changed pixels of one level, or changes of the
        layout at level 0.
    layout : bool
        Whether `boxes` are changes of the layout.
    frame : PlaneFrame
        The slide's place when it was made.
    seen_from : PlaneFrame
        The slide whose first pixel all places here are counted from.
    chunks : dict
        By (plane, tile).
    others : dict
        Further files, by path relative to the slide.
    before, after : dict
        What was known of the tiles whose chunks changed.
    dependents : dict
        What was known of the drawn tiles that depend on it, before.
    request : dict, optional
        `EditRequest.to_dict` of what made it; its places are counted like all others here.
    """

    region: Region
    boxes: tuple[Region, ...]
    layout: bool
    frame: PlaneFrame
    seen_from: PlaneFrame
    chunks: dict[tuple[str, TileAddress], Swap]
    others: dict[str, Swap]
    before: _Lines
    after: _Lines
    dependents: _Lines
    request: dict[str, Any] | None = field(default=None)

    def to_bytes(self) -> bytes:
        """Return the file."""
        head = {
            "version": _VERSION,
            "region": _sides(self.region),
            "boxes": [_sides(box) for box in self.boxes],
            "layout": self.layout,
            "frame": list(self.frame[:4]),
            "refined": self.frame.refined,
            "chunks": [
                [plane, *_place(tile), *map(_length, swap)]
                for (plane, tile), swap in self.chunks.items()
            ],
            "others": [[name, *map(_length, swap)] for name, swap in self.others.items()],
            "before": _packed(self.before),
            "after": _packed(self.after),
            "cone": _packed(self.dependents),
            "request": self.request,
        }
        text = json.dumps(head).encode()
        swaps = [*self.chunks.values(), *self.others.values()]
        blobs = (blob for swap in swaps for blob in swap if blob is not None)
        body = b"".join([_HEAD.pack(_MAGIC, len(text)), text, *blobs])
        return body + _CHECK.pack(zlib.crc32(body))

    @classmethod
    def from_bytes(cls, data: bytes) -> Edit:
        """Rebuild an edit from `to_bytes`.

        Raises
        ------
        ValueError
            When the file is damaged or of a newer version.
        """
        body = data[: -_CHECK.size]
        if len(data) < _HEAD.size + _CHECK.size or data[-_CHECK.size :] != _CHECK.pack(
            zlib.crc32(body)
        ):
            raise ValueError("an edit whose checksum does not match")
        magic, length = _HEAD.unpack_from(body)
        head = json.loads(body[_HEAD.size : _HEAD.size + length])
        if magic != _MAGIC or head["version"] > _VERSION:
            raise ValueError("an edit of a newer version")
        blobs = _Blobs(body, _HEAD.size + length)
        # Edits made before levels could be added do not say how many were.
        frame = PlaneFrame(*head["frame"])._replace(refined=head.get("refined", 0))
        return cls(
            region=Region(*head["region"]),
            boxes=tuple(Region(*box) for box in head["boxes"]),
            layout=head["layout"],
            frame=frame,
            seen_from=frame,
            chunks={
                (line[0], TileAddress(*line[1:4])): blobs.swap(*line[4:]) for line in head["chunks"]
            },
            others={name: blobs.swap(*lengths) for name, *lengths in head["others"]},
            before=dict(_unpacked(head["before"])),
            after=dict(_unpacked(head["after"])),
            dependents=dict(_unpacked(head["cone"])),
            request=head["request"],
        )

    def moved_to(self, frame: PlaneFrame) -> Edit:
        """Return the same edit in the coordinates of a slide that was grown or refined since."""
        seen = self.seen_from.finer(frame.refined)
        steps = frame.refined - self.seen_from.refined
        dy, dx = seen.y - frame.y, seen.x - frame.x

        def tile_now(tile: TileAddress) -> TileAddress:
            level = tile.level + steps
            side = TILE << level
            return TileAddress(level, tile.row + dy // side, tile.col + dx // side)

        def region_now(region: Region) -> Region:
            level = region.level + steps
            return replace(region.translate(dy >> level, dx >> level), level=level)

        def request_now(request: dict[str, Any]) -> dict[str, Any]:
            moved = {
                name: _sides(region_now(Region(*request[name])))
                for name in ("region", "target")
                if request.get(name) is not None
            }
            return request | moved

        def lines(known: _Lines) -> _Lines:
            return {tile_now(tile): info for tile, info in known.items()}

        return replace(
            self,
            region=region_now(self.region),
            boxes=tuple(map(region_now, self.boxes)),
            frame=self.frame.finer(frame.refined),
            seen_from=frame,
            chunks={(plane, tile_now(tile)): swap for (plane, tile), swap in self.chunks.items()},
            before=lines(self.before),
            after=lines(self.after),
            dependents=lines(self.dependents),
            request=None if self.request is None else request_now(self.request),
        )


class _Blobs:
    """Reads the blobs of a file in order."""

    def __init__(self, body: bytes, start: int) -> None:
        self._body = body
        self._at = start

    def swap(self, before: int, after: int) -> Swap:
        return self._next(before), self._next(after)

    def _next(self, length: int) -> bytes | None:
        if length < 0:
            return None
        self._at += length
        return self._body[self._at - length : self._at]


def _length(blob: bytes | None) -> int:
    return -1 if blob is None else len(blob)


def _sides(region: Region) -> list[int]:
    return [region.level, region.y, region.x, region.height, region.width]


def _place(tile: TileAddress) -> list[int]:
    return [tile.level, tile.row, tile.col]


def _packed(lines: _Lines) -> list[list[int]]:
    return [
        [*_place(tile), int(info.state), info.flags, info.check, info.size]
        for tile, info in lines.items()
    ]


def _unpacked(lines: list[list[int]]) -> Iterator[tuple[TileAddress, TileInfo]]:
    for level, row, col, state, flags, check, size in lines:
        yield TileAddress(level, row, col), TileInfo(TileState(state), flags, check, size)


class EditFiles:
    """A folder of edits by number.

    Parameters
    ----------
    folder : Path
        Made when the first edit is put there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, number: int, edit: Edit) -> None:
        """Write an edit so that it survives a power cut.

        Raises
        ------
        StorageError
            When the disk is full; nothing is left of it then.
        """
        write_file(self._path(number), edit.to_bytes(), sync=True)

    def get(self, number: int) -> Edit:
        """Read an edit.

        Raises
        ------
        StorageError
            When its file is missing or damaged.
        """
        path = self._path(number)
        try:
            return Edit.from_bytes(path.read_bytes())
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise StorageError(
                f"expected the whole edit in {path}, got {error}; "
                "it can not be undone or redone; restore the file from a backup"
            ) from error

    def size(self, number: int) -> int:
        """Return the bytes of an edit's file, 0 where there is none."""
        try:
            return self._path(number).stat().st_size
        except OSError:
            return 0

    def keep_only(self, numbers: Collection[int]) -> None:
        """Remove the files of all other edits, as far as that is possible now."""
        names = {self._path(number).name for number in numbers}
        with suppress(OSError, StorageError):
            for path in self._folder.iterdir():
                if path.name not in names:
                    remove_file(path)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.edit"
