"""Draws training crops for the segmenter: where, how large, how oriented.

Augmentation changes a crop's look, not its content: stain, light, focus, grain.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from skimage.color import hed_from_rgb, rgb_from_hed
from torch import Tensor

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.datasets.crop_windows import (
    Window,
    class_places,
    image_odds,
    orient,
    window_around,
)
from napari_histodiff.segmenter.losses import MAPS, TrainingTarget

__all__ = ["SegmenterCrops", "augment"]

#: Share of the draws each set gets.
_MIX: Final[dict[str, float]] = {
    "lizard": 0.47,
    "consep": 0.25,
    "monuseg": 0.20,
    "tcga_lgg36": 0.05,
    "miccai2015_seg": 0.03,
}
#: Share of the rare draws that each class gets: neutrophil, eosinophil, plasma.
_RARE: Final[dict[int, float]] = {1: 0.4, 5: 0.35, 4: 0.25}
_RARE_SHARE: Final = 0.3
_ZOOM: Final = (0.8, 1.25)  # so that about 0.4 to 0.63 um/px are known
_ZOOMED_SHARE: Final = 0.6
_LEAST_VALID: Final = 0.3
_CLASS, _VALID = MAPS.index("class"), MAPS.index("valid")


class SegmenterCrops:
    """Endless random crops, the rare classes drawn more often than they occur.

    Parameters
    ----------
    targets : list of TrainingTarget
    size : int
        Side of the crops in pixels.
    seed : int
    """

    def __init__(self, targets: list[TrainingTarget], size: int, seed: int) -> None:
        self._targets = targets
        self._size = size
        self._rng = np.random.default_rng(seed)
        self._weights = image_odds(
            [target.maps[..., _VALID].sum() for target in targets],
            [target.item.source for target in targets],
            _MIX,
            other=0.05,
        )
        maps = [target.maps[..., _CLASS] for target in targets]
        self._places = {c: places for c in _RARE if len(places := class_places(maps, c))}

    def batch(self, count: int) -> tuple[Tensor, Tensor]:
        """Return pixels (count, 3, size, size) float32 in 0..1 and maps (count, 4, ...) uint8.

        The crops of a batch share one zoom.
        """
        zoom = self._rng.uniform(*_ZOOM) if self._rng.random() < _ZOOMED_SHARE else 1.0
        crops = [self._crop(round(self._size * zoom)) for _ in range(count)]
        pixels = torch.from_numpy(np.stack([c[0] for c in crops])).permute(0, 3, 1, 2).float() / 255
        maps = torch.from_numpy(np.stack([c[1] for c in crops])).permute(0, 3, 1, 2)
        shape = (self._size, self._size)
        if pixels.shape[-2:] != shape:
            pixels = F.interpolate(pixels, shape, mode="bilinear", antialias=True)
            maps = F.interpolate(maps, shape, mode="nearest-exact")
        return pixels, maps

    def _crop(self, size: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        i, window = self._window(size)
        turns, flip = int(self._rng.integers(4)), bool(self._rng.integers(2))
        target = self._targets[i]
        return (
            orient(target.pixels[window], turns, flip),
            orient(target.maps[window], turns, flip),
        )

    def _window(self, size: int) -> tuple[int, Window]:
        for _ in range(200):
            i, centre = self._centre()
            height, width = self._targets[i].maps.shape[:2]
            if min(height, width) < size:
                continue
            window = window_around(centre, size, (height, width))
            if self._targets[i].maps[window][::4, ::4, _VALID].mean() >= _LEAST_VALID:
                return i, window
        raise TrainingError(
            f"expected images with valid areas of {size} px, got none in 200 draws; "
            "give larger images"
        )

    def _centre(self) -> tuple[int, NDArray[np.int64]]:
        rng = self._rng
        if self._places and rng.random() < _RARE_SHARE:
            classes = list(self._places)
            shares = np.array([_RARE[c] for c in classes])
            places = self._places[int(rng.choice(classes, p=shares / shares.sum()))]
            i, y, x = places[rng.integers(len(places))]
            jitter = rng.integers(-self._size // 3, self._size // 3 + 1, 2)
            return int(i), np.array([y, x]) + jitter
        i = int(rng.choice(len(self._targets), p=self._weights))
        height, width = self._targets[i].maps.shape[:2]
        return i, np.array([rng.integers(height), rng.integers(width)])


_STAIN_SPREAD: Final = 0.22  # of the logarithm of each stain's amount
_DENSITY_SPREAD: Final = 0.22  # of the logarithm of the whole density
_CHANNEL_SPREAD: Final = 0.08
_STAIN_SHIFT: Final = 0.02
_LIGHT_SPREAD: Final = 0.04
_LIGHT_SHIFT: Final = 0.02
_BLUR: Final = (0.5, 1.4)  # px
_DETAIL: Final = (-1.0, 0.8)  # -1 takes away what the blur takes away, above 0 sharpens
_NOISE: Final = 0.04
_SHARE: Final = 0.5  # of the batches whose focus changes; as many get noise
_RADIUS: Final = 3


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return (b, 3, h, w) float32 images in [0, 1] with another stain, light, focus and grain.

    Haematoxylin, eosin and the whole optical density are scaled apart from each other
    (Beer-Lambert, stain matrix of Ruifrok and Johnston), so that the judge knows laboratories and
    scanners it never saw. Focus and grain change in half of the batches.
    """
    result = _light(_stain(images, generator), generator)
    if _chosen(generator):
        result = _focus(result, generator)
    if _chosen(generator):
        result = _grain(result, generator)
    return result.clamp(0, 1)


