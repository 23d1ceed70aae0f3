"""Epithelium: how thick it is and how many rows it has in glands, and the rows of a wall's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.layout.fields import bits, key_of, uniform, uniforms, whole
from napari_histodiff.layout.mucosa import Mucosa
from napari_histodiff.layout.plan import SPACING, SlidePlan
from napari_histodiff.layout.star_lattice import LatticePoints, inset, smoothed
from napari_histodiff.layout.wall import WallPatch

__all__ = ["BASE", "REACH", "ROW", "THECA", "GlandEpithelium", "Rows", "rows_of"]

BASE: Final = 6.0  # um from the border of a gland to the middle of its first row
ROW: Final = 8.5  # um between rows
REACH: Final = 40.0  # um; no nucleus lies farther from a point it is nearest to
THECA: Final = 10.5  # um from the border of a gland to the mucus of its goblet cells
_GOBLET: Final = 11.0  # um, side of the squares that hold one goblet cell or none
_SHAKE, _SHAKEN = np.float32(0.15), np.float32(0.7)  # how far its middle lies off a corner
_AROUND: Final = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
_SWAY: Final = 2.6  # um that nuclei stand more or less deep in their row
_TOP: Final = 24.0  # um of the height that the first row and what is above the last one take
_PLACES: Final = 2**20  # along a crypt
_WIDE: Final = 100.0  # um from the middle of a tumour's gland, from which it would be a lake
_FILLED: Final = 0.8  # of those are sheets of cells, most with small lumina


@dataclass(frozen=True, slots=True)
class GlandEpithelium:
    """What the glands of a lattice consist of; lengths in pixels of level 0.

    Parameters
    ----------
    seed : int
    plan : SlidePlan
    mpp : float
        Micrometres per pixel of level 0.
    """

    seed: int
    plan: SlidePlan
    mpp: float

    def goblets(self, y: NDArray[Any], x: NDArray[Any]) -> NDArray[np.bool_]:
        """Return which points of level 0 a goblet cell lies at, where epithelium has some, bool."""
        pitch = max(2, round(_GOBLET / self.mpp))
        row, col = whole(y) // pitch, whole(x) // pitch
        inside = np.zeros(row.shape, np.bool_)
        share = np.float32(max(self.plan.goblets, 1e-6))
        for down, right in _AROUND:
            jy, jx, chance = uniforms(key_of(self.seed, 84), row + down, col + right)
            dy = (y - (row + down) * pitch).astype(np.float32) - pitch * (_SHAKE + _SHAKEN * jy)
            dx = (x - (col + right) * pitch).astype(np.float32) - pitch * (_SHAKE + _SHAKEN * jx)
            radius = pitch * (np.float32(0.54) - np.float32(0.2) * chance / share)
            inside |= (dy * dy + dx * dx < radius * radius) & (chance < share)
        return inside

    def secreting(self, glands: LatticePoints) -> NDArray[np.bool_]:
        """Return which glands are full of mucus, (n,) bool."""
        chance = uniform(key_of(self.seed, 85), glands.rows, glands.cols)
        full: NDArray[np.bool_] = chance < self.plan.mucin
        return full

    def lumen(self, glands: LatticePoints) -> NDArray[np.float32]:
        """Return the radius of each gland's lumen, (n, ANGLES) float32; 0 without one."""
        vary = uniform(key_of(self.seed, 23), glands.rows, glands.cols)
        thickness = np.float32(self.plan.thickness / self.mpp) * (np.float32(0.8) + vary * 0.5)
        inner = smoothed(inset(glands.outer, thickness[:, None]))
        # Not into the epithelium where smoothing rounded off a dent.
        inner = np.minimum(inner, inset(glands.outer, thickness[:, None] * np.float32(0.6)))
        solid = self.nest(glands) | (inner.max(axis=1, initial=0) < 5 / self.mpp)
        inner[solid] = 0
        return np.maximum(inner, 0)

    def nest(self, glands: LatticePoints) -> NDArray[np.bool_]:
        """Return which glands are solid nests, (n,) bool; of a tumour's wide ones most are."""
        chance = uniform(key_of(self.seed, 20), glands.rows, glands.cols)
        share = np.full(len(glands), self.plan.nests, np.float32)
        if self.plan.tumour:
            wide = glands.reach > np.float32(_WIDE / self.mpp)
            share[wide] = np.maximum(share[wide], np.float32(_FILLED))
        nest: NDArray[np.bool_] = chance < share
        return nest

    def layers(self, glands: LatticePoints) -> NDArray[np.int64]:
        """Return how many rows of nuclei each gland has, (n,) int64."""
        chance = uniform(key_of(self.seed, 22), glands.rows, glands.cols)
        rows = (np.float32(self.plan.layers) + chance).astype(np.int64)
        return np.where(self.nest(glands), 16, rows)


@dataclass(frozen=True, slots=True)
class Rows:
    """Nuclei of rows.

    Attributes
    ----------
    source : (n,) int64
        Which of the points asked for each comes from.
    y, x : (n,) int64
        Middles in pixels of level 0.
    axis : (2, n) float32
        Direction (y, x) of the long axes.
    word : (n,) uint64
        Random bits of each.
    crypt : (n,) int32
        Number of the crypt or ridge each belongs to.
    """

    source: NDArray[np.int64]
    y: NDArray[np.int64]
    x: NDArray[np.int64]
    axis: NDArray[np.float32]
    word: NDArray[np.uint64]
    crypt: NDArray[Any]


