"""What is known of every tile, in memory: its state and origin, a few bytes each."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import PyramidSpec, Region, TileAddress

__all__ = [
    "COLUMNS",
    "ENTRY",
    "HAS_BASE",
    "HAS_EDITS",
    "HAS_LABELS",
    "HAS_TISSUE",
    "IS_AVERAGED",
    "PLANE_FLAGS",
    "SETTLED",
    "UNTOUCHED",
    "TileInfo",
    "TileState",
    "TileTable",
    "entries_of",
    "is_drawn",
    "summary",
    "tiles_of",
]


class TileState(IntEnum):
    """The state of one tile of one level, kept as uint8."""

    #: Nothing was drawn; what shows is the nearest coarser level, or the layout's colours.
    EMPTY = 0
    #: Pixels of a real slide.
    SOURCE = 1
    #: Drawn by the model; the same bytes come back when it is dropped and drawn again.
    GENERATED = 2
    #: Changed by the user; kept.
    EDITED = 3
    #: Shows what was drawn before something it depends on changed; to be drawn again, all but the
    #: pixels that the user changed.
    STALE = 4


_STATES: Final = tuple(TileState)

#: States of tiles of which only edits show; elsewhere what the store lies on does.
UNTOUCHED: Final = (TileState.EMPTY, TileState.SOURCE)
_UNTOUCHED: Final = frozenset(map(int, UNTOUCHED))

#: States whose pixels finer levels may be drawn from.
SETTLED: Final = (TileState.SOURCE, TileState.GENERATED, TileState.EDITED)

_FROM_LEAST: Final = (
    TileState.EMPTY,
    TileState.STALE,
    TileState.EDITED,
    TileState.GENERATED,
    TileState.SOURCE,
)


def is_drawn(states: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which tiles have pixels of their own to show, of the shape of `states`."""
    drawn: NDArray[np.bool_] = states != TileState.EMPTY
    return drawn


