"""Which tiles a view needs, and in which order and groups they are drawn; pure functions.

A view that moves is planned for where it will be when something begun now is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.box_mean import SMOOTH_REACH
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import PyramidSpec, Region, TileAddress
from napari_histodiff.core.recipe import TILE
from napari_histodiff.slide.reader import TileStates
from napari_histodiff.slide.storage.tile_table import TileState

__all__ = [
    "AT_REST",
    "FEW_TILES",
    "Motion",
    "block_tiles",
    "blocks",
    "centre_of",
    "coarse_view",
    "dependencies",
    "distance",
    "full_region",
    "is_worth_detail",
    "leading_edge",
    "missing",
    "moved_on",
    "needs",
    "parents",
    "visible",
    "wanted",
]

#: A view coarser than the model draws asks for at most this many tiles under it.
FEW_TILES: Final = 64

# Sides in tiles of a block, the largest first.
_SHAPES: Final = ((2, 2), (1, 2), (2, 1), (1, 1))


def missing(state: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which tiles have to be drawn, bool of the shape of `state`: empty and stale ones."""
    absent: NDArray[np.bool_] = (state == TileState.EMPTY) | (state == TileState.STALE)
    return absent


def full_region(tile: TileAddress) -> Region:
    """Return all pixels of a tile, also those beyond the slide's border (ARRAY coordinates)."""
    return Region(tile.level, tile.row * TILE, tile.col * TILE, TILE, TILE)


def parents(slide: TileStates, region: Region) -> Region:
    """Return the pixels one level up that drawing `region` reads (ARRAY coordinates, unclipped).

    Parameters
    ----------
    slide : TileStates
        Its recipe tells the margin.
    region : Region
        Whole tiles of a level below the coarsest.
    """
    reach = slide.recipe.margin + 2 * SMOOTH_REACH
    return slide.spec.at_level(region.pad(reach), region.level + 1)


def needs(slide: TileStates, tiles: Iterable[TileAddress]) -> list[TileAddress]:
    """Return what must be drawn so that `tiles` can be, coarse before fine, each once.

    These are the missing ones of `tiles` and, level by level, the missing tiles one level up that
    they are drawn from. Within a level the order of `tiles` is kept.

    Parameters
    ----------
    slide : TileStates
        The slide with the states of its tiles.
    tiles : iterable of TileAddress
        Tiles of the slide, of levels the model draws.

    Raises
    ------
    InvalidRequest
        When a tile is of a level that the model does not draw.
    """
    coarsest = slide.recipe.coarsest
    asked: list[dict[TileAddress, None]] = [{} for _ in range(coarsest + 2)]
    for tile in tiles:
        _check_level(tile.level, coarsest)
        asked[tile.level][tile] = None
    found: list[list[TileAddress]] = []
    for level in range(coarsest + 1):
        if not asked[level]:
            found.append([])
            continue
        absent = missing(slide.state(level))
        found.append([tile for tile in asked[level] if absent[tile.row, tile.col]])
        if level < coarsest:
            for tile in found[-1]:
                above = slide.spec.tiles(parents(slide, full_region(tile)))
                asked[level + 1].update(dict.fromkeys(above))
    return [tile for level in reversed(found) for tile in level]


def dependencies(slide: TileStates, region: Region) -> list[Region]:
    """Return what must be drawn for everything in `region`, one rectangle a level, coarse first.

    Parameters
    ----------
    slide : TileStates
        The slide.
    region : Region
        ARRAY coordinates, any level; of one that the model does not draw its coarsest is taken.

    Returns
    -------
    list of Region
        Whole tiles, cut at the slide's border; empty when `region` lies beyond it.
    """
    coarsest = slide.recipe.coarsest
    spec = slide.spec
    part = spec.at_level(region, min(region.level, coarsest))
    if part.intersect(spec.bounds(part.level)).is_empty:
        return []
    found: list[Region] = []
    for level in range(part.level, coarsest + 1):
        whole = part.intersect(spec.bounds(level)).snap(TILE)
        found.append(whole.intersect(spec.bounds(level)))
        if level < coarsest:
            part = parents(slide, whole)
    return found[::-1]


def visible(spec: PyramidSpec, view: Region, ring: int = 0) -> list[TileAddress]:
    """Return the tiles of a view, nearest its centre first.

    Parameters
    ----------
    spec : PyramidSpec
        The pyramid.
    view : Region
        ARRAY coordinates; its level is that of the tiles.
    ring : int
        So many more tiles on each side.
    """
    if view.is_empty:
        return []
    centre = centre_of(view)
    tiles = spec.tiles(view.snap(TILE).pad(ring * TILE))
    return sorted(tiles, key=lambda tile: (distance(full_region(tile), centre), tile))


def wanted(slide: TileStates, view: Region, ring: int = 0) -> list[TileAddress]:
    """Return the tiles that a view shall show, nearest its centre first.

    A view of a level that is never drawn wants the coarsest drawn tiles under it, but only when
    they are at most `FEW_TILES`: far out, the layout's colours serve as well.

    Parameters
    ----------
    slide : TileStates
        The slide.
    view : Region
        ARRAY coordinates; its level is the one that is shown.
    ring : int
        So many more tiles on each side.
    """
    coarsest = slide.recipe.coarsest
    if view.level <= coarsest:
        return visible(slide.spec, view, ring)
    under = slide.spec.at_level(view, coarsest).intersect(slide.spec.bounds(coarsest))
    if under.snap(TILE).area > FEW_TILES * TILE**2:
        return []
    return visible(slide.spec, under, ring)


