"""What the judge is corrected for: outlines, middles and classes of nuclei."""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_histodiff.judge.network import CLASSES, DISTANCE, INTERIOR
from napari_histodiff.judge.targets import MAPS

__all__ = ["judge_loss"]

_ANY_INFLAMMATORY: Final = (0, 2, 3, 4)  # neutrophil, lymphocyte, plasma, eosinophil; ids less one
_DISTANCE_WEIGHT: Final = 4.0
_INSIDE_WEIGHT: Final = 2.0  # of the distance inside nuclei, 1 outside
_BETA: Final = 0.1  # distance error above which the loss grows linearly
_CLASS_WEIGHT: Final = 0.6


def judge_loss(outputs: Tensor, maps: Tensor, class_weights: Tensor) -> Tensor:
    """Return the mean loss of a batch, a scalar.

    Binary cross-entropy and Dice of the interior, smooth L1 of the distance, cross-entropy of the
    class inside nuclei: none where it is unknown, and that of the four classes together where it is
    one of them.

    Parameters
    ----------
    outputs : (b, 8, h, w)
        See `JudgeNetwork.forward`.
    maps : (b, 4, h, w) uint8
        See `targets.MAPS`; what is not valid has no weight.
    class_weights : (8,)
        Weight of each class code.
    """
    valid = maps[:, MAPS.index("valid")].float()
    inside = maps[:, MAPS.index("interior")].float()
    distance = maps[:, MAPS.index("distance")].float() / 255
    codes = maps[:, MAPS.index("class")].long()
    return (
        _interior_loss(outputs[:, INTERIOR], inside, valid)
        + _DISTANCE_WEIGHT * _distance_loss(outputs[:, DISTANCE], distance, inside, valid)
        + _CLASS_WEIGHT * _class_loss(outputs[:, CLASSES], codes, valid, class_weights)
    )


def _interior_loss(logits: Tensor, inside: Tensor, valid: Tensor) -> Tensor:
    entropy = F.binary_cross_entropy_with_logits(logits, inside, weight=valid, reduction="sum")
    found = logits.sigmoid() * valid
    overlap = 2 * (found * inside).sum() + 1
    dice = overlap / (found.sum() + (inside * valid).sum() + 1)
    return entropy / valid.sum().clamp_min(1) + 1 - dice


def _distance_loss(found: Tensor, distance: Tensor, inside: Tensor, valid: Tensor) -> Tensor:
    weight = valid * (1 + (_INSIDE_WEIGHT - 1) * inside)
    error = F.smooth_l1_loss(found, distance, beta=_BETA, reduction="none")
    return (weight * error).sum() / weight.sum().clamp_min(1)


def _class_loss(logits: Tensor, codes: Tensor, valid: Tensor, class_weights: Tensor) -> Tensor:
    log_p = logits.log_softmax(1)
    any_of_four = torch.logsumexp(log_p[:, list(_ANY_INFLAMMATORY)], 1, keepdim=True)
    unknown = torch.zeros_like(any_of_four)
    # In the order of the class codes: 0 unknown, 1..6, INFLAMMATORY.
    answers = torch.cat([unknown, log_p, any_of_four], 1)
    weight = class_weights[codes] * valid
    chosen = answers.gather(1, codes[:, None])[:, 0]
    return -(weight * chosen).sum() / weight.sum().clamp_min(1)
