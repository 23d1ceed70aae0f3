"""One step of an optimizer, refused when something is no longer a number."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from napari_histodiff.core.errors import TrainingError

__all__ = ["descend"]


def descend(
    loss: Tensor, module: nn.Module, optimizer: torch.optim.Optimizer, *, clip: float, step: int
) -> float:
    """Step down the gradient of `loss`, its norm clipped, and return the loss.

    The gradients are left for the caller to look at and to clear.

    Raises
    ------
    TrainingError
        When loss or gradient are not finite; the weights stay as they were.
    """
    loss.backward()
    norm = nn.utils.clip_grad_norm_(module.parameters(), clip)
    value = float(loss.detach())
    if not math.isfinite(value) or not bool(torch.isfinite(norm)):
        raise TrainingError(
            f"expected a finite loss, got {value} at step {step}; resume from the last checkpoint "
            "with a lower learning rate"
        )
    optimizer.step()
    return value
