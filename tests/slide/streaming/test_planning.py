from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.core.recipe import MAX_SIDE, TILE
from napari_histodiff.slide.storage.tile_table import TileState
from napari_histodiff.slide.streaming import planning
from tests.slide.fake_store import small_recipe

GIANT = small_recipe(MAX_SIDE, MAX_SIDE)


class Slide:
    """States only."""

    def __init__(self, states: dict[int, np.ndarray] | None = None, recipe=GIANT) -> None:
        self.recipe, self.spec = recipe, recipe.spec
        self._states = states or {}

    def state(self, level: int) -> np.ndarray:
        if level in self._states:
            return self._states[level].copy()
        return np.zeros(tiles_of(self.spec, level), np.uint8)


def tiles_of(spec, level: int) -> tuple[int, int]:
    bounds = spec.bounds(level)
    return -(-bounds.height // TILE), -(-bounds.width // TILE)


@st.composite
def slides(draw: st.DrawFn) -> Slide:
    """Small slides of any shape and tile states."""
    sides = st.integers(600, 3000)
    recipe = small_recipe(draw(sides), draw(sides))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    share = draw(st.floats(0, 1))
    states = {}
    for level in range(recipe.coarsest + 1):
        shape = tiles_of(recipe.spec, level)
        absent = rng.choice([TileState.EMPTY, TileState.STALE], shape)
        there = rng.choice([TileState.SOURCE, TileState.GENERATED, TileState.EDITED], shape)
        states[level] = np.where(rng.random(shape) < share, absent, there).astype(np.uint8)
    return Slide(states, recipe)


@st.composite
def slides_and_tiles(draw: st.DrawFn) -> tuple[Slide, list[TileAddress]]:
    slide = draw(slides())
    every = [
        tile
        for level in range(slide.recipe.coarsest + 1)
        for tile in slide.spec.tiles(slide.spec.bounds(level))
    ]
    return slide, draw(st.lists(st.sampled_from(every), max_size=12))


@given(slides_and_tiles())
def test_drawing_what_is_needed_in_order_never_lacks_a_parent(case) -> None:
    slide, tiles = case
    order = planning.needs(slide, tiles)
    assert len(set(order)) == len(order)
    states = {level: slide.state(level) for level in range(slide.recipe.coarsest + 1)}
    for tile in order:
        assert states[tile.level][tile.row, tile.col] in (TileState.EMPTY, TileState.STALE)
        if tile.level < slide.recipe.coarsest:
            place = Region(tile.level, tile.row * TILE, tile.col * TILE, TILE, TILE)
            above = slide.spec.at_level(place.pad(slide.recipe.margin), tile.level + 1)
            for parent in slide.spec.tiles(above):
                assert states[parent.level][parent.row, parent.col] not in (
                    TileState.EMPTY,
                    TileState.STALE,
                )
        states[tile.level][tile.row, tile.col] = TileState.GENERATED
    for tile in tiles:
        assert states[tile.level][tile.row, tile.col] not in (TileState.EMPTY, TileState.STALE)


@given(slides_and_tiles())
def test_nothing_is_needed_that_no_asked_tile_comes_from(case) -> None:
    slide, tiles = case
    order = planning.needs(slide, tiles)
    used = set(tiles)
    for tile in reversed(order):
        assert tile in used
        if tile.level < slide.recipe.coarsest:
            above = planning.parents(slide, planning.full_region(tile))
            used.update(slide.spec.tiles(above))


def test_a_level_that_is_not_drawn_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="coarser levels follow"):
        planning.needs(Slide(), [TileAddress(3, 0, 0)])


