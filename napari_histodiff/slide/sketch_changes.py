"""Where two sketches differ."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_histodiff.core.geometry import Region
from napari_histodiff.layout.sketch import Sketch

__all__ = ["changed_boxes"]


def changed_boxes(
    before: Sketch | None, after: Sketch | None, reach: int, within: Region
) -> list[Region]:
    """Return rectangles that hold every place where the two may lead to another layout.

    Parameters
    ----------
    before, after : Sketch, optional
        None leaves everything to the layout.
    reach : int
        How far beyond a changed sketch pixel the layout may change, in pixels of level 0.
    within : Region
        The slide, level 0, PLANE coordinates; so are the results.
    """
    boxes = []
    for one, other in ((before, after), (after, before)):
        if one is None:
            continue
        differs = _differs(one, other)
        labels, _ = ndimage.label(differs, np.ones((3, 3)))
        for rows, cols in ndimage.find_objects(labels):
            box = Region(
                0,
                one.origin[0] + rows.start * one.pixel,
                one.origin[1] + cols.start * one.pixel,
                (rows.stop - rows.start) * one.pixel,
                (cols.stop - cols.start) * one.pixel,
            )
            boxes.append(box.pad(reach).intersect(within))
    return [box for box in dict.fromkeys(boxes) if not box.is_empty]


def _differs(one: Sketch, other: Sketch | None) -> NDArray[np.bool_]:
    """Return which pixels of a sketch another one does not have the same."""
    painted: NDArray[np.bool_] = one.classes != 0
    if other is None or other.pixel != one.pixel:
        return painted
    shift = [b - a for a, b in zip(one.origin, other.origin, strict=True)]
    if any(step % one.pixel for step in shift):
        return painted
    same = np.zeros_like(one.classes)
    y, x = (step // one.pixel for step in shift)
    rows = slice(max(0, y), max(0, min(one.classes.shape[0], y + other.classes.shape[0])))
    cols = slice(max(0, x), max(0, min(one.classes.shape[1], x + other.classes.shape[1])))
    same[rows, cols] = other.classes[rows.start - y : rows.stop - y, cols.start - x : cols.stop - x]
    differs: NDArray[np.bool_] = same != one.classes
    return differs
