"""Guidance by a gradient: estimates of the image climb scores before noise covers them again.

The gradient of a score is taken with respect to the estimate of the clean image, and moves that
(He et al., "Manifold preserving guided diffusion", arXiv 2311.16424; the backward guidance of
Bansal et al., "Universal guidance for diffusion models", arXiv 2302.07121), not with respect to the
noisy image through the denoiser, as Dhariwal & Nichol (arXiv 2105.05233) do. That costs no pass
back through the denoiser, so that compiled networks and those of other makers take part, and in two
steps it was as strong: the next step draws the image anew from what the gradient hinted at, and
what only a network could see is lost there. So the last step, whose estimate is the image itself,
is never guided.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Final, Protocol, Self

import torch
from torch import Tensor

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.steering.guides import CLIMBS, PYTHON_GUIDE
from napari_histodiff.core.steering.steering import Steering
from napari_histodiff.diffusion.phase_cache import PhaseCache

__all__ = [
    "Ascent",
    "GuidedByScore",
    "Score",
    "ScoreBook",
    "WithOwnScore",
    "ascent_of",
    "check_guide",
]

#: Takes (b, 3, h, w) float32 RGB in [0, 1], returns one number an image, or one for all.
Score = Callable[[Tensor], Tensor]

#: Root mean square in [-1, 1] of what a gradient of strength 1 moves pixels by.
_STRIDE: Final = 0.04

# Less than this is no slope, but rounding.
_FLAT: Final = 1e-12


class ScoreBook(Protocol):
    """Makes the scores that requests name."""

    def scores(
        self, steering: Steering, mpp: float, device: torch.device
    ) -> list[tuple[Score, float]]:
        """Return each score with its strength, for images of a pixel size on a device."""


@dataclass(frozen=True, slots=True)
class WithOwnScore:
    """The scores of a book, and one that was given as a function in Python.

    Attributes
    ----------
    book : ScoreBook or None
    own : Score
    """

    book: ScoreBook | None
    own: Score

    def scores(
        self, steering: Steering, mpp: float, device: torch.device
    ) -> list[tuple[Score, float]]:
        """Return each score with its strength."""
        named = steering.without(PYTHON_GUIDE)
        terms = _named(named, self.book, mpp, device)
        strength = dict(steering.guide).get(PYTHON_GUIDE)
        return terms if strength is None else [*terms, (self.own, strength)]


class GuidedByScore:
    """A backend that a function can guide; it keeps its scores and windows as `_book`, `_cache`."""

    _book: ScoreBook | None
    _cache: PhaseCache

    def guided_by(self, score: Score) -> Self:
        """Return a backend of the same model for which requests guided by "python" climb a score.

        Parameters
        ----------
        score : callable
            Takes (b, 3, h, w) float32 RGB in [0, 1] and returns one number an image, or one for
            all, made with torch alone.
        """
        other = copy(self)
        other._book = WithOwnScore(self._book, score)
        other._cache = PhaseCache(0)  # what another score drew is another window
        return other


@dataclass(frozen=True, slots=True)
class Ascent:
    """Moves estimates of the clean image up some scores.

    Attributes
    ----------
    terms : sequence of (Score, float)
        With their strengths.
    decode : callable, optional
        Makes pixels in [-1, 1] of what is estimated, for models that draw latents.
    """

    terms: Sequence[tuple[Score, float]]
    decode: Callable[[Tensor], Tensor] | None = None

    def __call__(self, x0: Tensor, free: Tensor | None, tick: Callable[[], None]) -> Tensor:
        """Return moved estimates, not clipped.

        Each window moves by its own gradient, scaled to one length, so that it depends on nothing
        but itself, and a score needs no scale.

        Parameters
        ----------
        x0 : (b, c, h, w) float32
            Estimates; of pixels, in [-1, 1].
        free : (b, 1, h, w) bool or float, optional
            Where they may move.
        tick : callable
            Called after each gradient; may raise to stop.

        Raises
        ------
        InvalidRequest
            When a score has no gradient, or one that is not finite.
        """
        for _ in range(CLIMBS):
            moves = torch.zeros_like(x0)
            for score, strength in self.terms:
                slope = self._slope(score, x0)
                if free is not None:
                    slope = slope * free
                    share = free.float().mean((1, 2, 3), keepdim=True).clamp_min(_FLAT)
                else:
                    share = torch.ones_like(slope[:, :1, :1, :1])
                steepness = (slope.square().mean((1, 2, 3), keepdim=True) / share).sqrt()
                moves += strength * torch.where(steepness > _FLAT, slope / steepness, 0.0)
                tick()
            x0 = x0 + _STRIDE * moves
        return x0

    def _slope(self, score: Score, x0: Tensor) -> Tensor:
        # Drawing runs without gradients; what it made takes part in none.
        with torch.inference_mode(mode=False), torch.enable_grad():
            x = x0.clone().requires_grad_()
            pixels = x if self.decode is None else self.decode(x)
            # A score sees colours; what lies beyond them still may come back.
            pixels = pixels + (pixels.clamp(-1, 1) - pixels).detach()
            found: object = score((pixels + 1) / 2)
            if not isinstance(found, Tensor) or not found.requires_grad:
                raise InvalidRequest(
                    f"expected a score that torch can differentiate, got {type(found).__name__} "
                    "without a gradient; compute it of the images with torch alone"
                )
            (slope,) = torch.autograd.grad(found.sum(), x)
        if not bool(slope.isfinite().all()):
            raise InvalidRequest(
                "expected a score with a finite gradient, got one that is not; look for roots, "
                "logarithms and divisions of 0 in it"
            )
        return slope.float()


def ascent_of(
    steering: Steering,
    book: ScoreBook | None,
    mpp: float,
    device: torch.device,
    decode: Callable[[Tensor], Tensor] | None = None,
) -> Ascent | None:
    """Return what guides a drawing; None where nothing does.

    Raises
    ------
    InvalidRequest
        When there is no score of that name here.
    """
    if not steering.scores:
        return None
    return Ascent(_named(steering, book, mpp, device), decode)


def _named(
    steering: Steering, book: ScoreBook | None, mpp: float, device: torch.device
) -> list[tuple[Score, float]]:
    if not steering.scores:
        return []
    if PYTHON_GUIDE in dict(steering.guide) and not isinstance(book, WithOwnScore):
        raise InvalidRequest(
            "expected the function that guided this drawing, got its name alone: functions are not "
            "kept with requests and do not leave their process; give it to Model.draw as guide="
        )
    if book is None:
        raise InvalidRequest(
            "expected a backend that knows scores, got one without; load the model with "
            "napari_histodiff.load_model, or draw without a guide"
        )
    return book.scores(steering, mpp, device)


def check_guide(steps: int, steering: Steering) -> None:
    """Check that there is a step whose estimate can be moved.

    Raises
    ------
    InvalidRequest
        When there is only the last.
    """
    if steering.scores and steps < 2:
        raise InvalidRequest(
            f"expected at least 2 steps to guide a drawing, got {steps}; the last one is never "
            "guided, so take more steps or leave the guide out"
        )
