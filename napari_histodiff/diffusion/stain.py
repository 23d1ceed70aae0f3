"""Stain in optical density: jitter for training, and the "stain look" word of a crop."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import correlate1d
from torch import Tensor

from napari_histodiff.core.captions import STAINS
from napari_histodiff.diffusion.conditioning import from_pixels
from napari_histodiff.inpainting.stains import TISSUE_DENSITY

__all__ = [
    "change_detail",
    "jitter_stain",
    "optical_density",
    "stain_look",
    "stain_slots",
]

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


def change_detail(
    pixels: NDArray[np.uint8], taken: float, softened: float = 0.0
) -> NDArray[np.uint8]:
    """Return (h, w, 3) pixels with less or more of the finest detail.

    Parameters
    ----------
    pixels : (h, w, 3) uint8
    taken : float
        1 takes all of what changes from pixel to pixel across and down at once, the corner of the
        spectrum that scanners differ in most; below 0 more of it is put in.
    softened : float
        0 to 1, how far towards the mean of neighbours (1, 2, 1 across and down).
    """
    values = pixels.astype(np.float32)
    means = [correlate1d(values, (0.25, 0.5, 0.25), axis) for axis in (0, 1)]
    both = correlate1d(means[0], (0.25, 0.5, 0.25), 1)
    finest = values - means[0] - means[1] + both  # high across and high down
    changed = values - taken * finest + softened * (both - values)
    return changed.round().clip(0, 255).astype(np.uint8)


def stain_slots(images: Tensor) -> Tensor:
    """Return (b,) int64 values of the caption's stain slot, 0 where there is too little tissue."""
    density = optical_density(images)
    tissue = (density.mean(1) > TISSUE_DENSITY).float()  # (b, h, w)
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
