"""Turns outlines of nuclei into an instance map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import Region

__all__ = ["FAR_APART", "Outline", "Ring", "fill", "near_parts", "rasterise"]

#: Micrometres between parts of one object that are too far from each other for one nucleus.
FAR_APART: Final = 10.0

#: Corners (x, y) in pixels from the upper left corner of the image, (n, 2) float.
Ring = NDArray[np.float64]

#: Crossings of edges with rows of pixels that are looked at together.
_CROSSINGS: Final = 1 << 21


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """One nucleus: its parts, each an outer ring and the rings of its holes."""

    parts: list[list[Ring]]

    @property
    def area(self) -> float:
        """Area in square pixels without the holes."""
        return sum(_area(rings[0]) - sum(map(_area, rings[1:])) for rings in self.parts)


def near_parts(polygons: Sequence[list[Ring]], reach: float) -> list[Outline]:
    """Return one outline of all polygons that lie side by side, another of others, and so on.

    Parameters
    ----------
    polygons : sequence of lists of rings
        Parts of one object, each an outer ring and the rings of its holes.
    reach : float
        How many pixels may lie between the boxes of two that belong together, or between those of
        others in between.
    """
    if len(polygons) < 2:  # the most objects by far
        return [Outline([rings]) for rings in polygons]
    low = np.array([rings[0].min(axis=0) for rings in polygons])
    high = np.array([rings[0].max(axis=0) for rings in polygons])
    found = []
    left = np.arange(len(polygons))
    while len(left):
        group, reached = [], [int(left[0])]
        left = left[1:]
        while reached:
            group.append(at := reached.pop())
            near = ((low[left] <= high[at] + reach) & (high[left] >= low[at] - reach)).all(axis=1)
            reached += left[near].tolist()
            left = left[~near]
        found.append(Outline([polygons[i] for i in sorted(group)]))
    return found


def rasterise(
    outlines: Sequence[Outline], shape: tuple[int, int]
) -> tuple[NDArray[np.int32], dict[str, int]]:
    """Return the (h, w) int32 instance map and how many nuclei did not get a pixel, by reason.

    Nucleus i + 1 is `outlines[i]`. A pixel belongs to a nucleus when its centre is inside. Where
    nuclei overlap the smaller one shows, so that a large one never erases it; of two equal ones
    the later.
    """
    instances = np.zeros(shape, np.int32)
    lost = {"outside": 0, "too small": 0, "covered": 0}
    drawn = []
    for i in sorted(range(len(outlines)), key=lambda i: -outlines[i].area):
        inside = size = 0
        for place, mask in _masks(outlines[i], shape):
            instances[place][mask] = i + 1
            inside, size = inside + int(mask.sum()), size + mask.size
        if inside:
            drawn.append(i + 1)
        else:
            lost["too small" if size else "outside"] += 1
    lost["covered"] = len(np.setdiff1d(drawn, instances))
    return instances, lost


def _masks(
    outline: Outline, shape: tuple[int, int]
) -> Iterator[tuple[tuple[slice, slice], NDArray[np.bool_]]]:
    """Each part's window that lies in the image, and where the part is in it."""
    for rings in outline.parts:
        x, y = rings[0].T
        bounds = zip((y, x), shape, strict=True)
        place = tuple(
            slice(max(0, int(np.floor(along.min()))), min(n, int(np.ceil(along.max()))))
            for along, n in bounds
        )
        rows, columns = place
        if rows.stop <= rows.start or columns.stop <= columns.start:
            continue
        size = (rows.stop - rows.start, columns.stop - columns.start)
        yield (rows, columns), fill(rings, Region(0, rows.start, columns.start, *size))


def fill(rings: Sequence[Ring], window: Region) -> NDArray[np.bool_]:
    """Return which pixels of a window have their centre in a polygon, (h, w) bool.

    Takes time by the length of the outline and the size of the window, not by their product, and
    no memory beyond the window: a large region is filled window by window.

    Parameters
    ----------
    rings : sequence of (n, 2)
        The outer ring, then its holes. Where a ring crosses itself, even and odd decide.
    window : Region
        In the pixels that the corners are counted in.
    """
    outer, *holes = (_inside(ring, window) for ring in rings)
    for hole in holes:
        outer &= ~hole
    return outer


def _inside(ring: Ring, window: Region) -> NDArray[np.bool_]:
    start = ring - (window.x + 0.5, window.y + 0.5)  # centres of pixels lie on whole numbers
    end = np.roll(start, -1, axis=0)
    crossed = np.zeros((window.height, window.width + 1), np.uint8)
    step = max(1, _CROSSINGS // window.height)
    for at in range(0, len(ring), step):
        rows, columns = _crossings(start[at : at + step], end[at : at + step], window)
        # Beyond 255 only whether it is odd stays right, which is all that counts.
        np.add.at(crossed, (rows, columns), 1)
    np.add.accumulate(crossed, axis=1, dtype=np.uint8, out=crossed)
    odd: NDArray[np.bool_] = crossed[:, :-1] & 1 == 1
    return odd


def _crossings(
    start: NDArray[np.float64], end: NDArray[np.float64], window: Region
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows that each edge crosses, and the first column right of it there."""
    low, high = np.minimum(start[:, 1], end[:, 1]), np.maximum(start[:, 1], end[:, 1])
    first, last = (np.clip(np.ceil(y), 0, window.height).astype(np.intp) for y in (low, high))
    counts = last - first
    edges = np.repeat(np.arange(len(start)), counts)
    rows = np.arange(len(edges)) - np.repeat(np.cumsum(counts) - counts - first, counts)
    (x0, y0), (x1, y1) = start[edges].T, end[edges].T
    cut = np.ceil(x0 + (rows - y0) * (x1 - x0) / (y1 - y0))
    return rows, np.clip(cut, 0, window.width).astype(np.intp)


def _area(ring: Ring) -> float:
    x, y = (ring - ring[0]).T  # near zero, or the difference drowns in rounding
    return abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1))) / 2
