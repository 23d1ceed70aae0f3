"""A fold, tear or bubble under a stroke of a person, proposed as an edit mask.

No rule found these by itself: the best of four for folds (twice the density, saturated, elongated)
took 0.3 % of clean tissue along and found two in five folds laid into real tissue. Where something
is, the person says; how far it goes is measured.
"""

from __future__ import annotations

import math
import warnings
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.cluster.vq import kmeans2
from scipy.ndimage import (
    binary_closing,
    binary_fill_holes,
    distance_transform_edt,
    gaussian_filter,
    label,
)

from napari_histodiff.core.errors import InvalidMap, InvalidRequest
from napari_histodiff.core.maps import as_edit_mask, as_rgb

__all__ = ["around_stroke"]

#: Scale of smoothing, of colours and of the border that is found; the gap that is closed. In um.
_SMOOTH: Final = 1.5
_BORDER: Final = 1.5
_GAP: Final = 3.0

#: What is farther than `reach`, up to so many times it, is what the artefact is told from.
_BEYOND: Final = 2.5

#: Kinds of tissue around, pixels they are told from, and the least of each.
_KINDS: Final = 3
_SAMPLE: Final = 4000
_LEAST: Final = 30

#: Spreads of optical density below this are noise; log-likelihoods beyond this say no more; what
#: the full reach costs in them.
_NOISE: Final = 0.04
_CERTAIN: Final = 20.0
_FAR: Final = 4.0


def around_stroke(
    image: ArrayLike, stroke: ArrayLike, mpp: float = 0.5, *, reach: float = 60.0
) -> NDArray[np.bool_]:
    """Return what a stroke lies on, as far as it looks like that, (h, w) bool.

    Closed strokes are filled. Pixels are told apart by optical density and its grain: those that
    are nearer to what lies under the stroke than to the kinds of tissue beyond its reach, and hang
    together with it, count.

    Parameters
    ----------
    image : (h, w, 3) uint8
        Tissue with a fold, a tear or a bubble.
    stroke : (h, w) bool
        A line along it, or around it.
    mpp : float
        Micrometres per pixel.
    reach : float
        How far from the stroke it may go, in um.

    Raises
    ------
    InvalidImage, InvalidMap, InvalidRequest
        When the image or the stroke is none, there is no stroke, or a length is none.
    """
    pixels, drawn = as_rgb(image), as_edit_mask(stroke)
    if not (math.isfinite(mpp) and mpp > 0 and math.isfinite(reach) and reach > 0):
        raise InvalidRequest(
            f"expected a pixel size and a reach above 0, got {mpp!r} and {reach!r}; give both in um"
        )
    if drawn.shape != pixels.shape[:2]:
        raise InvalidMap(
            f"expected a stroke of the image's shape {pixels.shape[:2]}, got {drawn.shape}; "
            "crop them alike"
        )
    if not drawn.any():
        raise InvalidMap("expected a stroke, got none; draw a line over what shall go")
    meant: NDArray[np.bool_] = binary_fill_holes(drawn)
    far = distance_transform_edt(~meant) * mpp
    beyond = (far > reach) & (far < _BEYOND * reach)
    if beyond.sum() < _KINDS * _LEAST:
        # A small frame: whatever lies outside the stroke, the farther half of it.
        beyond = far > np.median(far[~meant]) if not meant.all() else np.zeros_like(meant)
    if beyond.sum() < _LEAST:
        return meant
    seen = _seen(pixels, mpp)
    liker = _likeness(seen, seen[meant]) - _likeness_of_kinds(seen, seen[beyond])
    score = np.clip(liker - _FAR * (far / reach) ** 2, -_CERTAIN, _CERTAIN)
    found = (gaussian_filter(score, _BORDER / mpp) > 0) & (far < reach) | meant
    pieces, _ = label(found)
    kept = np.isin(pieces, np.unique(pieces[meant]))
    gap = max(1, round(_GAP / mpp))
    # With what lies at the border repeated: closing would take it for empty beyond.
    wide = np.pad(kept, gap + 1, mode="edge")
    kept |= binary_closing(wide, iterations=gap)[gap + 1 : -gap - 1, gap + 1 : -gap - 1]
    filled: NDArray[np.bool_] = binary_fill_holes(kept)
    return filled


def _seen(pixels: NDArray[np.uint8], mpp: float) -> NDArray[np.float32]:
    """Optical densities of the three colours, and how much they vary in a few um, (h, w, 4)."""
    density = -np.log(np.maximum(pixels, 1).astype(np.float32) / 255)
    scale = _SMOOTH / mpp
    smooth = gaussian_filter(density, (scale, scale, 0))
    grey = density.mean(-1)
    mean = gaussian_filter(grey, 2 * scale)
    grain = np.sqrt(np.maximum(gaussian_filter(grey * grey, 2 * scale) - mean * mean, 0))
    return np.concatenate((smooth, grain[..., None]), -1)


def _likeness(seen: NDArray[np.float32], sample: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-likelihood of pixels as of one kind, by medians: a hasty stroke goes over the edge."""
    middle = np.median(sample, 0)
    spread = np.maximum(1.4826 * np.median(np.abs(sample - middle), 0), _NOISE)
    like: NDArray[np.float32] = -0.5 * (((seen - middle) / spread) ** 2).sum(-1)
    return like - np.float32(np.log(spread).sum())


def _likeness_of_kinds(
    seen: NDArray[np.float32], sample: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Log-likelihood of pixels as of the likeliest of a few kinds."""
    some = sample[:: max(1, len(sample) // _SAMPLE)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # fewer kinds than asked for are no harm
        _, kind = kmeans2(some, _KINDS, seed=0, minit="points")
    groups = [some[kind == number] for number in range(_KINDS)]
    large = [group for group in groups if len(group) >= min(_LEAST, len(some) // 2)]
    shares = (math.log(len(group) / len(some)) for group in large)
    likes = [_likeness(seen, group) + share for group, share in zip(large, shares, strict=True)]
    best: NDArray[np.float32] = np.max(likes, axis=0).astype(np.float32)
    return best
