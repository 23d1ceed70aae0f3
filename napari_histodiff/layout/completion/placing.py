"""Nuclei for tissue that has none: rows along glands, spindles along fibres, crowds of lymphocytes.

Each cell of a lattice fixed to the plane proposes one nucleus by hash; those that find a free place
in tissue of their kind are stamped, in an order that belongs to the cells too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import N_CLASSES, TISSUE_NAMES
from napari_histodiff.layout.fields import ValueNoise, key_of, uniforms
from napari_histodiff.layout.lining import BASE, ROW
from napari_histodiff.layout.nucleus_templates import TURNS, VARIANTS, templates_of, turn_of
from napari_histodiff.layout.plan import CONNECTIVE, EPITHELIAL, LYMPHOCYTE, SlidePlan
from napari_histodiff.layout.tissues.kinds import cell_by_cell

__all__ = ["place_nuclei"]

_ID: Final = {name: number for number, name in enumerate(TISSUE_NAMES)}
_GLAND, _STROMA, _LYMPHOID = _ID["gland"], _ID["stroma"], _ID["lymphoid"]
#: What a gland may enclose; its border to anything else is where its nuclei stand.
_INNER: Final = ("unspecified", "gland", "lumen", "mucus", "glass")

_CELL: Final = 4.5  # um, side of the cells that propose one nucleus each
_CROWDED: Final = 2.2  # proposals per nucleus that finds a place, where many are wanted
_MANY: Final = 3500.0  # nuclei per mm^2
_FINE: Final = 0.5  # um per pixel at which nuclei have their size
_WITHIN: Final = 0.35  # chance of a proposal that stands above the first rows of a gland
_SWAY: Final = 2.0  # um that nuclei stand more or less deep in their row
_GAP: Final = 0.6  # um between outlines
_MEMBRANES: Final = 0.2  # of fat, where all of its nuclei stand
_FIBRES: Final = (140.0, 60.0)  # um, over which the direction of fibres changes

#: Nuclei per mm^2 where the plan says nothing, by tissue and class; as counted in annotated tissue.
_DENSITIES: Final[dict[str, tuple[float, ...]]] = {
    "muscle": (0, 0, 90, 0, 30, 2600),
    "fat": (0, 0, 30, 0, 0, 350),
    "blood": (90, 0, 130, 0, 0, 40),
    "mucus": (40, 40, 30, 0, 0, 0),
    "necrosis": (700, 0, 350, 0, 0, 250),
    "vessel": (0, 0, 60, 0, 0, 2400),
}


@dataclass(frozen=True, slots=True, eq=False)
class _Proposals:
    y: NDArray[np.int64]
    x: NDArray[np.int64]
    kind: NDArray[np.int64]
    turn: NDArray[np.int64]
    pick: NDArray[np.float32]
    rank: NDArray[np.float32]


def place_nuclei(
    tissue: NDArray[np.uint8],
    where: NDArray[np.bool_],
    taken: NDArray[np.bool_],
    plan: SlidePlan,
    *,
    frame: Region,
    mpp: float,
    seed: int,
    first: int = 1,
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return a class map (h, w) uint8 and an instance map (h, w) int32 of suggested nuclei.

    Parameters
    ----------
    tissue : (h, w) uint8
        Ids of `TISSUE_NAMES`.
    where : (h, w) bool
        Where middles of nuclei may lie.
    taken : (h, w) bool
        Where no nucleus may reach.
    plan : SlidePlan
        Densities in stroma and lymphoid tissue, and rows of an epithelium.
    frame : Region
        Where the maps lie on the plane, in pixels.
    mpp : float
        Micrometres per pixel.
    seed : int
    first : int
        Id of the first nucleus.
    """
    found = _proposals(tissue, where, plan, frame, mpp, seed)
    templates = templates_of(mpp)
    gap = max(1, round(_GAP / mpp))
    closed = _grown(taken, gap)
    kinds_of = _home(tissue)
    classes = np.zeros(tissue.shape, np.uint8)
    instances = np.zeros(tissue.shape, np.int32)
    height, width = tissue.shape
    number = first
    for at in np.argsort(found.rank, kind="stable").tolist():
        y, x, kind = int(found.y[at]), int(found.x[at]), int(found.kind[at])
        if closed[y, x]:
            continue
        shape = kind * VARIANTS + int(found.pick[at] * VARIANTS)
        outline = shape * TURNS + int(found.turn[at])
        piece = slice(templates.starts[outline], templates.starts[outline + 1])
        rows, cols = templates.dy[piece] + y, templates.dx[piece] + x
        inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
        rows, cols = rows[inside], cols[inside]
        if closed[rows, cols].any() or kinds_of[kind][rows, cols].mean() < 0.9:
            continue
        classes[rows, cols], instances[rows, cols] = kind + 1, number
        closed[rows, cols] = True
        for dy, dx in ((-gap, 0), (gap, 0), (0, -gap), (0, gap)):
            closed[(rows + dy).clip(0, height - 1), (cols + dx).clip(0, width - 1)] = True
        number += 1
    return classes, instances


