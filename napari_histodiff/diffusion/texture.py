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

from napari_histodiff.diffusion.scoring import Trio, Whitening, energy_score, euclidean

__all__ = ["StatisticsScore", "texture_score"]

_FILTERS: Final = 12  # random filters at each scale, new ones at each call
_STATISTICS_FILTERS: Final = 16
_SIDE: Final = 5
_SCALES: Final = 3  # full, half and quarter resolution
_COLOURS: Final = 4  # random directions in colour space
_ELSEWHERE: Final = 1e3  # sorts behind every response
_LEAST_SPREAD: Final = 0.08  # of a response: flat tissue and glass shall not outweigh the rest
_LEAST_POWER: Final = 1e-6  # of a ring of the spectrum: about the noise of rounding to 8 bits
_RINGS: Final = 8
_SPECTRUM_WEIGHT: Final = 0.3
_SOFT: Final = 0.05  # distances well below it count squared


class StatisticsScore:
    """The energy score of texture statistics, whitened: how colours and filter responses combine.

    Statistics of steerable filters as in Portilla and Simoncelli (IJCV 2000), here of fixed random
    ones.
    """

    def __init__(self) -> None:
        self._whiten = Whitening()
        self._filters = _filters(_STATISTICS_FILTERS, torch.Generator().manual_seed(0))

    def __call__(self, images: Trio) -> Tensor:
        """Return the scores, (b,); parameters as of `texture_score`."""
        statistics = images.map(self._statistics)
        self._whiten.learn(statistics.real)
        return energy_score(statistics.map(self._whiten), euclidean)

    def _statistics(self, images: Tensor) -> Tensor:
        """Return (b, k): spectrum, moments of colours, size and peakedness of responses."""
        parts = [_rings(images), _moments(images), _moments(_density(images))]
        for scale in range(_SCALES):
            if scale:
                images = _halved(images)
            power = F.conv2d(images, self._filters.to(images)).square() + _LEAST_POWER
            mean = power.mean((2, 3))
            parts += [mean.log(), power.square().mean((2, 3)).log() - 2 * mean.log()]
        return torch.cat(parts, 1)


def texture_score(images: Trio, nuclei: Tensor) -> Tensor:
    """Return the energy score of drawn images' texture, (b,), in spreads of the real one's.

    See `scoring.energy_score`. Nuclei and the tissue between them are compared apart. The spectrum
    is compared besides, ring by ring (Durall et al., CVPR 2020): its finest rings are too faint for
    any filter and yet tell drawn from scanned at once. A gradient flows to the drawn images only.

    Parameters
    ----------
    images : Trio
        Each (b, 3, h, w) float in [-1, 1]; h and w multiples of 4.
    nuclei : (b, 1, h, w)
        1 on nuclei, 0 elsewhere; the same for all.
    """
    rings = images.map(_rings)
    spectrum = (_mean_square(rings.drawn, rings.real) + _mean_square(rings.again, rings.real)) / 2
    colours = _directions(images.real)
    terms = [_compare(images, nuclei, colours)]
    terms.append(_compare(images.map(_density), nuclei, colours))
    for scale in range(_SCALES):
        if scale:
            images = images.map(_halved)
            nuclei = _halved(nuclei)
        terms.append(_compare(images, nuclei, _filters(_FILTERS).to(images.real)))
    return torch.stack(terms).mean(0) + _SPECTRUM_WEIGHT * spectrum


def _compare(images: Trio, nuclei: Tensor, weight: Tensor) -> Tensor:
    responses = images.map(lambda image: F.conv2d(image, weight))
    spread = responses.real.std((2, 3), keepdim=True).clamp_min(_LEAST_SPREAD)
    height, width = responses.real.shape[-2:]
    cut = (nuclei.shape[-1] - width) // 2
    inside = nuclei[..., cut : cut + height, cut : cut + width] > 0.5

    def in_order(values: Tensor) -> Tensor:
        parts = [_sorted(values / spread, part) for part in (inside, ~inside)]
        return torch.cat(parts, 2) / (height * width) ** 0.5

    return energy_score(responses.map(in_order), _sliced)


def _halved(image: Tensor) -> Tensor:
    return F.avg_pool2d(image, 2)


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


def _sorted(responses: Tensor, inside: Tensor) -> Tensor:
    """Return the responses inside in order, (b, filters, pixels), padded by one number behind."""
    return responses.masked_fill(~inside, _ELSEWHERE).flatten(2).sort(dim=2).values


def _sliced(a: Tensor, b: Tensor) -> Tensor:
    """Distance of sorted responses: root of the squares summed over pixels, meant over filters."""
    squares = (a - b).square().sum(2).mean(1)
    return (squares + _SOFT**2).sqrt() - _SOFT


def _mean_square(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().mean(1)


def _directions(like: Tensor) -> Tensor:
    weight = torch.randn(_COLOURS, 3, 1, 1, device=like.device)
    return weight / weight.norm(dim=1, keepdim=True)


def _filters(count: int, generator: torch.Generator | None = None) -> Tensor:
    """Random filters without response to flat colour, of unit norm."""
    weight = torch.randn(count, 3, _SIDE, _SIDE, generator=generator)
    weight = weight - weight.mean((2, 3), keepdim=True)
    return weight / weight.flatten(1).norm(dim=1)[:, None, None, None]


def _moments(images: Tensor) -> Tensor:
    """Mean, spread and skew of each colour and how colours go together, (b, 12)."""
    flat = images.flatten(2)
    mean = flat.mean(2)
    centred = flat - mean[:, :, None]
    spread = (centred.square().mean(2) + _LEAST_POWER).sqrt()
    scaled = centred / spread.clamp_min(_LEAST_SPREAD)[:, :, None]
    together = (scaled * scaled.roll(1, 1)).mean(2)
    return torch.cat([mean, spread, scaled.pow(3).mean(2), together], 1)
