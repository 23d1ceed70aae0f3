"""How well drawn tissue is spread like real tissue of the same conditions.

The energy score of two drawn images g, g' against the real image r of their conditions,
(|g - r| + |g' - r| - |g - g'|) / 2, is least on average where the drawn images are distributed as
real ones are (Gneiting and Raftery, JASA 2007; for generators: Shen and Meinshausen,
arXiv 2307.00835; De Bortoli et al., arXiv 2502.02483). It asks for no mean image, because what two
drawn images share beyond the conditions costs as much as what they miss, and it needs no adversary.
Here the distance is one of features: what the frozen flow network makes of the image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from napari_histodiff.diffusion.conditioning import Conditions
from napari_histodiff.diffusion.flow import add_noise
from napari_histodiff.diffusion.jumping import frozen
from napari_histodiff.diffusion.training import Generator

__all__ = ["FeatureScore", "Reader", "Trio", "Whitening", "energy_score", "euclidean"]

#: Noise levels that the reader sees images at: finest detail to the shapes of nuclei.
_NOISE: Final = (0.05, 0.35)
_FORGET: Final = 0.003  # share of a new batch in the running covariance
_REFRESH: Final = 20  # batches between two whitenings
_LEAST_SHRINK: Final = 0.02  # of the correlations: their smallest are hardly known
_TINY: Final = 1e-6

#: From two batches of images to their distances, (b,).
Distance = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Trio:
    """Two images drawn from one set of conditions, and the real one; or what was made of them.

    Attributes
    ----------
    drawn, again, real : (b, ...)
    """

    drawn: Tensor
    again: Tensor
    real: Tensor

    def map(self, change: Callable[[Tensor], Tensor]) -> Trio:
        """Return the trio of what a function makes of each."""
        return Trio(change(self.drawn), change(self.again), change(self.real))


def energy_score(trio: Trio, distance: Distance) -> Tensor:
    """Return the energy score of pairs of drawn images, (b,).

    Parameters
    ----------
    trio : Trio
        The images, or features of them.
    distance : callable
        A distance of negative type, such as the Euclidean one.
    """
    misses = distance(trio.drawn, trio.real) + distance(trio.again, trio.real)
    return (misses - distance(trio.drawn, trio.again)) / 2


class Reader:
    """The frozen flow network as a reader of images; it is told their scale and nothing else.

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
        reader = frozen(generator, dtype)
        perceive = reader.network.perceive
        self._perceive: Any = torch.compile(perceive, dynamic=False) if compiled else perceive
        self._captions = reader.captions

    def read(
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
    """The energy score in a reader's features.

    What is compared is their mean and spread over the image, whitened. Place by place the score
    pays for grain: it sets pairs of images apart where their tissue is too much alike.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._whitenings: list[Whitening] = []

    def __call__(self, images: Trio, conditions: Conditions) -> Tensor:
        """Return the scores, (b,); a gradient flows to the drawn images.

        Parameters
        ----------
        images : Trio
            Each (b, 3, h, w) float in [-1, 1].
        conditions : Conditions
            Of the real images.
        """
        real = images.real
        low, high = _NOISE
        t = low + (high - low) * torch.rand(len(real), device=real.device)
        noise = torch.randn_like(real)
        with torch.no_grad():
            truths = self._reader.read(real, conditions, t, noise)
        said = self._reader.read(
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
            summaries = Trio(first, second, truth).map(_summary)
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
