"""From maps to nuclei: where each is, which class, how sure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, gaussian_filter
from scipy.ndimage import label as label_pieces
from skimage.measure import label
from skimage.morphology import h_maxima
from skimage.segmentation import watershed

__all__ = [
    "MPP",
    "FoundNuclei",
    "Maps",
    "Separation",
    "class_shares",
    "find_nuclei",
    "resize_nuclei",
]

#: Micrometres per pixel the judge works at.
MPP: Final = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Maps:
    """What the network says of each pixel, float32.

    `interior` (h, w) 0..1, `distance` (h, w) about 0..1, `classes` (6, h, w) 0..1, of sum 1.
    """

    interior: NDArray[np.float32]
    distance: NDArray[np.float32]
    classes: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class FoundNuclei:
    """Nuclei of an image.

    Attributes
    ----------
    instance_map : (h, w) int32
        1..n, 0 outside nuclei.
    class_map : (h, w) uint8
        Class id of each nucleus, 0 outside.
    probabilities : (n, 6) float32
        Row i - 1 holds the class probabilities of nucleus i; their sum is 1.
    """

    instance_map: NDArray[np.int32]
    class_map: NDArray[np.uint8]
    probabilities: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Separation:
    """How maps are cut into nuclei; the defaults did best on the held-out training images.

    Attributes
    ----------
    interior : float
        Probability above which a pixel is in a nucleus.
    smooth : float
        Gaussian smoothing of the distance in pixels.
    depth : float
        How much lower the distance must be between two nuclei than at the lesser's middle.
    least_area : float
        Smallest nucleus in square micrometres.
    """

    interior: float = 0.4
    smooth: float = 1.1
    depth: float = 0.15
    least_area: float = 6.0


def find_nuclei(maps: Maps, separation: Separation | None = None) -> FoundNuclei:
    """Cut maps at 0.5 um/px into nuclei: a watershed of the distance from its plain maxima.

    The class of a nucleus is the one with the largest sum of probabilities over its pixels.
    """
    how = separation or Separation()
    inside = maps.interior > how.interior
    distance = gaussian_filter(maps.distance, how.smooth) * inside
    markers = label(h_maxima(distance, how.depth).astype(bool) & inside)
    instances = watershed(-distance, markers, mask=inside).astype(np.int32)
    instances = _tidy(instances, how.least_area / MPP**2)
    probabilities = class_shares(maps.classes, instances)
    return FoundNuclei(instances, _class_map(instances, probabilities), probabilities)


def class_shares(classes: NDArray[np.float32], instances: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return the mean class probabilities of each nucleus, (n, 6) float32; n is the largest id."""
    n = int(instances.max(initial=0))
    inside = instances > 0
    ids = instances[inside]
    sums = np.stack([np.bincount(ids, c[inside], n + 1)[1:] for c in classes], 1)
    shares: NDArray[np.float32] = (sums / sums.sum(1, keepdims=True)).astype(np.float32)
    return shares


def resize_nuclei(
    nuclei: FoundNuclei, shape: tuple[int, int]
) -> tuple[FoundNuclei, NDArray[np.intp]]:
    """Return nuclei on another grid of the same field, and which of them are left there.

    `shape` is (h, w). Nuclei that fall between the pixels of a coarser grid are gone; the others
    are numbered anew, and the second value holds their rows in the old `probabilities`.
    """
    height, width = nuclei.instance_map.shape
    rows = _nearest(shape[0], height)
    columns = _nearest(shape[1], width)
    instances = nuclei.instance_map[np.ix_(rows, columns)]
    left = np.unique(instances[instances > 0])
    number = np.zeros(len(nuclei.probabilities) + 1, np.int32)
    number[left] = np.arange(1, len(left) + 1)
    probabilities = nuclei.probabilities[left - 1]
    instances = number[instances]
    resized = FoundNuclei(instances, _class_map(instances, probabilities), probabilities)
    return resized, (left - 1).astype(np.intp)


def _nearest(count: int, of: int) -> NDArray[np.intp]:
    places = ((np.arange(count) + 0.5) * of / count).astype(np.intp)
    return np.minimum(places, of - 1)


def _tidy(instances: NDArray[np.int32], least: float) -> NDArray[np.int32]:
    """Fill holes, drop what is smaller than `least` pixels, and number anew from 1."""
    result = np.zeros_like(instances)
    count = 0
    for number, place in enumerate(find_objects(instances), start=1):
        if place is None:
            continue
        found = instances[place] == number
        if found.size < least:
            continue
        # A hole is one more piece of what is around; `binary_fill_holes` takes three times as long.
        around = np.ones((found.shape[0] + 2, found.shape[1] + 2), np.bool_)
        around[1:-1, 1:-1] = ~found
        pieces, many = label_pieces(around)
        whole = found if many == 1 else pieces[1:-1, 1:-1] != 1
        if np.count_nonzero(whole) < least:
            continue
        count += 1
        result[place][whole] = count
    left = np.bincount(result.ravel(), minlength=count + 1) > 0
    left[0] = True
    if not left.all():  # one lay in a hole of another
        result = (np.cumsum(left, dtype=np.int32) - 1)[result]
    return result


def _class_map(
    instances: NDArray[np.int32], probabilities: NDArray[np.float32]
) -> NDArray[np.uint8]:
    classes = np.zeros(len(probabilities) + 1, np.uint8)
    if len(probabilities):
        classes[1:] = probabilities.argmax(1) + 1
    return classes[instances]