@given(st.integers(0, MAX_SIDE - 1), st.integers(0, MAX_SIDE - 1), st.integers(0, 2))
def test_a_far_jump_costs_the_same_wherever_it_lands(y: int, x: int, level: int) -> None:
    view = Region(level, (y >> level) - 512, (x >> level) - 512, 1024, 1024)
    tiles = planning.wanted(Slide(), view)
    # 5 x 5 tiles touch a view of 4; each level up half as many and one more for the margin.
    most = sum(side**2 for side in (5, 4, 4)[: GIANT.coarsest + 1 - level])
    assert len(planning.needs(Slide(), tiles)) <= most


@given(slides_and_tiles())
def test_blocks_hold_each_tile_once_and_nothing_else(case) -> None:
    slide, tiles = case
    centre = planning.centre_of(slide.spec.bounds(0))
    found = planning.blocks(tiles, centre)
    members = [tile for block in found for tile in planning.block_tiles(block)]
    assert sorted(members) == sorted(set(tiles))
    for block in found:
        assert block.snap(TILE) == block
        assert max(block.shape) <= 2 * TILE
    for before, after in pairwise(found):
        assert before.level >= after.level
    for block in found:
        later = found[found.index(block) :]
        rest = [t for b in later if b.level == block.level for t in planning.block_tiles(b)]
        nearest = min(planning.distance(planning.full_region(t), centre) for t in rest)
        own = [planning.full_region(t) for t in planning.block_tiles(block)]
        assert min(planning.distance(place, centre) for place in own) == nearest


def test_a_square_of_tiles_is_drawn_at_once() -> None:
    square = [TileAddress(0, row, col) for row in (1, 2) for col in (3, 4)]
    assert planning.blocks(square, (0.0, 0.0)) == [Region(0, 256, 768, 512, 512)]
    assert planning.blocks(square[:2], (0.0, 0.0)) == [Region(0, 256, 768, 256, 512)]


@given(st.integers(-2000, 4000), st.integers(-2000, 4000), st.integers(1, 900), st.integers(0, 2))
def test_visible_tiles_cover_the_view_nearest_first(y: int, x: int, side: int, ring: int) -> None:
    spec = small_recipe(3000, 1900).spec
    view = Region(0, y, x, side, side)
    tiles = planning.visible(spec, view, ring)
    assert set(spec.tiles(view)) <= set(tiles)
    grown = view.pad(ring * TILE)
    assert set(spec.tiles(grown)) <= set(tiles)
    centre = planning.centre_of(view)
    away = [planning.distance(planning.full_region(tile), centre) for tile in tiles]
    assert away == sorted(away)


def test_far_out_only_a_few_tiles_are_wanted() -> None:
    slide = Slide()
    whole = slide.spec.bounds(slide.spec.levels - 1)
    assert planning.wanted(slide, whole) == []
    level = slide.recipe.coarsest + 1
    near = Region(level, 1024, 1024, 1024, 1024)
    tiles = planning.wanted(slide, near)
    assert len(tiles) == planning.FEW_TILES
    assert {tile.level for tile in tiles} == {slide.recipe.coarsest}
    assert planning.wanted(slide, near.pad(1)) == []
    assert planning.visible(slide.spec, Region(0, 10, 10, 0, 5)) == []


@given(slides(), st.integers(-500, 3000), st.integers(-500, 3000), st.integers(0, 3))
def test_cones_hold_what_every_tile_of_a_region_needs(
    slide: Slide, y: int, x: int, level: int
) -> None:
    region = Region(min(level, slide.spec.levels - 1), y >> level, x >> level, 700, 500)
    parts = planning.dependencies(slide, region)
    fine = min(region.level, slide.recipe.coarsest)
    tiles = list(slide.spec.tiles(slide.spec.at_level(region, fine)))
    assert [part.level for part in parts] == (
        list(range(slide.recipe.coarsest, fine - 1, -1)) if tiles else []
    )
    held = {tile for part in parts for tile in slide.spec.tiles(part)}
    assert set(planning.needs(slide, tiles)) <= held
    every = Slide(recipe=slide.recipe)
    assert set(planning.needs(every, tiles)) == held
