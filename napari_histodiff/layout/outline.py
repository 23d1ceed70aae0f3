"""Where there is tissue on the glass: pieces with smooth, ragged borders."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.recipe import LAYOUT
from napari_histodiff.layout.fields import Pixels, ValueNoise, key_of, uniform

__all__ = ["SMALL", "TissueOutline"]

#: A slide with a side below this many pixels of level 0 is filled with tissue.
SMALL: Final = 8192

_SLOPE: Final = 0.3  # height of an octave of the border's waves over its length
_SLOPES: Final = _SLOPE * 3 * 2**0.5  # no octave changes faster with distance
_FINEST: Final = 48.0  # um, length of the smallest waves of the border
#: Of the waves' height, by layout: few tears in a small slide, and small ones.
_FILLED: Final = MappingProxyType({1: 0.36, 2: 0.5})
_CLEAR: Final = 0.04  # of the waves' height, that the middle of a small slide rises above a tear
_EDGE: Final = 4.0
_STEEPEST: Final = 1.1  # no piece's value changes faster with distance


@dataclass(frozen=True, slots=True)
class TissueOutline:
    """The pieces of tissue of a slide, repeated with other shapes over the endless plane.

    Parameters
    ----------
    seed : int
        Of the layout.
    mpp : float
        Micrometres per pixel of level 0.
    home : tuple of int
        Height and width of the part of the plane from (0, 0) that one set of pieces is fitted to;
        with a side below `SMALL`, the plane is tissue with a few tears instead.
    sections : bool
        Whether walls bound the pieces across the longer side, and only their ends are cut here.
    single : bool
        Whether there is one piece instead of up to three.
    layout : int
        See `core.recipe.LAYOUT`.
    """

    seed: int
    mpp: float
    home: tuple[int, int]
    sections: bool = False
    single: bool = False
    layout: int = LAYOUT
    _waves: ValueNoise = field(init=False)
    _filled: float = field(init=False)

    def __post_init__(self) -> None:
        longest = 3000.0 / self.mpp if self.small else 0.16 * min(self.home)
        cells = []
        while longest * self.mpp > _FINEST:
            cells.append(max(2, round(longest)))
            longest /= 2
        waves = ValueNoise(self.seed, 1, tuple(cells), tuple(_SLOPE * cell for cell in cells))
        object.__setattr__(self, "_waves", waves)
        # A tear takes no more than half of a small slide.
        points = Pixels(0, 0, max(1, min(self.home) // 8), 9, 9)
        most = waves.rest(0)
        usual = float(np.median(waves.on(points))) if self.small else 0.0
        object.__setattr__(self, "_filled", max(_FILLED[self.layout] * most, _CLEAR * most - usual))

    @property
    def small(self) -> bool:
        """Whether the plane is filled with tissue."""
        return min(self.home) < SMALL

    def tissue(self, pixels: Pixels) -> NDArray[np.bool_]:
        """Return which points lie in tissue, (h, w) bool."""
        whole = self._whole(pixels)
        if whole is not None:
            return np.full(pixels.shape, whole)
        value = self._pieces(pixels)
        for octave in range(len(self._waves.cells)):
            value += self._waves.octave(octave, pixels)
            rest = self._waves.rest(octave + 1)
            if value.min() > rest or value.max() < -rest:
                break
        return value > 0

    def _whole(self, pixels: Pixels) -> bool | None:
        # Whether all points are tissue, or none, where their middle tells.
        top, bottom, left, right = pixels.box
        y, x = np.array([[(top + bottom) // 2]]), np.array([[(left + right) // 2]])
        reach = 0.5 * float(np.hypot(bottom - top + 2, right - left + 2))
        low, high = self._bounds(pixels, int(y[0, 0]), int(x[0, 0]), reach)
        for octave, cell in enumerate(self._waves.cells):
            rest = self._waves.rest(octave)
            if low > rest or high < -rest:
                return low > rest
            if cell < reach:
                break
            value = float(self._waves.octave_at(octave, y, x)[0, 0])
            low, high = low + value - _SLOPES * reach, high + value + _SLOPES * reach
        return None

    def _bounds(self, pixels: Pixels, y: int, x: int, reach: float) -> tuple[float, float]:
        # Between which values the pieces lie within reach of a point.
        if self.small:
            return self._filled, self._filled
        top, bottom, left, right = pixels.box
        row, col = top // self.home[0], left // self.home[1]
        if (bottom // self.home[0], right // self.home[1]) != (row, col):
            return -np.inf, np.inf
        at = np.array([[y - row * self.home[0]]]), np.array([[x - col * self.home[1]]])
        body, edge = (
            float(value[0, 0])
            for value in self._cell(row, col, at[0].astype(np.float32), at[1].astype(np.float32))
        )
        reach *= _STEEPEST
        return (
            min(body - reach, edge - _EDGE * reach),
            min(body + reach, edge + _EDGE * reach),
        )

    def _pieces(self, pixels: Pixels) -> NDArray[np.float32]:
        if self.small:
            return np.full(pixels.shape, self._filled, np.float32)
        value = np.empty(pixels.shape, np.float32)
        ys, xs = pixels.ys, pixels.xs
        rows, cols = ys // self.home[0], xs // self.home[1]
        for row in range(int(rows[0]), int(rows[-1]) + 1):
            y = (ys[rows == row] - row * self.home[0]).astype(np.float32)[:, None]
            for col in range(int(cols[0]), int(cols[-1]) + 1):
                x = (xs[cols == col] - col * self.home[1]).astype(np.float32)[None, :]
                body, edge = self._cell(row, col, y, x)
                value[np.ix_(rows == row, cols == col)] = np.minimum(body, edge)
        return value

    def _cell(
        self, row: int, col: int, y: NDArray[np.float32], x: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        # Both about the distance from the border, positive inside: of the pieces, and of the slide.
        key = key_of(self.seed, 2)
        cell = np.array([row])
        chance = [float(uniform(key, cell, np.array([col * 16 + i]))[0]) for i in range(16)]
        count = 1 if self.sections or self.single else 1 + (chance[0] > 0.5) + (chance[0] > 0.85)
        height, width = self.home
        wide = width >= height
        value = np.full(np.broadcast_shapes(y.shape, x.shape), -np.inf, np.float32)
        for piece in range(count):
            share = height / (1 if wide else count), width / (count if wide else 1)
            place = (0.5, piece + 0.5) if wide else (piece + 0.5, 0.5)
            a, b, c, d = chance[1 + 4 * piece : 5 + 4 * piece]
            cy = share[0] * (place[0] + 0.06 * (a - 0.5))
            cx = share[1] * (place[1] + 0.06 * (b - 0.5))
            ry, rx = share[0] * (0.34 + 0.12 * c), share[1] * (0.34 + 0.12 * d)
            v, u = (y - np.float32(cy)) / np.float32(ry), (x - np.float32(cx)) / np.float32(rx)
            if self.sections:
                v, u = (v * np.float32(0), u) if wide else (v, u * np.float32(0))
            # Between an ellipse and a rectangle, as a block is cut.
            inside = np.sqrt(np.sqrt(v * v * v * v + u * u * u * u + v * v * u * u))
            value = np.maximum(value, (1 - inside) * np.float32(min(ry, rx)))
        edge = np.minimum(np.minimum(y, height - y), np.minimum(x, width - x))
        # Steeper than the waves are high, so that nothing reaches the border of the slide.
        return value, np.float32(_EDGE) * (edge - np.float32(0.045 * min(self.home)))
