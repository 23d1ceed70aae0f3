"""The stain of pixels, in optical density: what an edit is matched to, and compared with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_histodiff.core.captions import parse_caption
from napari_histodiff.core.errors import InvalidImage
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.core.stain_bank import StainEntry, choose_stain

__all__ = [
    "TISSUE_DENSITY",
    "glass_colour",
    "own_stain",
    "reference_stain",
    "stain_at",
    "stain_vector",
    "too_little_tissue",
]

#: Mean optical density above which a pixel is tissue.
TISSUE_DENSITY: Final = 0.12

#: How much two scales may differ, as a share of the larger, where what is measured of single pixels
#: at one is told at the other: slides of one scale differ more.
_ONE_SCALE: Final = 0.15

#: Least spread, and least mean difference of colours, in optical density, of a picture of tissue.
#: Of training slides the palest have 0.06 and 0.13.
_FLAT: Final = 0.015
_GREY: Final = 0.02

_LEAST_TISSUE: Final = 400  # pixels a stain, or the colour of glass, is measured on at the least
_LIGHT: Final = 0.13  # density of no channel of glass is higher
_EVEN: Final = 1e-3  # what the spread of one even colour is told as, to divide by it
_NEAR: Final = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0))  # rows and columns between two pixels
_DENSITY: Final = -np.log(np.maximum(np.arange(256), 1) / 255).astype(np.float32)


def stain_vector(
    image: NDArray[np.uint8], inside: NDArray[np.bool_] | None = None
) -> tuple[float, ...] | None:
    """Describe the stain, the sharpness and the finest detail of an image, for `EditRequest.stain`.

    Parameters
    ----------
    image : (h, w, 3) uint8
    inside : (h, w) bool, optional
        Pixels that count; all by default.

    Returns
    -------
    tuple of float or None
        Mean, then standard deviation of the optical density of tissue in red, green and blue; then
        the logarithm of mean absolute difference of neighbouring pixels over that deviation, in
        green; last, the logarithm of mean absolute curvature across and down at once, which only
        the finest detail has, over that difference. Where no two pixels of tissue lie side by side
        (one column, a checkerboard), the next nearest pairs count. Without the last where no
        square of 3 px is all tissue; None where there is too little tissue to tell.
    """
    density = _DENSITY[image]
    tissue = density.mean(-1) > TISSUE_DENSITY
    if inside is not None:
        tissue &= inside
    if tissue.sum() < _LEAST_TISSUE:
        return None
    pixels = density[tissue]
    spread = pixels.std(0) + _EVEN
    step = _step(density[..., 1], tissue)
    if step is None:
        return None
    numbers = [*pixels.mean(0), *spread, np.log(step / spread[1] + 1e-3)]
    detail = _detail(density[..., 1], tissue)
    if detail is not None:
        numbers.append(np.log(detail / max(step, 1e-3) + 1e-3))
    return tuple(map(float, numbers))


def glass_colour(
    image: NDArray[np.uint8], inside: NDArray[np.bool_] | None = None
) -> tuple[int, int, int] | None:
    """Return red, green and blue of the glass of an (h, w, 3) image; None where it has too little.

    The median of what is light in every colour, with all that lies within two pixels of it.
    """
    light = _DENSITY[image].max(-1) < _LIGHT
    if inside is not None:
        light &= inside
    glass = image[ndimage.minimum_filter(light, 5)]
    if len(glass) < _LEAST_TISSUE:
        return None
    red, green, blue = (round(float(value)) for value in np.median(glass, axis=0))
    return red, green, blue


def too_little_tissue(image: NDArray[np.uint8]) -> str:
    """Say why `stain_vector` returns None for an (h, w, 3) image: what it takes and what it has."""
    found = int((_DENSITY[image].mean(-1) > TISSUE_DENSITY).sum())
    got = f"{found} among {image.shape[0]} x {image.shape[1]} pixels" if found else "background"
    return f"expected at least {_LEAST_TISSUE} pixels of tissue, got {got}"


def reference_stain(image: NDArray[np.uint8]) -> tuple[float, ...]:
    """Return the `stain_vector` of an (h, w, 3) image whose stain is to be matched.

    Raises
    ------
    InvalidImage
        When it has too little tissue, one even colour, or no colour: fog would be drawn of it.
    """
    found = stain_vector(image)
    said = too_little_tissue(image) if found is None else ""
    if found is not None and max(found[3:6]) < _FLAT + _EVEN:
        said = "expected tissue, got one even colour"
    elif found is not None:
        density = _DENSITY[image]
        tissue = density[density.mean(-1) > TISSUE_DENSITY]
        if np.ptp(tissue, axis=-1).mean() < _GREY:
            said = "expected stained tissue, got grey"
    if found is None or said:
        raise InvalidImage(
            f"{said} in the image whose stain is to be matched; give a larger part of the tissue, "
            "in its colours, or another image"
        )
    return found


def own_stain(request: EditRequest, bank: Sequence[StainEntry]) -> tuple[float, ...] | None:
    """Return the stain of a request that gives none: of its pixels, or of a training slide.

    Parameters
    ----------
    request : EditRequest
        At the scale it is drawn at.
    bank : sequence of StainEntry
        What the model was trained on.

    Returns
    -------
    tuple of float or None
        Of the known pixels, of the coarse image, or of a slide that caption and seed choose; None
        where there is none of these.
    """
    caption = parse_caption(request.caption).caption
    chosen = choose_stain(bank, caption, request.mpp, request.seed)
    if request.target is not None:  # what its region happens to show must not decide
        return chosen
    if request.image is not None and request.edit_mask is not None:
        found = stain_vector(request.image, ~request.edit_mask)
        if found is not None:
            return found
    if request.coarse is not None and chosen is not None:
        coarse = stain_vector(request.coarse)
        # How sharp and fine it is to be, an upsampled image cannot tell.
        return chosen if coarse is None else (*coarse[:6], *chosen[6:])
    return chosen


def stain_at(
    mpp: float, found: tuple[float, ...], found_at: float | None, own: tuple[float, ...] | None
) -> tuple[float, ...]:
    """Return the stain of a reference as it is told at another scale.

    How sharp and how fine it is says something of single pixels: the same tissue in larger ones is
    sharper, and would be drawn as grain. So that is taken from what has the scale of the drawing.

    Parameters
    ----------
    mpp : float
        Micrometres per pixel of the drawing.
    found : tuple of float
        As `stain_vector` measured it.
    found_at : float, optional
        Micrometres per pixel of what it was measured on; where they are not known, `mpp`.
    own : tuple of float, optional
        What `own_stain` says of the drawing.
    """
    same = found_at is None or math.isclose(found_at, mpp, rel_tol=_ONE_SCALE)
    return found if same or own is None else (*found[:6], *own[6:])


def _detail(plane: NDArray[np.float32], tissue: NDArray[np.bool_]) -> float | None:
    """Mean absolute curvature across and down at once of tissue 3 px wide; None without any."""
    across = plane[:, 2:] - 2 * plane[:, 1:-1] + plane[:, :-2]
    curved = across[2:] - 2 * across[1:-1] + across[:-2]
    rows = tissue[:, 2:] & tissue[:, 1:-1] & tissue[:, :-2]
    inside = rows[2:] & rows[1:-1] & rows[:-2]
    return float(np.abs(curved)[inside].mean()) if inside.any() else None


def _step(plane: NDArray[np.float32], tissue: NDArray[np.bool_]) -> float | None:
    """Mean absolute difference of the nearest pairs of tissue pixels; None without any pair."""
    height, width = plane.shape
    for down, right in _NEAR:
        first = (slice(0, max(0, height - down)), slice(0, max(0, width - right)))
        second = (slice(down, None), slice(right, None))
        both = tissue[first] & tissue[second]
        if both.any():
            return float(np.abs(plane[second] - plane[first])[both].mean())
    return None
