"""What gathers in places: lymphoid aggregates, and large and small glands of a tumour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.layout.fields import Pixels, ValueNoise, key_of, uniforms

__all__ = ["Aggregates", "TumourGrowth"]

_FEW: Final = 6  # sites are looked at one by one
_BLOCK: Final = 4  # sites on a side that are remembered together
_KEPT: Final = 1024

_GROWTH: Final = (2100.0, 900.0, 380.0)  # um, lengths of the waves of a tumour's growth
_APART: Final = 0.12  # of the field that tells large from small glands: what lies between
_CROWDED: Final = 0.85  # share of a tumour's places that hold a gland, in the mean


@dataclass(frozen=True, slots=True)
class Aggregates:
    """How crowded with lymphocytes a place is.

    Parameters
    ----------
    seed : int
    pitch : int
        Distance of sites in pixels of level 0.
    share : float
        Share of the sites that carry one.
    radii : tuple of float
        Smallest and largest radius as a share of the pitch, below 0.5.
    channel : int
        Of the random numbers; the next one is used, too.
    accept : callable, optional
        Which of the sites may carry one: maps middles y and x to bool, elementwise.
    """

    seed: int
    pitch: int
    share: float
    radii: tuple[float, float] = (0.09, 0.24)
    channel: int = 50
    accept: Callable[[NDArray[Any], NDArray[Any]], NDArray[np.bool_]] | None = None
    _cache: dict[tuple[int, int], NDArray[np.bool_]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def at(self, ys: NDArray[Any], xs: NDArray[Any]) -> NDArray[np.float32]:
        """Return 0 outside to 1 inside at points of level 0, float32 of their shape."""
        total = np.zeros(np.broadcast_shapes(ys.shape, xs.shape), np.float32)
        if self.share <= 0 or total.size == 0:
            return total
        row, col = ys // self.pitch, xs // self.pitch
        top, left = int(row.min()) - 1, int(col.min()) - 1
        there = self._there(top, left, int(row.max()) + 2 - top, int(col.max()) + 2 - left)
        sites = np.nonzero(there)
        if len(sites[0]) <= _FEW:
            for site in range(len(sites[0])):
                at = slice(site, site + 1)
                inside = self._one(ys, xs, sites[0][at] + top, sites[1][at] + left)
                np.maximum(total, inside, out=total)
            return total
        for dr in (-1, 0, 1):
            for dc in (-1, 0, 1):
                held = there[row + (dr - top), col + (dc - left)]
                one = np.where(held, self._one(ys, xs, row + dr, col + dc), np.float32(0))
                np.maximum(total, one, out=total)
        return total

    def on(self, pixels: Pixels) -> NDArray[np.float32]:
        """Return the same on a lattice of points, (h, w) float32."""
        total = np.zeros(pixels.shape, np.float32)
        if self.share <= 0:
            return total
        top, bottom, left, right = pixels.box
        row, col = top // self.pitch - 1, left // self.pitch - 1
        height, width = bottom // self.pitch + 2 - row, right // self.pitch + 2 - col
        rows, cols = np.nonzero(self._there(row, col, height, width))
        shapes = self._shapes(rows + row, cols + col)
        ys, xs = pixels.ys, pixels.xs
        reach = self.pitch * self.radii[1] * 1.2
        for cy, cx, tall, wide in zip(*shapes, strict=True):
            y = slice(*np.searchsorted(ys, (cy - reach, cy + reach)))
            x = slice(*np.searchsorted(xs, (cx - reach, cx + reach)))
            if y.start < y.stop and x.start < x.stop:
                inside = _inside(ys[y, None] - cy, xs[None, x] - cx, tall, wide)
                np.maximum(total[y, x], inside, out=total[y, x])
        return total

    def _there(self, row: int, col: int, height: int, width: int) -> NDArray[np.bool_]:
        # Which of a block of sites carry one.
        if height > _BLOCK or width > _BLOCK:
            return self._sites(row, col, height, width)
        first, last = row // _BLOCK, (row + height - 1) // _BLOCK
        start, end = col // _BLOCK, (col + width - 1) // _BLOCK
        found = np.block(
            [[self._known(r, c) for c in range(start, end + 1)] for r in range(first, last + 1)]
        )
        row, col = row - first * _BLOCK, col - start * _BLOCK
        return found[row : row + height, col : col + width]

    def _known(self, row: int, col: int) -> NDArray[np.bool_]:
        # Asked for again and again around the same place.
        there = self._cache.get((row, col))
        if there is None:
            if len(self._cache) >= _KEPT:
                self._cache.clear()
            there = self._sites(row * _BLOCK, col * _BLOCK, _BLOCK, _BLOCK)
            self._cache[row, col] = there
        return there

    def _sites(self, row: int, col: int, height: int, width: int) -> NDArray[np.bool_]:
        rows, cols = np.arange(row, row + height)[:, None], np.arange(col, col + width)[None, :]
        chance, _, _ = uniforms(key_of(self.seed, self.channel + 1), rows, cols)
        there: NDArray[np.bool_] = chance < self.share
        if self.accept is not None and there.any():
            held = np.nonzero(there)
            y, x, _, _ = self._shapes(rows[held[0], 0], cols[0, held[1]])
            there[held] = self.accept(y, x)
        return there

    def _one(self, ys: Any, xs: Any, row: Any, col: Any) -> NDArray[np.float32]:
        cy, cx, tall, wide = self._shapes(row, col)
        return _inside(ys - cy, xs - cx, tall, wide)

    def _shapes(self, row: Any, col: Any) -> tuple[Any, ...]:
        dy, dx, size = uniforms(key_of(self.seed, self.channel), row, col)
        _, stretch, _ = uniforms(key_of(self.seed, self.channel + 1), row, col)
        low, high = self.radii
        radius = self.pitch * (low + (high - low) * size * size)
        return (
            row * self.pitch + (dy * self.pitch).astype(np.int64),
            col * self.pitch + (dx * self.pitch).astype(np.int64),
            radius * (np.float32(0.8) + np.float32(0.4) * stretch),
            radius * (np.float32(1.2) - np.float32(0.4) * stretch),
        )


def _inside(dy: Any, dx: Any, tall: Any, wide: Any) -> NDArray[np.float32]:
    v, u = dy.astype(np.float32) / tall, dx.astype(np.float32) / wide
    inside: NDArray[np.float32] = np.clip((1 - (v * v + u * u)) * np.float32(2.5), 0, 1)
    return inside


class TumourGrowth:
    """How large the glands of a tumour are, and how crowded, as a function of the place.

    Parameters
    ----------
    seed : int
    mpp : float
        Micrometres per pixel of level 0, which places are given in.
    """

    def __init__(self, seed: int, mpp: float) -> None:
        cells = tuple(max(2, round(length / mpp)) for length in _GROWTH)
        self._sizes = ValueNoise(seed, 28, cells, (0.7, 0.5, 0.3))
        self._crowding = ValueNoise(seed, 29, cells, (0.3, 0.25, 0.25))

    def share(self, y: NDArray[Any], x: NDArray[Any]) -> NDArray[np.float32]:
        """Return the share of places that hold a gland, float32; the others are its stroma."""
        share = np.clip(np.float32(_CROWDED) + self._crowding.at(y, x), 0.2, np.float32(0.97))
        return np.asarray(share, np.float32)

    def large(self, y: NDArray[Any], x: NDArray[Any]) -> NDArray[np.bool_]:
        """Return where glands are large, bool; `small` is nowhere near."""
        large: NDArray[np.bool_] = self._sizes.at(y, x) > 0
        return large

    def small(self, y: NDArray[Any], x: NDArray[Any]) -> NDArray[np.bool_]:
        """Return where glands are small, bool."""
        small: NDArray[np.bool_] = self._sizes.at(y, x) < -_APART
        return small