def coarse_view(slide: TileStates, view: Region) -> Region:
    """Return a view in pixels of the coarsest level that the model draws, if it is a finer one."""
    return slide.spec.at_level(view, max(view.level, slide.recipe.coarsest))


def blocks(tiles: Iterable[TileAddress], centre: tuple[float, float]) -> list[Region]:
    """Group tiles into blocks to draw at once, coarse before fine, nearest the centre first.

    Each tile is in exactly one block, and a block holds nothing but tiles that were asked for.

    Parameters
    ----------
    tiles : iterable of TileAddress
        Of any levels.
    centre : tuple of float
        Position (y, x) in pixels of level 0, ARRAY coordinates.

    Returns
    -------
    list of Region
        1 or 2 tiles a side, whole ones also where the slide ends within (ARRAY coordinates).
    """
    left = dict.fromkeys(tiles)
    nearest = sorted(
        left, key=lambda tile: (-tile.level, distance(full_region(tile), centre), tile)
    )
    found: list[Region] = []
    for tile in nearest:
        if tile not in left:
            continue
        block = min(_fitting(tile, left), key=lambda block: (distance(block, centre), block))
        for member in block_tiles(block):
            del left[member]
        found.append(block)
    return found


def block_tiles(block: Region) -> list[TileAddress]:
    """Return the addresses of the tiles of a block, row by row."""
    rows = range(block.y // TILE, -(-block.bottom // TILE))
    cols = range(block.x // TILE, -(-block.right // TILE))
    return [TileAddress(block.level, row, col) for row in rows for col in cols]


def centre_of(region: Region) -> tuple[float, float]:
    """Return the middle of a rectangle, (y, x) in pixels of level 0."""
    scale = 1 << region.level
    return (region.y + region.height / 2) * scale, (region.x + region.width / 2) * scale


def distance(region: Region, centre: tuple[float, float]) -> float:
    """Return how far the middle of a rectangle is from a place, in pixels of level 0."""
    y, x = centre_of(region)
    return math.hypot(y - centre[0], x - centre[1])


def _fitting(tile: TileAddress, left: dict[TileAddress, None]) -> list[Region]:
    """Return the largest blocks around a tile that only hold tiles that are left."""
    for rows, cols in _SHAPES:
        fitting = [
            block
            for block in _around(tile, rows, cols)
            if all(member in left for member in block_tiles(block))
        ]
        if fitting:
            break
    return fitting


def _around(tile: TileAddress, rows: int, cols: int) -> Iterator[Region]:
    for row in range(tile.row - rows + 1, tile.row + 1):
        for col in range(tile.col - cols + 1, tile.col + 1):
            if row >= 0 and col >= 0:
                yield Region(tile.level, row * TILE, col * TILE, rows * TILE, cols * TILE)


def _check_level(level: int, coarsest: int) -> None:
    if not 0 <= level <= coarsest:
        raise InvalidRequest(
            f"expected a tile of a level from 0 to {coarsest}, got level {level}; "
            "coarser levels follow from these by themselves"
        )


#: Velocity (y, x) of a view in pixels of level 0 a second.
Motion = tuple[float, float]

AT_REST: Final[Motion] = (0.0, 0.0)

# A hand changes its mind: further ahead than this nothing is foreseen.
_SECONDS: Final = 3.0
_VIEWS: Final = 8


def moved_on(spec: PyramidSpec, view: Region, motion: Motion, seconds: float) -> Region:
    """Return where a view will be after some time, as far as that can be foreseen.

    Parameters
    ----------
    spec : PyramidSpec
        The slide; a view that lies on it stays on it.
    view : Region
        ARRAY coordinates.
    motion : tuple of float
        Pixels of level 0 a second, (y, x).
    seconds : float
        From now; more than 3 s or 8 views count as that much.
    """
    time, bounds = min(seconds, _SECONDS), spec.bounds(view.level)
    y = _shifted(view.y, view.height, _steps(motion[0], view.level, time), bounds.height)
    x = _shifted(view.x, view.width, _steps(motion[1], view.level, time), bounds.width)
    return view.translate(y - view.y, x - view.x)


def leading_edge(view: Region, motion: Motion) -> tuple[float, float]:
    """Return where on the border of a view its centre is heading, (y, x) in pixels of level 0."""
    y, x = centre_of(view)
    scale = 1 << view.level
    sides = max(abs(motion[0]) / view.height, abs(motion[1]) / view.width)
    if sides == 0:
        return y, x
    return y + motion[0] / sides * scale / 2, x + motion[1] / sides * scale / 2


def is_worth_detail(view: Region, motion: Motion, seconds: float) -> bool:
    """Return whether a place stays in a moving view at least for so many seconds."""
    speeds = zip(motion, view.shape, strict=True)
    return all(abs(speed) * seconds <= side << view.level for speed, side in speeds)


def _steps(speed: float, level: int, seconds: float) -> float:
    return speed * seconds / (1 << level)


def _shifted(first: int, side: int, step: float, limit: int) -> int:
    """Return where a side begins after a step that leaves it inside, or as it lies now."""
    step = max(-_VIEWS * side, min(_VIEWS * side, step))
    low, high = min(0, first), max(limit - side, first)
    return max(low, min(high, round(first + step)))
