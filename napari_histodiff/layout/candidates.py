"""Nuclei that want a place: rings along the glands, and a scatter in the stroma."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.layout.anatomy import DUCTS, Anatomy
from napari_histodiff.layout.fields import Pixels, bits, key_of, uniforms
from napari_histodiff.layout.lining import BASE, REACH, ROW, rows_of
from napari_histodiff.layout.nucleus_templates import AXES, TURNS, VARIANTS, templates_of, turn_of
from napari_histodiff.layout.plan import CONNECTIVE, EPITHELIAL
from napari_histodiff.layout.star_lattice import ANGLES, DIRECTIONS, LatticePoints, inset
from napari_histodiff.layout.tissues.densities import NucleusDensities
from napari_histodiff.layout.tissues.fibres import FibreDirections
from napari_histodiff.layout.tissues.kinds import GLAND, LUMEN, LYMPHOID, STROMA, scaffold
from napari_histodiff.layout.wall import WallPatch

__all__ = ["Candidates", "NucleusProposals"]

_CELL: Final = 8.0  # um, side of the cells that hold one stroma nucleus or none
_CROWD: Final = 5.0  # um, the same in lymphoid tissue
_VESSEL_WALL: Final = 13.0  # um
_FINE: Final = 4.5  # um, side of the cells that look for the nuclei of a wall's epithelium
_SCATTER_IDS: Final = 2048  # rows and columns of such cells before ids repeat
_GLAND_IDS: Final = 280
_SLOTS: Final = 150  # nuclei of the first row of a gland at the most
_FEWER: Final = 9  # than in the row outside it
_GLAND_SLOTS: Final = 1320  # of 16 rows
_COMPASS: Final = np.array(
    [(-1, 0), (-0.7, 0.7), (0, 1), (0.7, 0.7), (1, 0), (0.7, -0.7), (0, -1), (-0.7, -0.7)],
    np.float32,
)


@dataclass(frozen=True, slots=True)
class Candidates:
    """Nuclei that may overlap.

    Attributes
    ----------
    y, x : (n,) int64
        Middles in pixels of level 0.
    shape, turn : (n,) int64
        Outline, see `Bank`.
    rank : (n,) uint64
        The larger one stays where two would touch; no two are equal.
    number : (n,) int64
        Instance id.
    """

    y: NDArray[np.int64]
    x: NDArray[np.int64]
    shape: NDArray[np.int64]
    turn: NDArray[np.int64]
    rank: NDArray[np.uint64]
    number: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, chosen: Any) -> Candidates:
        return Candidates(*(getattr(self, field.name)[chosen] for field in fields(self)))

    @staticmethod
    def none() -> Candidates:
        """Return no nuclei."""
        none = np.zeros(0, np.int64)
        return Candidates(none, none, none, none, none.astype(np.uint64), none)

    @staticmethod
    def joined(parts: list[Candidates]) -> Candidates:
        """Return all of several."""
        names = [field.name for field in fields(Candidates)]
        return Candidates(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))


class NucleusProposals:
    """Proposes nuclei for any part of the plane, each a function of its own cell or gland."""

    def __init__(self, anatomy: Anatomy) -> None:
        self.anatomy = anatomy
        self._seed, self._mpp = anatomy.seed, anatomy.mpp
        self._templates = templates_of(anatomy.mpp)
        self._cell = max(2, round(_CELL / self._mpp))
        self._step = 1 << max(0, int(np.log2(2.0 / self._mpp)))
        self._densities = NucleusDensities(anatomy)
        self._fibres = FibreDirections(anatomy)
        own = np.arange(VARIANTS) + CONNECTIVE * VARIANTS
        slim = np.argsort(self._templates.minor[own] / self._templates.major[own], kind="stable")
        self._slim = own[slim[: VARIANTS // 2]]

    def within(self, box: tuple[int, int, int, int]) -> Candidates:
        """Return every nucleus whose middle lies in a box of level 0, and some beyond."""
        margin = round(16 / self._mpp) + self._step
        wide = box[0] - margin, box[1] + margin, box[2] - margin, box[3] + margin
        glands = self.anatomy.glands_within(wide)
        tissue = _Lookup(self.anatomy, wide, self._step, glands)
        rings = self._rings(box, glands, tissue)
        parts = [rings, self._strewn(box, tissue, crowded=False)]
        if tissue.holds(LYMPHOID):
            parts.append(self._strewn(box, tissue, crowded=True))
        if self.anatomy.sketched is not None:
            parts.append(self._lining(box, tissue))
        if self.anatomy.mucosa is not None:
            parts.append(self._lined(box, tissue))
        return Candidates.joined(parts)

    def _rings(
        self, box: tuple[int, int, int, int], glands: LatticePoints, tissue: _Lookup
    ) -> Candidates:
        lumen = self.anatomy.epithelium.lumen(glands)
        layers = self.anatomy.epithelium.layers(glands)
        parts = [self._row(glands, lumen, 0)]
        for row in range(1, int(layers.max(initial=1))):
            more = np.flatnonzero(layers > row)
            parts.append(self._row(glands[more], lumen[more], row))
        found = Candidates.joined(parts)
        found = found[_in(box, found.y, found.x)]
        return found[tissue.at(found.y, found.x) == GLAND]

    def _row(self, glands: LatticePoints, lumen: NDArray[np.float32], row: int) -> Candidates:
        um = 1 / self._mpp
        radius = np.maximum(inset(glands.outer, np.float32((BASE + ROW * row) * um)), 0)
        y, x = radius * DIRECTIONS[0], radius * DIRECTIONS[1]
        step_y, step_x = np.roll(y, -1, 1) - y, np.roll(x, -1, 1) - x
        length = np.sqrt(step_y * step_y + step_x * step_x)
        way = np.cumsum(length, axis=1, dtype=np.float32)
        count = (way[:, -1] / np.float32(self.anatomy.plan.spacing * um)).astype(np.int64)
        count = np.minimum(count, _SLOTS - _FEWER * row)
        slots = np.arange(int(count.max(initial=0)))
        gland, slot = np.nonzero(slots[None, :] < count[:, None])
        number = slot + _SLOTS * row - _FEWER * row * (row - 1) // 2
        rows, cols = glands.rows[gland], glands.cols[gland]
        where, depth, pick = uniforms(key_of(self._seed, 30, row), rows * 1024 + slot, cols)
        share = (slot.astype(np.float32) + np.float32(0.7) * where) / count[gland]
        target = share * way[gland, -1]
        at = np.minimum((way[gland] <= target[:, None]).sum(axis=1), ANGLES - 1)
        part = 1 - (way[gland, at] - target) / np.maximum(length[gland, at], np.float32(1e-6))
        ty, tx = step_y[gland, at], step_x[gland, at]
        inward = depth * np.float32(2.5 * um)
        own = radius[gland, at]
        shrink = np.maximum(own - inward, 0) / np.maximum(own, np.float32(1e-6))
        py, px = (y[gland, at] + ty * part) * shrink, (x[gland, at] + tx * part) * shrink
        fits = (own > lumen[gland, at] + np.float32(4 * um)) & (own > 3 * um)
        word = bits(key_of(self._seed, 31, row), rows * 1024 + slot, cols)
        sway = ((word >> np.uint64(8)) % np.uint64(3)).astype(np.int64) - 1
        nest = self.anatomy.epithelium.nest(glands)[gland]
        sway = np.where(nest, sway * 4, sway)
        turn = (turn_of(tx, -ty) + sway) % TURNS
        found = Candidates(
            glands.y[gland] + np.rint(py).astype(np.int64),
            glands.x[gland] + np.rint(px).astype(np.int64),
            EPITHELIAL * VARIANTS + self._alike(rows, cols, pick),
            turn,
            word,
            self._gland_number(rows, cols, number),
        )
        return found[fits]

    def _alike(self, rows: Any, cols: Any, pick: NDArray[np.float32]) -> NDArray[np.int64]:
        # Variants are sorted by size, and the nuclei of one gland are alike.
        middle, _, _ = uniforms(key_of(self._seed, 35), rows, cols)
        size = np.float32(0.35) + np.float32(0.35) * middle + np.float32(0.5) * (pick - 0.5)
        return (np.clip(size, 0, np.float32(0.99)) * VARIANTS).astype(np.int64)

    def _gland_number(self, rows: Any, cols: Any, slot: Any) -> NDArray[np.int64]:
        gland = rows % _GLAND_IDS * _GLAND_IDS + cols % _GLAND_IDS
        gland = gland + np.where(rows >= DUCTS // 2, _GLAND_IDS**2, 0)
        number: NDArray[np.int64] = 1 + 4 * _SCATTER_IDS**2 + gland * _GLAND_SLOTS + slot
        return number

    def _strewn(
        self, box: tuple[int, int, int, int], tissue: _Lookup, *, crowded: bool
    ) -> Candidates:
        # Nuclei of lymphoid tissue lie too close for the cells of the others.
        cell = max(2, round(_CROWD / self._mpp)) if crowded else self._cell
        first = 130 if crowded else 32
        rows, cols, y, x = self._cells(box, first, 0.7 if crowded else 1.0, cell)
        found = tissue.parts_at(y, x)
        keep = (scaffold(found) == STROMA) & ((found == LYMPHOID) == crowded)
        rows, cols, y, x, found = rows[keep], cols[keep], y[keep], x[keep], found[keep]
        chance, pick, spin = uniforms(key_of(self._seed, first + 1), rows, cols)
        place, patch = None, None
        if self.anatomy.wall is not None:
            patch = self.anatomy.wall.over(box)
            depth, _, fade = patch.at(y, x)
            place = self.anatomy.place(depth, fade)
        kind = self._densities.classes(y, x, chance, place, found, cell)
        beside = self._densities.beside_vessels(chance, cell)
        kind = np.where(self._at_vessel(y, x, tissue), beside, kind)
        keep = kind >= 0
        rows, cols, y, x, kind = rows[keep], cols[keep], y[keep], x[keep], kind[keep]
        place = None if place is None else place[keep]
        shape = kind * VARIANTS + (pick[keep] * VARIANTS).astype(np.int64)
        if place is not None:
            slim = (kind == CONNECTIVE) & self._fibres.along[place]
            shape = np.where(slim, self._slim[(pick[keep] * len(self._slim)).astype(int)], shape)
        turn = self._turns(y, x, kind, spin[keep], tissue, place, patch)
        keep = self._clear(y, x, shape, turn, tissue, STROMA)
        word = bits(key_of(self._seed, first + 2), rows, cols)
        number = _scatter_number(rows, cols, 3 if crowded else 0)
        return Candidates(y, x, shape, turn, word, number)[keep]

    def _lining(self, box: tuple[int, int, int, int], tissue: _Lookup) -> Candidates:
        # Epithelium of areas that were sketched as one gland, which no lattice knows.
        sketch, sketched = self.anatomy.sketch, self.anatomy.sketched
        assert sketch is not None
        assert sketched is not None
        rows, cols, y, x = self._cells(box, 36, 0.6, self._cell)
        keep = (sketch.at(y, x) == GLAND) & ~sketched.large(y, x)
        keep &= tissue.at(y, x) == GLAND
        depth = sketched.depth(y, x) * np.float32(self._mpp)
        keep &= depth < np.float32(BASE + 0.6 * ROW)
        rows, cols, y, x = rows[keep], cols[keep], y[keep], x[keep]
        _, pick, _ = uniforms(key_of(self._seed, 37), rows, cols)
        shape = EPITHELIAL * VARIANTS + self._alike(rows // 32, cols // 32, pick)
        push = self._push(y, x, tissue, GLAND, 14)
        turn = turn_of(push[0], push[1])
        keep = self._clear(y, x, shape, turn, tissue, GLAND)
        word = bits(key_of(self._seed, 38), rows, cols)
        return Candidates(y, x, shape, turn, word, _scatter_number(rows, cols, 1))[keep]

    def _lined(self, box: tuple[int, int, int, int], tissue: _Lookup) -> Candidates:
        # Epithelium of a wall: crypts and surface.
        anatomy, margin = self.anatomy, round(REACH / self._mpp)
        assert anatomy.wall is not None
        assert anatomy.mucosa is not None
        wide = box[0] - margin, box[1] + margin, box[2] - margin, box[3] + margin
        patch = anatomy.wall.over(wide)
        if patch.depth.min() > anatomy.mucosa.deepest or patch.depth.max() < 0:
            return Candidates.none()
        cell = max(2, round(_FINE / self._mpp))
        rows, cols, y, x = self._cells(wide, 39, 0.0, cell)
        if anatomy.sketch is not None:
            keep = anatomy.sketch.at(y, x) == 0
            rows, cols, y, x = rows[keep], cols[keep], y[keep], x[keep]
        crowd = anatomy.aggregates.at(y, x)
        found = rows_of(self._seed, anatomy.mucosa, patch, y, x, crowd, self._mpp)
        keep = _in(box, found.y, found.x)
        keep[keep] &= tissue.at(found.y[keep], found.x[keep]) == GLAND
        source, pick = found.source[keep], _share(found.word[keep])
        shape = EPITHELIAL * VARIANTS + self._alike(found.crypt[keep], 0 * source, pick)
        return Candidates(
            found.y[keep],
            found.x[keep],
            shape,
            turn_of(found.axis[0, keep], found.axis[1, keep]),
            found.word[keep],
            _scatter_number(rows[source], cols[source], 2),
        )

    def _cells(
        self, box: tuple[int, int, int, int], channel: int, spread: float, cell: int
    ) -> tuple[NDArray[np.int64], ...]:
        # Row and column of cells, and the jittered point of each.
        rows = np.arange(box[0] // cell, box[1] // cell + 1)[:, None]
        cols = np.arange(box[2] // cell, box[3] // cell + 1)[None, :]
        rows, cols = (a.ravel() for a in np.broadcast_arrays(rows, cols))
        dy, dx, _ = uniforms(key_of(self._seed, channel), rows, cols)
        y = rows * cell + (dy * np.float32(cell * spread)).astype(np.int64)
        x = cols * cell + (dx * np.float32(cell * spread)).astype(np.int64)
        keep = _in(box, y, x)
        return rows[keep], cols[keep], y[keep], x[keep]

    def _at_vessel(self, y: Any, x: Any, tissue: _Lookup) -> NDArray[np.bool_]:
        # Stroma that borders a space without epithelium which is not that of a fat cell.
        anatomy = self.anatomy
        beside = np.zeros(len(y), np.bool_)
        for direction in _COMPASS:
            far = np.rint(direction * np.float32(_VESSEL_WALL / self._mpp)).astype(np.int64)
            beside |= tissue.at(y + far[0], x + far[1]) == LUMEN
        at = np.flatnonzero(beside)
        if len(at):
            beside[at] = anatomy.fatness.at(y[at], x[at]) < anatomy.fat_above - 0.1
        return beside

    def _turns(
        self,
        y: Any,
        x: Any,
        kind: NDArray[np.int64],
        spin: NDArray[np.float32],
        tissue: _Lookup,
        place: Any,
        patch: WallPatch | None,
    ) -> NDArray[np.int64]:
        turn = (spin * TURNS).astype(np.int64)
        along = self._fibres.turns(y, x, place, patch)
        push = self._push(y, x, tissue, STROMA, 11)
        bordering = push[0] * push[0] + push[1] * push[1] > 1
        if place is not None:
            bordering &= ~self._fibres.along[place]
        beside = turn_of(push[1], -push[0])
        aligned = np.where(bordering, beside, along) + (spin * 3).astype(np.int64) - 1
        return np.where((kind == CONNECTIVE) & (along >= 0), aligned % TURNS, turn)

    def _push(self, y: Any, x: Any, tissue: _Lookup, own: int, um: float) -> NDArray[np.float32]:
        # Towards what is not a point's own tissue, (2, n).
        push = np.zeros((2, len(y)), np.float32)
        for direction in _COMPASS:
            far = np.rint(direction * np.float32(um / self._mpp)).astype(np.int64)
            push += direction[:, None] * (tissue.at(y + far[0], x + far[1]) != own)
        return push

    def _clear(
        self, y: Any, x: Any, shape: Any, turn: Any, tissue: _Lookup, own: int
    ) -> NDArray[np.bool_]:
        # Both ends and both sides of the nucleus lie in its own tissue.
        keep = np.ones(len(y), np.bool_)
        uy, ux = AXES[:, turn]
        for reach, vy, vx in ((self._templates.major, uy, ux), (self._templates.minor, ux, -uy)):
            ey = np.rint(reach[shape] * vy).astype(np.int64)
            ex = np.rint(reach[shape] * vx).astype(np.int64)
            keep &= tissue.at(y + ey, x + ex) == own
            keep &= tissue.at(y - ey, x - ex) == own
        return keep


def _scatter_number(
    rows: NDArray[np.int64], cols: NDArray[np.int64], part: int
) -> NDArray[np.int64]:
    number = 1 + part * _SCATTER_IDS**2
    return number + rows % _SCATTER_IDS * _SCATTER_IDS + cols % _SCATTER_IDS


def _share(word: NDArray[np.uint64]) -> NDArray[np.float32]:
    return (word & np.uint64(0xFFFFF)).astype(np.float32) * np.float32(2.0**-20)


def _in(box: tuple[int, int, int, int], y: Any, x: Any) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (y >= box[0]) & (y <= box[1]) & (x >= box[2]) & (x <= box[3])
    return inside


class _Lookup:
    # Tissue at single points, on a lattice of a few pixels fixed to the plane.

    def __init__(
        self, anatomy: Anatomy, box: tuple[int, int, int, int], step: int, glands: LatticePoints
    ) -> None:
        self._step = step
        self._y, self._x = box[0] // step, box[2] // step
        height, width = box[1] // step + 1 - self._y, box[3] // step + 1 - self._x
        pixels = Pixels(self._y * step, self._x * step, step, height, width)
        self._parts = anatomy.parts(pixels, glands)
        self._tissue = scaffold(self._parts)

    def at(self, y: NDArray[np.int64], x: NDArray[np.int64]) -> NDArray[np.uint8]:
        return self._found(self._tissue, y, x)

    def holds(self, part: int) -> bool:
        return bool((self._parts == part).any())

    def parts_at(self, y: NDArray[np.int64], x: NDArray[np.int64]) -> NDArray[np.uint8]:
        return self._found(self._parts, y, x)

    def _found(
        self, of: NDArray[np.uint8], y: NDArray[np.int64], x: NDArray[np.int64]
    ) -> NDArray[np.uint8]:
        found: NDArray[np.uint8] = of[y // self._step - self._y, x // self._step - self._x]
        return found
