from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_histodiff.core.box_mean import box_down
from napari_histodiff.core.errors import InvalidRequest, StorageError
from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.core.maps import decode_labels
from napari_histodiff.core.recipe import TILE
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.slide.storage.tile_table import TileState
from napari_histodiff.slide.streaming import tile_requests
from napari_histodiff.slide.streaming.planning import block_tiles
from tests.slide.fake_store import FakeLayout, FakeStore, draw_on_plane, small_recipe


def drawn_store(down_to: int, **recipe) -> FakeStore:
    """A slide whose levels above `down_to` are drawn, in pixels that differ everywhere."""
    store = FakeStore(small_recipe(1500, 2048, **recipe), layout=FakeLayout(1400))
    rng = np.random.default_rng(1)
    for level in range(store.recipe.coarsest, down_to, -1):
        for tile in store.spec.tiles(store.spec.bounds(level)):
            shape = store.spec.region(tile).shape
            store.put_generated(tile, rng.integers(0, 256, (*shape, 3), np.uint8))
    return store


def test_the_coarsest_level_is_drawn_from_the_layout() -> None:
    store = drawn_store(2, caption="colon", seed=5)
    block = Region(2, 0, 0, 256, 256)
    request = tile_requests.block_request(store, block)
    assert request is not None
    recipe = store.recipe
    assert request.kind is EditKind.GENERATE
    assert request.coarse is None
    assert request.region == block.pad(recipe.margin)
    assert request.target == block
    assert (request.caption, request.seed, request.steps) == ("colon", 5, recipe.steps)
    assert request.guidance_scale == recipe.guidance_scale
    assert request.stain == recipe.stains[2]
    assert request.mpp == recipe.mpp * 4
    np.testing.assert_array_equal(request.tissue_map, store.layout.tissue(request.region))
    classes, instances = store.layout.nuclei(request.region)
    np.testing.assert_array_equal(request.class_map, classes)
    np.testing.assert_array_equal(request.instance_map, instances)
    assert request.image is None
    assert request.edit_mask is None


def test_slides_that_follow_fibres_are_told_them_with_each_tile() -> None:
    store = drawn_store(0)
    block = Region(0, 256, 512, 512, 256)
    request = tile_requests.block_request(store, block)
    assert request is not None
    assert request.fibres is None
    store.recipe = replace(store.recipe, fibres=True)
    told = tile_requests.block_request(store, block)
    assert told is not None
    np.testing.assert_array_equal(told.fibres, store.layout.fibres(told.region))


