"""Turns outlines of nuclei into an instance map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon2mask

__all__ = ["Outline", "Ring", "rasterise"]

#: Corners (x, y) in pixels from the upper left corner of the image, (n, 2) float.
Ring = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """One nucleus: its parts, each an outer ring and the rings of its holes."""

    parts: list[list[Ring]]

    @property
    def area(self) -> float:
        """Area in square pixels without the holes."""
        return sum(_area(rings[0]) - sum(map(_area, rings[1:])) for rings in self.parts)


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
        # The centre of the first pixel is 0.5 from the corner that outlines are measured from.
        offset = np.array([rows.start + 0.5, columns.start + 0.5])
        outer, *holes = (polygon2mask(size, ring[:, ::-1] - offset) for ring in rings)
        for hole in holes:
            outer &= ~hole
        yield (rows, columns), outer


def _area(ring: Ring) -> float:
    x, y = (ring - ring[0]).T  # near zero, or the difference drowns in rounding
    return abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1))) / 2
