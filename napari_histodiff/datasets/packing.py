"""Packs annotated H&E into one small training file.

The file is a NumPy archive (no pickles): `index` is JSON, and item i has `pixels_i`
(h, w, 3) uint8 RGB, `layers_i` (h, w, 5) uint8 in the order of `LAYERS`, and `instances_i`
(h, w) uint16.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from zipfile import is_zipfile

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.core.maps import CLASS_NAMES
from napari_histodiff.datasets.pack_writer import PackWriter
from napari_histodiff.datasets.sources import PackItem, Split, read_all

__all__ = ["LAYERS", "Pack", "class_counts", "load_pack", "pack"]

#: Meaning of the last axis of `layers_i`.
LAYERS: Final = ("class", "edges", "union", "tissue", "valid")


@dataclass(frozen=True, slots=True, eq=False)
class Pack:
    """A loaded training file; element i of each list belongs to `items[i]`."""

    items: list[PackItem]
    pixels: list[NDArray[np.uint8]]
    layers: list[NDArray[np.uint8]]
    instances: list[NDArray[np.uint16]]


def pack(data: Path, output: Path, *, split: Split = "train", fine: bool = False) -> Path:
    """Write every image of `split` under `data` into `output` and return it.

    With `fine`, those that were scanned at 40x, at about 0.25 um/px.

    Raises
    ------
    TrainingError
        When `data` holds no `splits.json` or no image of that split.
    StorageError
        When the file cannot be written.
    """
    if not (data / "splits.json").is_file():
        raise TrainingError(
            f"expected splits.json in {data}, got none; give the folder that holds it"
        )
    with PackWriter(output) as writer:
        for sample in tqdm(read_all(data, split, fine=fine), desc=f"packing {split}", unit="image"):
            writer.add(sample)
    if not writer.items:
        raise TrainingError(
            f"expected images of the {split} split under {data}, got none; "
            "give the folder that holds splits.json"
        )
    return output


def load_pack(path: Path) -> Pack:
    """Read a packed file into memory.

    Raises
    ------
    TrainingError
        When the file is missing or is no packed file.
    """
    if not path.is_file():
        raise TrainingError(f"expected a packed file at {path}, got none; run `histodiff pack`")
    if not is_zipfile(path):
        raise TrainingError(f"expected a packed file, got something else in {path}; pack again")
    with np.load(path, allow_pickle=False) as archive:
        if "index" not in archive:
            raise TrainingError(f"expected a packed file, got {path} without an index; pack again")
        items = [_item(entry) for entry in json.loads(str(archive["index"]))]
        numbers = range(len(items))
        return Pack(
            items,
            pixels=[archive[f"pixels_{i}"] for i in numbers],
            layers=[archive[f"layers_{i}"] for i in numbers],
            instances=[archive[f"instances_{i}"] for i in numbers],
        )


def class_counts(packed: Pack) -> dict[str, int]:
    """Count the nuclei of each class name over all items whose classes are known.

    A nucleus that the border of a tile cuts counts once.
    """
    counts = dict.fromkeys(CLASS_NAMES, 0)
    for item, layers, instances in zip(packed.items, packed.layers, packed.instances, strict=True):
        if not item.has_classes:
            continue
        if item.nuclei is not None:
            for name, count in zip(CLASS_NAMES, item.nuclei[1:], strict=True):
                counts[name] += count
            continue
        inside = (instances > 0) & (layers[..., LAYERS.index("valid")] > 0)
        keys = instances[inside].astype(np.int64) * 8 + layers[..., 0][inside]
        classes = np.unique(keys) % 8
        for i, name in enumerate(CLASS_NAMES, start=1):
            counts[name] += int((classes == i).sum())
    return counts


def _item(entry: dict[str, Any]) -> PackItem:
    """An item as JSON has it; files of earlier versions lack the later fields."""
    for name in ("nuclei", "other_nuclei"):
        if entry.get(name) is not None:
            entry[name] = tuple(entry[name])
    return PackItem(**entry)
