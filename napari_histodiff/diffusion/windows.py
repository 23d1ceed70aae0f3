"""Staggered windows: which windows a drawing needs in each phase, and what they cost. No torch.

The steps of the sampler are split into phases. Each phase cuts the plane at its own absolute
lattice, shifted by half a stride from the phase after it; the last lattice is that of the tiles. At
a cut, the windows on both sides overlap by a ramp and their weights sum to one. A window reads only
the field of the phase before, so what a rectangle depends on grows by about one window per phase.

`plan` serves a frame that is a canvas of its own: windows end at its border, cuts too close to the
border are left out, and a frame no larger than one window is never cut.

`plan_plane` serves a part of the endless plane: every window is full and cut on all sides. In its
last phase a tile shows the inside of its own window alone, so that it needs no window of its
neighbours: half a ramp away from the border of a window, neighbours that start from one field agree
to about half a gray level.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region, WindowGrid
from napari_histodiff.core.noise import ramp_weights

__all__ = ["Phase", "Window", "WindowLayout", "plan", "plan_plane", "reach", "union"]

_ALL_CUT = (True, True, True, True)


@dataclass(frozen=True, slots=True)
class WindowLayout:
    """Size of a window, overlap of neighbours and number of phases.

    Parameters
    ----------
    size : int
        Side of a window in pixels; the stride of the lattices is size - ramp.
    ramp : int
        Pixels by which neighbours overlap.
    phases : int
        Lattices the steps are shared between; 1 shows seams, 2 none, 4 is best.
    multiple_of : int
        Sides of every window are multiples of this many pixels.

    Raises
    ------
    InvalidRequest
        When windows would not end at multiples of `multiple_of`.
    """

    size: int = 288
    ramp: int = 32
    phases: int = 2
    multiple_of: int = 16

    def __post_init__(self) -> None:
        unit = 2 * self.multiple_of
        valid = self.ramp % unit == 0 and self.stride % unit == 0 and 0 <= self.ramp <= self.stride
        if not valid or self.stride <= 0 or self.phases < 1:
            raise InvalidRequest(
                f"expected a ramp and a stride in multiples of {unit} pixels and at least one "
                f"phase, got ramp {self.ramp}, stride {self.stride}, {self.phases} phases; "
                "choose other windows"
            )

    @property
    def stride(self) -> int:
        """Pixels between windows of one lattice; the side of a tile."""
        return self.size - self.ramp

    def offset(self, phase: int, phases: int) -> int:
        """Return where the lattice of `phase` of `phases` has a cut; the last one at 0."""
        return self.stride // 2 * ((phases - 1 - phase) % 2)

    @property
    def usual_sides(self) -> frozenset[int]:
        """Sides of the windows of tiles, and of frames of whole tiles that begin at a tile."""
        half = self.ramp // 2
        return frozenset({self.stride // 2 + half, self.stride, self.stride + half, self.size})

    @property
    def margin(self) -> int:
        """Pixels around a tile that its windows reach on the endless plane."""
        tile = Region(0, 0, 0, self.stride, self.stride)
        return -plan_plane(tile, self, self.phases)[0].reads.y


@dataclass(frozen=True, slots=True)
class Window:
    """What the network sees at once: `region`, with weights that fall where `cuts` end it.

    `cuts` tells for top, bottom, left and right whether another window follows there. The outer
    `trim` pixels on each side are seen but not shown, and the ramp is shorter by as much. `slot` is
    its row in the calls of the network, None for any.
    """

    region: Region
    cuts: tuple[bool, bool, bool, bool]
    trim: int = 0
    slot: int | None = None

    @property
    def shown(self) -> Region:
        """The part of `region` whose pixels count."""
        return self.region.pad(-self.trim)

    def weights(self, ramp: int) -> NDArray[np.float32]:
        """Return (h, w) float32 of `shown`; the weights of all windows of a phase sum to one."""
        return _weights(self.shown.shape, self.cuts, ramp - 2 * self.trim)


@dataclass(frozen=True, slots=True)
class Phase:
    """The windows of one phase in row-major order, and the rectangle they are wanted for.

    `batch_size[shape]` is the number of windows of a shape that a call must be filled up to. It
    does not depend on how many are wanted, because the number of windows in a call changes the last
    bits of the result; so can the row of a window, which is fixed where only some are wanted. Where
    windows are evaluated `apart`, neither does, and calls have no rows but those that are needed.
    """

    region: Region
    windows: tuple[Window, ...]
    batch_size: dict[tuple[int, int], int]
    apart: bool = False

    @property
    def reads(self) -> Region:
        """The rectangle of the phase before that these windows read."""
        return union(window.region for window in self.windows)

    @property
    def batches(self) -> list[list[Window | None]]:
        """The calls of the network: windows of one shape, None in rows that are not needed."""
        return self.batches_of(self.windows)

    def batches_of(self, windows: Iterable[Window]) -> list[list[Window | None]]:
        """Return the calls that some of the windows need."""
        groups: dict[tuple[int, int], list[Window]] = {}
        for window in windows:
            groups.setdefault(window.region.shape, []).append(window)
        return [
            batch
            for shape, group in groups.items()
            for batch in self._calls(group, self.batch_size[shape])
        ]

    def _calls(self, windows: list[Window], size: int) -> list[list[Window | None]]:
        if self.apart:
            return [[*windows[i : i + size]] for i in range(0, len(windows), size)]
        rows: list[list[Window]] = [[] for _ in range(size)]
        for i, window in enumerate(windows):
            rows[i % size if window.slot is None else window.slot].append(window)
        return [list(call) for call in zip_longest(*rows)]


def plan(
    frame: Region, layout: WindowLayout, phases: int, *, micro_batch: int = 1, apart: bool = False
) -> tuple[Phase, ...]:
    """Return the phases that draw a frame as a canvas of its own, first phase first.

    Parameters
    ----------
    frame : Region
        The canvas; sides at multiples of `layout.multiple_of`.
    layout : WindowLayout
        Windows.
    phases : int
        How many lattices are used, at most one per solver step.
    micro_batch : int
        Full windows the device evaluates together; smaller windows are grouped to the same area.
    apart : bool
        Whether the bits of a window are the same in any company.
    """
    result = []
    for index in range(phases):
        windows = _windows(frame, layout, layout.offset(index, phases))
        sizes = _batch_sizes(windows, micro_batch * layout.size**2)
        result.append(Phase(frame, windows, sizes, apart))
    return tuple(result)


def plan_plane(
    target: Region, layout: WindowLayout, phases: int, *, micro_batch: int = 1, apart: bool = False
) -> tuple[Phase, ...]:
    """Return the phases that draw a part of the endless plane, first phase first.

    Parameters
    ----------
    target : Region
        The part that is wanted, anywhere.
    layout, phases
        As in `plan`.
    micro_batch : int
        Windows in every call, which is filled up with repetitions; each has its row by its place.
    apart : bool
        Whether the bits of a window are the same in any company; then nothing is repeated.
    """
    wanted = target
    result: list[Phase] = []
    for index in reversed(range(phases)):
        trim = layout.ramp // 2 if index == phases - 1 else 0
        grid = WindowGrid(
            layout.size, layout.stride, layout.offset(index, phases) - layout.ramp // 2
        )
        every = (
            Window(region, _ALL_CUT, trim, _slot(region, layout, micro_batch))
            for region in grid.covering(wanted)
        )
        windows = tuple(w for w in every if not w.shown.intersect(wanted).is_empty)
        result.append(Phase(wanted, windows, {(layout.size, layout.size): micro_batch}, apart))
        wanted = result[-1].reads
    return tuple(reversed(result))


@lru_cache(maxsize=64)
def reach(layout: WindowLayout, side: int) -> int:
    """Return the pixels around a square, anywhere on the plane, that its windows read at the most.

    Rows and columns are cut alike, so one column of the square says what all of it reads.
    """
    furthest = 0
    for start in range(layout.stride):
        target = Region(0, start, 0, side, 1)
        reads = plan_plane(target, layout, layout.phases)[0].reads
        furthest = max(furthest, target.y - reads.y, reads.bottom - target.bottom)
    return furthest


def _slot(region: Region, layout: WindowLayout, micro_batch: int) -> int:
    """Spread neighbours over the rows of a call, each lattice place always to the same row."""
    columns = next(n for n in range(math.isqrt(micro_batch), 0, -1) if micro_batch % n == 0)
    rows = micro_batch // columns
    row, column = region.y // layout.stride, region.x // layout.stride
    return column % columns + columns * (row % rows)


def union(regions: Iterable[Region]) -> Region:
    """Return the smallest rectangle that holds one or more regions."""
    return reduce(Region.union, regions)


@lru_cache(maxsize=64)
def _weights(
    shape: tuple[int, int], cuts: tuple[bool, bool, bool, bool], ramp: int
) -> NDArray[np.float32]:
    top, bottom, left, right = (0 if cut else ramp for cut in cuts)
    height, width = shape
    full = ramp_weights(height + top + bottom, width + left + right, ramp)
    weights = full[top : top + height, left : left + width]
    weights.setflags(write=False)
    return weights


@lru_cache(maxsize=64)
def _windows(frame: Region, layout: WindowLayout, offset: int) -> tuple[Window, ...]:
    rows = _spans(frame.y, frame.bottom, layout, offset)
    columns = _spans(frame.x, frame.right, layout, offset)
    return tuple(
        Window(Region(frame.level, y, x, bottom - y, right - x), (*cut_y, *cut_x))
        for y, bottom, cut_y in rows
        for x, right, cut_x in columns
    )


def _spans(
    low: int, high: int, layout: WindowLayout, offset: int
) -> list[tuple[int, int, tuple[bool, bool]]]:
    """Return (start, end, (cut at start, cut at end)) of the windows along one axis."""
    cuts: Sequence[int] = ()
    if high - low > layout.size:
        # A sliver at the border would leave the network blind; its neighbour takes it over.
        least = layout.stride // 4
        first = low + least + (offset - low - least) % layout.stride
        cuts = range(first, high - least + 1, layout.stride)
    half = layout.ramp // 2
    starts = [low, *(cut - half for cut in cuts)]
    ends = [*(cut + half for cut in cuts), high]
    return [
        (start, end, (i > 0, i < len(cuts)))
        for i, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


def _batch_sizes(windows: tuple[Window, ...], area: int) -> dict[tuple[int, int], int]:
    counts = Counter(window.region.shape for window in windows)
    sizes = {}
    for (height, width), count in counts.items():
        capacity = max(1, area // (height * width))
        calls = -(-count // capacity)
        sizes[height, width] = -(-count // calls)
    return sizes
