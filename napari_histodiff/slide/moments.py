"""Which tiles went stale when, so that one drawn from older pixels is not taken for fresh."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import TileAddress
from napari_histodiff.slide.cones import Cone

__all__ = ["Moments"]


class Moments:
    """Counts the edits made since the slide was opened, and remembers whom each made stale."""

    def __init__(self) -> None:
        #: How many there were.
        self.now = 0
        self._all = 0
        self._last: dict[int, NDArray[np.uint32]] = {}

    def stale(self, cone: Cone) -> None:
        """Take note that what the tiles of a cone are drawn from changes."""
        self.now += 1
        for level, grid in cone.items():
            last = self._last.get(level)
            if last is None or last.shape != grid.shape:
                last = self._last[level] = np.zeros(grid.shape, np.uint32)
            last[grid] = self.now

    def is_stale(self, tile: TileAddress, since: int) -> bool:
        """Return whether what a tile is drawn from has changed after a moment."""
        last = self._last.get(tile.level)
        if self._all > since:
            return True
        return last is not None and int(last[tile.row, tile.col]) > since

    def all_stale(self) -> None:
        """Take note that everything changes."""
        self.now += 1
        self._all = self.now
        self._last.clear()
