"""Round things on a jittered lattice - glands, fat cells, vessels - that never overlap.

Each is star-shaped about its centre and given by its radius in 64 directions: an ellipse with
waves, held back softly before the line half-way to each neighbour. Directions are counted by the
"diamond angle", which needs no trigonometry, so that equal pixels get equal bits everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.layout.fields import Pixels, key_of, uniforms, whole

__all__ = [
    "ANGLES",
    "DIRECTIONS",
    "LatticePoints",
    "StarLattice",
    "everywhere",
    "inset",
    "paint",
    "smoothed",
]

#: Directions a radius is known in.
ANGLES: Final = 64

_WAVES: Final = (2, 3, 4, 5)
_LARGEST: Final = (
    0.85  # of the pitch: farther cells than the neighbours looked at stay out of reach
)
_CHUNK: Final = 60_000  # pixels evaluated at once; more leave the processor's cache


def _directions() -> NDArray[np.float32]:
    q = np.arange(ANGLES) * 4 / ANGLES - 1
    dy = np.where(q < 1, q, 2 - q)
    dx = np.where(q < 1, 1 - np.abs(dy), np.abs(dy) - 1)
    return (np.stack([dy, dx]) / np.hypot(dy, dx)).astype(np.float32)


#: Unit vectors (y, x) of the directions, (2, ANGLES).
DIRECTIONS: Final = _directions()

_SPREAD: Final = np.arccos(
    np.clip((np.roll(DIRECTIONS, -1, 1) * np.roll(DIRECTIONS, 1, 1)).sum(axis=0), -1, 1)
).astype(np.float32)
_TURN: Final = np.arctan2(DIRECTIONS[0], DIRECTIONS[1])
_COSINES: Final = np.cos(np.outer(_WAVES, _TURN)).astype(np.float32)
_SINES: Final = np.sin(np.outer(_WAVES, _TURN)).astype(np.float32)
_CIRCLE: Final = np.stack(
    [np.sin(np.arange(256) * np.pi / 128), np.cos(np.arange(256) * np.pi / 128)]
).astype(np.float32)


@dataclass(frozen=True, slots=True)
class LatticePoints:
    """Some of the things of a lattice.

    Attributes
    ----------
    rows, cols : (n,) int64
        Their cells.
    y, x : (n,) int64
        Their centres in pixels of level 0.
    outer : (n, ANGLES) float32
        Radius in pixels of level 0.
    """

    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    y: NDArray[np.int64]
    x: NDArray[np.int64]
    outer: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, chosen: NDArray[Any]) -> LatticePoints:
        return LatticePoints(
            self.rows[chosen],
            self.cols[chosen],
            self.y[chosen],
            self.x[chosen],
            self.outer[chosen],
        )

    @property
    def reach(self) -> NDArray[np.float32]:
        """The largest radius of each, (n,) float32."""
        largest: NDArray[np.float32] = self.outer.max(axis=1)
        return largest


@dataclass(frozen=True, slots=True)
class StarLattice:
    """An endless lattice of star-shaped things.

    Parameters
    ----------
    seed, channel : int
        Which lattice.
    pitch : int
        Side of a cell in pixels of level 0; each cell holds one thing or none.
    gap : float
        Least distance of neighbours in pixels of level 0.
    radii : tuple of float
        Smallest and largest radius as a share of the pitch.
    stretch : float
        Largest ratio of the axes.
    roughness : float
        Size of the waves as a share of the radius.
    accept : callable
        Which cells hold one: maps rows, columns, centre y and centre x to bool, elementwise.
    skew : int
        How much rarer large ones are than small ones: the power of an even share of `radii`.
    """

    seed: int
    channel: int
    pitch: int
    gap: float
    radii: tuple[float, float]
    stretch: float
    roughness: float
    accept: Callable[..., NDArray[np.bool_]]
    skew: int = 1

    def filled(self) -> StarLattice:
        """Return the lattice with something in every cell."""
        return replace(self, accept=everywhere)

    def within(self, box: tuple[int, int, int, int]) -> LatticePoints:
        """Return what may reach into a box of level 0 (first and last row and column)."""
        pitch = self.pitch
        top, bottom = box[0] // pitch - 1, box[1] // pitch + 1
        left, right = box[2] // pitch - 2, box[3] // pitch + 1
        rows = np.arange(top - 2, bottom + 3)[:, None]
        cols = np.arange(left - 2, right + 3)[None, :]
        rows, cols = np.broadcast_arrays(rows, cols)
        jitter_y, jitter_x, _ = uniforms(key_of(self.seed, self.channel, 0), rows, cols)
        y = rows * pitch + (pitch * (0.12 + 0.76 * jitter_y)).astype(np.int64)
        # Odd rows stand half a cell aside, so that no columns show.
        x = (
            cols * pitch
            + rows % 2 * (pitch // 2)
            + (pitch * (0.12 + 0.76 * jitter_x)).astype(np.int64)
        )
        there = self.accept(rows, cols, y, x)
        core = np.s_[2:-2, 2:-2]
        chosen = np.nonzero(there[core])
        inverse = self._alone(rows[core][chosen], cols[core][chosen])
        for dr in range(5):
            for dc in range(5):
                if (dr, dc) != (2, 2):
                    window = np.s_[dr : dr + there.shape[0] - 4, dc : dc + there.shape[1] - 4]
                    inverse += self._pressure(
                        (y[window] - y[core])[chosen],
                        (x[window] - x[core])[chosen],
                        there[window][chosen],
                    )
        # The eighth root of a sum of eighth powers: the smallest limit, with rounded corners.
        outer = np.float32(1) / np.sqrt(np.sqrt(np.sqrt(inverse)))
        cells = rows[core][chosen], cols[core][chosen]
        return LatticePoints(
            *cells, y[core][chosen], x[core][chosen], np.asarray(outer, np.float32)
        )

    def _alone(self, rows: NDArray[Any], cols: NDArray[Any]) -> NDArray[np.float32]:
        # The shape without neighbours: 1 / radius**8 in each direction, (n, ANGLES).
        size, stretch, turn = uniforms(key_of(self.seed, self.channel, 1), rows, cols)
        share = size
        for _ in range(self.skew - 1):  # not a power, whose bits differ between machines
            size = size * share
        low, high = self.radii
        mean = self.pitch * (low + (high - low) * size)
        root = np.sqrt(1 + (self.stretch - 1) * stretch * stretch)
        axis = _CIRCLE[:, (turn * 256).astype(np.int64)]
        along = axis[0][:, None] * DIRECTIONS[0] + axis[1][:, None] * DIRECTIONS[1]
        across = axis[0][:, None] * DIRECTIONS[1] - axis[1][:, None] * DIRECTIONS[0]
        a, b = (mean * root)[:, None], (mean / root)[:, None]
        inverse = (along / a) * (along / a) + (across / b) * (across / b)
        wave = np.ones_like(inverse)
        for index, order in enumerate(_WAVES):
            height, phase, _ = uniforms(key_of(self.seed, self.channel, 2 + index), rows, cols)
            sine, cosine = _CIRCLE[:, (phase * 256).astype(np.int64)]
            amplitude = height * np.float32(self.roughness * 2 / order)
            wave += (amplitude * cosine)[:, None] * _COSINES[index]
            wave += (amplitude * sine)[:, None] * _SINES[index]
        wave = np.maximum(wave, np.float32(0.5))
        inverse /= wave * wave
        inverse *= inverse
        inverse *= inverse
        floor = np.float32(1.0 / (_LARGEST * self.pitch) ** 8)
        result: NDArray[np.float32] = np.maximum(inverse, floor)
        return result

    def _pressure(
        self, dy: NDArray[Any], dx: NDArray[Any], there: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        dy, dx = dy.astype(np.float32), dx.astype(np.float32)
        distance = np.sqrt(dy * dy + dx * dx)
        limit = np.maximum(distance - np.float32(self.gap), 4) * distance * np.float32(0.5)
        scale = np.where(there, 1 / limit, np.float32(0))
        toward = (dy * scale)[:, None] * DIRECTIONS[0] + (dx * scale)[:, None] * DIRECTIONS[1]
        toward = np.maximum(toward, 0)
        toward *= toward
        toward *= toward
        toward *= toward
        result: NDArray[np.float32] = toward
        return result


def inset(
    radii: NDArray[np.float32], depth: NDArray[np.float32] | np.float32
) -> NDArray[np.float32]:
    """Return the outlines moved inwards by a depth, (n, ANGLES) float32, negative past the middle.

    The depth, a number or (n, 1) float32, is measured across the border, not along the radius.
    """
    slope = (np.roll(radii, -1, 1) - np.roll(radii, 1, 1)) / (_SPREAD * radii)
    moved: NDArray[np.float32] = radii - depth * np.sqrt(1 + np.minimum(slope * slope, 3))
    return moved


def smoothed(radii: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return outlines smoothed over directions, (n, ANGLES) float32, so that they have no kinks."""
    for step in (1, 2, 3):
        sides = np.roll(radii, step, axis=1) + np.roll(radii, -step, axis=1)
        radii = (radii + radii + sides) * np.float32(0.25)
    return radii