def _stain(images: Tensor, generator: torch.Generator) -> Tensor:
    b = len(images)
    scale = (_STAIN_SPREAD * _normal((b, 3, 1), generator)).exp()
    shift = _STAIN_SHIFT * _normal((b, 3, 1), generator)
    whole = _DENSITY_SPREAD * _normal((b, 1, 1), generator)
    change = (whole + _CHANNEL_SPREAD * _normal((b, 3, 1), generator)).exp()
    back = change * torch.from_numpy(rgb_from_hed.T).float()
    density = -images.flatten(2).clamp_min(1 / 255).log()
    mixed = back @ (scale * torch.from_numpy(hed_from_rgb.T).float()) @ density + back @ shift
    return (-mixed).exp().view(images.shape)


def _light(images: Tensor, generator: torch.Generator) -> Tensor:
    b = len(images)
    gain = 1 + _LIGHT_SPREAD * _normal((b, 1, 1, 1), generator)
    return (images * gain + _LIGHT_SHIFT * _normal((b, 1, 1, 1), generator)).clamp(0, 1)


def _focus(images: Tensor, generator: torch.Generator) -> Tensor:
    b, _, h, w = images.shape
    sigma = _uniform((b, 1), generator, *_BLUR)
    steps = torch.arange(-_RADIUS, _RADIUS + 1)
    line = (-steps.square() / (2 * sigma.square())).exp()
    line = (line / line.sum(1, keepdim=True)).view(b, -1, 1, 1, 1)
    padded = F.pad(images, (_RADIUS,) * 4, mode="reflect")
    # Sums of shifted images: for so many small kernels faster than a grouped convolution.
    rows = torch.zeros_like(padded[:, :, :h])
    for k in range(len(steps)):
        rows += line[:, k] * padded[:, :, k : k + h]
    blurred = torch.zeros_like(images)
    for k in range(len(steps)):
        blurred += line[:, k] * rows[..., k : k + w]
    amount = _uniform((b, 1, 1, 1), generator, *_DETAIL)
    return images + amount * (images - blurred)


def _grain(images: Tensor, generator: torch.Generator) -> Tensor:
    b = len(images)
    amount = _uniform((b, 1, 1, 1), generator, 0, _NOISE)
    return images + amount * _normal(tuple(images.shape), generator)


def _chosen(generator: torch.Generator) -> bool:
    return float(torch.rand((), generator=generator)) < _SHARE


def _normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator)


def _uniform(shape: tuple[int, ...], generator: torch.Generator, low: float, high: float) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator)
