"""Packs annotated H&E into one small 20x training file.

The file is a NumPy archive (no pickles): `index` is JSON, and item i has `pixels_i`
(h, w, 3) uint8 RGB, `layers_i` (h, w, 5) uint8 in the order of `LAYERS`, and `instances_i`
(h, w) uint16.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from zipfile import is_zipfile

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.core.maps import CLASS_NAMES, instance_edges, nuclei_union
from napari_histodiff.datasets.sources import PackItem, Sample, Split, read_all

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


def pack(data: Path, output: Path, *, split: Split = "train") -> Path:
    """Write every image of `split` under `data` into `output` and return it.

    Raises
    ------
    TrainingError
        When `data` holds no `splits.json` or no image of that split.
    """
    if not (data / "splits.json").is_file():
        raise TrainingError(
            f"expected splits.json in {data}, got none; give the folder that holds it"
        )
    items: list[PackItem] = []
    arrays: dict[str, NDArray[np.generic]] = {}
    for sample in tqdm(read_all(data, split), desc=f"packing {split}", unit="image"):
        i = len(items)
        items.append(sample.item)
        arrays[f"pixels_{i}"] = sample.pixels
        arrays[f"layers_{i}"] = _layers(sample)
        arrays[f"instances_{i}"] = sample.instances.astype(np.uint16)
    if not items:
        raise TrainingError(
            f"expected images of the {split} split under {data}, got none; "
            "give the folder that holds splits.json"
        )
    index = json.dumps([asdict(item) for item in items])
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_suffix(".partial.npz")
    np.savez_compressed(partial, index=np.array(index), **arrays)  # type: ignore[arg-type]
    partial.replace(output)
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
        items = [PackItem(**entry) for entry in json.loads(str(archive["index"]))]
        numbers = range(len(items))
        return Pack(
            items,
            pixels=[archive[f"pixels_{i}"] for i in numbers],
            layers=[archive[f"layers_{i}"] for i in numbers],
            instances=[archive[f"instances_{i}"] for i in numbers],
        )


def class_counts(packed: Pack) -> dict[str, int]:
    """Count the nuclei of each class name over all items whose classes are known."""
    counts = dict.fromkeys(CLASS_NAMES, 0)
    for item, layers, instances in zip(packed.items, packed.layers, packed.instances, strict=True):
        if not item.has_classes:
            continue
        inside = (instances > 0) & (layers[..., LAYERS.index("valid")] > 0)
        keys = instances[inside].astype(np.int64) * 8 + layers[..., 0][inside]
        classes = np.unique(keys) % 8
        for i, name in enumerate(CLASS_NAMES, start=1):
            counts[name] += int((classes == i).sum())
    return counts


def _layers(sample: Sample) -> NDArray[np.uint8]:
    instances, classes = sample.instances.astype(np.int32), sample.classes
    edges = instance_edges(instances, classes)
    union = nuclei_union(classes, instances)
    return np.stack(
        [classes, edges.astype(np.uint8), union.astype(np.uint8), sample.tissue, sample.valid], -1
    )
