"""Nucleus outlines drawn from the size and shape statistics of real, annotated nuclei."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.maps import CLASS_NAMES, N_CLASSES

__all__ = [
    "HARMONICS",
    "STATISTICS_FILE",
    "NucleusStatistics",
    "draw_nucleus",
    "nucleus_statistics",
]

#: Made by tools/nucleus_statistics.py from the training data.
STATISTICS_FILE: Final = Path(__file__).with_name("nucleus_statistics.json")

#: Orders of the boundary's deviation from an ellipse that are kept.
HARMONICS: Final = (3, 4, 5, 6)

# Drawn sizes stay within this many standard deviations: a stamp should never surprise.
_MAX_SIGMA: Final = 2.0


@dataclass(frozen=True, slots=True)
class NucleusStatistics:
    """Size, shape and density of one nucleus class in real tissue.

    Attributes
    ----------
    n : int
        Measured nuclei.
    log_area_mean, log_area_sd : float
        Mean and standard deviation of ln(area in um^2).
    quantiles, axis_ratio_quantiles : tuple of float
        Levels, and the minor / major axis ratio at each.
    roughness : tuple of float
        Root mean square amplitude of each of `HARMONICS` as a share of the radius.
    density : float
        Nuclei of the class per mm^2 in the 64 um around a nucleus of it; median.
    """

    n: int
    log_area_mean: float
    log_area_sd: float
    quantiles: tuple[float, ...]
    axis_ratio_quantiles: tuple[float, ...]
    roughness: tuple[float, ...]
    density: float


def nucleus_statistics(class_id: int) -> NucleusStatistics:
    """Return the statistics of a nucleus class.

    Raises
    ------
    InvalidRequest
        When the id is not 1-6.
    """
    if class_id not in range(1, N_CLASSES + 1):
        raise InvalidRequest(
            f"expected a nucleus class from 1 to {N_CLASSES}, got {class_id!r}; "
            "choose one of " + ", ".join(CLASS_NAMES)
        )
    return _statistics()[class_id - 1]


def draw_nucleus(
    class_id: int,
    mpp: float,
    rng: np.random.Generator,
    rotation: float | None = None,
    *,
    size: float | None = None,
    ratio: float | None = None,
) -> NDArray[np.bool_]:
    """Draw one nucleus of a class with random shape and, unless given, size and orientation.

    Parameters
    ----------
    class_id : int
        1-6.
    mpp : float
        Micrometres per pixel.
    rng : numpy.random.Generator
        Source of the draw.
    rotation : float, optional
        Of the long axis, in radians from the direction of x towards that of y.
    size : float, optional
        In standard deviations of the logarithm of the area from what is usual.
    ratio : float, optional
        Of the short axis to the long one, 0-1.

    Returns
    -------
    (n, n) bool
        The nucleus, star-shaped about the middle pixel; n is odd.
    """
    statistics = nucleus_statistics(class_id)
    usual = rng.standard_normal()
    sigma = float(np.clip(usual if size is None else size, -_MAX_SIGMA, _MAX_SIGMA))
    area = math.exp(statistics.log_area_mean + sigma * statistics.log_area_sd) / mpp**2
    level = rng.random()
    if ratio is None:
        ratio = float(np.interp(level, statistics.quantiles, statistics.axis_ratio_quantiles))
    major = math.sqrt(area / (math.pi * ratio))
    # An amplitude of rms a in a random phase: Rayleigh distributed with scale a / sqrt(2).
    amplitudes = rng.rayleigh(np.asarray(statistics.roughness) / math.sqrt(2))
    phases = rng.uniform(0, 2 * math.pi, len(HARMONICS))
    turned = rng.uniform(0, math.pi)
    rotation = turned if rotation is None else rotation

    reach = math.ceil(major * (1 + amplitudes.sum()))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float64)
    angle = np.arctan2(y, x) - rotation
    outline = major * ratio / np.hypot(ratio * np.cos(angle), np.sin(angle))
    stretched = np.arctan2(np.sin(angle) / ratio, np.cos(angle))
    waves = np.multiply.outer(np.asarray(HARMONICS), stretched) + phases[:, None, None]
    outline *= 1 + np.tensordot(amplitudes, np.cos(waves), axes=1)
    nucleus: NDArray[np.bool_] = np.hypot(y, x) <= outline
    return nucleus


@cache
def _statistics() -> tuple[NucleusStatistics, ...]:
    data = json.loads(STATISTICS_FILE.read_text(encoding="utf-8"))
    quantiles = tuple(data["quantiles"])
    return tuple(
        NucleusStatistics(
            n=entry["n"],
            log_area_mean=entry["log_area_mean"],
            log_area_sd=entry["log_area_sd"],
            quantiles=quantiles,
            axis_ratio_quantiles=tuple(entry["axis_ratio_quantiles"]),
            roughness=tuple(entry["roughness"]),
            density=entry["density"],
        )
        for entry in (data["classes"][name] for name in CLASS_NAMES)
    )
