"""Label images as tables: sizes, overlaps, centroids and classes of their objects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidMap

__all__ = ["Overlap", "centroids", "object_classes", "only_class", "overlap"]


@dataclass(frozen=True, slots=True, eq=False)
class Overlap:
    """Sizes of the objects of two label images and of their common parts, in pixels.

    Attributes
    ----------
    common : (t, p) int64
        Pixels that true object i shares with predicted object j.
    true_sizes, pred_sizes : (t,) and (p,) int64
        Pixels of each object, in order of ids.
    """

    common: NDArray[np.int64]
    true_sizes: NDArray[np.int64]
    pred_sizes: NDArray[np.int64]

    def iou(self) -> NDArray[np.float64]:
        """Return intersection over union of every pair, (t, p) in [0, 1]."""
        union = self.true_sizes[:, None] + self.pred_sizes[None] - self.common
        return self.common / np.maximum(union, 1)


def overlap(true_inst: NDArray[np.integer], pred_inst: NDArray[np.integer]) -> Overlap:
    """Return the overlap table of two label images of one shape; id 0 is no object.

    Raises
    ------
    InvalidMap
        When the images are not integer label images of one shape.
    """
    require_labels(true_inst, pred_inst)
    true_count, true = _compact(true_inst)
    pred_count, pred = _compact(pred_inst)
    pairs = np.bincount(
        true * (pred_count + 1) + pred, minlength=(true_count + 1) * (pred_count + 1)
    ).reshape(true_count + 1, pred_count + 1)
    return Overlap(pairs[1:, 1:], pairs[1:].sum(1), pairs[:, 1:].sum(0))


def centroids(instances: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the (n, 2) centres of mass (y, x) in pixels of the objects, in order of ids."""
    count, index = _compact(instances)
    y, x = np.indices(instances.shape)
    sizes = np.bincount(index, minlength=count + 1)[1:]
    sums = [np.bincount(index, axis.ravel(), count + 1)[1:] for axis in (y, x)]
    return np.stack(sums, axis=1) / sizes[:, None]


def object_classes(
    instances: NDArray[np.integer], class_map: NDArray[np.integer]
) -> NDArray[np.int64]:
    """Return the most frequent class inside each object, (n,), in order of ids.

    A tie goes to the lower class.

    Raises
    ------
    InvalidMap
        When the maps are not integer maps of one shape.
    """
    require_labels(instances, class_map)
    count, index = _compact(instances)
    classes = class_map.astype(np.int64).ravel()
    levels = int(classes.max(initial=0)) + 1
    votes = np.bincount(index * levels + classes, minlength=(count + 1) * levels)
    return votes.reshape(count + 1, levels)[1:].argmax(1)


def only_class(
    instances: NDArray[np.integer], class_map: NDArray[np.integer], class_id: int
) -> NDArray[np.integer]:
    """Return `instances` with every object removed whose most frequent class is not `class_id`.

    What a per-class panoptic quality (CoNIC) is computed on.

    Raises
    ------
    InvalidMap
        When the maps are not integer maps of one shape.
    """
    keep = object_classes(instances, class_map) == class_id
    _, index = _compact(instances)
    kept = np.concatenate([[False], keep])[index].reshape(instances.shape)
    return np.where(kept, instances, 0).astype(instances.dtype)


def require_labels(*maps: NDArray[np.integer]) -> None:
    """Raise `InvalidMap` unless all are non-negative integer images of one (h, w) shape."""
    for entry in maps:
        if entry.ndim != 2 or entry.shape != maps[0].shape:
            shapes = ", ".join(str(m.shape) for m in maps)
            raise InvalidMap(f"expected maps of one (h, w) shape, got {shapes}; crop them alike")
        if not np.issubdtype(entry.dtype, np.integer):
            raise InvalidMap(f"expected integer ids, got {entry.dtype}; convert the map")
        if entry.size and entry.min() < 0:
            raise InvalidMap(f"expected ids from 0, got {entry.min()}; relabel the map")


def _compact(instances: NDArray[np.integer]) -> tuple[int, NDArray[np.int64]]:
    """Return the number of objects and, per pixel, 0 or the object's rank by id from 1."""
    flat = instances.ravel()
    if flat.max(initial=0) > max(flat.size, 65_536):  # a table over such ids would not fit
        flat = np.unique(flat, return_inverse=True)[1] + int(flat.min() > 0)
    present = np.zeros(int(flat.max(initial=0)) + 1, bool)
    present[flat] = True
    present[0] = False
    rank = np.where(present, np.cumsum(present), 0)
    return int(present.sum()), rank[flat]
