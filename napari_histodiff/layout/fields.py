"""Smooth random fields on the plane, evaluated on lattices of pixels or at single points.

Value noise: hashed numbers on a square lattice, blended by smoothstep weights. Only additions and
products in a fixed order per pixel, so that a value never depends on what else is asked for.

Numbers that belong to a cell of an endless lattice: the same cell always draws the same ones.

SplitMix64's finaliser (Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
OOPSLA 2014) over (key, row, column); whole arrays at once.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import Region

__all__ = [
    "VALUE_SIGMA",
    "Pixels",
    "ValueNoise",
    "bits",
    "key_of",
    "threshold",
    "uniform",
    "uniforms",
    "whole",
]

#: Standard deviation of one octave of value noise in [-1, 1].
VALUE_SIGMA = 0.43


@dataclass(frozen=True, slots=True)
class Pixels:
    """A regular lattice of points of the plane, in pixels of level 0.

    Attributes
    ----------
    y, x : int, or float where `step` is below 1
        The first point; a multiple of `step`.
    step : int or float
        Distance of neighbours, a power of two; below 1 between the pixels of level 0.
    height, width : int
        Number of points.
    """

    y: float
    x: float
    step: float
    height: int
    width: int

    @classmethod
    def of(cls, region: Region, refined: int = 0) -> Pixels:
        """Return the points that stand for the pixels of a region: their first corners.

        With `refined`, the region is one of a slide that was refined so often: the points between
        the pixels of what was level 0 are those of its finer levels.
        """
        level = region.level - refined
        if level < 0:
            step = 0.5**-level
            return cls(region.y * step, region.x * step, step, region.height, region.width)
        return cls(region.y << level, region.x << level, 1 << level, region.height, region.width)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.height, self.width

    @property
    def ys(self) -> NDArray[Any]:
        """Rows of level 0, int64, or float64 where they lie between pixels."""
        return self.y + self.step * np.arange(self.height, dtype=np.int64)

    @property
    def xs(self) -> NDArray[Any]:
        """Columns of level 0, as `ys`."""
        return self.x + self.step * np.arange(self.width, dtype=np.int64)

    def part(self, row: int, col: int, height: int, width: int) -> Pixels:
        """Return some of the points, fewer where the lattice ends."""
        return Pixels(
            self.y + row * self.step,
            self.x + col * self.step,
            self.step,
            min(height, self.height - row),
            min(width, self.width - col),
        )

    @property
    def box(self) -> tuple[int, int, int, int]:
        """First and last row, first and last column of level 0, all inclusive."""
        last = min(1, self.step)
        bottom, right = (
            math.ceil(first + self.step * count - last)
            for first, count in ((self.y, self.height), (self.x, self.width))
        )
        return math.floor(self.y), bottom, math.floor(self.x), right


@dataclass(frozen=True, slots=True)
class ValueNoise:
    """Octaves of value noise with values in [-sum(amplitudes), sum(amplitudes)].

    Parameters
    ----------
    seed, channel : int
        Which field.
    cells : tuple of int
        Lattice side of each octave in pixels of level 0, coarsest first.
    amplitudes : tuple of float
        Of each octave.
    """

    seed: int
    channel: int
    cells: tuple[int, ...]
    amplitudes: tuple[float, ...]

    @property
    def sigma(self) -> float:
        """Standard deviation over the plane."""
        return VALUE_SIGMA * math.hypot(*self.amplitudes)

    def rest(self, octave: int) -> float:
        """Return how much the octaves from this one on can add at the most."""
        return float(sum(self.amplitudes[octave:]))

    def octave(self, octave: int, pixels: Pixels) -> NDArray[np.float32]:
        """Return one octave on a lattice of points, (h, w) float32."""
        cell, (dy, dx) = self.cells[octave], self._offset(octave)
        rows, fy = _split(pixels.ys + dy, cell)
        cols, fx = _split(pixels.xs + dx, cell)
        r0, c0 = int(rows[0]), int(cols[0])
        lattice = self._corners(
            octave,
            np.arange(r0, int(rows[-1]) + 2)[:, None],
            np.arange(c0, int(cols[-1]) + 2)[None, :],
        )
        left = lattice[:, cols - c0]
        across = left + (lattice[:, cols - c0 + 1] - left) * fx
        top = across[rows - r0]
        top += (across[rows - r0 + 1] - top) * fy[:, None]
        return top

    def octave_at(self, octave: int, ys: NDArray[Any], xs: NDArray[Any]) -> NDArray[np.float32]:
        """Return one octave at single points of level 0, float32 of their shape."""
        cell, (dy, dx) = self.cells[octave], self._offset(octave)
        rows, fy = _split(ys + dy, cell)
        cols, fx = _split(xs + dx, cell)
        down, right = np.stack([rows, rows + 1])[:, None], np.stack([cols, cols + 1])[None, :]
        (a, b), (c, d) = self._corners(octave, down, right)
        top, bottom = a + (b - a) * fx, c + (d - c) * fx
        value: NDArray[np.float32] = top + (bottom - top) * fy
        return value

    def on(self, pixels: Pixels) -> NDArray[np.float32]:
        """Return the field on a lattice of points, (h, w) float32."""
        total = np.zeros(pixels.shape, np.float32)
        for octave in range(len(self.cells)):
            total += self.octave(octave, pixels)
        return total

    def at(self, ys: NDArray[Any], xs: NDArray[Any]) -> NDArray[np.float32]:
        """Return the field at single points of level 0, float32 of their shape."""
        total = np.zeros(np.broadcast_shapes(ys.shape, xs.shape), np.float32)
        for octave in range(len(self.cells)):
            total += self.octave_at(octave, ys, xs)
        return total

    def _offset(self, octave: int) -> tuple[int, int]:
        # Octaves whose lattices coincide would show their rows and columns.
        word = int(key_of(self.seed, self.channel, octave, 1))
        cell = self.cells[octave]
        return (word & 0xFFFFFFFF) * cell >> 32, (word >> 32) * cell >> 32

    def _corners(self, octave: int, rows: NDArray[Any], cols: NDArray[Any]) -> NDArray[np.float32]:
        amplitude = np.float32(2 * self.amplitudes[octave])
        values = uniform(key_of(self.seed, self.channel, octave), rows, cols)
        return (values - np.float32(0.5)) * amplitude


def threshold(field: ValueNoise, share: float) -> float:
    """Return the value above which a field lies in a share of the plane."""
    if share <= 0:
        return float("inf")
    return field.sigma * NormalDist().inv_cdf(1 - min(share, 0.999))


def whole(at: NDArray[Any]) -> NDArray[np.int64]:
    """Return the pixel of level 0 that each number lies in, int64."""
    return np.floor(at).astype(np.int64) if at.dtype.kind == "f" else at


def _split(at: NDArray[Any], cell: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    cells = whole(at) // cell
    t = (at - cells * cell).astype(np.float32) / np.float32(cell)
    return cells, t * t * (np.float32(3) - np.float32(2) * t)


_ROW: Final = np.uint64(0x9E3779B97F4A7C15)
_COLUMN: Final = np.uint64(0xD6E8FEB86659FD93)
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)
_WORD: Final = 2**64 - 1


@lru_cache(maxsize=4096)
def key_of(seed: int, *channels: int) -> np.uint64:
    """Return a key for `bits` from a seed and the numbers of a channel."""
    key = operator.index(seed) & _WORD  # _WORD is beyond NumPy's whole numbers
    for channel in channels:
        key = _mix_int((key * 0x9E3779B97F4A7C15 + channel + 1) & _WORD)
    return np.uint64(key)


def bits(key: np.uint64, rows: NDArray[Any], cols: NDArray[Any]) -> NDArray[np.uint64]:
    """Return 64 random bits for each cell; rows and columns are whole numbers and broadcast."""
    mixed = _mix((np.asarray(rows).astype(np.int64).view(np.uint64) * _ROW) ^ key)
    return _mix(mixed ^ (np.asarray(cols).astype(np.int64).view(np.uint64) * _COLUMN))


def uniform(key: np.uint64, rows: NDArray[Any], cols: NDArray[Any]) -> NDArray[np.float32]:
    """Return one number in [0, 1) for each cell, float32."""
    return (bits(key, rows, cols) >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)


def uniforms(
    key: np.uint64, rows: NDArray[Any], cols: NDArray[Any]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return three independent numbers in [0, 1) for each cell, float32, of one hash."""
    word = bits(key, rows, cols)
    scale, low = np.float32(2.0**-21), np.uint64(2**21 - 1)
    first, second, third = (
        ((word >> np.uint64(shift)) & low).astype(np.float32) * scale for shift in (0, 21, 42)
    )
    return first, second, third


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * _FIRST
    x = (x ^ (x >> np.uint64(27))) * _SECOND
    mixed: NDArray[np.uint64] = x ^ (x >> np.uint64(31))
    return mixed


def _mix_int(x: int) -> int:
    x = (x ^ (x >> 30)) * int(_FIRST) & _WORD
    x = (x ^ (x >> 27)) * int(_SECOND) & _WORD
    return x ^ (x >> 31)
