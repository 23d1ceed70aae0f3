"""The noise that a foreign model would draw an image from: its steps walked backwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_histodiff.diffusion.foreign.schedule import Schedule

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["inverted"]

#: Solvers whose latents grow with the noise instead of keeping their variance.
_EXPLODING: Final = ("EulerDiscreteScheduler",)


def inverted(
    schedule: Schedule,
    predict: Callable[[Tensor, Tensor], Tensor],
    clean: Tensor,
    saw: Callable[[Tensor], None],
) -> Tensor:
    """Return the latents before the first step of a schedule that DDIM would turn into an image.

    DDIM inversion (Song et al., arXiv 2010.02502, section 4.3), for networks that predict noise,
    velocity or the image, whatever solver draws afterwards.

    Parameters
    ----------
    schedule : Schedule
        Its `count` steps are walked, the last one first.
    predict : callable
        (b, c, h, w) of unit variance, and a time, to what the network predicts.
    clean : (b, c, h, w) float
        Latents of the image.
    saw : callable
        Called with the estimate of the clean latents after every evaluation.

    Returns
    -------
    (b, c, h, w) float32
    """
    scheduler = schedule.scheduler
    kind = scheduler.config.prediction_type
    shares = np.asarray(scheduler.alphas_cumprod.cpu(), np.float64)
    z, before = clean, 1.0
    for t in reversed(scheduler.timesteps[schedule.first :]):
        share = float(np.interp(float(t), np.arange(len(shares)), shares))
        noise = _noise_of(kind, z, predict(z, t), share)
        image = (z - (1 - before) ** 0.5 * noise) / before**0.5
        saw(image)
        z = share**0.5 * image + (1 - share) ** 0.5 * noise
        before = share
    return z / before**0.5 if type(scheduler).__name__ in _EXPLODING else z


def _noise_of(kind: str, z: Tensor, output: Tensor, share: float) -> Tensor:
    """The noise in z as a network tells it that predicts `kind`."""
    signal, noise = share**0.5, (1 - share) ** 0.5
    if kind == "v_prediction":
        return signal * output + noise * z
    if kind == "sample":
        return (z - signal * output) / max(noise, 1e-4)
    return output
