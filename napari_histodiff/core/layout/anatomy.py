"""The architecture of the slide: which tissue is where, from large to small."""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.layout.aggregates import Aggregates
from napari_histodiff.core.layout.fibres import Fibres
from napari_histodiff.core.layout.fields import Field, Pixels
from napari_histodiff.core.layout.hashing import key_of, uniform
from napari_histodiff.core.layout.outline import Outline
from napari_histodiff.core.layout.plan import Plan
from napari_histodiff.core.layout.sketched import SketchedGlands
from napari_histodiff.core.layout.stars import DIRECTIONS, StarLattice, Stars, inset, paint
from napari_histodiff.core.maps import TISSUE_NAMES

if TYPE_CHECKING:
    from napari_histodiff.core.sketch import Sketch

__all__ = ["GLAND", "GLASS", "LUMEN", "STROMA", "Anatomy"]

GLAND, STROMA, LUMEN, GLASS = (
    TISSUE_NAMES.index(name) for name in ("gland", "stroma", "lumen", "glass")
)

_BLOCK: Final = 32_768  # pixels of level 0 worked on at once, for the memory's sake
_EPITHELIUM: Final = 30.0  # um, of a gland that was sketched alone


class Anatomy:
    """Tissue as a function of the place; everything in pixels of level 0.

    Parameters
    ----------
    seed : int
    plan : Plan
        What the caption asks for.
    mpp : float
        Micrometres per pixel of level 0.
    home : tuple of int
        See `Outline`.
    sketch : Sketch, optional
        Overrides the procedure where it is not 0.
    """

    def __init__(
        self, seed: int, plan: Plan, mpp: float, home: tuple[int, int], sketch: Sketch | None
    ) -> None:
        self.seed, self.plan, self.mpp, self.sketch = seed, plan, mpp, sketch
        self.sketched = None if sketch is None else SketchedGlands(sketch, mpp)
        self.outline = Outline(seed, mpp, home)
        span = float(np.clip(0.22 * min(home) * mpp, 700, 2600)) / mpp
        cells = tuple(max(2, round(span / part)) for part in (1, 2.1, 4.6, 9.7))
        self.zones = Field(seed, 3, cells, (1.0, 0.5, 0.3, 0.2))
        self.fatness = Field(seed, 4, cells, (1.0, 0.5, 0.25, 0.2))
        self.glands = StarLattice(
            seed, 10, round(plan.pitch / mpp), 13 / mpp, (0.37, 0.66), 2.2, 0.2, self._gland
        )
        self.bubbles = StarLattice(
            seed, 11, round(plan.bubble / mpp), 4.5 / mpp, (0.6, 0.95), 1.15, 0.05, self._bubble
        )
        self.vessels = StarLattice(
            seed, 12, round(420 / mpp), 60 / mpp, (0.02, 0.09), 1.8, 0.15, self._vessel
        )
        self.aggregates = Aggregates(seed, round(1200 / mpp), plan.aggregates)
        self.fibres = Fibres(seed, mpp)
        self.gland_above = threshold(self.zones, plan.glands)
        self.fat_above = threshold(self.fatness, plan.fat)

    def tissue(self, pixels: Pixels, glands: Stars | None = None) -> NDArray[np.uint8]:
        """Return the tissue at each point of a lattice, (h, w) uint8.

        `glands` may hold what `self.glands.within` found for this or a larger box.
        """
        out = np.empty(pixels.shape, np.uint8)
        side = max(1, _BLOCK // pixels.step)
        for row in range(0, pixels.height, side):
            for col in range(0, pixels.width, side):
                part = pixels.part(row, col, side, side)
                out[row : row + side, col : col + side] = self._tissue(part, glands)
        return out

    def _tissue(self, pixels: Pixels, glands: Stars | None) -> NDArray[np.uint8]:
        out = np.full(pixels.shape, STROMA, np.uint8)
        drawn = None if self.sketch is None else self.sketch.on(pixels)
        inside = self.outline.tissue(pixels)
        if inside.any() or drawn is not None:
            self._paint_bubbles(out, pixels, self.bubbles)
            self._paint_bubbles(out, pixels, self.vessels)
            found = self.glands.within(pixels.box) if glands is None else glands
            self._paint_glands(out, pixels, found)
        if drawn is None:
            out[~inside] = GLASS
            return out
        out[~inside & (drawn == 0)] = GLASS
        return self._overridden(out, drawn, pixels)

    def lumen(self, glands: Stars) -> NDArray[np.float32]:
        """Return the radius of each gland's lumen, (n, ANGLES) float32; 0 without one."""
        vary = uniform(key_of(self.seed, 23), glands.rows, glands.cols)
        thickness = np.float32(self.plan.thickness / self.mpp) * (np.float32(0.8) + vary * 0.5)
        inner = _smoothed(inset(glands.outer, thickness[:, None]))
        # Not into the epithelium where smoothing rounded off a dent.
        inner = np.minimum(inner, inset(glands.outer, thickness[:, None] * np.float32(0.6)))
        solid = self.nest(glands) | (inner.max(axis=1, initial=0) < 5 / self.mpp)
        inner[solid] = 0
        return np.maximum(inner, 0)

    def nest(self, glands: Stars) -> NDArray[np.bool_]:
        """Return which glands are solid nests, (n,) bool."""
        chance = uniform(key_of(self.seed, 20), glands.rows, glands.cols)
        nest: NDArray[np.bool_] = chance < self.plan.nests
        return nest

    def layers(self, glands: Stars) -> NDArray[np.int64]:
        """Return how many rows of nuclei each gland has, (n,) int64."""
        chance = uniform(key_of(self.seed, 22), glands.rows, glands.cols)
        rows = (np.float32(self.plan.layers) + chance).astype(np.int64)
        return np.where(self.nest(glands), 16, rows)

    def mucosa(self, y: NDArray[Any], x: NDArray[Any]) -> NDArray[np.float32]:
        """Return 0 far from glands to 1 among them at points of level 0, float32."""
        if self.gland_above == float("inf"):
            return np.full(y.shape, 0.5, np.float32)
        near = (self.zones.at(y, x) - np.float32(self.gland_above)) * np.float32(3) + 0.7
        return np.asarray(np.clip(near, 0, 1), np.float32)

    def _paint_glands(self, out: NDArray[np.uint8], pixels: Pixels, glands: Stars) -> None:
        n = len(glands)
        ring = glands.outer, np.full(n, GLAND, np.uint8)
        paint(out, pixels, glands, [ring, (self.lumen(glands), np.full(n, LUMEN, np.uint8))])

    def _paint_bubbles(self, out: NDArray[np.uint8], pixels: Pixels, lattice: StarLattice) -> None:
        bubbles = lattice.within(pixels.box)
        paint(out, pixels, bubbles, [(bubbles.outer, np.full(len(bubbles), LUMEN, np.uint8))])

    def _overridden(
        self, out: NDArray[np.uint8], drawn: NDArray[np.uint8], pixels: Pixels
    ) -> NDArray[np.uint8]:
        assert self.sketched is not None
        other = (drawn != 0) & (drawn != GLAND)
        out[other] = drawn[other]
        gland = drawn == GLAND
        if not gland.any():
            return out
        rows, cols = np.nonzero(gland)
        y, x = pixels.ys[rows], pixels.xs[cols]
        many = self.sketched.large(y, x)
        own = out[rows, cols]
        filled = np.where((own == GLAND) | (own == LUMEN), own, STROMA)
        deep = self.sketched.depth(y, x) > np.float32(_EPITHELIUM / self.mpp)
        alone = np.where(deep, LUMEN, GLAND)
        out[rows, cols] = np.where(many, filled, alone)
        return out

    def _gland(self, rows: Any, cols: Any, y: Any, x: Any) -> NDArray[np.bool_]:
        there: NDArray[np.bool_] = self.zones.at(y, x) > self.gland_above
        there &= self.fatness.at(y, x) < self.fat_above - 0.1
        there &= self.aggregates.at(y, x) < 0.2
        there &= uniform(key_of(self.seed, 21), rows, cols) < 0.93
        if self.sketch is None or self.sketched is None:
            return there
        pitch = self.glands.pitch
        drawn = self.sketch.at(y, x)
        for dy, dx in DIRECTIONS.T[::8]:
            py, px = y + int(0.5 * pitch * dy), x + int(0.5 * pitch * dx)
            beside = self.sketch.at(py, px)
            there &= (beside == 0) | (beside == GLAND) & self.sketched.large(py, px)
        wanted = self.sketched.large(y, x) & (self.sketched.depth(y, x) > 0.3 * pitch)
        return np.where(drawn == 0, there, (drawn == GLAND) & wanted)

    def _bubble(self, rows: Any, cols: Any, y: Any, x: Any) -> NDArray[np.bool_]:
        there: NDArray[np.bool_] = self.fatness.at(y, x) > self.fat_above
        return there if self.sketch is None else there & (self.sketch.at(y, x) == 0)

    def _vessel(self, rows: Any, cols: Any, y: Any, x: Any) -> NDArray[np.bool_]:
        there: NDArray[np.bool_] = uniform(key_of(self.seed, 24), rows, cols) < self.plan.vessels
        there &= self.zones.at(y, x) < self.gland_above - 0.12
        there &= self.fatness.at(y, x) < self.fat_above - 0.12
        return there if self.sketch is None else there & (self.sketch.at(y, x) == 0)


def _smoothed(radii: NDArray[np.float32]) -> NDArray[np.float32]:
    # Over directions, so that the lumen has no kinks.
    for step in (1, 2, 3):
        sides = np.roll(radii, step, axis=1) + np.roll(radii, -step, axis=1)
        radii = (radii + radii + sides) * np.float32(0.25)
    return radii


def threshold(field: Field, share: float) -> float:
    """Return the value above which a field lies in a share of the plane."""
    if share <= 0:
        return float("inf")
    return field.sigma * NormalDist().inv_cdf(1 - min(share, 0.999))
