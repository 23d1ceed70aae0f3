"""How many nuclei of which class stroma and what lies in it hold, and so which one a place has."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.layout.anatomy import TUFT, Anatomy
from napari_histodiff.layout.fields import ValueNoise
from napari_histodiff.layout.layers import MUSCLE_NUCLEI
from napari_histodiff.layout.plan import CONNECTIVE
from napari_histodiff.layout.tissues.kinds import LYMPHOID, MUSCLE, STROMA

__all__ = ["NucleusDensities"]

_THICK: Final = (260.0, 90.0)  # um over which nuclei lie more or less close
_VESSEL_NUCLEI: Final = 11_000.0  # per mm^2
_TUFT_NUCLEI: Final = 7500.0
_LOOSER: Final = 0.35  # fewer nuclei in the middle of a follicle
_IN_SINUSES: Final = 0.3  # of those that cords of the same layer have
_THINNED: Final = 1.35  # of nuclei proposed side by side in lymphoid tissue, to one that finds room
_PER_MM2: Final = 1e-6


class NucleusDensities:
    """Classes of nuclei by chance, in cells of a lattice that hold one or none.

    Parameters
    ----------
    anatomy : Anatomy
    """

    def __init__(self, anatomy: Anatomy) -> None:
        self._anatomy, self._plan = anatomy, anatomy.plan
        span = tuple(round(length / anatomy.mpp) for length in _THICK)
        self._thickness = ValueNoise(anatomy.seed, 42, span, (0.35, 0.25))
        self._many = anatomy.densities
        layers = () if anatomy.wall is None else anatomy.wall.plan.layers
        self._sinuses = np.array([*(layer.sinuses for layer in layers), False])
        self._muscle = np.array(MUSCLE_NUCLEI, np.float32) * np.array(self._plan.densities)

    def classes(
        self,
        y: NDArray[Any],
        x: NDArray[Any],
        chance: NDArray[np.float32],
        place: NDArray[np.int64] | None,
        parts: NDArray[np.uint8],
        cell: int,
    ) -> NDArray[np.int64]:
        """Return the class at each point of level 0, -1 for none, (n,) int64.

        Parameters
        ----------
        y, x : (n,)
            Points.
        chance : (n,) float32
            A number from 0 to 1 of each.
        place : (n,) int64, optional
            See `Anatomy.place`; None without a wall.
        parts : (n,) uint8
            Tissue there.
        cell : int
            Side of a cell in pixels of level 0.
        """
        anatomy = self._anatomy
        crowded, muscle = anatomy.aggregates.at(y, x), np.zeros(len(y), np.bool_)
        many = 1 + self._thickness.at(y, x)
        if place is None:
            swing = many * (np.float32(0.4) + anatomy.mucosa_near(y, x))
            place, muscle = np.zeros(len(y), np.int64), parts == MUSCLE
        else:
            if (sinus := self._sinuses[place] & (parts == STROMA)).any():
                many = np.where(sinus, many * np.float32(_IN_SINUSES), many)
            swing = many
        if anatomy.sketch is not None:
            drawn = anatomy.sketch.at(y, x)
            crowded = np.where(drawn == LYMPHOID, np.float32(1), crowded)
            muscle = muscle | (drawn == MUSCLE)
        tuft = anatomy.glomeruli.at(y, x) > np.float32(TUFT)
        # Cells of germinal centres are large.
        loose = 1 - np.float32(_LOOSER) * anatomy.germinal.at(y, x)
        area = np.where(parts == LYMPHOID, np.float32(_THINNED), np.float32(1)) * self._area(cell)
        kind = np.full(len(y), -1, np.int64)
        total = np.zeros(len(y), np.float32)
        for index, crowd in enumerate(self._plan.crowd):
            share = many if index == CONNECTIVE else swing
            density = np.where(muscle, self._muscle[index], self._many[place, index] * share)
            density = density * (1 - crowded) + np.float32(crowd) * loose * crowded
            density = np.where(tuft, np.float32(_TUFT_NUCLEI * (index == CONNECTIVE)), density)
            upper = np.asarray(total + density * area, np.float32)
            kind[(chance >= total) & (chance < upper)] = index
            total = upper
        return kind

    def beside_vessels(self, chance: NDArray[np.float32], cell: int) -> NDArray[np.int64]:
        """Return the class at each point of a vessel's wall, -1 for none, (n,) int64."""
        share = np.float32(_VESSEL_NUCLEI) * self._area(cell)
        share *= np.float32(self._plan.densities[CONNECTIVE] > 0)
        return np.where(chance < share, CONNECTIVE, -1)

    def _area(self, cell: int) -> np.float32:
        return np.float32((cell * self._anatomy.mpp) ** 2 * _PER_MM2)
