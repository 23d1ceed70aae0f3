"""Stain in optical density: jitter for training, and the "stain look" word of a crop."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_histodiff.core.captions import STAINS
from napari_histodiff.diffusion.conditioning import from_pixels

__all__ = [
    "jitter_stain",
    "optical_density",
    "stain_look",
    "stain_slots",
    "stain_vector",
    "too_little_tissue",
]

_TISSUE_DENSITY: Final = 0.12  # mean optical density above which a pixel is tissue
_LEAST_TISSUE: Final = 400  # pixels a stain is measured on at the least
_NEAR: Final = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0))  # rows and columns between two pixels
_DENSITY: Final = -np.log(np.maximum(np.arange(256), 1) / 255).astype(np.float32)
_DARKNESS: Final = (0.28, 0.70)  # mean density of tissue: pale below, dark above
_PINKNESS: Final = (1.60, 2.60)  # green over red density: purple below, pink above


def optical_density(images: Tensor) -> Tensor:
    """Return -log of transmitted light (Beer-Lambert), (b, 3, h, w), for images in [-1, 1]."""
    return -((images + 1) / 2).clamp_min(1 / 255).log()


def jitter_stain(
    images: Tensor, generator: torch.Generator, amount: float = 1.0, share: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Scale optical density as a whole and by channel, at random; also return the (b, 3) factors.

    Parameters
    ----------
    images : (b, 3, h, w) float in [-1, 1]
    generator : torch.Generator
    amount : float
        0 leaves the images alone, 1 is the spread seen between scanners and laboratories.
    share : float
        How many of the images are changed.
    """
    b = len(images)
    strength = torch.randn(b, 1, 1, 1, generator=generator).mul(0.16 * amount).exp()
    hue = torch.randn(b, 3, 1, 1, generator=generator).mul(0.06 * amount).exp()
    changed = torch.rand(b, 1, 1, 1, generator=generator) < share
    factors = torch.where(changed, strength * hue, torch.ones(()))
    jittered = (optical_density(images) * factors).neg().exp() * 2 - 1
    return torch.where(changed, jittered, images), factors[:, :, 0, 0]


def stain_slots(images: Tensor) -> Tensor:
    """Return (b,) int64 values of the caption's stain slot, 0 where there is too little tissue."""
    density = optical_density(images)
    tissue = (density.mean(1) > _TISSUE_DENSITY).float()  # (b, h, w)
    area = tissue.sum((1, 2)).clamp_min(1)
    red, green, blue = ((density[:, c] * tissue).sum((1, 2)) / area for c in range(3))
    darkness = (red + green + blue) / 3
    pinkness = green / red.clamp_min(1e-3)
    slots = torch.full_like(area, STAINS.index("balanced") + 1)
    slots[darkness < _DARKNESS[0]] = STAINS.index("pale") + 1
    slots[darkness > _DARKNESS[1]] = STAINS.index("dark") + 1
    slots[pinkness > _PINKNESS[1]] = STAINS.index("pink") + 1
    slots[pinkness < _PINKNESS[0]] = STAINS.index("purple") + 1
    slots[tissue.mean((1, 2)) < 0.1] = 0
    return slots.long()


def stain_look(image: NDArray[np.uint8]) -> str | None:
    """Return the stain word of an (h, w, 3) image; None where there is too little tissue."""
    slot = int(stain_slots(from_pixels(image)[None])[0])
    return STAINS[slot - 1] if slot else None


def stain_vector(
    image: NDArray[np.uint8], inside: NDArray[np.bool_] | None = None
) -> tuple[float, ...] | None:
    """Describe the stain and the sharpness of an image, for `EditRequest.stain`.

    Parameters
    ----------
    image : (h, w, 3) uint8
    inside : (h, w) bool, optional
        Pixels that count; all by default.

    Returns
    -------
    tuple of float or None
        Mean, then standard deviation of the optical density of tissue in red, green and blue; last,
        the logarithm of mean absolute difference of neighbouring pixels over that deviation, in
        green. Where no two pixels of tissue lie side by side (one column, a checkerboard), the next
        nearest pairs count. None where there is too little tissue to tell.
    """
    density = _DENSITY[image]
    tissue = density.mean(-1) > _TISSUE_DENSITY
    if inside is not None:
        tissue &= inside
    if tissue.sum() < _LEAST_TISSUE:
        return None
    pixels = density[tissue]
    spread = pixels.std(0) + 1e-3
    step = _step(density[..., 1], tissue)
    if step is None:
        return None
    sharpness = np.log(step / spread[1] + 1e-3)
    return (*map(float, pixels.mean(0)), *map(float, spread), float(sharpness))


def too_little_tissue(image: NDArray[np.uint8]) -> str:
    """Say why `stain_vector` returns None for an (h, w, 3) image: what it takes and what it has."""
    found = int((_DENSITY[image].mean(-1) > _TISSUE_DENSITY).sum())
    got = f"{found} among {image.shape[0]} x {image.shape[1]} pixels" if found else "background"
    return f"expected at least {_LEAST_TISSUE} pixels of tissue, got {got}"


def _step(plane: NDArray[np.float32], tissue: NDArray[np.bool_]) -> float | None:
    """Mean absolute difference of the nearest pairs of tissue pixels; None without any pair."""
    height, width = plane.shape
    for down, right in _NEAR:
        first = (slice(0, max(0, height - down)), slice(0, max(0, width - right)))
        second = (slice(down, None), slice(right, None))
        both = tissue[first] & tissue[second]
        if both.any():
            return np.abs(plane[second] - plane[first])[both].mean()
    return None
