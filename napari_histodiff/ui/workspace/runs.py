"""Label maps as runs, stretches of a row of one label: blobs and counts in a few milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_histodiff.core.errors import InvalidMap
from napari_histodiff.core.maps import LABEL_BASE

__all__ = ["Runs", "nuclei_maps", "nuclei_runs"]


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """The rows of a label map, cut where the label changes.

    Attributes
    ----------
    shape : (height, width)
        Of the map.
    starts : (n,) int
        Where each run starts in the map read row by row; none goes on in the next row.
    labels : (n,) integers
        Label of each run, 0 = background.
    """

    shape: tuple[int, int]
    starts: NDArray[np.intp]
    labels: NDArray[Any]

    @classmethod
    def of(cls, labels: NDArray[Any]) -> Self:
        """Cut a label map, (h, w) integers."""
        height, width = labels.shape
        flat = labels.ravel()
        cut = np.ones(flat.size, np.bool_)
        np.not_equal(flat[1:], flat[:-1], out=cut[1:])
        cut[::width] = True
        starts = np.flatnonzero(cut)
        return cls((height, width), starts, flat[starts])

    @property
    def lengths(self) -> NDArray[np.intp]:
        """Pixels of each run."""
        return np.diff(self.starts, append=self.shape[0] * self.shape[1])

    def filled(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return a map, (h, w), with one value for all pixels of a run."""
        pixels: NDArray[Any] = np.repeat(values, self.lengths)
        return pixels.reshape(self.shape)

    def present(self) -> NDArray[Any]:
        """Return the labels of the map, each once, without the background."""
        return np.unique(self.labels[self.labels != 0])

    def blobs(self) -> NDArray[np.int32]:
        """Return the connected blob of one label that each run belongs to, from 1; 0 = background.

        Pixels that touch at a corner are connected.
        """
        painted = np.flatnonzero(self.labels)
        row, begin = np.divmod(self.starts[painted], self.shape[1])
        labels, end = self.labels[painted], begin + self.lengths[painted]
        # Columns one after the other, with room between rows so that no run touches the next one's.
        stride = self.shape[1] + 2
        begin, end = begin + row * stride, end + row * stride
        first = np.searchsorted(end, begin + stride)
        touching = np.searchsorted(begin, end + stride, side="right") - first
        upper = np.repeat(np.arange(painted.size), touching)
        offset = np.arange(upper.size) - np.repeat(np.cumsum(touching) - touching, touching)
        lower = first[upper] + offset
        same = labels[upper] == labels[lower]
        links = coo_array(
            (np.ones(int(same.sum()), np.bool_), (upper[same], lower[same])),
            shape=(painted.size, painted.size),
        )
        result = np.zeros(self.labels.size, np.int32)
        if painted.size:
            result[painted] = connected_components(links, directed=False)[1] + 1
        return result


def nuclei_runs(labels: NDArray[Any]) -> Runs:
    """Cut the labels of a Nuclei layer, 7 * instance + class.

    Raises
    ------
    InvalidMap
        When somebody put negative labels into the layer.
    """
    runs = Runs.of(labels)
    if runs.labels.min(initial=0) < 0:
        raise InvalidMap(
            f"expected labels of {LABEL_BASE} * instance + class, got {runs.labels.min()}; "
            "paint with the tools of the dock, or clear the painting"
        )
    return runs


def nuclei_maps(labels: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return class map and instance map of the labels of a Nuclei layer, in any thread.

    Every connected blob of a label is one nucleus.

    Raises
    ------
    InvalidMap
        When somebody put negative labels into the layer.
    """
    runs = nuclei_runs(labels)
    classes = (runs.labels % LABEL_BASE).astype(np.uint8)
    return runs.filled(classes), runs.filled(runs.blobs())
