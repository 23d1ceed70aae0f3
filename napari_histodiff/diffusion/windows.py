"""Staggered windows: which windows a frame needs in each phase, and what they cost. No torch.

The steps of the sampler are split into phases. Each phase cuts the plane at its own absolute
lattice, shifted by half a stride from the phase after it; the last lattice is that of the tiles. At
a cut, the windows on both sides overlap by a ramp and their weights sum to one. A window reads only
the field of the phase before, so what a rectangle depends on grows by about one window per phase.

A frame is a canvas of its own: windows end at its border, cuts too close to the border are left
out, and a frame no larger than one window is never cut.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.blending import ramp_weights
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region

__all__ = ["Phase", "Window", "WindowLayout", "plan"]


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


@dataclass(frozen=True, slots=True)
class Window:
    """What the network sees at once: `region`, with weights that fall where `cuts` end it.

    `cuts` tells for top, bottom, left and right whether another window follows there.
    """

    region: Region
    cuts: tuple[bool, bool, bool, bool]

    def weights(self, ramp: int) -> NDArray[np.float32]:
        """Return (h, w) float32; the weights of all windows of a phase sum to one."""
        top, bottom, left, right = (0 if cut else ramp for cut in self.cuts)
        height, width = self.region.shape
        full = ramp_weights(height + top + bottom, width + left + right, ramp)
        return full[top : top + height, left : left + width]


@dataclass(frozen=True, slots=True)
class Phase:
    """The windows of one phase in row-major order, and the rectangle they are wanted for.

    `batches` holds the same windows in groups of one shape; `batch_size[shape]` is the number of
    windows a call must be filled up to. It depends on the frame alone, because the number of
    windows in a call changes the last bits of the result.
    """

    region: Region
    windows: tuple[Window, ...]
    batch_size: dict[tuple[int, int], int]

    @property
    def reads(self) -> Region:
        """The rectangle of the phase before that these windows read."""
        whole = self.windows[0].region
        for window in self.windows:
            whole = whole.union(window.region)
        return whole

    @property
    def batches(self) -> list[list[Window]]:
        """Windows of one shape, at most `batch_size` together."""
        groups: dict[tuple[int, int], list[Window]] = {}
        for window in self.windows:
            groups.setdefault(window.region.shape, []).append(window)
        return [
            group[i : i + self.batch_size[shape]]
            for shape, group in groups.items()
            for i in range(0, len(group), self.batch_size[shape])
        ]


def plan(
    frame: Region,
    layout: WindowLayout,
    phases: int,
    *,
    target: Region | None = None,
    micro_batch: int = 1,
) -> tuple[Phase, ...]:
    """Return the phases that draw `target` (the whole frame by default), first phase first.

    Parameters
    ----------
    frame : Region
        The canvas; sides at multiples of `layout.multiple_of`.
    layout : WindowLayout
        Windows.
    phases : int
        How many lattices are used, at most one per solver step.
    target : Region, optional
        Part of the frame that is wanted; its pixels equal those of the whole frame.
    micro_batch : int
        Full windows the device evaluates together; smaller windows are grouped to the same area.
    """
    wanted = frame if target is None else target
    result: list[Phase] = []
    for index in reversed(range(phases)):
        every = _windows(frame, layout, layout.offset(index, phases))
        sizes = _batch_sizes(every, micro_batch * layout.size**2)
        windows = tuple(w for w in every if not w.region.intersect(wanted).is_empty)
        phase = Phase(wanted, windows, sizes)
        result.append(phase)
        wanted = phase.reads
    return tuple(reversed(result))


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
