"""Nuclei and tissue painted at one level are those that its finer levels are drawn with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import decode_labels, encode_labels
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.slide.storage.dependencies import below
from napari_histodiff.slide.store import SlideStore
from napari_histodiff.slide.streaming.planning import block_tiles, full_region
from napari_histodiff.slide.streaming.tile_requests import (
    block_labels,
    block_request,
    glass_pixels,
    maps_at,
    painted_above,
    tissue_at,
    twice,
)
from tests.fakes import FAKE_INFO
from tests.slide.fake_store import FakeLayout, draw_on_plane, small_recipe
from tests.slide.slides import draw_all, make, pixels, request

#: A place of level 1 that lies on four tiles of level 0.
PLACE = Region(1, 100, 110, 60, 70)


@pytest.fixture
def slide(tmp_path: Path) -> Iterator[SlideStore]:
    path = tmp_path / "slide.ome.zarr"
    with SlideStore.create(
        path, small_recipe(1100, 1100), layout=lambda *_: FakeLayout(600)
    ) as slide:
        draw_all(slide)
        yield slide


def paint(
    slide: SlideStore, region: Region, value: int = 3, tissue: np.ndarray | None = None
) -> None:
    """Change a place, with one nucleus of a class in its middle, and maybe its tissue."""
    classes = np.zeros(region.shape, np.uint8)
    classes[10:-10, 10:-10] = value
    request = EditRequest(
        kind=EditKind.GENERATE,
        region=region,
        class_map=classes,
        instance_map=classes.astype(np.int32) * 7,
        tissue_map=tissue,
    )
    slide.write(request, pixels(region.shape, value))
    draw_all(slide)


def asked(slide: SlideStore, block: Region) -> EditRequest:
    request = block_request(slide, block)
    assert request is not None
    return request


def told(region: Region, value: int, left_open: int = 8) -> np.ndarray:
    """Return tissue of one kind that leaves its border to the layout."""
    tissue = np.zeros(region.shape, np.uint8)
    tissue[left_open:-left_open, left_open:-left_open] = value
    return tissue


def nucleus(value: int = 3) -> int:
    return int(
        encode_labels(np.array([[7 * value]], np.int32), np.array([[value]], np.uint8))[0, 0]
    )


@given(
    hnp.arrays(
        np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3)
    )
)
def test_twice_the_scale_keeps_what_is_inside_and_rounds_corners(labels: np.ndarray) -> None:
    fine = twice(labels)
    plain = labels.repeat(2, axis=0).repeat(2, axis=1)
    assert fine.shape == plain.shape
    wide = np.pad(labels, 1, mode="edge")
    near = [wide[1 + dy :, 1 + dx :][: len(labels), : labels.shape[1]] for dy, dx in STEPS]
    near = [part.repeat(2, axis=0).repeat(2, axis=1) for part in near]
    changed = fine != plain
    assert np.any([fine == part for part in near], axis=0)[changed].all()
    assert not plain[changed].any()
    np.testing.assert_array_equal(twice(labels[::-1]), fine[::-1])
    np.testing.assert_array_equal(twice(labels.T), fine.T)


@given(
    hnp.arrays(
        np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3)
    )
)
def test_tissues_side_by_side_round_each_other_s_corners(tissue: np.ndarray) -> None:
    fine = twice(tissue, side_by_side=True)
    plain = tissue.repeat(2, axis=0).repeat(2, axis=1)
    changed = fine != plain
    assert fine[changed].all()  # what is known is not forgotten
    np.testing.assert_array_equal(fine > 0, (fine > 0) | (plain > 0))
    np.testing.assert_array_equal(twice(tissue[::-1], side_by_side=True), fine[::-1])
    np.testing.assert_array_equal(twice(tissue.T, side_by_side=True), fine.T)
    swapped = np.array([0, 2, 1, 3], np.uint8)
    np.testing.assert_array_equal(twice(swapped[tissue], side_by_side=True), swapped[fine])


def test_an_edit_of_a_place_is_told_what_was_painted_there_before(slide: SlideStore) -> None:
    around = PLACE.pad(20)
    before = maps_at(slide, around)
    np.testing.assert_array_equal(before.class_map, slide.layout.nuclei(around)[0])
    np.testing.assert_array_equal(before.tissue_map, slide.layout.tissue(around))
    paint(slide, PLACE)
    now = maps_at(slide, around)
    inside = PLACE.relative_to(around).slices
    expected = np.zeros(PLACE.shape, np.uint8)
    expected[10:-10, 10:-10] = 3
    np.testing.assert_array_equal(now.class_map[inside], expected)
    outside = np.ones(around.shape, bool)
    outside[inside] = False
    for new, old in zip(now, before, strict=True):
        np.testing.assert_array_equal(new[outside], old[outside])


STEPS = [(-1, 0), (1, 0), (0, -1), (0, 1)]


def test_a_staircase_becomes_a_slope() -> None:
    fine = twice(np.tri(6, dtype=np.int32))
    np.testing.assert_array_equal(fine[1:-1, 1:-1], np.tri(12, k=1, dtype=np.int32)[1:-1, 1:-1])


def test_finer_levels_are_drawn_with_the_nuclei_that_were_painted(slide: SlideStore) -> None:
    block = Region(0, 0, 0, 512, 512)
    before = asked(slide, block)
    assert painted_above(slide, before.region) is None
    paint(slide, PLACE)
    request = asked(slide, block)
    inside = slide.spec.at_level(PLACE, 0).relative_to(request.region)
    instances, classes = request.instance_map, request.class_map
    middle = inside.pad(-21).slices
    assert (classes[middle] == 3).all()
    assert (instances[middle] == 21).all()
    assert not classes[inside.slices][:18].any()
    outside = np.ones(request.shape, bool)
    outside[inside.slices] = False
    np.testing.assert_array_equal(classes[outside], before.class_map[outside])
    np.testing.assert_array_equal(instances[outside], before.instance_map[outside])
    np.testing.assert_array_equal(
        asked(slide, Region(2, 0, 0, 256, 256)).class_map, _level_2(slide)
    )
    slide.undo()
    draw_all(slide)
    assert asked(slide, block).to_dict() == before.to_dict()


def _level_2(slide: SlideStore) -> np.ndarray:
    region = Region(2, 0, 0, 256, 256).pad(slide.recipe.margin)
    return slide.layout.nuclei(region)[0]


def test_of_several_edits_the_finest_holds_until_a_coarser_one_is_made(slide: SlideStore) -> None:
    at = Region(0, 260, 280, 1, 1)

    def nucleus_at() -> int:
        found = painted_above(slide, at)
        return 0 if found is None else int(found.labels[0, 0])

    paint(slide, Region(2, 40, 50, 60, 60), 2)
    assert nucleus_at() == nucleus(2)
    paint(slide, PLACE, 3)
    assert nucleus_at() == nucleus(3)
    paint(slide, Region(2, 40, 50, 60, 60), 4)
    assert nucleus_at() == nucleus(4)
    slide.undo()
    assert nucleus_at() == nucleus(3)


def test_finer_levels_are_drawn_with_the_tissue_that_was_painted(slide: SlideStore) -> None:
    block = Region(0, 0, 0, 512, 512)
    before = asked(slide, block)
    tissue = told(PLACE, 3)
    tissue[20:40, 20:40] = 4  # glass, by the user's word
    paint(slide, PLACE, tissue=tissue)
    now = asked(slide, block).tissue_map
    inside = slide.spec.at_level(PLACE, 0).relative_to(before.region).slices
    enlarged = tissue.repeat(2, axis=0).repeat(2, axis=1)
    corners = np.zeros(enlarged.shape, bool)
    for y, x in ((40, 40), (40, 79), (79, 40), (79, 79)):  # rounded, as are those of nuclei
        corners[y, x] = True
    expected = np.where(enlarged > 0, enlarged, before.tissue_map[inside])
    np.testing.assert_array_equal(now[inside][~corners], expected[~corners])
    assert (now[inside][corners] == 3).all()
    outside = np.ones(now.shape, bool)
    outside[inside] = False
    np.testing.assert_array_equal(now[outside], before.tissue_map[outside])
    slide.undo()
    assert asked(slide, block).to_dict() == before.to_dict()
    slide.redo()
    draw_all(slide)
    np.testing.assert_array_equal(asked(slide, block).tissue_map, now)


def test_a_slide_knows_the_tissue_of_its_edits_after_it_was_opened_again(slide: SlideStore) -> None:
    tissue = told(PLACE, 3)
    before = maps_at(slide, PLACE).tissue_map
    paint(slide, PLACE, tissue=tissue)
    expected = np.where(tissue > 0, tissue, before)
    np.testing.assert_array_equal(maps_at(slide, PLACE).tissue_map, expected)
    slide.close()
    with SlideStore.open(slide.path, layout=lambda *_: FakeLayout(600)) as again:
        np.testing.assert_array_equal(maps_at(again, PLACE).tissue_map, expected)


def test_an_edit_that_says_nothing_of_tissue_leaves_it_to_the_layout(slide: SlideStore) -> None:
    before = maps_at(slide, PLACE).tissue_map
    paint(slide, PLACE, tissue=told(PLACE, 3))
    paint(slide, PLACE)
    np.testing.assert_array_equal(maps_at(slide, PLACE).tissue_map, before)
    np.testing.assert_array_equal(tissue_at(slide, PLACE), before)


def test_of_the_tissue_of_several_edits_the_finest_holds(slide: SlideStore) -> None:
    wide, at = Region(2, 40, 50, 60, 60), Region(0, 260, 280, 1, 1)

    def tissue() -> tuple[int, int]:
        return int(maps_at(slide, at).tissue_map[0, 0]), int(tissue_at(slide, at)[0, 0])

    paint(slide, wide, tissue=told(wide, 2))
    assert tissue() == (2, 2)
    paint(slide, PLACE, tissue=told(PLACE, 3))
    assert tissue() == (3, 3)
    paint(slide, wide, tissue=told(wide, 1))
    assert tissue() == (1, 1)
    assert not slide.tissue(PLACE).any()
    slide.undo()
    assert tissue() == (3, 3)


def test_a_place_shows_the_tissue_of_its_edits_at_every_level(slide: SlideStore) -> None:
    wide, small = Region(2, 20, 20, 60, 60), Region(0, 120, 130, 90, 70)
    bounds = slide.spec.bounds(0)
    before = tissue_at(slide, bounds)
    np.testing.assert_array_equal(before, slide.layout.tissue(bounds))
    paint(slide, wide, tissue=told(wide, 2))
    paint(slide, small, tissue=told(small, 3, 5))
    finest = tissue_at(slide, bounds)
    expected = before.copy()
    inside = slide.spec.at_level(wide.pad(-8), 0)
    expected[inside.slices] = 2
    # Where the finer edit says nothing, the layout does.
    expected[small.slices] = np.where(
        told(small, 3, 5) > 0, told(small, 3, 5), before[small.slices]
    )
    np.testing.assert_array_equal(finest, expected)
    for level in range(1, slide.spec.levels):
        found = tissue_at(slide, slide.spec.bounds(level))
        np.testing.assert_array_equal(found, finest[:: 1 << level, :: 1 << level])
        part = Region(level, 10, 7, 40, 50)
        np.testing.assert_array_equal(tissue_at(slide, part), found[part.slices])


@pytest.mark.parametrize("level", [1, 2])
def test_coarser_levels_have_the_nuclei_and_tissue_of_finer_edits(
    slide: SlideStore, level: int
) -> None:
    step, inside = 1 << level, Region(0, 120, 132, 88, 72)
    at = slide.spec.at_level(inside, level)
    around = at.pad(20)
    before = maps_at(slide, around)
    paint(slide, inside, tissue=told(inside, 3))
    fine, now = maps_at(slide, inside), maps_at(slide, around)
    assert fine.class_map.any()
    part = at.relative_to(around).slices
    for coarse, finest in zip(now, fine, strict=True):
        np.testing.assert_array_equal(coarse[part], finest[::step, ::step])
    outside = np.ones(around.shape, bool)
    outside[part] = False
    for there, then in zip(now, before, strict=True):
        np.testing.assert_array_equal(there[outside], then[outside])
    slide.undo()
    for there, then in zip(maps_at(slide, around), before, strict=True):
        np.testing.assert_array_equal(there, then)


def test_levels_that_are_never_drawn_show_the_tissue_of_edits_too(tmp_path: Path) -> None:
    with make(tmp_path, height=2100, width=2100, coarsest=0) as slide:
        assert slide.spec.levels > 2
        place = Region(0, 250, 400, 300, 300)
        slide.write(request(place, tissue_map=told(place, 1, 20)), pixels(place.shape))
        finest = tissue_at(slide, slide.spec.bounds(0))
        assert (finest[place.pad(-20).slices] == 1).all()
        for level in range(1, slide.spec.levels):
            found = tissue_at(slide, slide.spec.bounds(level))
            np.testing.assert_array_equal(found, finest[:: 1 << level, :: 1 << level])


def test_what_was_painted_on_glass_is_drawn_at_finer_levels(slide: SlideStore) -> None:
    block = Region(0, 256, 768, 256, 256)
    assert block_request(slide, block) is None
    paint(slide, Region(1, 140, 400, 60, 70))
    request = asked(slide, block)
    assert request.edit_mask is not None
    there = Region(0, 280, 800, 120, 140).relative_to(request.region).slices
    assert request.edit_mask[there].all()
    assert request.edit_mask.sum() == 120 * 140
    assert not request.tissue_map[there].any()
    pixels_of_it = draw_on_plane(request)
    assert not np.array_equal(pixels_of_it, glass_pixels(slide, block))


def test_grouping_tiles_changes_no_byte_of_it(slide: SlideStore) -> None:
    wide = Region(2, 30, 30, 70, 80)
    paint(slide, wide, 2, np.random.default_rng(3).integers(0, 5, wide.shape, np.uint8))
    paint(slide, PLACE, tissue=told(PLACE, 3))
    block = Region(0, 0, 0, 512, 512)
    request = asked(slide, block)
    together, labels = draw_on_plane(request), block_labels(request, block)
    for tile in block_tiles(block):
        place = full_region(tile)
        alone = asked(slide, place)
        part = place.relative_to(block).slices
        np.testing.assert_array_equal(draw_on_plane(alone), together[part])
        np.testing.assert_array_equal(block_labels(alone, place), labels[part])
    found, _ = decode_labels(labels)
    assert 21 in found


@given(st.integers(-60, 60), st.integers(-60, 60))
def test_tiles_that_read_what_is_painted_become_stale(dy: int, dx: int) -> None:
    """No request changes whose tile does not depend on the edit."""
    recipe = small_recipe(1024, 1024)
    edit = Region(1, 128 + dy, 128 + dx, 40, 40)
    dependents = below(recipe, [edit])[0]
    for tile in recipe.spec.tiles(recipe.spec.bounds(0)):
        read = recipe.spec.at_level(full_region(tile).pad(FAKE_INFO.margin), 1).pad(1)
        if not read.intersect(edit).is_empty:
            assert dependents[tile.row, tile.col]