def everywhere(
    rows: NDArray[Any], cols: NDArray[Any], y: NDArray[Any], x: NDArray[Any]
) -> NDArray[np.bool_]:
    """Accept each cell of a lattice."""
    return np.ones(y.shape, np.bool_)


def paint(
    out: NDArray[np.uint8],
    pixels: Pixels,
    stars: LatticePoints,
    layers: Sequence[tuple[NDArray[np.float32], NDArray[np.uint8]]],
) -> None:
    """Write the values of stars into the points that lie inside them.

    Parameters
    ----------
    out : (h, w) uint8
        Changed in place.
    pixels : Pixels
        The points of `out`.
    stars : LatticePoints
        What to draw.
    layers : sequence of ((n, ANGLES) float32, (n,) uint8)
        Radius in each direction and what to write inside it; the first is the largest, for example
        `stars.outer`, and the later ones are written over it.
    """
    largest = np.ceil(layers[0][0].max(axis=1, initial=0)).astype(np.int64)
    todo = np.nonzero(_meets(pixels, stars, largest))[0]
    sides = whole(2 * largest // pixels.step) + 2
    todo = todo[np.argsort(sides[todo], kind="stable")]
    tables = [_table(radii) for radii, _ in layers]
    while len(todo):
        count = max(1, _CHUNK // int(sides[todo[0]]) ** 2)
        chosen, todo = todo[:count], todo[count:]
        row, col, dy, dx, star = _boxes(
            pixels, stars, chosen, largest[chosen], int(sides[chosen[-1]])
        )
        squared = dy * dy + dx * dx
        at, part = _direction(dy, dx, star)
        for (_, values), table in zip(layers, tables, strict=True):
            low = np.take(table, at)
            radius = low + (np.take(table, at + 1) - low) * part
            inside = squared < radius * radius
            out[row[inside], col[inside]] = values[star[inside]]


def _table(radii: NDArray[np.float32]) -> NDArray[np.float32]:
    # Two more directions, so that a rounded up one needs no wrapping.
    return np.concatenate([radii, radii[:, :2]], axis=1).ravel()


def _meets(pixels: Pixels, stars: LatticePoints, reach: NDArray[np.int64]) -> NDArray[np.bool_]:
    top, bottom, left, right = pixels.box
    meets: NDArray[np.bool_] = (reach > 0) & (stars.y + reach >= top) & (stars.y - reach <= bottom)
    meets &= (stars.x + reach >= left) & (stars.x - reach <= right)
    return meets


def _boxes(
    pixels: Pixels,
    stars: LatticePoints,
    chosen: NDArray[np.int64],
    reach: NDArray[np.int64],
    side: int,
) -> tuple[NDArray[Any], ...]:
    # The points of `pixels` around each star within its reach: row, column, vector, star.
    steps = np.arange(side)
    iy = -whole((pixels.y - stars.y[chosen] + reach) // pixels.step)[:, None] + steps
    ix = -whole((pixels.x - stars.x[chosen] + reach) // pixels.step)[:, None] + steps
    if len(chosen) == 1:
        # One large star: only the part of its box that is looked at.
        iy = iy[:, (iy[0] >= 0) & (iy[0] < pixels.height)]
        ix = ix[:, (ix[0] >= 0) & (ix[0] < pixels.width)]
    dy = (pixels.y + iy * pixels.step - stars.y[chosen][:, None]).astype(np.float32)
    dx = (pixels.x + ix * pixels.step - stars.x[chosen][:, None]).astype(np.float32)
    farthest = (reach * reach).astype(np.float32)[:, None, None]
    near = (dy * dy)[:, :, None] + (dx * dx)[:, None, :] <= farthest
    near &= ((iy >= 0) & (iy < pixels.height))[:, :, None]
    near &= ((ix >= 0) & (ix < pixels.width))[:, None, :]
    box, row, col = np.nonzero(near)
    return iy[box, row], ix[box, col], dy[box, row], dx[box, col], chosen[box]


def _direction(
    dy: NDArray[np.float32], dx: NDArray[np.float32], star: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    # Where the direction of a vector stands in the star's row of a table, and how far beyond.
    q = dy / np.maximum(np.abs(dy) + np.abs(dx), np.float32(0.5))
    q = np.where(dx < 0, 2 - q, q)
    q += np.float32(1)
    q *= np.float32(ANGLES / 4)
    whole = q.astype(np.int64)
    q -= whole
    whole += star * (ANGLES + 2)
    return whole, q
