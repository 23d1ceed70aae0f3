"""How far drawn tissue is from real tissue of the same conditions: energy scores and texture.

The energy score of two drawn images g, g' against the real image r of their conditions,
(|g - r| + |g' - r| - |g - g'|) / 2, is least on average where the drawn images are distributed as
real ones are (Gneiting and Raftery, JASA 2007; for generators: Shen and Meinshausen,
arXiv 2307.00835; De Bortoli et al., arXiv 2502.02483). It asks for no mean image, because what two
drawn images share beyond the conditions costs as much as what they miss, and it needs no adversary.
Its distance is one of features: what the frozen flow network makes of the image.

Texture is compared by the sliced Wasserstein distance between the responses of random filters
(Heitz et al., "A sliced Wasserstein loss for neural texture synthesis", CVPR 2021; random filters
and scales as in Rabin et al., SSVM 2011): what tissue looks like, not where each fibre lies.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_histodiff.diffusion.conditioning import Conditions
from napari_histodiff.diffusion.flow import add_noise
from napari_histodiff.diffusion.training.generator import Generator

__all__ = [
    "FeatureExtractor",
    "FeatureScore",
    "ShiftScore",
    "StatisticsScore",
    "Triplet",
    "Whitening",
    "energy_score",
    "euclidean",
    "frozen",
    "texture_score",
]

#: Noise levels that the feature extractor sees images at: finest detail to the shapes of nuclei.
_NOISE: Final = (0.05, 0.35)
_FORGET: Final = 0.003  # share of a new batch in the running covariance
_REFRESH: Final = 20  # batches between two whitenings
_LEAST_SHRINK: Final = 0.02  # of the correlations: their smallest are hardly known
_TINY: Final = 1e-6

#: From two batches of images to their distances, (b,).
Distance = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Triplet:
    """Two images drawn from one set of conditions, and the real one; or what was made of them.

    Attributes
    ----------
    drawn, again, real : (b, ...)
    """

    drawn: Tensor
    again: Tensor
    real: Tensor

    def map(self, change: Callable[[Tensor], Tensor]) -> Triplet:
        """Return the triplet of what a function makes of each."""
        return Triplet(change(self.drawn), change(self.again), change(self.real))


def energy_score(triplet: Triplet, distance: Distance) -> Tensor:
    """Return the energy score of pairs of drawn images, (b,).

    Parameters
    ----------
    triplet : Triplet
        The images, or features of them.
    distance : callable
        A distance of negative type, such as the Euclidean one.
    """
    misses = distance(triplet.drawn, triplet.real) + distance(triplet.again, triplet.real)
    return (misses - distance(triplet.drawn, triplet.again)) / 2


class FeatureExtractor:
    """The frozen flow network as an extractor of features; it is told their scale and nothing else.

    Parameters
    ----------
    generator : Generator
        The flow network; copied.
    dtype : torch.dtype
        What it computes in.
    compiled : bool
        Whether to compile it.
    """

    def __init__(self, generator: Generator, dtype: torch.dtype, *, compiled: bool) -> None:
        network = frozen(generator, dtype)
        perceive = network.network.perceive
        self._perceive: Any = torch.compile(perceive, dynamic=False) if compiled else perceive
        self._captions = network.captions

    def extract(
        self, images: Tensor, conditions: Conditions, t: Tensor, noise: Tensor
    ) -> list[Tensor]:
        """Return features of (b, 3, h, w) images under noise, each (b, c, h_k, w_k)."""
        bare = conditions.without_prompt()
        embedding = self._captions(bare.slots)
        spatial, stain = torch.zeros_like(bare.spatial), torch.zeros_like(bare.stain)
        noisy = add_noise(images, noise, t)
        features: list[Tensor] = self._perceive(noisy, t, spatial, embedding, bare.mpp, stain)
        return features


class FeatureScore:
    """The energy score in an extractor's features.

    What is compared is their mean and spread over the image, whitened. Place by place the score
    pays for grain: it sets pairs of images apart where their tissue is too much alike.
    """

    def __init__(self, extractor: FeatureExtractor) -> None:
        self._extractor = extractor
        self._whitenings: list[Whitening] = []

    def __call__(self, images: Triplet, conditions: Conditions) -> Tensor:
        """Return the scores, (b,); a gradient flows to the drawn images.

        Parameters
        ----------
        images : Triplet
            Each (b, 3, h, w) float in [-1, 1].
        conditions : Conditions
            Of the real images.
        """
        real = images.real
        low, high = _NOISE
        t = low + (high - low) * torch.rand(len(real), device=real.device)
        noise = torch.randn_like(real)
        with torch.no_grad():
            truths = self._extractor.extract(real, conditions, t, noise)
        said = self._extractor.extract(
            torch.cat([images.drawn, images.again]),
            conditions.cat(conditions),
            t.repeat(2),
            noise.repeat(2, 1, 1, 1),
        )
        if not self._whitenings:
            self._whitenings = [Whitening() for _ in truths]
        scores = []
        for both, truth, whiten in zip(said, truths, self._whitenings, strict=True):
            first, second = both.chunk(2)
            summaries = Triplet(first, second, truth).map(_summary)
            whiten.learn(summaries.real)
            scores.append(energy_score(summaries.map(whiten), euclidean))
        return torch.stack(scores).mean(0)


class Whitening:
    """Brings rows of numbers to unit covariance, which it learns from the real ones it is shown.

    A difference then weighs by how rare it is among real images: where two numbers go together in
    all of them, an image in which they do not is told at once, however usual either number is.
    """

    def __init__(self) -> None:
        self._seen = 0
        self._mean = torch.zeros(())
        self._covariance = torch.zeros(())
        self._factor = torch.zeros(())

    def learn(self, rows: Tensor) -> None:
        """Take (b, k) rows into account; b of 2 or more."""
        rows = rows.detach().double()
        self._seen += 1
        share = max(1 / self._seen, _FORGET)
        if self._seen == 1:
            self._mean = rows.mean(0)
        self._mean = self._mean + share * (rows.mean(0) - self._mean)
        centred = rows - self._mean
        outer = centred.T @ centred / len(rows)
        self._covariance = self._covariance + share * (outer - self._covariance)
        if self._seen % _REFRESH == 1:
            self._factor = self._inverse_root()

    def __call__(self, rows: Tensor) -> Tensor:
        """Return (b, k) whitened rows."""
        return rows @ self._factor.to(rows.dtype)

    def _inverse_root(self) -> Tensor:
        """The inverse root of the covariance, shrunk: at first few rows were seen."""
        spread = self._covariance.diagonal().clamp_min(_TINY).sqrt()
        correlation = self._covariance / spread / spread[:, None]
        shrink = max(_LEAST_SHRINK, 1 / (1 + self._seen / _REFRESH))
        identity = torch.eye(len(spread), dtype=spread.dtype, device=spread.device)
        values, vectors = torch.linalg.eigh((1 - shrink) * correlation + shrink * identity)
        return (vectors / values.clamp_min(shrink / 2).sqrt()) / spread[:, None]


def euclidean(a: Tensor, b: Tensor) -> Tensor:
    """Return the root mean square difference of (b, k) rows, (b,)."""
    return ((a - b).square().mean(1) + _TINY).sqrt()


def _summary(features: Tensor) -> Tensor:
    """Mean and spread of each channel over the image, (b, 2 c)."""
    mean = features.mean((2, 3))
    spread = ((features - mean[:, :, None, None]).square().mean((2, 3)) + _TINY).sqrt()
    return torch.cat([mean, spread], 1)


_FILTERS: Final = 12  # random filters at each scale, new ones at each call
_STATISTICS_FILTERS: Final = 16
_SIDE: Final = 5
_SCALES: Final = 3  # full, half and quarter resolution
_COLOURS: Final = 4  # random directions in colour space
_ELSEWHERE: Final = 1e3  # sorts behind every response
_LEAST_SPREAD: Final = 0.08  # of a response: flat tissue and glass shall not outweigh the rest
_LEAST_POWER: Final = 1e-6  # of a ring of the spectrum: about the noise of rounding to 8 bits
_RINGS: Final = 8
_SPECTRUM_WEIGHT: Final = 1.0
_SOFT: Final = 0.05  # distances well below it count squared
_WINDOW: Final = 64  # px that a mean shift is looked for in
_LEVELS: Final = (0.005, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98, 0.995)
_SHIFT_MEMORY: Final = 0.02  # of a new batch in the running shift


class StatisticsScore:
    """The energy score of texture statistics, whitened: how colours and filter responses combine.

    Statistics of steerable filters as in Portilla and Simoncelli (IJCV 2000), here of fixed random
    ones.
    """

    def __init__(self) -> None:
        self._whiten = Whitening()
        self._filters = _filters(_STATISTICS_FILTERS, torch.Generator().manual_seed(0))

    def __call__(self, images: Triplet) -> Tensor:
        """Return the scores, (b,); parameters as of `texture_score`."""
        statistics = images.map(lambda image: _statistics(image, self._filters))
        self._whiten.learn(statistics.real)
        return energy_score(statistics.map(self._whiten), euclidean)


class ShiftScore:
    """How far the mean of drawn texture statistics lies from that of real ones of the same places.

    What every drawn image has a little too much of, a critic of many images goes by, and no single
    pair shows it. A running mean of the differences, whitened by the covariance of real ones, is
    what the best linear critic separates (Fisher 1936; matching moments instead of training an
    adversary: Li et al., "Generative moment matching networks", ICML 2015). Windows are small, so
    that one crop is several.
    """

    def __init__(self) -> None:
        self._whiten = Whitening()
        self._filters = _filters(_STATISTICS_FILTERS, torch.Generator().manual_seed(1))
        self._shift = torch.zeros(())
        self._seen = 0

    def __call__(self, drawn: Tensor, real: Tensor) -> Tensor:
        """Return the shift in spreads of real statistics, root mean square; (n, 3, h, w) each."""
        said, truth = (
            _statistics(_windows(images), self._filters, tails=True) for images in (drawn, real)
        )
        self._whiten.learn(truth)
        self._seen += 1
        share = max(1 / self._seen, _SHIFT_MEMORY)
        difference = (said - truth).mean(0)
        self._shift = self._shift + share * (difference.detach() - self._shift)
        white = self._whiten(self._shift[None])[0]
        length = white.square().mean().sqrt() + _TINY
        # The gradient of the length, as if all of the mean were of this batch.
        slope = self._whiten((difference - difference.detach())[None])[0] @ white
        return length + slope / (len(white) * length)


def _windows(images: Tensor) -> Tensor:
    """Cut (n, c, h, w) into (m, c, s, s) squares side by side, s of `_WINDOW` or the whole."""
    side = min(_WINDOW, *images.shape[2:])
    cut = images.unfold(2, side, side).unfold(3, side, side)
    return cut.movedim(1, 3).flatten(0, 2)


def _statistics(images: Tensor, filters: Tensor, *, tails: bool = False) -> Tensor:
    """Return (b, k): spectrum, moments of colours, size and peakedness of responses.

    `tails`: and how bright the darkest and brightest pixels are, and how skewed responses.
    """
    parts = [_rings(images), _moments(images), _moments(_density(images))]
    if tails:
        levels = torch.tensor(_LEVELS, device=images.device)
        parts.append(images.mean(1).flatten(1).quantile(levels, 1).T)
    for scale in range(_SCALES):
        if scale:
            images = _halved(images)
        response = F.conv2d(images, filters.to(images))
        power = response.square() + _LEAST_POWER
        mean = power.mean((2, 3))
        parts += [mean.log(), power.square().mean((2, 3)).log() - 2 * mean.log()]
        if tails:
            parts.append((response * power).mean((2, 3)) / (mean * mean.sqrt()))
            parts.append(response.abs().mean((2, 3)) / mean.sqrt())
    return torch.cat(parts, 1)


def texture_score(images: Triplet, areas: Tensor) -> Tensor:
    """Return the energy score of drawn images' texture, (b,), in spreads of the real one's.

    See `energy_score`. Each area, and what is in none, is compared apart. The spectrum
    is compared besides, ring by ring (Durall et al., CVPR 2020): its finest rings are too faint for
    any filter and yet tell drawn from scanned at once. A gradient flows to the drawn images only.

    Parameters
    ----------
    images : Triplet
        Each (b, 3, h, w) float in [-1, 1]; h and w multiples of 4.
    areas : (b, k, h, w)
        1 in each of k areas that share no place, such as nuclei and glands, 0 elsewhere.
    """
    rings = images.map(_rings)
    spectrum = (_mean_square(rings.drawn, rings.real) + _mean_square(rings.again, rings.real)) / 2
    colours = _directions(images.real)
    terms = [_compare(images, areas, colours)]
    terms.append(_compare(images.map(_density), areas, colours))
    for scale in range(_SCALES):
        if scale:
            images = images.map(_halved)
            areas = _halved(areas)
        terms.append(_compare(images, areas, _filters(_FILTERS).to(images.real)))
    return torch.stack(terms).mean(0) + _SPECTRUM_WEIGHT * spectrum


def _compare(images: Triplet, areas: Tensor, weight: Tensor) -> Tensor:
    responses = images.map(lambda image: F.conv2d(image, weight))
    spread = responses.real.std((2, 3), keepdim=True).clamp_min(_LEAST_SPREAD)
    height, width = responses.real.shape[-2:]
    cut = (areas.shape[-1] - width) // 2
    inside = areas[..., cut : cut + height, cut : cut + width] > 0.5
    places = [*inside.split(1, 1), ~inside.any(1, keepdim=True)]
    places = [place for place in places if bool(place.any())]

    def in_order(values: Tensor) -> Tensor:
        parts = [_sorted(values / spread, place) for place in places]
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


_Network = TypeVar("_Network", bound=nn.Module)


def frozen(network: _Network, dtype: torch.dtype) -> _Network:
    """Return a copy that computes in `dtype` and never learns."""
    return copy.deepcopy(network).eval().requires_grad_(False).to(dtype)
