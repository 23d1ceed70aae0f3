"""How far the texture of drawn tissue is from that of the real tissue its masks were taken from.

The sliced Wasserstein distance between the responses of random filters (Heitz et al., "A sliced
Wasserstein loss for neural texture synthesis", CVPR 2021; random filters and scales as in Rabin et
al., SSVM 2011). It compares what tissue looks like, not where each fibre lies, so that it asks for
no mean image: colours, contrast, steepness of edges and power at every scale.
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["texture_distance"]

_FILTERS: Final = 12  # random filters at each scale, new ones at each call
_SIDE: Final = 5
_SCALES: Final = 3  # full, half and quarter resolution
_COLOURS: Final = 4  # random directions in colour space
_ELSEWHERE: Final = 1e3  # sorts behind every response
_LEAST_SPREAD: Final = 0.08  # of a response: flat tissue and glass shall not outweigh the rest
_LEAST_POWER: Final = 1e-6  # of a ring of the spectrum: about the noise of rounding to 8 bits
_RINGS: Final = 8
_SPECTRUM_WEIGHT: Final = 0.1
_SOFT: Final = 0.05  # distances well below it count squared


def texture_distance(drawn: Tensor, real: Tensor, nuclei: Tensor) -> Tensor:
    """Return the distance of each drawn image from its real one, (b,), in spreads of the real one.

    Nuclei and the tissue between them are compared apart. The spectrum is compared besides, ring by
    ring (Durall et al., CVPR 2020): its finest rings are too faint for any filter and yet tell
    drawn from scanned at once. A gradient flows to `drawn` only.

    Parameters
    ----------
    drawn, real : (b, 3, h, w) float
        In [-1, 1]; h and w multiples of 4.
    nuclei : (b, 1, h, w)
        1 on nuclei, 0 elsewhere; the same for both.
    """
    spectrum = (_rings(drawn) - _rings(real)).square().mean(1)
    colours = _directions(drawn)
    terms = [_compare(drawn, real, nuclei, colours)]
    terms.append(_compare(_density(drawn), _density(real), nuclei, colours))
    for scale in range(_SCALES):
        if scale:
            drawn, real = F.avg_pool2d(drawn, 2), F.avg_pool2d(real, 2)
            nuclei = F.avg_pool2d(nuclei, 2)
        terms.append(_compare(drawn, real, nuclei, _filters(drawn)))
    return torch.stack(terms).mean(0) + _SPECTRUM_WEIGHT * spectrum


def _compare(drawn: Tensor, real: Tensor, nuclei: Tensor, weight: Tensor) -> Tensor:
    a, b = F.conv2d(drawn, weight), F.conv2d(real, weight)
    spread = b.std((2, 3), keepdim=True).clamp_min(_LEAST_SPREAD)
    a, b = a / spread, b / spread
    cut = (nuclei.shape[-1] - a.shape[-1]) // 2
    inside = nuclei[..., cut : cut + a.shape[-2], cut : cut + a.shape[-1]] > 0.5
    squares = (_sorted_gap(a, b, inside) + _sorted_gap(a, b, ~inside)) / a[0, 0].numel()
    return (squares + _SOFT**2).sqrt() - _SOFT


def _density(images: Tensor) -> Tensor:
    """Optical density; dark pixels are few and count for more there."""
    return -((images + 1) / 2).clamp_min(1 / 64).log()


def _rings(images: Tensor) -> Tensor:
    """Logarithm of the power in rings of the spectrum of the grey image, (b, _RINGS)."""
    grey = images.mean(1)
    height, width = grey.shape[-2:]
    window = torch.outer(
        torch.hann_window(height, periodic=False), torch.hann_window(width, periodic=False)
    ).to(grey.device)
    grey = (grey - grey.mean((1, 2), keepdim=True)) * window
    power = torch.fft.rfft2(grey.float(), norm="ortho").abs().square()
    radius = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width))
    ring = (radius / radius.max() * _RINGS).long().clamp_max(_RINGS - 1).to(grey.device)
    which = F.one_hot(ring.flatten(), _RINGS).to(power.dtype)
    return (power.flatten(1) @ which / which.sum(0) + _LEAST_POWER).log()


def _sorted_gap(a: Tensor, b: Tensor, inside: Tensor) -> Tensor:
    """Sum over the pixels inside, mean over filters, of the squared gaps between sorted values."""
    first, second = (
        x.masked_fill(~inside, _ELSEWHERE).flatten(2).sort(dim=2).values for x in (a, b)
    )
    return (first - second).square().sum(2).mean(1)


def _directions(like: Tensor) -> Tensor:
    weight = torch.randn(_COLOURS, 3, 1, 1, device=like.device)
    return weight / weight.norm(dim=1, keepdim=True)


def _filters(like: Tensor) -> Tensor:
    """Random filters without response to flat colour, of unit norm."""
    weight = torch.randn(_FILTERS, 3, _SIDE, _SIDE, device=like.device)
    weight = weight - weight.mean((2, 3), keepdim=True)
    return weight / weight.flatten(1).norm(dim=1)[:, None, None, None]
