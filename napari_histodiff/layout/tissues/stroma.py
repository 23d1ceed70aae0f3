"""What stroma holds: muscle, fat or alveoli, lymphoid tissue, and vessels with wall and blood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.layout.aggregates import Aggregates
from napari_histodiff.layout.fields import Pixels, ValueNoise, key_of, threshold, uniform, uniforms
from napari_histodiff.layout.plan import SlidePlan
from napari_histodiff.layout.star_lattice import LatticePoints, StarLattice, inset, paint
from napari_histodiff.layout.tissues.kinds import (
    BLOOD,
    FAT,
    FAT_CELLS,
    LUMEN,
    LYMPHOID,
    MUSCLE,
    SEPTUM,
    STROMA,
    VESSEL,
)
from napari_histodiff.layout.wall import Wall

if TYPE_CHECKING:
    from napari_histodiff.layout.sketch import Sketch

__all__ = ["TUMOUR_FADE", "Ground", "StromaTissues"]

#: Where the wall is fainter than that, it is the tumour's stroma.
TUMOUR_FADE: Final = 0.4

_CROWDED: Final = 0.5  # of an aggregate's inside, from which it is lymphoid tissue
_FRAY: Final = ((170.0, 12.0), (62.0, 6.0), (24.0, 3.0))  # um: length and height of what it swings
_SEPTA: Final = (340.0, 130.0)  # um between the fibrous septa of muscle
_SEPTUM_WIDTH: Final = 0.03  # of the field whose zeros they are
_SINUS_WIDTH: Final = 0.11  # the same between cords of lymphoid tissue
_ARTERIES: Final = 0.4  # of the vessels; the others have hardly a wall
_FULL, _HALF = 0.5, 0.75  # shares of vessels filled with blood, and filled or half filled
_CLOT: Final = 0.62  # of the lumen's radius, in those half filled
_THICKEST: Final = 34.0  # um, of an artery's wall
_WHOLE_CELL: Final = 26.0  # um from the middle of a fat cell to its border
_ADVENTITIA: Final = 9.0  # um of stroma around a vessel
# Gap in um, radii as a share of the pitch, largest stretch, roughness; see `StarLattice`.
_ALVEOLI: Final = (8.0, (0.7, 1.0), 1.7, 0.16)
_IN_FAT: Final = 0.4  # of the vessels that fat would have, were it stroma


@dataclass(frozen=True, slots=True)
class Ground:
    """What stroma is told by; lengths in pixels of level 0.

    Attributes
    ----------
    seed : int
    plan : SlidePlan
    mpp : float
        Micrometres per pixel of level 0.
    wall : Wall, optional
    zones, fatness : ValueNoise
        Above `gland_above` and `fat_above`, there are glands and fat.
    gland_above, fat_above : float
    aggregates, lobules : Aggregates
        Lymphoid follicles, and lobules of glands.
    sketch : Sketch, optional
        Overrides the procedure where it is not 0.
    """

    seed: int
    plan: SlidePlan
    mpp: float
    wall: Wall | None
    zones: ValueNoise
    gland_above: float
    fatness: ValueNoise
    fat_above: float
    aggregates: Aggregates
    lobules: Aggregates
    sketch: Sketch | None


class StromaTissues:
    """Tissue of stroma as a function of the place.

    Parameters
    ----------
    ground : Ground
    """

    def __init__(self, ground: Ground) -> None:
        self._ground, plan, um = ground, ground.plan, 1 / ground.mpp
        gap, radii, stretch, roughness = _ALVEOLI if plan.air else FAT_CELLS
        pitch = round(plan.bubble * um)
        self.bubbles = StarLattice(
            ground.seed, 11, pitch, gap * um, radii, stretch, roughness, self._fat
        )
        self.vessels = StarLattice(
            ground.seed, 12, round(300 * um), 60 * um, (0.03, 0.2), 2.6, 0.15, self._vessel
        )
        layers = () if ground.wall is None else ground.wall.plan.layers
        self._sinuses = np.array([layer.sinuses for layer in layers])
        self._kinds = np.array([TISSUE_NAMES.index(layer.tissue) for layer in layers], np.uint8)
        cells = tuple(max(2, round(length * um)) for length, _ in _FRAY)
        self._fray = ValueNoise(ground.seed, 80, cells, tuple(height * um for _, height in _FRAY))
        cells = tuple(max(2, round(length * um)) for length in _SEPTA)
        self._septa = ValueNoise(ground.seed, 81, cells, (1.0, 0.45))
        cells = tuple(max(2, round(length * um)) for length in (700, 260, 90))
        self._bundles = ValueNoise(ground.seed, 82, cells, (1.0, 0.5, 0.2))
        self._muscle_above = threshold(self._bundles, plan.muscle)

    def paint(self, out: NDArray[np.uint8], pixels: Pixels) -> None:
        """Write the tissues of stroma into points that are all stroma, (h, w) uint8."""
        if self._ground.wall is not None:
            self._paint_layers(out, pixels, self._ground.wall)
        elif self._ground.plan.muscle > 0:
            out[self._bundles.on(pixels) > np.float32(self._muscle_above)] = MUSCLE
        if (out == MUSCLE).any():
            septa = np.abs(self._septa.on(pixels)) < np.float32(_SEPTUM_WIDTH)
            out[septa & (out == MUSCLE)] = STROMA
        if self._ground.plan.aggregates > 0:
            out[self._ground.aggregates.on(pixels) > np.float32(_CROWDED)] = LYMPHOID
        self._paint_fat(out, pixels)
        self._paint_vessels(out, pixels)

    def _paint_layers(self, out: NDArray[np.uint8], pixels: Pixels, wall: Wall) -> None:
        if (self._kinds == STROMA).all():
            return
        if pixels.step <= wall.node:
            patch, swing = wall.over(pixels.box), np.float32(self._fray.rest(0))
            ends = np.array([patch.depth.min() - swing, patch.depth.max() + swing])
            first, last = wall.layer(ends)
            if (self._kinds[first : last + 1] == STROMA).all():
                return
            depth, _, fade = patch.on(pixels)
        else:
            depth, _, fade = wall.on(pixels)
        layer = wall.layer(depth + self._fray.on(pixels))
        kinds = self._kinds[layer]
        if self._sinuses.any() and (parted := self._sinuses[layer]).any():
            sinuses = np.abs(self._septa.on(pixels)) < np.float32(_SINUS_WIDTH)
            kinds[parted & sinuses] = STROMA
        if self._ground.plan.tumour:
            kinds[fade < np.float32(TUMOUR_FADE)] = STROMA
        out[...] = kinds

    def _paint_fat(self, out: NDArray[np.uint8], pixels: Pixels) -> None:
        ground = self._ground
        if ground.plan.fat <= 0 and ground.sketch is None:
            return
        bubbles = self.bubbles.within(pixels.box)
        fat = ground.fatness.on(pixels) > np.float32(ground.fat_above)
        if ground.wall is not None:
            depth, _, fade = ground.wall.on(pixels)
            fat &= ground.wall.holds("fat", depth)
            if ground.plan.tumour:
                fat &= fade > np.float32(0.9)
        elif ground.plan.lobules > 0:
            fat &= ground.lobules.on(pixels) == 0
        kinds = np.full(len(bubbles), LUMEN if ground.plan.air else FAT, np.uint8)
        if not ground.plan.air:
            out[fat] = SEPTUM
        elif ground.sketch is not None:  # fat that is drawn is fat
            kinds[ground.sketch.at(bubbles.y, bubbles.x) == FAT] = FAT
        paint(out, pixels, bubbles, [(bubbles.outer, kinds)])

    def _paint_vessels(self, out: NDArray[np.uint8], pixels: Pixels) -> None:
        vessels = self.vessels.within(pixels.box)
        if not len(vessels):
            return
        lumen, blood = self._lumina(vessels)
        around = inset(vessels.outer, -self._um(_ADVENTITIA))
        layers = ((around, STROMA), (vessels.outer, MUSCLE), (lumen, VESSEL), (blood, BLOOD))
        values = [(radii, np.full(len(vessels), kind, np.uint8)) for radii, kind in layers]
        paint(out, pixels, vessels, values)

    def _lumina(self, vessels: LatticePoints) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        # Radii of lumina, and of the blood in them, each (n, ANGLES).
        key = key_of(self._ground.seed, 83)
        artery, thick, full = uniforms(key, vessels.rows, vessels.cols)
        mean = vessels.outer.mean(axis=1)
        wall = np.minimum(mean * (np.float32(0.3) + np.float32(0.25) * thick), self._um(_THICKEST))
        wall = np.where(artery < np.float32(_ARTERIES), wall, np.float32(0))
        lumen = np.maximum(inset(vessels.outer, wall[:, None]), 0).astype(np.float32)
        rim = np.maximum(inset(vessels.outer, wall[:, None] + self._um(1.5)), 0)
        blood = np.where((full < np.float32(_FULL))[:, None], rim, rim * np.float32(_CLOT))
        blood[full >= np.float32(_HALF)] = 0
        return lumen, np.asarray(blood, np.float32)

    def _um(self, length: float) -> np.float32:
        return np.float32(length / self._ground.mpp)

    def _fat(self, rows: Any, cols: Any, y: Any, x: Any) -> NDArray[np.bool_]:
        # Which cells of a lattice hold a fat cell.
        ground, wall = self._ground, self._ground.wall
        there: NDArray[np.bool_] = np.ones(y.shape, np.bool_)
        if wall is not None:
            depth, _, fade = wall.near(y, x)
            # None across the border of what the fat lies around.
            there = wall.holds("fat", depth) & wall.holds("fat", depth + self._um(_WHOLE_CELL))
            if ground.plan.tumour:
                there &= fade > np.float32(0.9)
        if there.any():
            there &= ground.fatness.at(y, x) > np.float32(ground.fat_above)
        if wall is None and ground.plan.lobules > 0:
            there &= ground.lobules.at(y, x) == 0
        if ground.sketch is None:
            return there
        drawn = ground.sketch.at(y, x)
        return np.where(drawn == 0, there, drawn == FAT)

    def _vessel(self, rows: Any, cols: Any, y: Any, x: Any) -> NDArray[np.bool_]:
        # Which cells of a lattice hold a vessel.
        ground, wall = self._ground, self._ground.wall
        there: NDArray[np.bool_] = (
            uniform(key_of(ground.seed, 24), rows, cols) < ground.plan.vessels
        )
        lean = ground.fatness.at(y, x) < np.float32(ground.fat_above - 0.25)
        if wall is not None:
            depth, _, fade = wall.near(y, x)
            there &= wall.holds("vessels", depth) & (depth > self._um(80))
            few = uniform(key_of(ground.seed, 86), rows, cols) < np.float32(_IN_FAT)
            there &= ~wall.holds("fat", depth) | lean | few
            if ground.plan.tumour:
                there &= fade > np.float32(0.9)
            if there.any():
                there &= ground.aggregates.at(y, x) == 0
        else:
            there &= ground.zones.at(y, x) < np.float32(ground.gland_above - 0.12)
            there &= lean
        return there if ground.sketch is None else there & (ground.sketch.at(y, x) == 0)