def summary(states: NDArray[np.uint8], steps: int, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the least settled state of each square of 2**steps tiles, of the shape given."""
    ranks = np.zeros(len(TileState), np.uint8)
    ranks[list(_FROM_LEAST)] = range(len(_FROM_LEAST))
    side = 1 << steps
    missing = [(0, n * side - have) for n, have in zip(shape, states.shape, strict=True)]
    padded = np.pad(ranks[states], missing, constant_values=len(_FROM_LEAST) - 1)
    lowest = padded.reshape(shape[0], side, shape[1], side).min(axis=(1, 3))
    least: NDArray[np.uint8] = np.array(_FROM_LEAST, np.uint8)[lowest]
    return least


#: Flags of a tile: which chunks it has besides its image, and whether the levels above the coarsest
#: drawn one hold its means (they still do when it was dropped to save space).
HAS_BASE: Final = 1
HAS_EDITS: Final = 2
HAS_LABELS: Final = 4
IS_AVERAGED: Final = 8
HAS_TISSUE: Final = 16

#: The flag of each plane.
PLANE_FLAGS: Final[Mapping[str, int]] = MappingProxyType(
    {"base": HAS_BASE, "edits": HAS_EDITS, "labels": HAS_LABELS, "tissue": HAS_TISSUE}
)

#: One tile's line in the journal.
ENTRY: Final = np.dtype(
    [
        ("level", "u1"),
        ("row", "<u2"),
        ("col", "<u2"),
        ("state", "u1"),
        ("flags", "u1"),
        ("check", "<u4"),
        ("size", "<u4"),
    ]
)

#: The arrays of a table and their types.
COLUMNS: Final = (("states", "u1"), ("flags", "u1"), ("checks", "<u4"), ("sizes", "<u4"))


@dataclass(frozen=True, slots=True)
class TileInfo:
    """What is known of one tile.

    Attributes
    ----------
    state : TileState
        Of levels the model draws; EMPTY on coarser ones, which follow from those.
    flags : int
        `HAS_BASE`, `HAS_EDITS`, `HAS_LABELS`, `HAS_TISSUE`, `IS_AVERAGED`.
    check : int
        Checksum that the image chunk carries, 0 where there is none; names its contents.
    size : int
        Bytes of its chunks on disk.
    """

    state: TileState = TileState.EMPTY
    flags: int = 0
    check: int = 0
    size: int = 0

    def has(self, plane: str) -> bool:
        """Return whether it has a chunk in a plane other than "image"."""
        return bool(self.flags & PLANE_FLAGS[plane])


@dataclass
class TileTable:
    """Every tile's line, as arrays per level.

    Parameters
    ----------
    spec : PyramidSpec
        What tiles there are.
    """

    spec: PyramidSpec
    states: list[NDArray[np.uint8]] = field(init=False)
    flags: list[NDArray[np.uint8]] = field(init=False)
    checks: list[NDArray[np.uint32]] = field(init=False)
    sizes: list[NDArray[np.uint32]] = field(init=False)
    total: int = field(init=False, default=0)
    _touched: list[int] = field(init=False)

    def __post_init__(self) -> None:
        for name, dtype in COLUMNS:
            levels = range(self.spec.levels)
            setattr(self, name, [np.zeros(self.shape(level), dtype) for level in levels])
        self._touched = [0] * self.spec.levels

    @classmethod
    def untouched(cls, spec: PyramidSpec, state: TileState) -> TileTable:
        """Return a table of tiles that are all in one state, with nothing stored."""
        table = cls(spec)
        for states in table.states:
            states[:] = state
        return table

    def shape(self, level: int) -> tuple[int, int]:
        """Return the rows and columns of tiles of a level."""
        bounds = self.spec.bounds(level)
        side = self.spec.tile
        return -(-bounds.height // side), -(-bounds.width // side)

    def __getitem__(self, tile: TileAddress) -> TileInfo:
        level, row, col = tile.level, tile.row, tile.col
        return TileInfo(
            _STATES[self.states[level].item(row, col)],
            self.flags[level].item(row, col),
            self.checks[level].item(row, col),
            self.sizes[level].item(row, col),
        )

    def shows_edits(self, region: Region, coarsest: int) -> bool:
        """Return whether edits show in a region of a scan: its own, means of finer, or coarser.

        A coarser tile that only holds the means of finer edits shows nothing at finer levels; it
        has kept the state that it had without, so that no chunk has to be looked at. This is asked
        with every tile that is read.
        """
        level, side = region.level, self.spec.tile
        flags = self.flags[level]
        top, left = max(region.y, 0) // side, max(region.x, 0) // side
        bottom = min(-(-region.bottom // side), flags.shape[0])
        right = min(-(-region.right // side), flags.shape[1])
        if top >= bottom or left >= right:
            return False
        for row in range(top, bottom):
            for col in range(left, right):
                if flags.item(row, col) & HAS_EDITS:
                    return True
        if not any(self._touched[level + 1 : coarsest + 1]):
            return False
        return any(
            self.edited_over(TileAddress(level, row, col), coarsest)
            for row in range(top, bottom)
            for col in range(left, right)
        )

    def edited_over(self, tile: TileAddress, coarsest: int) -> list[TileAddress]:
        """Return the coarser tiles at the place of one that were edited, the finest first."""
        row, col, found = tile.row, tile.col, []
        for level in range(tile.level + 1, coarsest + 1):
            row, col = row // 2, col // 2
            if self.states[level].item(row, col) not in _UNTOUCHED:
                found.append(TileAddress(level, row, col))
        return found

    def apply(self, entries: NDArray[Any]) -> None:
        """Take over lines of dtype `ENTRY`; a later one of the same tile wins.

        Raises
        ------
        IndexError
            When a line names a tile that the slide does not have.
        """
        for level in np.unique(entries["level"]):
            lines = entries[entries["level"] == level]
            at = (lines["row"].astype(np.intp), lines["col"].astype(np.intp))
            sizes = self.sizes[level]
            before = int(sizes.sum(dtype=np.int64)) if len(lines) > 1 else int(sizes[at][0])
            self.states[level][at] = lines["state"]
            self.flags[level][at] = lines["flags"]
            self.checks[level][at] = lines["check"]
            self._touched[level] = _touched(self.states[level])
            sizes[at] = lines["size"]
            after = int(sizes.sum(dtype=np.int64)) if len(lines) > 1 else int(sizes[at][0])
            self.total += after - before

    def recount(self) -> None:
        """Bring the totals up to date after arrays were written to."""
        self._touched = [_touched(states) for states in self.states]
        self.total = sum(int(sizes.sum(dtype=np.int64)) for sizes in self.sizes)

    def addresses(self, level: int, chosen: NDArray[np.bool_]) -> Iterator[TileAddress]:
        """Yield the tiles of a level where `chosen`, (rows, cols), is True, in row-major order."""
        for row, col in np.argwhere(chosen):
            yield TileAddress(level, int(row), int(col))

    def to_bytes(self) -> bytes:
        """Return the table packed."""
        columns = (getattr(self, name) for name, _ in COLUMNS)
        return zlib.compress(b"".join(array.tobytes() for levels in columns for array in levels), 1)

    @classmethod
    def from_bytes(cls, spec: PyramidSpec, data: bytes) -> TileTable:
        """Rebuild a table from `to_bytes`.

        Raises
        ------
        ValueError
            When it is damaged or of a slide of another shape.
        """
        try:
            raw = memoryview(zlib.decompress(data))
        except zlib.error as error:
            raise ValueError(f"a table of tiles that does not unpack ({error})") from error
        table = cls(spec)
        start = 0
        for name, dtype in COLUMNS:
            for level, array in enumerate(getattr(table, name)):
                part = raw[start : start + array.nbytes]
                start += array.nbytes
                if len(part) != array.nbytes:
                    raise ValueError("a table of tiles of another shape")
                getattr(table, name)[level] = np.frombuffer(part, dtype).reshape(array.shape).copy()
        if start != len(raw):
            raise ValueError("a table of tiles of another shape")
        table.recount()
        return table


def _touched(states: NDArray[np.uint8]) -> int:
    return int(np.count_nonzero(states > max(UNTOUCHED)))


def entries_of(lines: Iterable[tuple[TileAddress, TileInfo]]) -> NDArray[Any]:
    """Return lines as an array of dtype `ENTRY`."""
    return np.array(
        [
            (tile.level, tile.row, tile.col, info.state, info.flags, info.check, info.size)
            for tile, info in lines
        ],
        ENTRY,
    )


def tiles_of(entries: NDArray[Any]) -> list[TileAddress]:
    """Return the tiles of lines of dtype `ENTRY`, each once."""
    places = entries[["level", "row", "col"]].tolist()
    return [TileAddress(*place) for place in dict.fromkeys(places)]
