"""What the judge learns from a packed training file, and what is held back to choose settings."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, find_objects

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.datasets.packing import LAYERS, Pack
from napari_histodiff.datasets.sources import PackItem

__all__ = ["INFLAMMATORY", "MAPS", "Target", "distance_map", "held_out", "make_target"]

#: Class code of CoNSeP's "inflammatory": a neutrophil, lymphocyte, plasma cell or eosinophil.
INFLAMMATORY: Final = 7

#: Meaning of the last axis of `Target.maps`.
MAPS: Final = ("interior", "distance", "class", "valid")

_HELD_OUT: Final = 0.08  # share of each set's items


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One image and its answers: `pixels` (h, w, 3) uint8, `maps` (h, w, 4) uint8 (see `MAPS`).

    The distance is in 1/255; the class is 1..6, 0 for unknown, or `INFLAMMATORY`.
    """

    item: PackItem
    pixels: NDArray[np.uint8]
    maps: NDArray[np.uint8]


def make_target(packed: Pack, i: int) -> Target:
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
    return Target(item, packed.pixels[i], maps)


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
    """Return "source/name" of the items with nuclei that are never trained on.

    About 8 % of each set and at least one where it has four, by the hash of their names, so that
    the same items are held out whatever else is packed.

    Raises
    ------
    TrainingError
        When no item has nuclei.
    """
    usable = [item for item in items if item.has_nuclei]
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
