"""How well an edit fits in: its seam, its stain beside that around it, and how strange that is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from napari_histodiff.core.stain_bank import StainEntry
from napari_histodiff.inpainting.stains import stain_vector

__all__ = ["seam", "seams_and_shifts", "stain_shift", "strangeness"]

#: Pixels on both sides of an edge that it is compared with: beyond what it blurs itself.
_NEAR = 3.0
_FAR = 14.0

#: Pairs of pixels a seam is measured on at the least.
_LEAST_PAIRS = 60

#: Pixels around a mask whose stain is compared with that inside.
_RING = 64.0


def seam(image: NDArray[np.uint8], edit_mask: NDArray[np.bool_]) -> float | None:
    """Return how much neighbours differ across the edge of a mask, beside neighbours on its sides.

    Parameters
    ----------
    image : (h, w, 3) uint8
        With the edit in it.
    edit_mask : (h, w) bool
        Where pixels could change.

    Returns
    -------
    float or None
        1 = as much as elsewhere, as in tissue nobody edited; 2 = an edge twice as strong. None for
        a mask with too little edge, or in a flat image.
    """
    return _seam(image, _depth(edit_mask))


def _seam(image: NDArray[np.uint8], depth: NDArray[np.float64]) -> float | None:
    pixels = image.astype(np.float32)
    across: list[NDArray[np.float32]] = []
    beside: list[NDArray[np.float32]] = []
    for axis in (0, 1):
        steps = (np.diff(pixels, axis=axis) ** 2).mean(-1)
        first, second = (
            np.take(depth, range(start, depth.shape[axis] - 1 + start), axis) for start in (0, 1)
        )
        near = np.minimum(np.abs(first), np.abs(second))
        across.append(steps[(first > 0) != (second > 0)])
        beside.append(steps[((first > 0) == (second > 0)) & (near >= _NEAR) & (near <= _FAR)])
    on, off = np.concatenate(across), np.concatenate(beside)
    if len(on) < _LEAST_PAIRS or len(off) < _LEAST_PAIRS or off.mean() <= 0:
        return None
    return math.sqrt(float(on.mean()) / float(off.mean()))


def stain_shift(image: NDArray[np.uint8], edit_mask: NDArray[np.bool_]) -> float | None:
    """Return how far the stain of an edit is from that around it, 0 = the same.

    Parameters
    ----------
    image : (h, w, 3) uint8
        With the edit in it.
    edit_mask : (h, w) bool
        Where pixels could change.

    Returns
    -------
    float or None
        Difference of the mean optical density of tissue, over that of the surroundings: 0.2 = a
        fifth darker, paler, or of another hue. None where one of both has too little tissue.
    """
    return _stain_shift(image, _depth(edit_mask))


def _stain_shift(image: NDArray[np.uint8], depth: NDArray[np.float64]) -> float | None:
    edit_mask = depth > 0
    if not edit_mask.any():
        return None
    inside = stain_vector(image, edit_mask)
    around = stain_vector(image, ~edit_mask & (depth >= -_RING))
    if inside is None or around is None:
        return None
    one, other = np.array(inside[:3]), np.array(around[:3])
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


def seams_and_shifts(
    images: Iterable[NDArray[np.uint8]], edit_mask: NDArray[np.bool_]
) -> list[tuple[float | None, float | None]]:
    """Return `seam` and `stain_shift` of several images edited through one mask."""
    depth = _depth(edit_mask)  # the same of all, and what takes longest
    return [(_seam(image, depth), _stain_shift(image, depth)) for image in images]


def _depth(edit_mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How far inside a mask each pixel is, outside it negative; in pixels."""
    depth: NDArray[np.float64] = np.where(
        edit_mask, distance_transform_edt(edit_mask), -distance_transform_edt(~edit_mask)
    )
    return depth


def strangeness(
    image: NDArray[np.uint8],
    known: NDArray[np.bool_],
    mpp: float,
    bank: Sequence[StainEntry],
) -> float | None:
    """Return how far a stain is from the nearest of the training slides, 0 = one has it.

    Parameters
    ----------
    image : (h, w, 3) uint8
        The surroundings.
    known : (h, w) bool
        Pixels that count.
    mpp : float
        Micrometres per pixel.
    bank : sequence of StainEntry
        What the model was trained on.

    Returns
    -------
    float or None
        Difference of the mean optical densities, over those of the slide, as in `stain_shift`.
        None without a bank, or with too little tissue.
    """
    found = stain_vector(image, known)
    if found is None or not bank:
        return None
    nearest = min(abs(math.log(entry.mpp / mpp)) for entry in bank)
    rows = [e.vector[:3] for e in bank if abs(math.log(e.mpp / mpp)) < nearest + 0.3]
    slides, here = np.array(rows), np.array(found[:3])
    far = np.linalg.norm(slides - here, axis=1) / np.linalg.norm(slides, axis=1)
    return float(far.min())
