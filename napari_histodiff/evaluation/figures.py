"""A first set of figures: whether tissue follows the paint and has the colour and grain of life.

Each figure is given for real tissue too (the ceiling) and, where it has one, for a floor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from skimage.color import rgb2hed, rgb2lab

from napari_histodiff.core.maps import nuclei_union
from napari_histodiff.evaluation.sheets import Generated

__all__ = ["Figures", "colour_distance", "grain", "measure", "nuclear_auc"]

_PIXELS = 20_000  # enough for an area under the curve with three digits


@dataclass(frozen=True, slots=True)
class Figures:
    """Means over tiles at one guidance scale.

    Attributes
    ----------
    nuclear_auc, nuclear_auc_real, nuclear_auc_shuffled : float
        Area under the ROC curve with which the haematoxylin density of a pixel tells painted
        nuclei from the rest: generated, real (ceiling), and generated against the nuclei of another
        tile (floor, 0.5 if layouts were unrelated).
    colour_distance, colour_distance_real : float
        Distance of mean and spread of the L*a*b* colour between a generated and its real tile, and
        between two halves of the real tile.
    grain : float
        Energy of the finest detail (difference to a 3 x 3 mean), generated over real; 1 is right,
        below 1 is washed out.
    """

    guidance: float
    tiles: int
    nuclear_auc: float
    nuclear_auc_real: float
    nuclear_auc_shuffled: float
    colour_distance: float
    colour_distance_real: float
    grain: float

    def to_dict(self) -> dict[str, float]:
        """Return the figures by name."""
        return asdict(self)


def measure(drawn: Sequence[Generated], guidance: float) -> Figures:
    """Return the figures of `drawn` at one of its guidance scales."""
    nuclei = [nuclei_union(g.tile.class_map, g.tile.instance_map) for g in drawn]
    images = [g.images[guidance] for g in drawn]
    real = [g.tile.image for g in drawn]
    others = [*nuclei[1:], nuclei[0]]
    half = real[0].shape[1] // 2
    return Figures(
        guidance=guidance,
        tiles=len(drawn),
        nuclear_auc=_mean(map(nuclear_auc, images, nuclei)),
        nuclear_auc_real=_mean(map(nuclear_auc, real, nuclei)),
        nuclear_auc_shuffled=_mean(map(nuclear_auc, images, others)),
        colour_distance=_mean(map(colour_distance, images, real)),
        colour_distance_real=_mean(colour_distance(r[:, :half], r[:, half:]) for r in real),
        grain=_mean(grain(i) for i in images) / _mean(grain(r) for r in real),
    )


def nuclear_auc(image: NDArray[np.uint8], nuclei: NDArray[np.bool_]) -> float:
    """Return how well haematoxylin density ranks the pixels of `nuclei` first, 0.5 = chance.

    The area under the ROC curve as a Mann-Whitney statistic; haematoxylin by the colour
    deconvolution of Ruifrok and Johnston (2001).
    """
    density = rgb2hed(image)[..., 0].ravel()
    inside = nuclei.ravel()
    step = max(1, density.size // _PIXELS)
    density, inside = density[::step], inside[::step]
    positives = int(inside.sum())
    negatives = inside.size - positives
    if not positives or not negatives:
        return 0.5
    ranks = rankdata(density)[inside].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * negatives))


def colour_distance(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Return the distance of the L*a*b* means and standard deviations of two images."""
    return float(np.linalg.norm(_colour(a) - _colour(b)))


def grain(image: NDArray[np.uint8]) -> float:
    """Return the standard deviation of what a 3 x 3 mean takes away from the luminance."""
    grey = image.astype(np.float64).mean(-1)
    mean = sum(
        grey[i : i + len(grey) - 2, j : j + grey.shape[1] - 2] for i in range(3) for j in range(3)
    )
    return float((grey[1:-1, 1:-1] - np.asarray(mean) / 9).std())


def _colour(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    lab = rgb2lab(image).reshape(-1, 3)
    return np.concatenate([lab.mean(0), lab.std(0)])


def _mean(values: object) -> float:
    return float(np.mean(list(values)))  # type: ignore[call-overload]
