"""Reads a plain folder: images/ with instances/, classes/ and tissue/ beside it."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label
from skimage.segmentation import relabel_sequential

from napari_histodiff.core.maps import N_CLASSES
from napari_histodiff.datasets.annotated import Annotated, Entry
from napari_histodiff.datasets.files import (
    by_stem,
    check_pairs,
    image_folder,
    read_classes,
    read_image,
    read_instances,
    read_tissue,
)
from napari_histodiff.datasets.packing import slide_of

__all__ = ["PARTS", "plain_entries"]

#: The folders of each kind of map.
PARTS: Final = {
    "instances": ("instances", "inst"),
    "classes": ("classes", "type"),
    "tissue": ("tissue",),
}


def plain_entries(folder: Path, mpp: float | None) -> list[Entry]:
    """List the images; a map belongs to the image of the same name, and any may be missing.

    Raises
    ------
    TrainingError
        When there is no image, or a map has none.
    """
    images = by_stem(image_folder(folder).glob("*"))
    maps = {part: _maps(folder, names) for part, names in PARTS.items()}
    for found in maps.values():
        check_pairs(images, found, folder)
    entries = []
    for name, path in images.items():
        own = {part: found.get(name) for part, found in maps.items()}
        files = (path, *(p for p in own.values() if p is not None))
        entries.append(Entry(name, slide_of(name), partial(_load, path, own), files))
    return entries


def _maps(folder: Path, names: tuple[str, ...]) -> dict[str, Path]:
    return by_stem(path for name in names for path in (folder / name).glob("*"))


def _load(image: Path, maps: dict[str, Path | None]) -> Annotated:
    pixels, mpp = read_image(image)
    instances = None if maps["instances"] is None else read_instances(maps["instances"])
    classes = None if maps["classes"] is None else read_classes(maps["classes"])
    tissue = None if maps["tissue"] is None else read_tissue(maps["tissue"])
    notes: Counter[str] = Counter()
    if instances is None and classes is not None:
        instances = label(classes, connectivity=1).astype(np.int32)
        notes["images without instances; touching nuclei of one class became one"] += 1
    elif instances is not None and classes is not None and instances.shape == classes.shape:
        classes, mixed = _one_class_each(instances, classes)
        if mixed:
            notes["nuclei of several classes; each got the one of most of its pixels"] += mixed
    return Annotated(pixels, instances, classes, tissue, mpp=mpp, notes=notes)


def _one_class_each(
    instances: NDArray[np.int32], classes: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], int]:
    ids = relabel_sequential(instances)[0].astype(np.int64)
    keys = (ids * (N_CLASSES + 1) + classes).ravel()
    pixels = np.bincount(keys, minlength=(int(ids.max(initial=0)) + 1) * (N_CLASSES + 1))
    table = pixels.reshape(-1, N_CLASSES + 1)
    settled = np.where(ids > 0, table.argmax(1)[ids], classes).astype(np.uint8)
    return settled, int(((table[1:] > 0).sum(1) > 1).sum())
