"""What is measured of a layout: pair correlation, nearest neighbours, shapes, shares, densities.

Pairs are corrected for the edges of what was looked at by translation (Ohser & Stoyan, 1981): the
expected number of pairs at a distance comes from the area of the window and its shifted copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.spatial import cKDTree
from skimage.measure import regionprops_table

from napari_histodiff.core.maps import CLASS_NAMES, TISSUE_NAMES
from napari_histodiff.evaluation.layouts.fields import Field

__all__ = ["CLASSES", "EDGES", "KINDS", "Grouping", "Measured", "measure"]


@dataclass(frozen=True, slots=True)
class Grouping:
    """Which nuclei are measured together.

    Attributes
    ----------
    names : tuple of str
    of : mapping of int to int
        The place in `names` of each class id; nuclei of other ids are left out.
    """

    names: tuple[str, ...]
    of: Mapping[int, int]


#: Kinds of nuclei that all sets tell apart: CoNSeP has one class for four of ours.
KINDS: Final = Grouping(
    ("epithelial", "inflammatory", "connective"),
    {0: 1, **dict.fromkeys((1, 3, 4, 5), 1), 2: 0, 6: 2},
)
#: Our six classes, where a set tells them apart.
CLASSES: Final = Grouping(CLASS_NAMES, {i + 1: i for i in range(len(CLASS_NAMES))})
#: Edges of the bins of a distance, in um.
EDGES: Final = np.arange(0.0, 61.0, 3.0)

_CELL: Final = 2.0  # um, of the grid that windows are shifted on


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What was measured of one field; a kind is a place in the names of `grouping`.

    Attributes
    ----------
    slide : str
    grouping : Grouping
    pairs, expected : (kinds, kinds, bins) float64
        Ordered pairs of nuclei at each distance, and how many there would be by chance.
    nearest : dict of (int, int) to (n,) float64
        Um from each nucleus of a kind to the nearest other of a kind.
    size, eccentricity : dict of int to (n,) float64
        Diameter in um of a disc of the same area, and eccentricity of the ellipse, of whole nuclei.
    shares : (tissues,) float64
        Of what was looked at and told; NaN where nothing was told.
    count : (kinds,) int64
        Nuclei.
    density : (kinds,) float64
        Nuclei per mm^2.
    """

    slide: str
    grouping: Grouping
    pairs: NDArray[np.float64]
    expected: NDArray[np.float64]
    nearest: dict[tuple[int, int], NDArray[np.float64]]
    size: dict[int, NDArray[np.float64]]
    eccentricity: dict[int, NDArray[np.float64]]
    shares: NDArray[np.float64]
    count: NDArray[np.int64]
    density: NDArray[np.float64]


def measure(field: Field, grouping: Grouping = KINDS) -> Measured:
    """Measure a field where it was looked at, its nuclei grouped."""
    table = regionprops_table(
        field.instances,
        field.classes,
        properties=("centroid", "area", "eccentricity", "intensity_max", "bbox"),
    )
    y, x = table["centroid-0"], table["centroid-1"]
    kind = np.array([grouping.of.get(int(c), -1) for c in table["intensity_max"]], np.int64)
    seen = field.valid[np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)]
    places = np.stack([y, x], axis=1)[seen] * field.mpp
    height, width = field.classes.shape
    whole = (table["bbox-0"] > 0) & (table["bbox-1"] > 0)
    whole &= (table["bbox-2"] < height) & (table["bbox-3"] < width)
    kinds = range(len(grouping.names))
    of_kind = {k: places[kind[seen] == k] for k in kinds}
    count = np.array([len(of_kind[k]) for k in kinds], np.int64)
    area = float(field.valid.sum()) * field.mpp**2
    overlap = _overlap(field.valid, field.mpp)
    pairs = np.zeros((len(kinds), len(kinds), len(EDGES) - 1))
    expected = np.zeros_like(pairs)
    nearest = {}
    for a, b in product(kinds, kinds):
        if len(of_kind[a]) and len(of_kind[b]):
            pairs[a, b] = _pairs(of_kind[a], of_kind[b], same=a == b)
            expected[a, b] = len(of_kind[a]) * len(of_kind[b]) / area**2 * overlap
        if len(of_kind[a]) and len(of_kind[b]) > (a == b):
            order = 2 if a == b else 1  # not itself
            away, _ = cKDTree(of_kind[b]).query(of_kind[a], k=[order])
            nearest[a, b] = away[:, 0]
    tissue = field.tissue[field.valid]
    counts = np.bincount(tissue[tissue > 0], minlength=len(TISSUE_NAMES)).astype(np.float64)
    diameter = np.sqrt(table["area"] * 4 / np.pi) * field.mpp
    chosen = {k: seen & whole & (kind == k) for k in kinds}
    return Measured(
        field.slide,
        grouping,
        pairs,
        expected,
        nearest,
        {k: diameter[chosen[k]] for k in kinds},
        {k: np.asarray(table["eccentricity"][chosen[k]], np.float64) for k in kinds},
        counts / counts.sum() if counts.any() else np.full(len(counts), np.nan),
        count,
        count / (area / 1e6),
    )


def _pairs(a: NDArray[np.float64], b: NDArray[np.float64], *, same: bool) -> NDArray[np.float64]:
    counts = cKDTree(a).count_neighbors(cKDTree(b), EDGES).astype(np.float64)
    if same:
        counts -= len(a)  # each with itself
    return np.diff(np.maximum(counts, 0))


def _overlap(valid: NDArray[np.bool_], mpp: float) -> NDArray[np.float64]:
    # Integral over the shifts of each distance of the area of a window and its shifted copy, um^4.
    step = max(1, round(_CELL / mpp))
    height, width = (s // step * step for s in valid.shape)
    cells = valid[:height, :width].reshape(height // step, step, width // step, step)
    share = cells.mean(axis=(1, 3))
    size = [fft.next_fast_len(s + int(EDGES[-1] / (step * mpp)) + 2) for s in share.shape]
    spectrum = fft.rfft2(share, size)
    common = fft.irfft2(np.abs(spectrum) ** 2, size) * (step * mpp) ** 2
    away = np.hypot(
        np.fft.fftfreq(size[0], 1 / size[0])[:, None], np.fft.fftfreq(size[1], 1 / size[1])
    ) * (step * mpp)
    total, _ = np.histogram(away, EDGES, weights=common)
    cells_at, _ = np.histogram(away, EDGES)
    ring = np.pi * np.diff(EDGES**2)  # a grid has a few shifts more or fewer in a thin ring
    return np.asarray(total / np.maximum(cells_at, 1) * ring, np.float64)
