"""An endless plane of pixels that holds only the tiles somebody wrote to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_histodiff.core.geometry import Region, WindowGrid

__all__ = ["SparsePlane"]

Scalar = TypeVar("Scalar", bound=np.generic)


class SparsePlane(Generic[Scalar]):
    """Pixels of a level, zero where nothing was written; memory follows what was written.

    Parameters
    ----------
    dtype : DTypeLike
        Type of a value.
    channels : tuple of int
        Shape of one pixel; () for a plane of numbers.
    tile : int
        Side of a stored square in pixels.
    """

    def __init__(
        self, dtype: DTypeLike, channels: tuple[int, ...] = (), *, tile: int = 256
    ) -> None:
        self._dtype = np.dtype(dtype)
        self._channels = channels
        self._grid = WindowGrid(tile, tile)
        self._tiles: dict[Region, NDArray[Scalar]] = {}

    def __len__(self) -> int:
        return len(self._tiles)

    def read(self, region: Region) -> NDArray[Scalar]:
        """Return a copy of the pixels of `region`, (h, w, *channels)."""
        result: NDArray[Scalar] = np.zeros((*region.shape, *self._channels), self._dtype)
        for tile, part in self._parts(region):
            stored = self._tiles.get(tile)
            if stored is not None:
                here, there = part.relative_to(region).slices, part.relative_to(tile).slices
                result[here] = stored[there]
        return result

    def write(self, region: Region, pixels: NDArray[Scalar]) -> list[Region]:
        """Set the pixels of `region` and return the tiles touched; tiles left zero are dropped."""
        touched = []
        for tile, part in self._parts(region):
            block = pixels[part.relative_to(region).slices]
            stored = self._tiles.get(tile)
            if stored is None:
                if not block.any():
                    continue
                stored = np.zeros((*tile.shape, *self._channels), self._dtype)
                self._tiles[tile] = stored
            stored[part.relative_to(tile).slices] = block
            if not stored.any():
                del self._tiles[tile]
            touched.append(tile)
        return touched

    def tile(self, tile: Region) -> NDArray[Scalar] | None:
        """Return the live array of a tile that `write` named, None when it was dropped."""
        return self._tiles.get(tile)

    def _parts(self, region: Region) -> Iterator[tuple[Region, Region]]:
        for tile in self._grid.covering(region):
            yield tile, tile.intersect(region)
