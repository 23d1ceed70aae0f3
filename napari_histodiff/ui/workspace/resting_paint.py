"""The paint of an image outside the frame: what was painted there, today or on earlier days."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.workspace.journal import SparsePlane
from napari_histodiff.ui.workspace.targets import Target

__all__ = ["PLANES", "RestingPaint"]

#: What is painted.
PLANES: Final = ("nuclei", "tissue", "edit mask")

#: Paint that is kept beyond the window, where the image can; an edit mask is for one edit only.
_KEPT: Final = ("nuclei", "tissue")


class RestingPaint:
    """Paint by its place and level; what the target kept of it is looked up once.

    Parameters
    ----------
    target : Target
        The image.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._planes: dict[str, SparsePlane[Any]] = {
            "nuclei": SparsePlane(np.int32),
            "tissue": SparsePlane(np.uint8),
            "edit mask": SparsePlane(np.uint8),
        }
        self._looked_up: set[tuple[str, Region]] = set()

    def read(self, plane: str, region: Region) -> NDArray[Any]:
        """Return a copy of the paint of a region, (h, w).

        Parameters
        ----------
        plane : str
            "nuclei", "tissue" or "edit mask".
        region : Region
            Where; empty where nobody painted.
        """
        paint = self._planes[plane]
        for tile in paint.tiles_of(region) if plane in _KEPT else ():
            if (plane, tile) not in self._looked_up:
                self._looked_up.add((plane, tile))
                kept = self._target.kept_paint(plane, tile)
                if kept is not None:
                    paint.write(tile, kept)
        return paint.read(region)

    def forget(self) -> None:
        """Read anew what the target keeps, because it was changed there."""
        self._planes |= {"nuclei": SparsePlane(np.int32), "tissue": SparsePlane(np.uint8)}
        self._looked_up.clear()

    def write(self, plane: str, region: Region, painted: NDArray[Any]) -> None:
        """Let the paint of a region rest; it was read before."""
        self._planes[plane].write(region, painted)

    def plane(self, plane: str) -> SparsePlane[Any]:
        """Return all that rests of one kind of paint, as far as it was looked up."""
        return self._planes[plane]
