"""Changes a crop's look, not its content: stain, light, focus, grain."""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from skimage.color import hed_from_rgb, rgb_from_hed
from torch import Tensor

__all__ = ["augment"]

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
