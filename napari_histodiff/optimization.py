"""What every training run shares: a guarded optimizer step, its learning rate, averaged weights."""

from __future__ import annotations

import copy
import math
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from napari_histodiff.core.errors import TrainingError

__all__ = ["AveragedWeights", "cosine_rate", "optimizer_step"]

M = TypeVar("M", bound=nn.Module)


class AveragedWeights(Generic[M]):
    """A copy of a module with the exponential moving average of its parameters.

    Parameters
    ----------
    module : nn.Module
        Copied as it is now.
    decay : float
        Of the average, after a warm-up.

    Attributes
    ----------
    module : nn.Module
        The copy, for evaluation. What was compiled of it stays valid.
    """

    def __init__(self, module: M, decay: float) -> None:
        from diffusers.training_utils import EMAModel  # takes seconds, and only training needs it

        self.module: M = copy.deepcopy(module).eval().requires_grad_(False)
        self._ema = EMAModel(self.module.parameters(), decay=decay, foreach=True)
        # Averaged in place: a distilled student is compared with its own average at every step.
        self._ema.shadow_params = list(self.module.parameters())

    def update(self, module: nn.Module, step: int) -> None:
        """Move the average towards `module` after optimizer step `step`; early ones forget faster.

        Counted from outside, so that `module` is all that a checkpoint keeps.
        """
        self._ema.optimization_step = step
        self._ema.step(module.parameters())


def cosine_rate(peak: float, share: float, step: int, *, warmup: int, floor: float) -> float:
    """Return the learning rate: linear warm-up, then half a cosine to `floor` of the peak.

    `share` of the run is done, 0 to 1, after `step` steps.
    """
    warm = min(1.0, (step + 1) / warmup)
    return peak * warm * ((1 + floor) / 2 + (1 - floor) / 2 * math.cos(math.pi * share))


def optimizer_step(
    loss: Tensor,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    clip: float,
    rate: float,
    step: int,
) -> float:
    """Step down the gradient of `loss` at learning rate `rate`, its norm clipped; return the loss.

    The gradients are left for the caller to look at and to clear.

    Raises
    ------
    TrainingError
        When loss or gradient are not finite; the weights stay as they were.
    """
    for group in optimizer.param_groups:
        group["lr"] = rate
    loss.backward()
    norm = nn.utils.clip_grad_norm_(module.parameters(), clip)
    value = float(loss.detach())
    if not math.isfinite(value) or not bool(torch.isfinite(norm)):
        raise TrainingError(
            f"expected a finite loss, got {value} at step {step}; resume from the last checkpoint "
            "with a lower learning rate, and check the data"
        )
    optimizer.step()
    return value
