"""Where fibres point: along a wall's muscle, elsewhere along the lines of a smooth landscape."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import Region
from napari_histodiff.layout.anatomy import Anatomy
from napari_histodiff.layout.nucleus_templates import turn_of
from napari_histodiff.layout.wall import WallPatch

__all__ = ["FibreDirections"]

_CELL: Final = 8  # pixels of a level that have one direction


class FibreDirections:
    """Directions of fibres as a function of the place.

    Parameters
    ----------
    anatomy : Anatomy

    Attributes
    ----------
    along : (places,) bool
        Where fibres lie along the wall, see `Anatomy.place`.
    """

    def __init__(self, anatomy: Anatomy) -> None:
        self._anatomy = anatomy
        layers = () if anatomy.wall is None else anatomy.wall.plan.layers
        self.along = np.array([*(layer.along for layer in layers), False])
        self._round = np.array([*(layer.round for layer in layers), False])

    def turns(
        self, y: NDArray[Any], x: NDArray[Any], place: Any, patch: WallPatch | None
    ) -> NDArray[np.int64]:
        """Return the turn that fibres have at points of level 0; -1 where they are cut across.

        Parameters
        ----------
        y, x : (n,)
            Points.
        place : (n,) int64, optional
            See `Anatomy.place`; None without a wall, as the patch.
        patch : WallPatch, optional
            Of a box that holds the points.
        """
        across = self._anatomy.fibres.across(y, x)
        turn = turn_of(across[1], -across[0])
        if patch is None:
            return turn
        inwards, _ = patch.axes(y, x)
        turn = np.where(self.along[place], turn_of(inwards[1], -inwards[0]), turn)
        return np.where(self._round[place], np.int64(-1), turn)

    def map(self, region: Region, refined: int) -> NDArray[np.uint8]:
        """Return 1 + the turn of each pixel of a region of the plane, 0 for none, (h, w) uint8.

        Parameters
        ----------
        region : Region
            Of any level.
        refined : int
            How many finer levels were added to the slide.
        """
        whole = region.snap(_CELL)
        ys, xs = (
            first + _CELL // 2 + _CELL * np.arange(side // _CELL, dtype=np.int64)
            for first, side in ((whole.y, whole.height), (whole.x, whole.width))
        )
        level = region.level - refined
        ys, xs = (at << level if level >= 0 else at >> -level for at in (ys, xs))
        y, x = (at.ravel() for at in np.meshgrid(ys, xs, indexing="ij"))
        wall, place, patch = self._anatomy.wall, None, None
        if wall is not None and len(y):
            patch = wall.over((int(ys[0]), int(ys[-1]), int(xs[0]), int(xs[-1])))
            depth, _, fade = patch.at(y, x)
            place = self._anatomy.place(depth, fade)
        cells = (1 + self.turns(y, x, place, patch)).astype(np.uint8).reshape(len(ys), len(xs))
        pixels = cells.repeat(_CELL, axis=0).repeat(_CELL, axis=1)
        return pixels[region.relative_to(whole).slices]