def rows_of(
    seed: int,
    mucosa: Mucosa,
    patch: WallPatch,
    y: NDArray[np.int64],
    x: NDArray[np.int64],
    crowd: NDArray[np.float32],
    mpp: float,
) -> Rows:
    """Return the nuclei nearest to some points.

    Parameters
    ----------
    seed : int
    mucosa : Mucosa
    patch : WallPatch
        Of a box that holds the points.
    y, x : (n,) int64
        Points of level 0 close enough to each other that none of the nuclei is missed; of several
        that are nearest to the same nucleus, the first is its source.
    crowd : (n,) float32
        Lymphoid aggregates there, 0-1, which the epithelium gives way to.
    mpp : float
        Micrometres per pixel of level 0.
    """
    um = np.float32(1 / mpp)
    depth, place, fade = patch.at(y, x)
    near = np.flatnonzero((depth > 0) & (depth < mucosa.deepest))
    depth, place, fade = depth[near], place[near], fade[near] * (1 - crowd[near])
    basal, lumen = mucosa.inside(depth, place, fade)
    keep = (basal > 0) & ~lumen
    near, basal = near[keep], basal[keep]
    depth, place, fade = (a[keep] for a in (depth, place, fade))
    inner, offset, crypt, width, end = mucosa.crypt(depth, place, fade)
    whole_height = mucosa.bottom(place, fade)
    in_crypt = (inner >= whole_height - depth) & (mucosa.height > 0)
    height = np.where(in_crypt, mucosa.height, whole_height)
    last = np.maximum(np.floor((height - np.float32(_TOP) * um) / (np.float32(ROW) * um)), 0)
    row = np.minimum(np.rint((basal - np.float32(BASE) * um) / (np.float32(ROW) * um)), last)
    row = np.maximum(row, 0)
    wanted = (np.float32(BASE) + row * np.float32(ROW)) * um

    beside = in_crypt & (depth < end)
    at_end = in_crypt & ~beside
    side = np.where(offset < 0, np.float32(-1), np.float32(1))
    along = np.where(beside, depth, np.where(at_end, offset, place))
    slot = np.rint(along / (np.float32(SPACING) * um))
    kind = np.where(beside, np.where(offset < 0, 1, 2), np.where(at_end, 3, 0))
    number = np.where(in_crypt, crypt, -1) * _PLACES + slot.astype(np.int64)
    word = bits(key_of(seed, 43), number, kind * 64 + row.astype(np.int64))
    shift, sway = (_part(word, first) for first in (44, 20))
    goal = (slot + np.float32(0.4) * shift) * np.float32(SPACING) * um
    sway *= np.float32(_SWAY) * um

    # How far each nucleus lies from its point, along the surface and in depth.
    radius = np.maximum(width - wanted, np.float32(1))
    reach = np.clip(goal, -radius, radius)
    bulge = np.sqrt(np.maximum(radius * radius - reach * reach, 0))
    sideways = np.where(beside, side * (radius + sway) - offset, reach - offset)
    sideways = np.where(in_crypt, sideways, goal - place)
    inwards = np.where(beside, goal - depth, end + bulge + sway - depth)
    inwards = np.where(in_crypt, inwards, basal - wanted + sway)
    across, axis_along = patch.axes(y[near], x[near])
    moved = across * inwards + axis_along * sideways
    axis = np.where(beside, axis_along, across)
    axis = np.where(at_end, axis_along * reach + across * bulge, axis)

    fits = ~at_end | (np.abs(goal) <= radius)
    found = _once(np.flatnonzero(fits), word, y[near], x[near], np.float32(2 * REACH) * um)
    source = near[found]
    return Rows(
        source,
        y[source] + np.rint(moved[0, found]).astype(np.int64),
        x[source] + np.rint(moved[1, found]).astype(np.int64),
        np.asarray(axis[:, found], np.float32),
        word[found],
        crypt[found],
    )


def _once(
    found: NDArray[np.int64],
    word: NDArray[np.uint64],
    y: NDArray[np.int64],
    x: NDArray[np.int64],
    reach: np.float32,
) -> NDArray[np.int64]:
    # The first point of each nucleus. A wall that begins anew along its length, or another one
    # beside it, may have the same word far away: that is another nucleus.
    firsts = []
    while len(found):
        _, first, back = np.unique(word[found], return_index=True, return_inverse=True)
        firsts.append(found[first])
        leader = found[first][back]
        apart = np.maximum(np.abs(y[found] - y[leader]), np.abs(x[found] - x[leader]))
        found = found[apart > reach]
    return np.sort(np.concatenate([found, *firsts]))


def _part(word: NDArray[np.uint64], first: int) -> NDArray[np.float32]:
    # A number from -0.5 to 0.5 of 20 bits.
    part = (word >> np.uint64(first)) & np.uint64(0xFFFFF)
    return part.astype(np.float32) * np.float32(2.0**-20) - np.float32(0.5)