def _proposals(
    tissue: NDArray[np.uint8],
    where: NDArray[np.bool_],
    plan: SlidePlan,
    frame: Region,
    mpp: float,
    seed: int,
) -> _Proposals:
    cell = max(1, round(_CELL / mpp))
    rows = np.arange(frame.y // cell, frame.bottom // cell + 1)[:, None]
    cols = np.arange(frame.x // cell, frame.right // cell + 1)[None, :]
    rows, cols = (a.ravel() for a in np.broadcast_arrays(rows, cols))
    dy, dx, chance = uniforms(key_of(seed, 90), rows, cols)
    spin, pick, rank = uniforms(key_of(seed, 91), rows, cols)
    y = rows * cell + (dy * np.float32(cell)).astype(np.int64) - frame.y
    x = cols * cell + (dx * np.float32(cell)).astype(np.int64) - frame.x
    depth, slope = _depth(tissue, mpp)
    y, x, row = _into_rows(tissue, depth, slope, y, x, spin, mpp)
    keep = (y >= 0) & (y < frame.height) & (x >= 0) & (x < frame.width)
    cells = _within_fat_cells(tissue, frame, mpp)
    keep[keep] = (where & ~cells)[y[keep], x[keep]]
    y, x, row = y[keep], x[keep], row[keep]
    chance, spin, pick, rank = chance[keep], spin[keep], pick[keep], rank[keep]
    if cells.any():
        chance[tissue[y, x] == _ID["fat"]] *= np.float32(_MEMBRANES)
    kind = _kinds(tissue[y, x], chance, plan, cell * mpp, mpp)
    within = (kind == EPITHELIAL) & (row >= max(1, round(plan.layers)))
    keep = (kind >= 0) & (~within | (chance < _WITHIN))
    y, x, kind = y[keep], x[keep], kind[keep]
    spin, pick, rank = spin[keep], pick[keep], rank[keep]
    turn = _turns(slope, y, x, kind, spin, frame, mpp, seed)
    # Rows before what stands above them, so that they are whole.
    rank = rank + row[keep] * (kind == EPITHELIAL)
    return _Proposals(y, x, kind, turn, pick, np.asarray(rank, np.float32))


def _within_fat_cells(tissue: NDArray[np.uint8], frame: Region, mpp: float) -> NDArray[np.bool_]:
    told = cell_by_cell(tissue, frame, mpp, TISSUE_NAMES)
    within: NDArray[np.bool_] = (tissue == _ID["fat"]) & (told == _ID["glass"])
    return within


def _depth(
    tissue: NDArray[np.uint8], mpp: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    # How many um each place lies inside glands from their outer border (outside them, from the
    # glands, below 0), and which way that grows, (2, h, w).
    inner = np.isin(tissue, [_ID[name] for name in _INNER])
    depth = np.full(tissue.shape, np.inf, np.float32)
    if not inner.all() and (tissue == _GLAND).any():
        outer = ndimage.distance_transform_edt(~inner)
        depth = ((ndimage.distance_transform_edt(inner) - outer) * mpp).astype(np.float32)
    else:
        depth = np.where(inner, np.float32(1e3), np.float32(-1e3))
    smooth = ndimage.gaussian_filter(depth, 2.0 / mpp)
    dy = ndimage.sobel(smooth, axis=0, output=np.float32)
    dx = ndimage.sobel(smooth, axis=1, output=np.float32)
    length = np.maximum(np.hypot(dy, dx), np.float32(1e-6))
    slope = np.stack([dy / length, dx / length])
    slope[:, np.hypot(dy, dx) < 1e-3] = 0
    return depth, slope


def _into_rows(
    tissue: NDArray[np.uint8],
    depth: NDArray[np.float32],
    slope: NDArray[np.float32],
    y: NDArray[np.int64],
    x: NDArray[np.int64],
    spin: NDArray[np.float32],
    mpp: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    # What is proposed in a gland moves to the nearest row of its epithelium.
    height, width = tissue.shape
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    at = np.flatnonzero(inside)
    at = at[tissue[y[at], x[at]] == _GLAND]
    here = y[at], x[at]
    row = np.zeros(len(y), np.int64)
    deep = depth[here]
    number = np.maximum(np.rint((deep - np.float32(BASE)) / np.float32(ROW)), 0)
    wanted = np.float32(BASE) + number * np.float32(ROW)
    wanted += (spin[at] - np.float32(0.5)) * np.float32(_SWAY)
    move = np.where(deep < 900, (wanted - deep) / np.float32(mpp), np.float32(0))
    y, x = y.copy(), x.copy()
    y[at] += np.rint(slope[0][here] * move).astype(np.int64)
    x[at] += np.rint(slope[1][here] * move).astype(np.int64)
    row[at] = np.minimum(number, 100).astype(np.int64)
    return y, x, row


def _kinds(
    tissue: NDArray[np.uint8], chance: NDArray[np.float32], plan: SlidePlan, side: float, mpp: float
) -> NDArray[np.int64]:
    # The class that each place asks for, -1 for none.
    densities = np.zeros((len(TISSUE_NAMES), N_CLASSES))
    for name, many in _DENSITIES.items():
        densities[_ID[name]] = many
    densities[_STROMA], densities[_LYMPHOID] = plan.densities, plan.crowd
    densities[_GLAND, EPITHELIAL] = 1e6
    if plan.densities[CONNECTIVE] == 0:
        densities[:, CONNECTIVE] = 0
    crowd = densities.sum(axis=1, keepdims=True)
    share = densities * (side / 1000) ** 2 * np.where(crowd > _MANY, _CROWDED, 1.0)
    share *= _true_sizes(mpp)
    upper = np.cumsum(share, axis=1)[tissue]
    kind: NDArray[np.int64] = (chance[:, None] >= upper).sum(axis=1)
    return np.where(kind < N_CLASSES, kind, -1)


@lru_cache(maxsize=8)
def _true_sizes(mpp: float) -> NDArray[np.float64]:
    # Area of the nuclei of each class, as a share of that at so many um per pixel. What covers
    # whole pixels stands for several where pixels are large, which are as full of nuclei as tissue.
    fine, drawn = (
        np.diff(templates_of(one).starts).reshape(N_CLASSES, -1).mean(axis=1) * one**2
        for one in (min(mpp, _FINE), mpp)
    )
    return np.asarray(np.minimum(fine / drawn, 1.0), np.float64)


def _turns(
    slope: NDArray[np.float32],
    y: NDArray[np.int64],
    x: NDArray[np.int64],
    kind: NDArray[np.int64],
    spin: NDArray[np.float32],
    frame: Region,
    mpp: float,
    seed: int,
) -> NDArray[np.int64]:
    # Epithelium stands on its border, spindles lie along it or along the fibres.
    sy, sx = slope[0][y, x], slope[1][y, x]
    sway = (spin * 3).astype(np.int64) - 1
    standing = turn_of(sy, sx) + sway
    sides = tuple(max(2, round(side / mpp)) for side in _FIBRES)
    fields = [ValueNoise(seed, channel, sides, (1.0, 0.4)) for channel in (92, 93)]
    fy, fx = (field.at(y + frame.y, x + frame.x) for field in fields)
    # Along the nearest gland, the less so the less there is one.
    lying = turn_of(sx + fy, -sy + fx) + sway
    turn = (spin * TURNS).astype(np.int64)
    turn = np.where(kind == EPITHELIAL, standing, turn)
    turn = np.where(kind == CONNECTIVE, lying, turn)
    return np.asarray(turn % TURNS, np.int64)


def _home(tissue: NDArray[np.uint8]) -> list[NDArray[np.bool_]]:
    # Where the nuclei of each class may reach.
    solid = ~np.isin(tissue, [_ID[name] for name in ("lumen", "glass", "mucus")])
    gland = tissue == _GLAND
    homes = [solid] * N_CLASSES
    homes[EPITHELIAL] = gland | (tissue == _ID["mucus"])
    homes[CONNECTIVE] = homes[LYMPHOCYTE] = solid & ~gland
    return homes


def _grown(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    if not mask.any():
        return mask.copy()
    return np.asarray(ndimage.maximum_filter(mask, 2 * reach + 1), np.bool_)
