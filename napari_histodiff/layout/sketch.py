"""A rough drawing of where which tissue of a slide is; what it leaves open the layout fills in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import TISSUE_NAMES, as_tissue_map
from napari_histodiff.layout.fields import Pixels, ValueNoise, whole

__all__ = ["Sketch"]

# How far noise moves the borders, as a share of the score of a class.
_WOBBLE: Final = 0.3
_SHARPER: Final = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Sketch:
    """A small tissue map laid over the plane.

    Parameters
    ----------
    classes : (h, w) uint8
        Ids of `TISSUE_NAMES`; 0 leaves the place to the layout, as does everything outside.
    pixel : int
        Side of a sketch pixel in pixels of level 0.
    origin : tuple of int
        Position (y, x) on the plane of the sketch's first pixel, in pixels of level 0.

    Raises
    ------
    InvalidMap
        When `classes` is not a tissue map.
    InvalidRequest
        When `pixel` is not positive or the sketch is empty.
    """

    classes: NDArray[np.uint8]
    pixel: int
    origin: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        classes = np.array(as_tissue_map(self.classes, len(TISSUE_NAMES)), copy=True)
        if self.pixel < 1 or classes.size == 0:
            raise InvalidRequest(
                f"expected a sketch of at least one pixel of side 1 or more, got shape "
                f"{classes.shape} and side {self.pixel}; draw something or leave the sketch out"
            )
        classes.setflags(write=False)
        object.__setattr__(self, "classes", classes)
        object.__setattr__(self, "pixel", int(self.pixel))
        object.__setattr__(self, "origin", (int(self.origin[0]), int(self.origin[1])))

    def sample(self, region: Region) -> NDArray[np.uint8]:
        """Return the class at each pixel of a region of the plane, (h, w) uint8.

        Level k equals level 0 at every 2**k-th pixel. Borders are smooth and a little wavy.
        """
        return self.on(Pixels.of(region))

    def on(self, pixels: Pixels) -> NDArray[np.uint8]:
        """Return the class at each point of a lattice, (h, w) uint8."""
        drawn = np.zeros(pixels.shape, np.uint8)
        # The border of the sketch itself is sharp: it usually ends where the slide does.
        height, width = (side * self.pixel for side in self.classes.shape)
        rows = _within(pixels.y - self.origin[0], pixels.step, pixels.height, height)
        cols = _within(pixels.x - self.origin[1], pixels.step, pixels.width, width)
        if len(rows) and len(cols):
            part = pixels.part(rows.start, cols.start, len(rows), len(cols))
            drawn[rows.start : rows.stop, cols.start : cols.stop] = self._smooth(part)
        return drawn

    def _smooth(self, pixels: Pixels) -> NDArray[np.uint8]:
        rows, fy = self._split(pixels.ys - self.origin[0])
        cols, fx = self._split(pixels.xs - self.origin[1])
        patch = self._patch(rows, cols)
        present = np.unique(patch)
        if len(present) == 1:
            return np.full(pixels.shape, present[0], np.uint8)
        cells = tuple(max(2, round(self.pixel * share)) for share in (1.0, 0.45, 0.2))
        best = np.zeros(pixels.shape, np.uint8)
        highest = np.full(pixels.shape, -1, np.float32)
        for number in present:
            score = _spline(_sharpened(patch == number), rows, cols, fy, fx)
            waves = ValueNoise(
                int(number), 77, cells, (_WOBBLE * 0.5, _WOBBLE * 0.3, _WOBBLE * 0.2)
            )
            score *= 1 + waves.on(pixels)
            better = score > highest
            best[better] = number
            np.maximum(highest, score, out=highest)
        return best

    def at(self, ys: NDArray[np.int64], xs: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the class of the sketch pixel at single points of level 0, without smoothing."""
        rows, cols = (ys - self.origin[0]) // self.pixel, (xs - self.origin[1]) // self.pixel
        height, width = self.classes.shape
        inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
        found = self.classes[np.clip(rows, 0, height - 1), np.clip(cols, 0, width - 1)]
        return np.where(inside, found, np.uint8(0))

    def _split(self, at: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        rows = whole(at) // self.pixel
        offset = (at - rows * self.pixel).astype(np.float32) / np.float32(self.pixel)
        return rows, offset

    def _patch(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.uint8]:
        # With two more pixels on each side, repeated where the sketch ends.
        around_y = np.arange(int(rows[0]) - 2, int(rows[-1]) + 3).clip(0, len(self.classes) - 1)
        around_x = np.arange(int(cols[0]) - 2, int(cols[-1]) + 3)
        around_x = around_x.clip(0, self.classes.shape[1] - 1)
        patch: NDArray[np.uint8] = self.classes[np.ix_(around_y, around_x)]
        return patch


def _within(first: float, step: float, count: int, side: int) -> range:
    # Which of `count` points from `first` on lie from 0 to below `side`.
    start = min(max(0, -int(first // step)), count)
    return range(start, max(start, min(count, -int((first - side) // step))))


def _sharpened(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    # Undoes the blur of the spline, so that a single painted pixel keeps most of its size.
    wide = mask.astype(np.float32)
    middle, side = np.float32(1 + 2 * _SHARPER), np.float32(_SHARPER)
    tall = middle * wide[1:-1] - side * (wide[:-2] + wide[2:])
    sharper = middle * tall[:, 1:-1] - side * (tall[:, :-2] + tall[:, 2:])
    return np.asarray(sharper, np.float32)


def _spline(
    patch: NDArray[np.float32],
    rows: NDArray[np.int64],
    cols: NDArray[np.int64],
    fy: NDArray[np.float32],
    fx: NDArray[np.float32],
) -> NDArray[np.float32]:
    # Quadratic B-spline: smooth contours.
    rows, cols = rows - rows[0], cols - cols[0]
    left, middle, right = _weights(fx)
    across = patch[:, cols] * left
    across += patch[:, cols + 1] * middle
    across += patch[:, cols + 2] * right
    top, centre, bottom = _weights(fy)
    value = across[rows] * top[:, None]
    value += across[rows + 1] * centre[:, None]
    value += across[rows + 2] * bottom[:, None]
    return value


def _weights(f: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
    half, one = np.float32(0.5), np.float32(1)
    before, after = half * (one - f) * (one - f), half * f * f
    return before, one - before - after, after
