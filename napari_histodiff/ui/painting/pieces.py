"""Nuclei of a label map as pieces: the one at a point, a neighbour, what an eraser left of some."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_histodiff.ui.workspace.placement import Indices
from napari_histodiff.ui.workspace.runs import Runs

__all__ = ["centres", "inside", "nearest_painted", "piece_at", "remnants"]

#: Pixels that touch at a corner belong together, as where nuclei are counted.
_NEIGHBOURS: Final = np.ones((3, 3), np.bool_)

#: A piece is a nucleus still when it has this share of the nucleus' area, and of its thickness:
#: crescents along a rim have neither.
_LEAST_AREA: Final = 1 / 3
_LEAST_THICKNESS: Final = 1 / 2

_NOTHING: Final = (np.zeros(0, np.intp), np.zeros(0, np.intp))


def inside(rows: NDArray[Any], cols: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which pixels, (n,) each, lie in a map of `shape`."""
    found: NDArray[np.bool_] = (rows >= 0) & (rows < shape[0]) & (cols >= 0) & (cols < shape[1])
    return found


def piece_at(labels: NDArray[np.int32], y: int, x: int) -> Indices:
    """Return the pixels of the nucleus at a pixel of a label map; none when there is none."""
    if not (0 <= y < labels.shape[0] and 0 <= x < labels.shape[1]) or not labels[y, x]:
        return _NOTHING
    rows, cols = np.nonzero(labels == labels[y, x])
    top, left = rows.min(), cols.min()
    mask = np.zeros((np.ptp(rows) + 1, np.ptp(cols) + 1), np.bool_)
    mask[rows - top, cols - left] = True
    pieces, _ = ndimage.label(mask, _NEIGHBOURS)
    own = pieces[rows - top, cols - left] == pieces[y - top, x - left]
    return rows[own], cols[own]


def nearest_painted(
    labels: NDArray[np.int32], point: tuple[float, float], reach: float
) -> tuple[int, int] | None:
    """Return the painted pixel nearest to a point, (y, x), at most `reach` pixels away."""
    top, left = (max(0, int(np.floor(c - reach))) for c in point)
    bottom, right = (int(np.ceil(c + reach)) + 1 for c in point)
    rows, cols = np.nonzero(labels[top:bottom, left:right])
    if not rows.size:
        return None
    distance = np.hypot(rows + top - point[0], cols + left - point[1])
    nearest = int(np.argmin(distance))
    if distance[nearest] > reach:
        return None
    return int(rows[nearest] + top), int(cols[nearest] + left)


def centres(labels: NDArray[np.int32]) -> NDArray[np.intp]:
    """Return a pixel in the middle of each nucleus, (n, 2), as one reads: by rows, left to right.

    It is a pixel of the nucleus, also where the nucleus is bent.
    """
    runs = Runs.of(labels)
    blobs, lengths = runs.blobs(), runs.lengths
    row, begin = np.divmod(runs.starts, labels.shape[1])
    painted = np.flatnonzero(blobs)
    order = painted[np.argsort(blobs[painted], kind="stable")]
    found = []
    for own in np.split(order, np.flatnonzero(np.diff(blobs[order])) + 1):
        if own.size:
            middle = own[own.size // 2]
            found.append((int(row[middle]), int(begin[middle] + lengths[middle] // 2)))
    return np.array(sorted(found), np.intp).reshape(-1, 2)


def remnants(before: NDArray[np.int32], after: NDArray[np.int32]) -> Indices:
    """Return the pixels of what an eraser left of nuclei and is none any more.

    Parameters
    ----------
    before, after : (h, w) int32
        Labels before and after the stroke, which erased only.

    Returns
    -------
    Indices
        Of pieces with less than a third of the nucleus' area, or half its thickness: holes and
        crescents would count as nuclei.
    """
    touched = np.unique(before[before != after])
    touched = touched[touched > 0]
    if not touched.size:
        return _NOTHING
    present = np.zeros(int(before.max()) + 1, np.bool_)
    present[touched] = True
    rows, cols = np.nonzero(present[before])
    window = slice(rows.min(), rows.max() + 1), slice(cols.min(), cols.max() + 1)
    old, new = before[window], after[window]
    runs = Runs.of(np.where(present[old], old, 0))
    nuclei = runs.filled(runs.blobs())
    gone = np.zeros(old.shape, np.bool_)
    for number, part in enumerate(ndimage.find_objects(nuclei), 1):
        whole = nuclei[part] == number
        left = whole & (new[part] == old[part])
        if left.sum() == whole.sum():
            continue
        pieces, count = ndimage.label(left, _NEIGHBOURS)
        area, thickness = whole.sum(), _thickness(whole)
        for piece in range(1, count + 1):
            own = pieces == piece
            too_thin = _thickness(own) < _LEAST_THICKNESS * thickness
            if own.sum() < _LEAST_AREA * area or too_thin:
                gone[part] |= own
    found_rows, found_cols = np.nonzero(gone)
    return found_rows + window[0].start, found_cols + window[1].start


def _thickness(mask: NDArray[np.bool_]) -> float:
    return float(ndimage.distance_transform_edt(np.pad(mask, 1)).max())
