"""Finds fat in an image: white cells of one size that stand together."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label, regionprops
from skimage.morphology import disk
from skimage.segmentation import watershed

from napari_histodiff.datasets.tissue.microns import Mask, Microns, Plane

__all__ = ["fat_cells"]

_WHITE: Final = 0.07  # density below which a place is empty
_FAINT: Final = 0.085  # the same, where walls are told by being darker than what lies around them
_WALL: Final = 0.02  # how much darker
_WALL_WIDTH: Final = 8.0  # um, at the most
_DEEP: Final = 7.0  # um from the middle of a cell to its wall
_APART: Final = 16  # um between two middles
_CELL: Final = (250.0, 14_000.0)  # um2
_UNWALLED: Final = 0.3  # of its outline, that is open to another cell
_CUT: Final = 0.3  # of its outline, that the image's border cuts
_LONGEST: Final = 0.88  # eccentricity
_SOLID: Final = 0.8
_TOGETHER: Final = 8.0  # half the gap in um between two cells of one group
_FEWEST: Final = 4  # cells of a group


def fat_cells(density: Plane, gland: Mask, mpp: float) -> Mask:
    """Return where groups of fat cells lie, with the walls between them, (h, w).

    Cells are parted where white areas are narrow, or by walls too faint to count as tissue.

    Parameters
    ----------
    density : (h, w) float32
        Optical density of the densest channel.
    gland : (h, w) bool
        Where no fat is.
    mpp : float
        Micrometres per pixel.
    """
    um = Microns(mpp)
    reach = max(1, round(_WALL_WIDTH / 2 / mpp))
    walls = density - ndimage.grey_opening(density, footprint=disk(reach)) > _WALL
    parted = _cells((density < _FAINT) & ~walls, um, _SOLID - 0.1)
    cells = _cells(density < _WHITE, um, _SOLID) | parted
    cells &= um.blur(gland, 6) < 0.25
    each = label(um.opened(cells & ~walls, 1.5), connectivity=1)
    groups: Mask = um.closed(cells, _TOGETHER)
    together = label(groups)
    for number, box in enumerate(ndimage.find_objects(together), start=1):
        group = together[box] == number
        sizes = np.bincount(each[box][group])[1:]
        if np.count_nonzero(sizes > um.area(_CELL[0])) < _FEWEST:
            groups[box][group] = False
    return groups


def _cells(white: Mask, um: Microns, solid: float) -> Mask:
    """Return the parts of white areas that have the size and form of a cell, and walls."""
    depth = um.blur(ndimage.distance_transform_edt(white), 2) * um.mpp
    apart = max(1, round(_APART / um.mpp))
    middles = (depth == ndimage.maximum_filter(depth, apart)) & (depth > _DEEP)
    parts = watershed(-depth, label(middles), mask=white)
    open_steps = _contacts(parts)
    least, most = (um.area(size) for size in _CELL)
    sound = np.zeros(len(open_steps), np.bool_)
    for part in regionprops(parts):
        sound[part.label] = (
            least < part.area < most
            and open_steps[part.label] <= _UNWALLED * part.perimeter
            and _cut(part, white.shape) <= _CUT * part.perimeter
            and part.solidity > solid
            and part.eccentricity < _LONGEST
        )
    found: Mask = sound[parts]
    return found


def _cut(part: Any, shape: tuple[int, ...]) -> int:
    """Return how many pixels of a part lie at the border of the image."""
    top, left, bottom, right = part.bbox
    lines = ((top == 0, 0), (bottom == shape[0], -1)), ((left == 0, 0), (right == shape[1], -1))
    return sum(
        int(np.take(part.image, line, axis).sum())
        for axis, ends in enumerate(lines)
        for at_border, line in ends
        if at_border
    )


def _contacts(areas: NDArray[Any]) -> NDArray[np.int64]:
    """Return how many steps of its border each area shares with another one, by id."""
    counts = np.zeros(int(areas.max(initial=0)) + 1, np.int64)
    for one, other in ((areas[1:], areas[:-1]), (areas[:, 1:], areas[:, :-1])):
        met = (one != other) & (one > 0) & (other > 0)
        for side in (one[met], other[met]):
            counts += np.bincount(side, minlength=len(counts))
    return counts
