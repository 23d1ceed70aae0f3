"""The architecture of the slide: which tissue is where, from large to small."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.layout.aggregates import Aggregates, TumourGrowth
from napari_histodiff.layout.fields import Pixels, ValueNoise, key_of, threshold, uniform
from napari_histodiff.layout.lining import THECA, GlandEpithelium
from napari_histodiff.layout.mucosa import Mucosa
from napari_histodiff.layout.outline import TissueOutline
from napari_histodiff.layout.plan import SlidePlan
from napari_histodiff.layout.sketched import SketchedGlands
from napari_histodiff.layout.star_lattice import (
    DIRECTIONS,
    LatticePoints,
    StarLattice,
    inset,
    paint,
)
from napari_histodiff.layout.tissues.kinds import (
    FAT,
    GLAND,
    GLASS,
    LUMEN,
    MUCUS,
    SEPTUM,
    STROMA,
    scaffold,
)
from napari_histodiff.layout.tissues.stroma import TUMOUR_FADE, Ground, StromaTissues
from napari_histodiff.layout.wall import Fibres, Wall

if TYPE_CHECKING:
    from napari_histodiff.layout.sketch import Sketch

__all__ = ["DUCTS", "TUFT", "Anatomy"]

#: Added to the rows of ducts, so that they are told from glands.
DUCTS: Final = 2**40

#: Of a glomerulus' inside, from which it is the tuft; less deep is Bowman's space.
TUFT: Final = 0.9

_CAPSULE, _BOWMAN = 0.37, 0.5  # of the same, where its capsule and space begin
_GERMINAL: Final = 0.58  # of a follicle's radius
_BLOCK: Final = 32_768  # pixels of level 0 worked on at once, for the memory's sake
_POINTS: Final = 16_384  # evaluated at once; more leave the processor's cache
_CORE: Final = 255  # in place of a tissue, where a nest may have small lumina
_APEX: Final = 254  # where an epithelium may have goblet cells
_RIM: Final = 15.0  # um around such a core
_HOLES: Final = 0.36
_EPITHELIUM: Final = 30.0  # um, of a gland that was sketched alone


class Anatomy:
    """Tissue as a function of the place; everything in pixels of level 0.

    Parameters
    ----------
    seed : int
    plan : SlidePlan
        What the caption asks for.
    mpp : float
        Micrometres per pixel of level 0.
    home : tuple of int
        See `TissueOutline`.
    sketch : Sketch, optional
        Overrides the procedure where it is not 0.
    """

    def __init__(
        self, seed: int, plan: SlidePlan, mpp: float, home: tuple[int, int], sketch: Sketch | None
    ) -> None:
        self.seed, self.plan, self.mpp, self.sketch = seed, plan, mpp, sketch
        self.sketched = None if sketch is None else SketchedGlands(sketch, mpp)
        sections = plan.wall is not None and plan.wall.ends
        single = plan.wall is not None and plan.wall.closed
        self.outline = TissueOutline(seed, mpp, home, sections, single, plan.layout)
        span = float(np.clip(0.22 * min(home) * mpp, 700, 2600)) / mpp
        cells = tuple(max(2, round(span / part)) for part in (1, 2.1, 4.6, 9.7))
        self.zones = ValueNoise(seed, 3, cells, (1.0, 0.5, 0.3, 0.2))
        self.fatness = ValueNoise(seed, 4, cells, (1.0, 0.5, 0.25, 0.2))
        self.gland_above = threshold(self.zones, plan.glands)
        self.fat_above = threshold(self.fatness, plan.fat)
        self.epithelium = GlandEpithelium(seed, plan, mpp)
        self.glands = StarLattice(
            seed,
            10,
            round(plan.pitch / mpp),
            plan.gap / mpp,
            plan.radii,
            plan.stretch,
            plan.roughness,
            self._gland,
            plan.skew,
        )
        gap, radii, stretch, rough, accept = (
            (14, (0.3, 0.75), 3.0, 0.45, self._large)
            if plan.tumour
            else (60, (0.08, 0.27), 2.2, 0.25, self._duct)
        )
        self.ducts = StarLattice(
            seed, 15, round(420 / mpp), gap / mpp, radii, stretch, rough, accept
        )
        self.growth = TumourGrowth(seed, mpp)
        self.wall, self.mucosa = None, None
        if plan.wall is not None:
            self.wall = Wall(seed, plan.wall, mpp, home, self.zones, self._wall_above, self.outline)
            if plan.wall.surface > 0 and plan.glands > 0:
                self.mucosa = Mucosa(seed, self.wall, mpp, plan.crypts, plan.tumour)
        sites, small, large = plan.follicles
        self.aggregates = Aggregates(
            seed,
            round(sites / mpp),
            plan.aggregates,
            (small / sites, large / sites),
            accept=self._aggregate if self.wall else None,
        )
        low, high = self.aggregates.radii
        #: Their pale middles.
        self.germinal = replace(self.aggregates, radii=(_GERMINAL * low, _GERMINAL * high))
        self.lobules = Aggregates(seed, round(950 / mpp), plan.lobules, (0.15, 0.4), 54)
        self.glomeruli = Aggregates(seed, round(600 / mpp), plan.glomeruli, (0.17, 0.21), 56)
        self.stroma = StromaTissues(
            Ground(
                seed,
                plan,
                mpp,
                self.wall,
                self.zones,
                self.gland_above,
                self.fatness,
                self.fat_above,
                self.aggregates,
                self.lobules,
                sketch,
            )
        )
        self.fibres = Fibres(seed, mpp)
        sides = tuple(max(2, round(side / mpp)) for side in (46, 21))
        self.holes = ValueNoise(seed, 27, sides, (1.0, 0.25))
        #: Nuclei of each class per mm^2 of stroma, (places, 6) float32, see `place`.
        self.densities = plan.densities_by_layer()

    def tissue(self, pixels: Pixels, glands: LatticePoints | None = None) -> NDArray[np.uint8]:
        """Return gland, stroma, lumen or glass at each point of a lattice, (h, w) uint8."""
        return scaffold(self.parts(pixels, glands))

    def parts(self, pixels: Pixels, glands: LatticePoints | None = None) -> NDArray[np.uint8]:
        """Return the tissue at each point of a lattice, (h, w) uint8, see `tissues.kinds`.

        `glands` may hold what `self.glands.within` found for this or a larger box.
        """
        out = np.empty(pixels.shape, np.uint8)
        side = max(1, int(_BLOCK // pixels.step))
        for row in range(0, pixels.height, side):
            for col in range(0, pixels.width, side):
                part = pixels.part(row, col, side, side)
                out[row : row + side, col : col + side] = self._parts(part, glands)
        return out

    def glands_within(self, box: tuple[int, int, int, int]) -> LatticePoints:
        """Return the glands, ducts among them, that may reach into a box of level 0."""
        glands = self.glands.within(box)
        if self.plan.ducts <= 0:
            return glands
        ducts = self.ducts.within(box)
        return LatticePoints(
            np.concatenate([glands.rows, ducts.rows + DUCTS]),
            *(
                np.concatenate([getattr(glands, name), getattr(ducts, name)])
                for name in ("cols", "y", "x", "outer")
            ),
        )

    def _parts(self, pixels: Pixels, glands: LatticePoints | None) -> NDArray[np.uint8]:
        out = np.full(pixels.shape, STROMA, np.uint8)
        drawn = None if self.sketch is None else self.sketch.on(pixels)
        inside = self.outline.tissue(pixels)
        if inside.any() or drawn is not None:
            self.stroma.paint(out, pixels)
            if self.wall is not None:
                self._paint_wall(out, pixels, inside, drawn)
            found = self.glands_within(pixels.box) if glands is None else glands
            self._paint_glands(out, pixels, found)
            if self.plan.glomeruli > 0:
                within = self.glomeruli.on(pixels)
                out[within > np.float32(_CAPSULE)] = STROMA
                out[within > np.float32(_BOWMAN)] = LUMEN
                out[within > np.float32(TUFT)] = STROMA
        if drawn is None:
            out[~inside] = GLASS
            return out
        out[~inside & (drawn == 0)] = GLASS
        return self._overridden(out, drawn, pixels)

    def _paint_wall(
        self,
        out: NDArray[np.uint8],
        pixels: Pixels,
        inside: NDArray[np.bool_],
        drawn: NDArray[np.uint8] | None,
    ) -> None:
        # Takes what lies above the surface from `inside`, and paints the epithelium.
        assert self.wall is not None
        deepest = 0.0 if self.mucosa is None else self.mucosa.deepest
        if pixels.step <= self.wall.node:
            patch = self.wall.over(pixels.box)
            if deepest < patch.depth.min() and patch.depth.max() < self.wall.whole_until:
                return
            depth, place, fade = patch.on(pixels)
        else:
            depth, place, fade = self.wall.on(pixels)
        inside &= depth > 0
        if depth.max() > self.wall.whole_until and (end := self.wall.end(pixels)) is not None:
            inside &= depth < end
        if self.mucosa is None:
            return
        here = inside & (depth < deepest)
        if drawn is not None:
            here &= drawn == 0
        at = np.flatnonzero(here)
        fade = fade.ravel()[at]
        if self.plan.aggregates > 0 and len(at):
            fade *= 1 - self.aggregates.on(pixels).ravel()[at]
        depth, place, flat = depth.ravel(), place.ravel(), out.reshape(-1)
        for first in range(0, len(at), _POINTS):
            some = at[first : first + _POINTS]
            basal, lumen = self.mucosa.inside(
                depth[some], place[some], fade[first : first + _POINTS]
            )
            lined = np.where(basal > 0, np.uint8(GLAND), flat[some])
            if self.plan.goblets > 0:
                apical = np.flatnonzero((basal > np.float32(THECA / self.mpp)) & ~lumen)
                y, x = np.divmod(some[apical], pixels.width)
                lined[apical[self.epithelium.goblets(pixels.ys[y], pixels.xs[x])]] = MUCUS
            flat[some] = np.where(lumen, np.uint8(LUMEN), lined)

    def place(self, depth: NDArray[np.float32], fade: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the row of `densities` for depths below the surface of the wall, int64."""
        assert self.wall is not None
        layer = self.wall.layer(depth)
        if not self.plan.tumour:
            return layer
        return np.where(fade < np.float32(TUMOUR_FADE), len(self.wall.edges), layer)

    def mucosa_near(self, y: NDArray[Any], x: NDArray[Any]) -> NDArray[np.float32]:
        """Return 0 far from glands to 1 among them at points of level 0, float32."""
        if self.gland_above == float("inf"):
            return np.full(y.shape, 0.5, np.float32)
        near = (self.zones.at(y, x) - np.float32(self.gland_above)) * np.float32(3) + 0.7
        return np.asarray(np.clip(near, 0, 1), np.float32)

    def _paint_glands(self, out: NDArray[np.uint8], pixels: Pixels, glands: LatticePoints) -> None:
        n, lumen = len(glands), self.epithelium.lumen(glands)
        layers = [(glands.outer, np.full(n, GLAND, np.uint8))]
        if self.plan.goblets > 0:
            apex = np.maximum(inset(glands.outer, np.float32(THECA / self.mpp)), 0)
            apex[self.epithelium.nest(glands)] = 0
            layers.append((apex, np.full(n, _APEX, np.uint8)))
        within = np.where(self.epithelium.secreting(glands), np.uint8(MUCUS), np.uint8(LUMEN))
        layers.append((lumen, within))
        if self.plan.pierced > 0:
            core = np.maximum(inset(glands.outer, np.float32(_RIM / self.mpp)), 0)
            chance = uniform(key_of(self.seed, 26), glands.rows, glands.cols)
            core[~self.epithelium.nest(glands) | (chance >= self.plan.pierced)] = 0
            layers.append((core, np.full(n, _CORE, np.uint8)))
        paint(out, pixels, glands, layers)
        apical, pierced = out == _APEX, out == _CORE
        if apical.any():
            y, x = np.nonzero(apical)
            goblets = self.epithelium.goblets(pixels.ys[y], pixels.xs[x])
            out[apical] = np.where(goblets, np.uint8(MUCUS), np.uint8(GLAND))
        if pierced.any():
            hole = self.holes.on(pixels) > np.float32(_HOLES)
            out[pierced] = np.where(hole[pierced], LUMEN, GLAND)

    def _overridden(
        self, out: NDArray[np.uint8], drawn: NDArray[np.uint8], pixels: Pixels
    ) -> NDArray[np.uint8]:
        assert self.sketched is not None
        other = (drawn != 0) & (drawn != GLAND)
        fat = (drawn == FAT) & (out != FAT)
        out[other] = drawn[other]
        out[fat] = SEPTUM
        gland = drawn == GLAND
        if not gland.any():
            return out
        rows, cols = np.nonzero(gland)
        y, x = pixels.ys[rows], pixels.xs[cols]
        many = self.sketched.large(y, x)
        own = out[rows, cols]
        filled = np.where(np.isin(own, (GLAND, LUMEN, MUCUS)), own, STROMA)
        deep = self.sketched.depth(y, x) > np.float32(_EPITHELIUM / self.mpp)
        alone = np.where(deep, LUMEN, GLAND)
        out[rows, cols] = np.where(many, filled, alone)
        return out

    @property
    def _wall_above(self) -> float:
        # Crypts give way to glands cut across and to tumours; other epithelia to tumours only.
        assert self.plan.wall is not None
        gives = self.plan.tumour or self.plan.wall.crypt > 0
        return self.gland_above if gives else float("inf")

    def _gland(self, rows: Any, cols: Any, y: Any, x: Any) -> NDArray[np.bool_]:
        share = self.growth.share(y, x) if self.plan.tumour else np.float32(self.plan.filled)
        there: NDArray[np.bool_] = uniform(key_of(self.seed, 21), rows, cols) < share
        if self.plan.tumour:
            there &= self.growth.small(y, x)
        if self.wall is not None:
            there &= self._held(self.wall, y, x)
        elif self.plan.lobules > 0:
            there &= self.lobules.at(y, x) > 0.3
        else:
            there &= self.zones.at(y, x) > self.gland_above
            margin = 0.0 if self.plan.air else 0.1  # bronchioles border on alveoli
            there &= self.fatness.at(y, x) < self.fat_above - margin
        if there.any():
            there &= self.aggregates.at(y, x) < 0.2
            there &= self.glomeruli.at(y, x) < _BOWMAN
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

    def _held(self, wall: Wall, y: Any, x: Any) -> NDArray[np.bool_]:
        # Which middles of glands lie in a layer that has some, whole if it is no tumour.
        depth, _, fade = wall.near(y, x)
        gone = fade <= 0 if np.isfinite(self._wall_above) else self._dense(y, x)
        if self.plan.tumour:
            return gone & (depth > 0)
        layer = wall.layer(depth)
        held = wall.holds("glands", depth)
        own = np.float32(0.5 * self.glands.pitch)
        ends = np.append(wall.edges[1:], np.float32(np.inf))
        surface = np.float32(0 if self.mucosa is None else self.mucosa.surface)
        held &= depth > wall.edges[layer] + own + np.where(layer == 0, surface, np.float32(0))
        within: NDArray[np.bool_] = held & gone & (depth < ends[layer] - own)
        return within

    def _dense(self, y: Any, x: Any) -> NDArray[np.bool_]:
        dense: NDArray[np.bool_] = self.zones.at(y, x) > self.gland_above
        return dense

    def _large(self, rows: Any, cols: Any, y: Any, x: Any) -> NDArray[np.bool_]:
        # Large glands of a tumour, where all that is around belongs to them.
        chance = uniform(key_of(self.seed, 25), rows, cols)
        there: NDArray[np.bool_] = chance < self.growth.share(y, x)
        at, py, px = self._around(there, y, x, 0.6)
        free = self.growth.large(py, px).all(axis=0)
        held = self._dense(y, x) if self.wall is None else self._held(self.wall, y, x)
        free &= held[at]
        if self.wall is None:
            free &= self.fatness.at(py, px).max(axis=0) < self.fat_above
        free &= self.aggregates.at(py, px).max(axis=0) < 0.2
        there[at] &= free
        return there

    def _duct(self, rows: Any, cols: Any, y: Any, x: Any) -> NDArray[np.bool_]:
        there: NDArray[np.bool_] = uniform(key_of(self.seed, 25), rows, cols) < self.plan.ducts
        at, py, px = self._around(there, y, x, 0.45)
        free = (self.lobules.at(py, px) == 0).all(axis=0)
        free &= (self.fatness.at(py, px) < self.fat_above).all(axis=0)
        there[at] &= free
        return there

    def _around(
        self, there: NDArray[np.bool_], y: Any, x: Any, share: float
    ) -> tuple[tuple[NDArray[Any], ...], NDArray[Any], NDArray[Any]]:
        # Which cells remain where nothing was sketched, and points around their middles.
        far = np.rint(share * self.ducts.pitch * DIRECTIONS[:, ::8]).astype(np.int64)
        at = np.nonzero(there)
        py, px = y[at] + far[0][:, None], x[at] + far[1][:, None]
        if self.sketch is not None:
            there[at] = (self.sketch.at(py, px) == 0).all(axis=0)
        return at, py, px

    def _aggregate(self, y: NDArray[Any], x: NDArray[Any]) -> NDArray[np.bool_]:
        assert self.wall is not None
        depth, _, _ = self.wall.direct(y, x)
        return self.wall.holds("aggregates", depth)
