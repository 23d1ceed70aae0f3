"""Lymphoid aggregates: blobs on a wide jittered lattice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.layout.fields import Pixels
from napari_histodiff.core.layout.hashing import key_of, uniforms

__all__ = ["Aggregates"]

_CHUNK: Final = 200_000  # points evaluated at once


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
    """

    seed: int
    pitch: int
    share: float
    radii: tuple[float, float] = (0.09, 0.24)

    def at(self, ys: NDArray[Any], xs: NDArray[Any]) -> NDArray[np.float32]:
        """Return 0 outside to 1 inside at points of level 0, float32 of their shape."""
        total = np.zeros(np.broadcast_shapes(ys.shape, xs.shape), np.float32)
        if self.share <= 0:
            return total
        row, col = ys // self.pitch, xs // self.pitch
        for dr in (-1, 0, 1):
            for dc in (-1, 0, 1):
                np.maximum(total, self._one(ys, xs, row + dr, col + dc), out=total)
        return total

    def on(self, pixels: Pixels) -> NDArray[np.float32]:
        """Return the same on a lattice of points, (h, w) float32."""
        total = np.zeros(pixels.shape, np.float32)
        top, bottom, left, right = pixels.box
        rows = np.arange(top // self.pitch - 1, bottom // self.pitch + 2)
        cols = np.arange(left // self.pitch - 1, right // self.pitch + 2)
        rows, cols = (a.ravel() for a in np.meshgrid(rows, cols, indexing="ij"))
        there, _, _ = uniforms(key_of(self.seed, 51), rows, cols)
        rows, cols = rows[there < self.share], cols[there < self.share]
        reach = round(self.pitch * self.radii[1] * 1.2)
        side = 2 * reach // pixels.step + 2
        cy, cx, _, _ = self._shapes(rows, cols)
        iy = ((cy - reach - pixels.y) // pixels.step)[:, None] + np.arange(side)
        ix = ((cx - reach - pixels.x) // pixels.step)[:, None] + np.arange(side)
        for first in range(0, len(rows), max(1, _CHUNK // side**2)):
            some = slice(first, first + max(1, _CHUNK // side**2))
            y, x = iy[some, :, None], ix[some, None, :]
            inside = (y >= 0) & (y < pixels.height) & (x >= 0) & (x < pixels.width)
            item, row, col = np.nonzero(inside)
            y, x = y[item, row, 0], x[item, 0, col]
            value = self._one(
                pixels.y + y * pixels.step,
                pixels.x + x * pixels.step,
                rows[some][item],
                cols[some][item],
            )
            np.maximum.at(total, (y, x), value)
        return total

    def _one(self, ys: Any, xs: Any, row: Any, col: Any) -> NDArray[np.float32]:
        cy, cx, tall, wide = self._shapes(row, col)
        there, _, _ = uniforms(key_of(self.seed, 51), row, col)
        v, u = (ys - cy).astype(np.float32) / tall, (xs - cx).astype(np.float32) / wide
        inside = np.clip((1 - (v * v + u * u)) * np.float32(2.5), 0, 1)
        result: NDArray[np.float32] = np.where(there < self.share, inside, np.float32(0))
        return result

    def _shapes(self, row: Any, col: Any) -> tuple[Any, ...]:
        dy, dx, size = uniforms(key_of(self.seed, 50), row, col)
        _, stretch, _ = uniforms(key_of(self.seed, 51), row, col)
        low, high = self.radii
        radius = self.pitch * (low + (high - low) * size * size)
        return (
            row * self.pitch + (dy * self.pitch).astype(np.int64),
            col * self.pitch + (dx * self.pitch).astype(np.int64),
            radius * (np.float32(0.8) + np.float32(0.4) * stretch),
            radius * (np.float32(1.2) - np.float32(0.4) * stretch),
        )
