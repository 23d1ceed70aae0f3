"""What a crop of tissue looks like in fixed, nameable numbers: colour, contrast, grain, spectrum.

A fixed yardstick beside learnt features: nothing here was trained, so no model can have been fitted
to it, and a difference has a name.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, laplace

from napari_histodiff.core.errors import InvalidImage

__all__ = ["APPEARANCE_NAMES", "appearance"]

_SCALES: Final = (1, 2, 4)
_PERCENTILES: Final = (1, 5, 25, 50, 75, 95, 99)
#: Edges of the spectrum bands in cycles per pixel; 0.5 is the finest grain along an axis.
_BANDS: Final = (1 / 16, 1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2, 0.71)
_CHANNELS: Final = ("red", "green", "blue", "od_red", "od_green", "od_blue")
_CHUNK: Final = 128
_LEAST: Final = 16

#: Names of the columns of `appearance`.
APPEARANCE_NAMES: Final[tuple[str, ...]] = (
    *(f"{moment}_{c}" for moment in ("mean", "std", "skew") for c in _CHANNELS),
    *(f"contrast_p{p:02d}" for p in _PERCENTILES),
    *(f"gradient_{s}px_{what}" for s in _SCALES for what in ("mean", "std", "p95")),
    "log_laplacian_energy",
    *(f"log_power_{low:.3g}_{high:.3g}" for low, high in pairwise(_BANDS)),
)


def appearance(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return (n, k) float32 features of (n, s, s, 3) uint8 crops, in order of `APPEARANCE_NAMES`.

    Colours are in units of the full range (0 to 1) and optical density (0 to 2.4, base 10, black
    as 1/256); contrast is percentiles of luminance about its mean; gradients are Gaussian
    derivatives of luminance at 1, 2 and 4 px, times the scale; Laplacian and spectrum powers are
    natural logarithms, the spectrum under a Hann window. No crops give (0, k).

    Raises
    ------
    InvalidImage
        When the crops are not (n, s, s, 3) uint8 with s of at least 16.
    """
    square = crops.ndim == 4 and crops.shape[1] == crops.shape[2] and crops.shape[3] == 3
    if not square or crops.shape[1] < _LEAST or crops.dtype != np.uint8:
        raise InvalidImage(
            f"expected (n, s, s, 3) uint8 crops with s of at least {_LEAST}, got {crops.shape} "
            f"{crops.dtype}; crop squares"
        )
    parts = [_features(crops[i : i + _CHUNK]) for i in range(0, len(crops), _CHUNK)]
    empty = np.empty((0, len(APPEARANCE_NAMES)), np.float32)
    return np.concatenate([empty, *parts])


def _features(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    colours = crops.astype(np.float32) / 255
    density = -np.log10((crops.astype(np.float32) + 1) / 256)
    grey = colours.mean(-1)
    columns = [
        _moments(np.concatenate([colours, density], axis=-1)),
        _contrast(grey),
        *(_gradients(grey, scale) for scale in _SCALES),
        _log((laplace(grey, axes=(1, 2)) ** 2).mean((1, 2)))[:, None],
        _spectrum(grey),
    ]
    return np.concatenate(columns, axis=1).astype(np.float32)


def _moments(channels: NDArray[np.float32]) -> NDArray[np.float32]:
    mean = channels.mean((1, 2))
    centred = channels - mean[:, None, None]
    square = centred * centred
    std = np.sqrt(square.mean((1, 2)))
    skew = (square * centred).mean((1, 2)) / np.maximum(std, 1e-3) ** 3
    return np.concatenate([mean, std, skew], axis=1)


def _contrast(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    flat = grey.reshape(len(grey), -1)
    return (np.percentile(flat, _PERCENTILES, axis=1) - flat.mean(1)).T.astype(np.float32)


def _gradients(grey: NDArray[np.float32], scale: int) -> NDArray[np.float32]:
    slopes = [
        gaussian_filter(grey, scale, order=order, axes=(1, 2), mode="nearest")
        for order in ((1, 0), (0, 1))
    ]
    size = (scale * np.hypot(*slopes)).reshape(len(grey), -1)
    return np.stack([size.mean(1), size.std(1), np.percentile(size, 95, axis=1)], axis=1)


def _spectrum(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    side = grey.shape[1]
    window = np.hanning(side + 2)[1:-1].astype(np.float32)
    windowed = (grey - grey.mean((1, 2), keepdims=True)) * np.outer(window, window)
    power = np.abs(np.fft.rfft2(windowed)) ** 2 / side**2
    radius = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side))
    rings = [(radius >= low) & (radius < high) for low, high in pairwise(_BANDS)]
    return np.stack([_log(power[:, ring].mean(1)) for ring in rings], axis=1)


def _log(power: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.log(power + 1e-7)  # far below the noise of rounding to 256 levels
