"""What the segmenter learns from a packed file, and its losses: outlines, middles, classes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, find_objects
from torch import Tensor

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.datasets.packing import LAYERS, Pack
from napari_histodiff.datasets.sources import PackItem
from napari_histodiff.segmenter.network import CLASSES, DISTANCE, INTERIOR

__all__ = [
    "INFLAMMATORY",
    "MAPS",
    "TrainingTarget",
    "distance_map",
    "held_out",
    "judge_loss",
    "make_target",
]

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


#: Class code of CoNSeP's "inflammatory": a neutrophil, lymphocyte, plasma cell or eosinophil.
INFLAMMATORY: Final = 7

#: Meaning of the last axis of `TrainingTarget.maps`.
MAPS: Final = ("interior", "distance", "class", "valid")

_HELD_OUT: Final = 0.08  # share of each set's items


@dataclass(frozen=True, slots=True, eq=False)
class TrainingTarget:
    """One image and its answers: `pixels` (h, w, 3) uint8, `maps` (h, w, 4) uint8 (see `MAPS`).

    The distance is in 1/255; the class is 1..6, 0 for unknown, or `INFLAMMATORY`.
    """

    item: PackItem
    pixels: NDArray[np.uint8]
    maps: NDArray[np.uint8]


def make_target(packed: Pack, i: int) -> TrainingTarget:
    """Return what the judge learns from item `i` of a packed file."""
    layers, instances = packed.layers[i], packed.instances[i]
    item = packed.items[i]
    inside = instances > 0
    classes = np.where(inside, layers[..., LAYERS.index("class")], 0)
    if item.source == "consep":
        classes[inside & (classes == 0)] = INFLAMMATORY
    distance = np.rint(255 * distance_map(instances))
    valid = layers[..., LAYERS.index("valid")] > 0
    maps = np.stack([inside, distance, classes, valid], -1).astype(np.uint8)
    return TrainingTarget(item, packed.pixels[i], maps)


def distance_map(instances: NDArray[Any]) -> NDArray[np.float32]:
    """Return each pixel's distance to the outline of its nucleus, over the largest of the nucleus.

    (h, w) float32 in 0..1; 0 outside. Pixels of a touching neighbour count as outside.
    """
    result = np.zeros(instances.shape, np.float32)
    for number, place in enumerate(find_objects(instances.astype(np.int32)), start=1):
        if place is None:
            continue
        inside = instances[place] == number
        distance = distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
        result[place][inside] = (distance / distance.max())[inside]
    return result


def held_out(items: list[PackItem]) -> set[str]:
    """Return "source/name" of the items with annotated nuclei that are never trained on.

    About 8 % of each set and at least one where it has four, by the hash of their names, so that
    the same items are held out whatever else is packed.

    Raises
    ------
    TrainingError
        When no item has nuclei.
    """
    usable = [item for item in items if item.annotated]
    if not usable:
        raise TrainingError("expected images with nuclei, got none; pack annotated images")
    chosen: set[str] = set()
    for source in sorted({item.source for item in usable}):
        names = [f"{source}/{item.name}" for item in usable if item.source == source]
        count = max(round(_HELD_OUT * len(names)), int(len(names) >= 4))
        chosen |= set(sorted(names, key=_hash)[:count])
    return chosen


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
