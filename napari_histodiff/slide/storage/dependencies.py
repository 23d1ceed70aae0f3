"""Which tiles depend on a changed place: finer ones that were drawn from it, level by level.

Revisions tell which tiles went stale when, so that one drawn from older pixels is not taken for
fresh.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_histodiff.core.box_mean import SMOOTH_REACH, repeat_up
from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.core.recipe import TILE
from napari_histodiff.slide.base import StoreRecipe

__all__ = ["Dependents", "PlaneFrame", "Revisions", "below", "of_border", "of_layout", "outside"]


class PlaneFrame(NamedTuple):
    """Where a slide lies on the plane, in pixels of level 0, and how often it was refined."""

    y: int
    x: int
    height: int
    width: int
    refined: int = 0

    def finer(self, refined: int) -> PlaneFrame:
        """Return the same place in pixels of a slide that was refined so often, not less."""
        scale = 1 << (refined - self.refined)
        return PlaneFrame(
            self.y * scale, self.x * scale, self.height * scale, self.width * scale, refined
        )


#: Which tiles of each level depend on a place, (rows, cols) bool, by level.
Dependents = dict[int, NDArray[np.bool_]]


def below(recipe: StoreRecipe, boxes: Iterable[Region]) -> Dependents:
    """Return the tiles finer than changed pixels that were drawn from them, or will be.

    A tile reads the pixels one level up within the recipe's margin around it, so they reach farther
    by the margin at each level.

    Parameters
    ----------
    recipe : StoreRecipe
        Tells the margin.
    boxes : iterable of Region
        What changed, all of one level, ARRAY coordinates.
    """
    boxes = list(boxes)
    if not boxes or boxes[0].level == 0:
        return {}
    level = boxes[0].level - 1
    spec = recipe.spec
    at_level = (spec.at_level(box, level) for box in boxes)
    # Two pixels more: nuclei that were painted above are smoothed by their neighbours there.
    dependents = {level: _touching(recipe, level, at_level, margin=_reach(recipe) + 3)}
    for finer in reversed(range(level)):
        dependents[finer] = _children(recipe, dependents[finer + 1], finer)
    return dependents


def of_layout(recipe: StoreRecipe, boxes: Iterable[Region]) -> Dependents:
    """Return the tiles that depend on what the layout says within boxes.

    Parameters
    ----------
    recipe : StoreRecipe
        Tells margin and levels.
    boxes : iterable of Region
        Where the layout changed, level 0, ARRAY coordinates.
    """
    boxes = list(boxes)
    dependents: Dependents = {}
    for level in reversed(range(recipe.coarsest + 1)):
        at_level = (recipe.spec.at_level(box, level) for box in boxes)
        dependents[level] = _touching(recipe, level, at_level)
        if level < recipe.coarsest:
            dependents[level] |= _children(recipe, dependents[level + 1], level)
    return dependents


def of_border(recipe: StoreRecipe, before: PlaneFrame) -> Dependents:
    """Return the tiles of a grown slide that its earlier borders cut, or that read beyond them.

    Parameters
    ----------
    recipe : StoreRecipe
        Of the grown slide.
    before : PlaneFrame
        Where it lay on the plane.
    """
    y, x = before.y - recipe.origin[0], before.x - recipe.origin[1]
    old = Region(0, y, x, before.height, before.width)
    strips = list(outside(recipe.spec.bounds(0), old))
    at_level = [
        [recipe.spec.at_level(strip, level) for strip in strips]
        for level in range(recipe.coarsest + 1)
    ]
    # A tile of the coarsest level is only cut: it reads no pixels, and the layout goes on.
    dependents = {recipe.coarsest: _touching(recipe, recipe.coarsest, at_level[-1], margin=0)}
    for level in reversed(range(recipe.coarsest)):
        dependents[level] = _touching(recipe, level, at_level[level])
        if level + 1 < recipe.coarsest:
            dependents[level] |= _children(recipe, dependents[level + 1], level)
    return dependents


def outside(region: Region, bounds: Region) -> Iterator[Region]:
    """Yield up to four rectangles that make up what of a region lies beyond another."""
    inside = region.intersect(bounds)
    if inside.is_empty:
        if not region.is_empty:
            yield region
        return
    level = region.level
    strips = (
        Region(level, region.y, region.x, inside.y - region.y, region.width),
        Region(level, inside.bottom, region.x, region.bottom - inside.bottom, region.width),
        Region(level, inside.y, region.x, inside.height, inside.x - region.x),
        Region(level, inside.y, inside.right, inside.height, region.right - inside.right),
    )
    yield from (strip for strip in strips if not strip.is_empty)


def _reach(recipe: StoreRecipe) -> int:
    """Return how far around it a tile reads the level above, in pixels of its own."""
    return recipe.margin + 2 * SMOOTH_REACH if recipe.margin else 0


def _touching(
    recipe: StoreRecipe, level: int, boxes: Iterable[Region], margin: int | None = None
) -> NDArray[np.bool_]:
    """Return the tiles whose surroundings share a pixel with a box."""
    # One pixel more: a tile reads whole pixels of the level above.
    reach = _reach(recipe) + 1 if margin is None else margin
    grid = np.zeros(_shape(recipe, level), np.bool_)
    for box in boxes:
        near = box.pad(reach).snap(TILE)
        rows = slice(max(0, near.y // TILE), max(0, near.bottom // TILE))
        cols = slice(max(0, near.x // TILE), max(0, near.right // TILE))
        if not box.is_empty:
            grid[rows, cols] = True
    return grid


def _children(recipe: StoreRecipe, parents: NDArray[np.bool_], level: int) -> NDArray[np.bool_]:
    """Return the tiles of a level whose surroundings meet one of the marked tiles above."""
    rows, cols = _shape(recipe, level)
    reach = -(-(_reach(recipe) + 1) // TILE)
    grid: NDArray[np.bool_] = ndimage.maximum_filter(
        repeat_up(parents, 2)[:rows, :cols], 2 * reach + 1, mode="constant"
    )
    return grid


def _shape(recipe: StoreRecipe, level: int) -> tuple[int, int]:
    bounds = recipe.spec.bounds(level)
    return -(-bounds.height // TILE), -(-bounds.width // TILE)


class Revisions:
    """Counts the edits made since the slide was opened, and remembers whom each made stale."""

    def __init__(self) -> None:
        #: How many there were.
        self.now = 0
        self._all = 0
        self._last: dict[int, NDArray[np.uint32]] = {}

    def stale(self, dependents: Dependents) -> None:
        """Take note that what these tiles are drawn from changes."""
        self.now += 1
        for level, grid in dependents.items():
            last = self._last.get(level)
            if last is None or last.shape != grid.shape:
                last = self._last[level] = np.zeros(grid.shape, np.uint32)
            last[grid] = self.now

    def is_stale(self, tile: TileAddress, since: int) -> bool:
        """Return whether what a tile is drawn from has changed after a revision."""
        last = self._last.get(tile.level)
        if self._all > since:
            return True
        return last is not None and int(last[tile.row, tile.col]) > since

    def all_stale(self) -> None:
        """Take note that everything changes."""
        self.now += 1
        self._all = self.now
        self._last.clear()