def test_far_glass_is_known() -> None:
    store = drawn_store(2)
    request = tile_requests.block_request(store, Region(2, 0, 256, 256, 256))
    assert request is not None
    glass = store.layout.glass(request.region)
    assert 0 < glass.sum() < glass.size
    np.testing.assert_array_equal(request.edit_mask, ~glass)
    colours = store.layout.colours(request.region)
    np.testing.assert_array_equal(request.image[glass], colours[glass])

    store.layout.glass_from = 1400 + 4 * 3  # an odd column
    request = tile_requests.block_request(store, Region(2, 0, 256, 256, 256))
    assert request is not None
    known = ~request.edit_mask
    assert store.layout.glass(request.region).sum() == known.sum() + known.shape[0]
    squares = known.reshape(known.shape[0] // 2, 2, -1, 2).sum(axis=(1, 3))
    assert set(squares.ravel().tolist()) == {0, 4}


def test_far_glass_has_the_colour_of_the_recipe() -> None:
    store = drawn_store(2)
    store.recipe = replace(store.recipe, glass=(250, 230, 240))
    request = tile_requests.block_request(store, Region(2, 0, 256, 256, 256))
    assert request is not None
    assert request.image is not None
    assert (request.image == (250, 230, 240)).all()


def test_known_glass_of_a_finer_level_has_the_means_of_the_coarser_one_and_no_steps() -> None:
    finer = drawn_store(1)
    zoom = tile_requests.block_request(finer, Region(1, 0, 512, 256, 256))
    assert zoom is not None
    known = ~zoom.edit_mask
    assert known.any()
    rows, cols = (np.flatnonzero(known.any(axis=axis))[[0, -1]] for axis in (1, 0))
    part = np.s_[rows[0] : rows[1] + 1, cols[0] : cols[1] + 1]
    np.testing.assert_array_equal(box_down(zoom.image[part]), box_down(zoom.coarse[part]))
    wide = tile_requests.block_request(finer, Region(1, 0, 512, 512, 256))
    assert wide is not None
    inside = zoom.region.relative_to(wide.region).slices
    np.testing.assert_array_equal(wide.image[inside], zoom.image)


@pytest.mark.parametrize("level", [0, 1])
def test_finer_levels_zoom_into_the_one_above(level: int) -> None:
    store = drawn_store(level)
    block = Region(level, 256, 256, 512, 256)
    request = tile_requests.block_request(store, block)
    assert request is not None
    assert request.kind is EditKind.ZOOM
    assert request.mpp == store.recipe.mpp * 2**level
    region = request.region
    for y, x in ((0, 0), (1, 0), (5, 6), (region.height - 1, region.width - 1)):
        above = Region(level + 1, (region.y + y) // 2, (region.x + x) // 2, 1, 1)
        np.testing.assert_array_equal(request.coarse[y, x], store.base(above)[0, 0])


def test_at_the_border_the_layout_goes_on() -> None:
    store = drawn_store(0)
    block = Region(0, 1280, 0, 220, 256)  # the last row of tiles is cut at 1500
    request = tile_requests.block_request(store, block)
    assert request is not None
    assert request.target == Region(0, 1280, 0, 256, 256)
    margin = store.recipe.margin
    assert request.region == Region(0, 1280 - margin, -margin, 256 + 2 * margin, 256 + 2 * margin)
    beyond = Region(1, 760, 0, 1, 1)
    row = 1520 - request.region.y
    np.testing.assert_array_equal(request.coarse[row, margin], store.layout.colours(beyond)[0, 0])
    whole = tile_requests.block_request(store, block.snap(TILE))
    assert whole is not None
    assert whole.to_dict() == request.to_dict()


def test_all_glass_needs_no_model_and_is_what_a_model_would_have_been_given() -> None:
    for level, glass_from in ((0, 1700), (1, 1400), (2, -(10**6))):
        store = drawn_store(level)
        store.layout.glass_from = glass_from
        block = Region(level, 0, 2048 // 2**level // TILE * TILE - TILE, 256, 256)
        assert tile_requests.block_request(store, block) is None
        pixels = tile_requests.glass_pixels(store, block)
        assert pixels.shape == (256, 256, 3)
        if level == 2:
            np.testing.assert_array_equal(pixels, store.layout.colours(block))
            continue
        wide = Region(level, block.y, block.x - TILE, TILE, 2 * TILE)
        request = tile_requests.block_request(store, wide)
        assert request is not None
        np.testing.assert_array_equal(draw_on_plane(request)[:, TILE:], pixels)
    labels = tile_requests.glass_labels(store, Region(0, 0, 1792, 256, 256))
    assert labels is not None
    assert not labels.any()
    assert tile_requests.glass_labels(store, Region(1, 0, 0, 256, 256)) is None


def test_a_moved_origin_moves_noise_and_layout_but_not_what_is_stored() -> None:
    plain = drawn_store(0)
    moved = drawn_store(0)
    moved.recipe = replace(plain.recipe, origin=(-2048, 1024))
    block = Region(1, 256, 0, 256, 256)
    request = tile_requests.block_request(moved, block)
    assert request is not None
    assert request.target == block.translate(-1024, 512)
    np.testing.assert_array_equal(request.tissue_map, moved.layout.tissue(request.region))
    first = tile_requests.block_request(plain, block)
    assert first is not None
    inside = (slice(100, 200), slice(100, 200))
    np.testing.assert_array_equal(request.coarse[inside], first.coarse[inside])


@settings(max_examples=12)
@given(st.integers(0, 1), st.integers(0, 4), st.integers(0, 5), st.booleans(), st.booleans())
def test_grouping_tiles_into_blocks_changes_no_byte(
    level: int, row: int, col: int, tall: bool, wide: bool
) -> None:
    store = STORES[level]
    bounds = store.spec.bounds(level).snap(TILE)
    row, col = min(row, bounds.height // TILE - 2), min(col, bounds.width // TILE - 2)
    block = Region(level, row * TILE, col * TILE, TILE * (1 + tall), TILE * (1 + wide))
    together, labels = drawn(store, block)
    for tile in block_tiles(block):
        place = Region(level, tile.row * TILE, tile.col * TILE, TILE, TILE)
        alone, own = drawn(store, place)
        part = place.relative_to(block).slices
        np.testing.assert_array_equal(alone, together[part])
        np.testing.assert_array_equal(own, labels[part])


STORES = [drawn_store(0), drawn_store(1)]


def drawn(store: FakeStore, block: Region) -> tuple[np.ndarray, np.ndarray]:
    request = tile_requests.block_request(store, block)
    if request is None:
        return tile_requests.glass_pixels(store, block), np.zeros(block.shape, np.int32)
    return draw_on_plane(request), tile_requests.block_labels(request, block)


def test_labels_are_the_nuclei_of_the_layout() -> None:
    store = drawn_store(0)
    block = Region(0, 1280, 256, 220, 512)
    request = tile_requests.block_request(store, block)
    assert request is not None
    labels = tile_requests.block_labels(request, block)
    assert labels.shape == (256, 512)
    instances, classes = decode_labels(labels)
    expected = store.layout.nuclei(Region(0, 1280, 256, 256, 512))
    assert classes.any()
    np.testing.assert_array_equal(classes, expected[0])
    np.testing.assert_array_equal(instances, expected[1])
    with pytest.raises(InvalidRequest, match="give the block it was made for"):
        tile_requests.block_labels(request, Region(0, 0, 0, 256, 256))


def test_a_parent_that_is_not_drawn_is_told() -> None:
    with pytest.raises(StorageError):
        tile_requests.block_request(drawn_store(1), Region(0, 0, 0, 256, 256))


@pytest.mark.parametrize(
    "block",
    [
        Region(0, 0, 0, 768, 256),
        Region(0, 128, 0, 256, 256),
        Region(0, 0, 0, 256, 100),
        Region(0, 0, 0, 0, 256),
        Region(0, -256, 0, 256, 256),
        Region(0, 0, 2048, 256, 256),
        Region(0, 1280, 0, 219, 256),
    ],
)
def test_what_is_no_block_is_refused(block: Region) -> None:
    with pytest.raises(InvalidRequest, match="take blocks from planning"):
        tile_requests.block_request(STORES[0], block)


def test_a_level_above_the_coarsest_is_refused() -> None:
    store = FakeStore(small_recipe(4096, 4096))
    level = store.recipe.coarsest + 1
    with pytest.raises(InvalidRequest, match="coarser levels follow"):
        tile_requests.block_request(store, Region(level, 0, 0, 256, 256))


def test_a_block_is_stored_tile_by_tile_and_cut_at_the_border() -> None:
    store = drawn_store(0)
    block = Region(0, 1280, 0, 256, 512)
    pixels = np.random.default_rng(0).integers(0, 256, (256, 512, 3), np.uint8)
    labels = np.arange(256 * 512, dtype=np.int32).reshape(256, 512)
    tiles = tile_requests.put_block(store, block, pixels, labels)
    assert tiles == [TileAddress(0, 5, 0), TileAddress(0, 5, 1)]
    inside = Region(0, 1280, 0, 220, 512)
    np.testing.assert_array_equal(store.read(inside), pixels[:220])
    np.testing.assert_array_equal(store.labels(inside), labels[:220])


def test_a_block_is_taken_until_what_it_was_made_from_changes() -> None:
    store = drawn_store(0)
    block = Region(0, 0, 0, 256, 256)
    pixels = np.zeros((256, 256, 3), np.uint8)
    before = store.revision
    edit(store, Region(0, 900, 900, 64, 64))  # finer pixels average up, but no tile hangs on them
    edit(store, Region(1, 600, 600, 64, 64))  # far away
    assert tile_requests.put_block(store, block, pixels, since=before) == [TileAddress(0, 0, 0)]
    edit(store, Region(1, 128, 0, 8, 8))  # just inside the margin
    assert tile_requests.put_block(store, block, pixels, since=before) == []
    assert store.state(0)[0, 0] == TileState.STALE
    assert tile_requests.put_block(store, block, pixels, since=store.revision)
    edit(store, Region(0, 0, 0, 8, 8))
    assert tile_requests.put_block(store, block, pixels, since=store.revision) == []


def edit(store: FakeStore, region: Region) -> None:
    request = EditRequest(kind=EditKind.GENERATE, region=region)
    store.write(request, 255 - store.read(region))


def finer_store(down_to: int) -> FakeStore:
    store = drawn_store(down_to)
    store.recipe = replace(store.recipe, drawn_finer=True)
    return store


@pytest.mark.parametrize("level", [1, 2])
def test_levels_may_be_drawn_one_finer(level: int) -> None:
    store = finer_store(level)
    block = Region(level, 256, 0, 256, 256)
    request = tile_requests.block_request(store, block)
    assert request is not None
    recipe = store.recipe
    target = Region(level - 1, 512, 0, 512, 512)
    assert request.target == target
    assert request.region == target.pad(recipe.margin + recipe.margin % 2)
    assert request.mpp == recipe.mpp * 2 ** (level - 1)
    assert request.stain == recipe.stains[level - 1]
    np.testing.assert_array_equal(request.tissue_map, store.layout.tissue(request.region))
    classes, instances = store.layout.nuclei(request.region)
    np.testing.assert_array_equal(request.class_map, classes)
    np.testing.assert_array_equal(request.instance_map, instances)
    if level == 2:
        assert (request.kind, request.coarse_levels) == (EditKind.GENERATE, 1)
        return
    assert (request.kind, request.coarse_levels) == (EditKind.ZOOM, 2)
    region = request.region
    for y, x in ((0, 0), (1, 0), (5, 6), (region.height - 1, region.width - 1)):
        above = Region(2, (region.y + y) // 4, (region.x + x) // 4, 1, 1)
        np.testing.assert_array_equal(request.coarse[y, x], store.base(above)[0, 0])


def test_the_first_finest_level_and_those_added_below_it_are_drawn_as_they_are() -> None:
    recipe = replace(small_recipe(1500, 2048), drawn_finer=True)
    assert [recipe.level_drawn(level) for level in range(3)] == [0, 0, 1]
    finer = replace(recipe, refined=1)
    assert [finer.level_drawn(level) for level in range(3)] == [0, 1, 1]
    assert [small_recipe(1500, 2048).level_drawn(level) for level in range(3)] == [0, 1, 2]


def test_a_level_drawn_finer_is_the_means_of_what_was_drawn_and_has_those_above() -> None:
    store = finer_store(2)
    rng = np.random.default_rng(8)
    block = Region(2, 0, 0, 256, 256)
    request = tile_requests.block_request(store, block)
    assert request is not None
    drawn = rng.integers(0, 256, (512, 512, 3), np.uint8)
    top = tile_requests.block_pixels(request, block, drawn)
    np.testing.assert_array_equal(top, box_down(drawn))

    store = finer_store(1)
    block = Region(1, 256, 256, 512, 256)
    request = tile_requests.block_request(store, block)
    assert request is not None
    drawn = rng.integers(60, 190, (1024, 512, 3), np.uint8)
    pixels = tile_requests.block_pixels(request, block, drawn)
    assert pixels.shape == (512, 256, 3)
    above = store.base(Region(2, 128, 128, 256, 128))
    np.testing.assert_array_equal(box_down(pixels), above)
    sums = pixels.reshape(256, 2, 128, 2, 3).astype(int).sum((1, 3))
    np.testing.assert_array_equal(sums, 4 * above.astype(int))
    # Else it is what was drawn: what blocks were shifted by, they were shifted by as a whole.
    moved = pixels.astype(float) - box_down(drawn)
    inside = (pixels > 0) & (pixels < 255)
    whole = inside.reshape(256, 2, 128, 2, 3).all((1, 3), keepdims=True)
    spread = moved.reshape(256, 2, 128, 2, 3)
    assert (np.ptp(spread, (1, 3), keepdims=True)[whole] <= 2).all()
    alone = tile_requests.block_request(store, Region(1, 512, 256, 256, 256))
    assert alone is not None
    one = tile_requests.block_pixels(alone, Region(1, 512, 256, 256, 256), drawn[512:])
    np.testing.assert_array_equal(one, pixels[256:])


def test_known_glass_of_a_level_drawn_finer_comes_back_as_it_is() -> None:
    store = finer_store(1)
    block = Region(1, 0, 512, 256, 256)
    request = tile_requests.block_request(store, block)
    assert request is not None
    plain = tile_requests.block_request(drawn_store(1), block)
    assert plain is not None
    part = request.drawn.relative_to(request.region).slices
    known = ~request.edit_mask[part]
    assert 0 < known.sum() < known.size
    drawn = np.where(known[..., None], request.image[part], np.uint8(99))
    pixels = tile_requests.block_pixels(request, block, drawn)
    inside = plain.drawn.relative_to(plain.region).slices
    glass = ~plain.edit_mask[inside]
    np.testing.assert_array_equal(known[::2, ::2], glass)
    np.testing.assert_array_equal(pixels[glass], plain.image[inside][glass])
