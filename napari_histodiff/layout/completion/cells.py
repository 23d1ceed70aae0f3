"""Cells of 4 um, fixed to the plane: between the pixels of a frame and the tissue network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import N_CLASSES
from napari_histodiff.layout.completion.unet import MULTIPLE
from napari_histodiff.layout.fields import Pixels, ValueNoise

__all__ = ["CELL", "CellGrid"]

#: Side of a cell in um.
CELL: Final = 4.0

_BLUR: Final = 0.8  # cells, of the borders between tissues
_WAVES: Final = 0.12  # how far noise moves them, as a share of a score


@dataclass(frozen=True, slots=True)
class CellGrid:
    """The cells that cover a frame, and as many around it as the network needs.

    Parameters
    ----------
    frame : Region
        In pixels of `mpp` um.
    mpp : float
        At most 4.
    """

    frame: Region
    mpp: float

    @property
    def region(self) -> Region:
        """The cells."""
        rows, cols = self._cells(0), self._cells(1)
        around = Region(0, rows[0], cols[0], rows[-1] - rows[0] + 1, cols[-1] - cols[0] + 1)
        return around.snap(MULTIPLE)

    def nuclei(self, classes: NDArray[np.uint8], union: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return which share of each cell nuclei of each class cover, those of none last."""
        shares = np.zeros((N_CLASSES + 1, *self.region.shape), np.float32)
        for class_id in np.unique(classes[union]).tolist():
            shares[class_id - 1] = self.share(union & (classes == class_id))
        return shares

    def share(self, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return which share of the frame's pixels in each cell a mask covers; 0 beyond it."""
        region = self.region
        (rows, tall), (cols, wide) = self._starts(0), self._starts(1)
        sums = np.add.reduceat(mask.astype(np.float32), tall, axis=0)
        sums = np.add.reduceat(sums, wide, axis=1)
        heights, widths = (
            np.diff([*starts, side])
            for starts, side in zip((tall, wide), self.frame.shape, strict=True)
        )
        out = np.zeros(region.shape, np.float32)
        out[np.ix_(rows - region.y, cols - region.x)] = sums / np.outer(heights, widths)
        return out

    def tissue(self, tissue: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the tissue that covers most of each cell, 0 where less than half is painted."""
        best = np.zeros(self.region.shape, np.uint8)
        painted = self.share(tissue > 0)
        highest = np.zeros(self.region.shape, np.float32)
        for number in np.unique(tissue[tissue > 0]).tolist():
            share = self.share(tissue == number)
            better = (share > highest) & (painted >= 0.5)
            best[better] = number
            np.maximum(highest, share, out=highest)
        return best

    def pixels(self, cells: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
        """Return a map of cells as one of pixels of the frame; borders are smooth, a bit wavy."""
        region, frame = self.region, self.frame
        ys = (frame.y + np.arange(frame.height) + 0.5) * self.mpp / CELL - region.y - 0.5
        xs = (frame.x + np.arange(frame.width) + 0.5) * self.mpp / CELL - region.x - 0.5
        best = np.zeros(frame.shape, np.uint8)
        highest = np.full(frame.shape, -1, np.float32)
        sides = tuple(max(2, round(side / self.mpp)) for side in (14.0, 7.0))
        points = Pixels(frame.y, frame.x, 1, frame.height, frame.width)
        for number in np.unique(cells).tolist():
            score = ndimage.gaussian_filter((cells == number).astype(np.float32), _BLUR)
            score = _between(score, ys, xs)
            waves = ValueNoise(seed + number, 83, sides, (_WAVES, _WAVES / 2))
            score *= 1 + waves.on(points)
            better = score > highest
            best[better] = number
            np.maximum(highest, score, out=highest)
        return best

    def _cells(self, axis: int) -> NDArray[np.int64]:
        first, count = ((self.frame.y, self.frame.height), (self.frame.x, self.frame.width))[axis]
        at = (first + np.arange(count, dtype=np.int64) + 0.5) * (self.mpp / CELL)
        return np.asarray(np.floor(at), np.int64)

    def _starts(self, axis: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        # Which cells hold pixels, and the first pixel of each.
        cells, starts = np.unique(self._cells(axis), return_index=True)
        return cells, starts


def _between(score: NDArray[np.float32], ys: NDArray[Any], xs: NDArray[Any]) -> NDArray[np.float32]:
    def split(at: NDArray[Any], side: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        low = np.clip(np.floor(at), 0, side - 2).astype(np.int64)
        return low, np.clip(at - low, 0, 1).astype(np.float32)

    rows, fy = split(ys, score.shape[0])
    cols, fx = split(xs, score.shape[1])
    across = score[:, cols] + (score[:, cols + 1] - score[:, cols]) * fx
    top = across[rows]
    return np.asarray(top + (across[rows + 1] - top) * fy[:, None], np.float32)
