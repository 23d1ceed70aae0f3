"""Reads CoNIC as published: `images.npy` and `labels.npy` (Graham et al., arXiv 2111.14485)."""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.core.maps import as_class_map, as_instance_map
from napari_histodiff.datasets.annotated import Annotated, Entry
from napari_histodiff.datasets.files import valid

__all__ = ["conic_entries"]

_BLOCKS: Final = 20

#: Tables that are published beside the arrays.
_TABLES: Final = ("patch_info.csv", "counts.csv")


def conic_entries(folder: Path, mpp: float | None) -> list[Entry]:
    """List the patches; nothing of the arrays is read before a patch is loaded.

    With `patch_info.csv`, which names the Lizard image of each patch, the slide of a patch is that
    image. Without, neighbours in the file count as one slide: a twentieth of it each.

    Raises
    ------
    TrainingError
        When an array is missing, pickled, or of another shape.
    """
    images, labels = (_open(folder / name) for name in ("images.npy", "labels.npy"))
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8 or not len(images):
        raise TrainingError(
            f"expected images.npy of shape (n, h, w, 3) uint8, got {images.shape} {images.dtype}; "
            "use the file of CoNIC"
        )
    if labels.shape != (*images.shape[:3], 2):
        raise TrainingError(
            f"expected labels.npy of shape {(*images.shape[:3], 2)}, got {labels.shape}; "
            "use the file that belongs to images.npy"
        )
    files = tuple(folder / name for name in ("images.npy", "labels.npy", *_TABLES))
    names, slides = _names(folder / "patch_info.csv", len(images))
    return [
        Entry(name, slide, partial(_load, images, labels, i), files)
        for i, (name, slide) in enumerate(zip(names, slides, strict=True))
    ]


def _load(images: NDArray[Any], labels: NDArray[Any], i: int) -> Annotated:
    place = f"patch {i} of labels.npy"
    return Annotated(
        np.array(images[i]),
        valid(as_instance_map, np.array(labels[i, ..., 0]), place),
        valid(as_class_map, np.array(labels[i, ..., 1]), place),
    )


def _open(path: Path) -> NDArray[Any]:
    try:
        return np.asanyarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise TrainingError(
            f"expected a plain .npy array in {path}, got {error}; use the file of CoNIC, "
            "or save it without pickling"
        ) from error


def _names(path: Path, count: int) -> tuple[list[str], list[str]]:
    if not path.is_file():
        blocks = [f"block-{i * _BLOCKS // count}" for i in range(count)]
        return [f"patch-{i:04d}" for i in range(count)], blocks
    with path.open(newline="", encoding="utf-8-sig") as lines:
        names = [row[-1] for row in csv.reader(lines) if row][1:]
    if len(names) != count:
        raise TrainingError(
            f"expected {count} rows below the header of {path}, got {len(names)}; "
            "use the file that belongs to images.npy"
        )
    return names, [name.rsplit("-", 1)[0] for name in names]
