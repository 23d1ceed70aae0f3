"""The picture of a slide where no model has drawn yet: H&E seen from afar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.box_mean import share_down
from napari_histodiff.layout.anatomy import Anatomy
from napari_histodiff.layout.fields import Pixels, ValueNoise
from napari_histodiff.layout.nuclei import LayoutNuclei
from napari_histodiff.layout.star_lattice import StarLattice, paint
from napari_histodiff.layout.tissues.kinds import (
    BLOOD,
    GLAND,
    MUCUS,
    MUSCLE,
    STROMA,
    WHITE,
    scaffold,
)

__all__ = ["Colours"]

#: Levels up to this one show single nuclei; coarser ones their mean.
_NUCLEI: Final = 2
#: Levels from this one on show the mean of glands and fat; finer ones draw them.
_MEANS: Final = 7
#: How much single strands of fibres darken and lighten the stroma at the finest levels.
_STREAKS: Final = {0: 0.13, 1: 0.13, 2: 0.11, 3: 0.045}

# Optical density of a component: mean of the stain and so many of its spreads, per channel.
_STROMA: Final = np.array([-0.44, -0.34, -0.35], np.float32)
_BLOOD: Final = np.array([-1.25, 0.75, 0.95], np.float32)
_MUCUS: Final = np.array([-0.95, -1.15, -1.1], np.float32)
_MUSCLE: Final = np.array([-0.65, -0.42, -0.5], np.float32)  # eosin and hardly haematoxylin
_CYTOPLASM: Final = np.array([0.14, 0.12, 0.03], np.float32)
_NUCLEUS: Final = np.array([1.9, 1.35, 1.6], np.float32)
_STEPS: Final = 512  # entries of the table of exp(-density) per unit of density
_TRANSMITTED: Final = 255 * np.exp(-np.arange(4 * _STEPS) / _STEPS).astype(np.float32)
_NUCLEUS_AREA: Final = 19.0  # um^2, over all classes of stroma
_MANTLE: Final = 1.2  # times darker than lymphoid tissue around is a follicle
_PALER: Final = 0.36  # than that is its germinal centre
_CROWDED: Final = 0.6  # share of a tumour's places that hold a gland
_SECRETING: Final = 0.37  # share of a gland that is mucus, where each place has a goblet cell
_GLAND_NUCLEI: Final = 0.27  # share of a gland's epithelium that is nuclei


class Colours:
    """Colours as a function of the place.

    Parameters
    ----------
    anatomy : Anatomy
    nuclei : LayoutNuclei
    stain : sequence of float
        As `inpainting.stains.stain_vector`: mean and spread of the optical density of tissue.
    glass : sequence of int
        Red, green and blue where nothing lies.
    """

    def __init__(
        self,
        anatomy: Anatomy,
        nuclei: LayoutNuclei,
        stain: Sequence[float],
        glass: Sequence[int],
    ) -> None:
        self._anatomy, self._nuclei = anatomy, nuclei
        self._white = np.array(glass, np.float32)
        mean, spread = np.array(stain[:3], np.float32), np.array(stain[3:6], np.float32)
        self._bare = [np.maximum(mean + k * spread, 0.02) for k in (_STROMA, _CYTOPLASM)]
        self._nucleus = np.maximum(mean + _NUCLEUS * spread, 0.05)
        self._others = {
            BLOOD: np.maximum(mean + _BLOOD * spread, 0.02),
            MUCUS: np.maximum(mean + _MUCUS * spread, 0.02),
            MUSCLE: np.maximum(mean + _MUSCLE * spread, 0.02),
        }
        plan = anatomy.plan
        densities = [*anatomy.densities, np.array(plan.crowd, np.float32)]
        shares = [float(d.sum()) * _NUCLEUS_AREA * 1e-6 * 0.8 for d in densities]
        layers = () if plan.wall is None else plan.wall.layers
        tones = [*(layer.tone for layer in layers), 1.0]
        # By place, see `Anatomy.place`: of fibres alone, and of fibres with nuclei.
        red = [layer.tissue == "muscle" for layer in layers] + [False]
        bare = [self._others[MUSCLE] if muscle else self._bare[0] for muscle in red]
        self._stroma = np.array([b * np.float32(t) for b, t in zip(bare, tones, strict=True)])
        mixed = [
            self._with_nuclei(fibres, share)
            for fibres, share in zip(self._stroma, shares, strict=False)
        ]
        self._mixed = np.array(mixed, np.float32)
        self._glands = self._with_nuclei(self._bare[1], _GLAND_NUCLEI)
        self._along = np.array([*(layer.along for layer in layers), False])
        self._crowded = self._with_nuclei(self._bare[0], max(shares[0], shares[-1]) * 1.8)
        um = 1 / anatomy.mpp
        cells = tuple(max(2, round(side * um)) for side in (4000, 1500, 500, 170, 55, 18, 7))
        heights = (0.16, 0.12, 0.1, 0.09, 0.08, 0.07, 0.06)
        self._shade = ValueNoise(anatomy.seed, 60, cells, heights)
        self._hue = ValueNoise(anatomy.seed, 61, cells[:4], (0.07, 0.05, 0.04, 0.04))
        self._means = (
            _area_shares(anatomy.glands, anatomy),
            _area_shares(anatomy.stroma.bubbles, anatomy),
        )
        self._lining = (0.0, 0.0) if anatomy.mucosa is None else anatomy.mucosa.shares()

    def on(self, pixels: Pixels) -> NDArray[np.uint8]:
        """Return the colours of the pixels that start at some points, (h, w, 3) uint8."""
        if 0 in pixels.shape:
            return np.zeros((*pixels.shape, 3), np.uint8)
        level = int(pixels.step).bit_length() - 1 if pixels.step >= 1 else 0
        shares = self._mean_shares(pixels) if level >= _MEANS else self._drawn_shares(pixels)
        image = self._stained(pixels, shares, level)
        if level <= _NUCLEI:
            covered = self._nuclei.coverage(pixels)[..., None]
            image += (self._light(self._nucleus) - image) * covered
        return np.rint(np.clip(image, 0, 255)).astype(np.uint8)

    def _stained(
        self,
        pixels: Pixels,
        shares: dict[int, NDArray[np.float32]],
        level: int,
    ) -> NDArray[np.float32]:
        # White light through each component, in proportion to its share of the pixel.
        shade = 1 + _limited(self._shade, pixels)
        hue = _limited(self._hue, pixels)
        image = np.empty((*pixels.shape, 3), np.float32)
        fibres = self._stroma if level <= _NUCLEI else self._mixed
        glands = self._bare[1] if level <= _NUCLEI else self._glands
        place, depth = self._place(pixels)
        crowd = None
        if level > _NUCLEI and self._anatomy.plan.aggregates > 0:
            crowd = self._anatomy.aggregates.on(pixels)
            core = self._anatomy.germinal.on(pixels)
        strands = np.zeros_like(shade)
        if level in _STREAKS:
            along = None if place is None else self._along[place]
            strands = self._anatomy.fibres.streaks(pixels, along, depth)
            strands *= np.float32(_STREAKS[level])
        for channel, tint in enumerate((1.0, -0.25, 0.3)):
            tone = shade + hue * np.float32(tint)
            own = fibres[0, channel] if place is None else np.take(fibres[:, channel], place)
            first = own * (tone + strands)
            if crowd is not None:
                darker = np.maximum(self._crowded[channel], own * np.float32(_MANTLE))
                first += (darker - own) * crowd - darker * (np.float32(_PALER) * core)
            white = self._white[channel]
            seen = np.full_like(tone, white)
            for kind, share in shares.items():
                if kind == STROMA:
                    density = first
                elif kind == GLAND:
                    density = glands[channel] * tone
                else:
                    density = self._others[kind][channel] * tone
                seen += share * (_transmitted(density) - white)
            image[..., channel] = seen
        return image

    def _place(self, pixels: Pixels) -> tuple[NDArray[np.int64] | None, NDArray[np.float32] | None]:
        # Of each pixel the place in a wall, see `Anatomy.place`, and the depth.
        wall = self._anatomy.wall
        if wall is None:
            return None, None
        depth, _, fade = wall.on(pixels)
        return self._anatomy.place(depth, fade), depth

    def _drawn_shares(self, pixels: Pixels) -> dict[int, NDArray[np.float32]]:
        # Of each tissue that stops light, by its id.
        parts = self._anatomy.parts(pixels if pixels.step <= 1 else _finer(pixels))
        kinds = {STROMA: scaffold(parts) == STROMA}
        kinds |= {kind: parts == kind for kind in (GLAND, BLOOD, MUCUS)}
        if self._anatomy.wall is None:  # whose layers have their tones
            kinds[MUSCLE] = parts == MUSCLE
            kinds[STROMA] &= ~kinds[MUSCLE]
        there = {kind: where for kind, where in kinds.items() if where.any()}
        if pixels.step <= 1:
            return {kind: where.astype(np.float32) for kind, where in there.items()}
        return {kind: share_down(where) for kind, where in there.items()}

    def _mean_shares(self, pixels: Pixels) -> dict[int, NDArray[np.float32]]:
        stroma, gland = self._stroma_and_glands(pixels)
        mucus = gland * np.float32(_SECRETING * self._anatomy.plan.goblets)
        return {STROMA: stroma, GLAND: gland - mucus, MUCUS: mucus}

    def _stroma_and_glands(self, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        anatomy, fine = self._anatomy, _finer(pixels)
        (gland_ring, gland_between), (_, fat_between) = self._means
        inside = anatomy.outline.tissue(fine)
        if anatomy.wall is not None:
            return self._wall_shares(pixels, inside)
        fat = anatomy.fatness.on(fine) > anatomy.fat_above
        if anatomy.plan.lobules > 0:
            glands = anatomy.lobules.on(fine) > 0.3
            fat &= ~glands
        else:
            glands = (anatomy.zones.on(fine) > anatomy.gland_above) & ~fat
        drawn = None if anatomy.sketch is None else anatomy.sketch.on(fine)
        if drawn is not None:
            glands = np.where(drawn == 0, glands, drawn == GLAND)
            fat &= drawn == 0
            white = np.isin(drawn, WHITE)
            inside = np.where(drawn == 0, inside, ~white)
        many = share_down(glands & inside)
        fatty = share_down(fat & inside)
        plain = share_down(inside) - many - fatty
        free = 1 - anatomy.aggregates.on(pixels)
        ring = many * np.float32(gland_ring) * free
        between = plain + many * (1 - free) + fatty * np.float32(fat_between)
        return between + many * free * np.float32(gland_between), ring

    def _wall_shares(
        self, pixels: Pixels, inside: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        anatomy, half = self._anatomy, int(pixels.step) // 2
        wall, plan = anatomy.wall, anatomy.plan
        assert wall is not None
        (gland_ring, gland_between), (_, fat_between) = self._means
        ring, lumen = self._lining
        middle = Pixels(pixels.y + half, pixels.x + half, pixels.step, *pixels.shape)
        depth, _, fade = wall.on(middle)
        tissue = share_down(inside) * _reached(depth, pixels.step)
        if (end := wall.end(middle)) is not None:
            tissue *= _reached(end - depth, pixels.step)
        deepest = 0.0 if anatomy.mucosa is None else anatomy.mucosa.deepest
        lined = tissue * (1 - _reached(depth - np.float32(deepest), pixels.step))
        fat = wall.holds("fat", depth)
        fat &= anatomy.fatness.on(middle) > anatomy.fat_above
        fatty = np.where(fat, tissue - lined, np.float32(0))
        grown = np.zeros_like(tissue)
        if plan.tumour:
            grown = tissue * (1 - fade)
            lined, fatty = lined * fade, fatty * fade
        drawn = None if anatomy.sketch is None else anatomy.sketch.on(middle)
        if drawn is not None:
            own = drawn == 0
            lined, fatty = lined * own, fatty * own
            grown = np.where(own, grown, drawn == GLAND).astype(np.float32)
            white = np.isin(drawn, WHITE)
            tissue = np.where(own, tissue, ~white).astype(np.float32)
        free = 1 - anatomy.aggregates.on(pixels)
        glands = (lined * np.float32(ring) + grown * np.float32(gland_ring)) * free
        holes = lined * np.float32(lumen) + grown * np.float32(1 - gland_ring - gland_between)
        holes = holes * free + fatty * np.float32(1 - fat_between)
        stroma = np.maximum(tissue - glands - holes, 0)
        return np.asarray(stroma, np.float32), np.asarray(glands, np.float32)

    def _with_nuclei(self, density: NDArray[np.float32], share: float) -> NDArray[np.float32]:
        light = self._light(density) * (1 - share) + self._light(self._nucleus) * share
        mixed: NDArray[np.float32] = -np.log(light / 255).astype(np.float32)
        return mixed

    def _light(self, density: NDArray[np.float32]) -> NDArray[np.float32]:
        light: NDArray[np.float32] = (255 * np.exp(-density)).astype(np.float32)
        return light


def _reached(depth: NDArray[np.float32], step: float) -> NDArray[np.float32]:
    # Which share of a pixel lies deeper than 0.
    share: NDArray[np.float32] = np.clip(depth * np.float32(1 / step) + np.float32(0.5), 0, 1)
    return share


def _area_shares(lattice: StarLattice, anatomy: Anatomy) -> tuple[float, float]:
    # Shares of ring and of what lies between where every cell of a lattice is filled.
    side = 96
    step = max(1, lattice.pitch // 8)
    pixels = Pixels(0, 0, step, side, side)
    stars = lattice.filled().within(pixels.box)
    out = np.zeros(pixels.shape, np.uint8)
    ones = np.ones(len(stars), np.uint8)
    paint(out, pixels, stars, [(stars.outer, ones), (anatomy.epithelium.lumen(stars), 2 * ones)])
    ring, between = float((out == 1).mean()), float((out == 0).mean())
    if lattice is anatomy.glands and anatomy.plan.tumour:
        # Not every place of a tumour holds a gland.
        ring, between = ring * _CROWDED, 1 - (1 - between) * _CROWDED
    return ring, between


def _finer(pixels: Pixels) -> Pixels:
    # Two points per side, placed evenly within each pixel.
    half, offset = int(pixels.step) // 2, int(pixels.step) // 4
    return Pixels(pixels.y + offset, pixels.x + offset, half, 2 * pixels.height, 2 * pixels.width)


def _limited(field: ValueNoise, pixels: Pixels) -> NDArray[np.float32]:
    # Octaves finer than two pixels would only shimmer.
    total = np.zeros(pixels.shape, np.float32)
    for octave, cell in enumerate(field.cells):
        if cell >= 2 * pixels.step:
            total += field.octave(octave, pixels)
    return total


def _transmitted(density: NDArray[np.float32]) -> NDArray[np.float32]:
    # A table, because exp may round differently within and at the end of an array.
    index = np.clip(density * _STEPS, 0, len(_TRANSMITTED) - 1).astype(np.int32)
    return np.take(_TRANSMITTED, index)
