from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_histodiff.core.box_mean import box_down
from napari_histodiff.core.errors import InvalidImage, InvalidRequest, StorageError
from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.core.recipe import MAX_SIDE
from napari_histodiff.slide.storage.tile_table import TileState
from napari_histodiff.slide.store import SlideStore
from tests.slide.slides import (
    PlainLayout,
    draw,
    draw_all,
    drawn,
    edit,
    everything,
    make,
    missing,
    pixels,
    recipe,
    reopen,
    same,
)
from tests.strategies import regions

CORNER = TileAddress(2, 0, 0)


@pytest.fixture
def slide(tmp_path: Path) -> Iterator[SlideStore]:
    with make(tmp_path) as slide:
        yield slide


@pytest.fixture(scope="module")
def partly_drawn(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[SlideStore, list[np.ndarray]]]:
    with make(tmp_path_factory.mktemp("slide")) as slide:
        for tile in missing(slide)[:7]:
            draw(slide, tile)
        yield slide, [slide.read(Region(level, -800, -800, 1700, 1700)) for level in range(3)]


def colours(slide: SlideStore, region: Region) -> np.ndarray:
    return PlainLayout(slide.recipe, slide.sketch).colours(region)


# --------------------------------------------------------------------------- reading


def test_a_gigapixel_slide_is_made_and_opened_without_a_tile(tmp_path: Path) -> None:
    whole = recipe(MAX_SIDE, MAX_SIDE)
    with SlideStore.create(tmp_path / "huge.ome.zarr", whole, layout=PlainLayout) as slide:
        assert slide.nbytes == 0
        assert slide.spec.levels == 9
        files = [path for path in slide.path.rglob("*") if path.is_file()]
        assert all("c" not in path.relative_to(slide.path).parts for path in files)
        assert sum(path.stat().st_size for path in files) < 200_000
        far = Region(0, MAX_SIDE - 10, MAX_SIDE - 20, 30, 40)
        np.testing.assert_array_equal(slide.read(far), colours(slide, far))
    with SlideStore.open(slide.path, layout=PlainLayout) as again:
        assert again.recipe == whole
        assert again.state(0).shape == (512, 512)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2).flatmap(lambda level: regions(level=level, near=600)))
def test_any_region_is_a_part_of_the_whole(
    partly_drawn: tuple[SlideStore, list[np.ndarray]], region: Region
) -> None:
    slide, wholes = partly_drawn
    part = region.translate(800, 800).slices
    np.testing.assert_array_equal(slide.read(region), wholes[region.level][part])


def test_reading_draws_nothing(slide: SlideStore) -> None:
    for level in range(slide.spec.levels):
        bounds = slide.spec.bounds(level).pad(30)
        np.testing.assert_array_equal(slide.read(bounds), colours(slide, bounds))
        assert not slide.state(level).any()
    assert slide.nbytes == 0


def test_an_empty_tile_shows_the_nearest_coarser_pixels(slide: SlideStore) -> None:
    draw(slide, CORNER)
    coarse = slide.read(slide.spec.bounds(2))
    expected = coarse.repeat(4, axis=0).repeat(4, axis=1)[:700, :600]
    np.testing.assert_array_equal(slide.read(slide.spec.bounds(0)), expected)
    tile = TileAddress(1, 0, 0)
    draw(slide, tile)
    expected[:512, :512] = drawn(slide, tile).repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(slide.read(slide.spec.bounds(0)), expected)


@pytest.mark.parametrize("coarsest", [0, 1])
def test_levels_that_are_never_drawn_are_exact_averages(tmp_path: Path, coarsest: int) -> None:
    slide = make(tmp_path, height=1501, width=1203, coarsest=coarsest)
    tiles = [tile for tile in missing(slide) if tile.level == coarsest]
    for tile in tiles[::2]:
        draw(slide, tile)
    is_drawn = np.zeros(slide.spec.bounds(coarsest).shape, bool)
    for tile in tiles[::2]:
        is_drawn[slide.spec.region(tile).slices] = True
    below = slide.read(slide.spec.bounds(coarsest))
    for level in range(coarsest + 1, slide.spec.levels):
        bounds = slide.spec.bounds(level)
        is_drawn = is_drawn[::2, ::2]
        below = box_down(below)
        expected = np.where(is_drawn[..., None], below, colours(slide, bounds))
        np.testing.assert_array_equal(slide.read(bounds), expected)
    assert (slide.state(slide.spec.levels - 1) == TileState.EMPTY).any()
    draw_all(slide)
    assert (slide.state(slide.spec.levels - 1) == TileState.GENERATED).all()
    slide.close()


def test_reading_from_many_threads(slide: SlideStore) -> None:
    draw_all(slide)
    before = {level: slide.read(slide.spec.bounds(level)) for level in range(3)}
    wrong = []

    def read_on() -> None:
        for _ in range(10):
            for level, expected in before.items():
                found = slide.read(slide.spec.bounds(level))
                wrong.extend([level] if not np.array_equal(found, expected) else [])

    threads = [threading.Thread(target=read_on) for _ in range(4)]
    for thread in threads:
        thread.start()
    for tile in list(slide.spec.tiles(slide.spec.bounds(0))):
        draw(slide, tile)
    for thread in threads:
        thread.join()
    assert not wrong


def test_levels_and_tiles_that_do_not_exist_are_refused(slide: SlideStore) -> None:
    with pytest.raises(InvalidRequest, match="level from 0 to 2"):
        slide.state(3)
    with pytest.raises(InvalidRequest, match="level from 0 to 2"):
        slide.read(Region(3, 0, 0, 5, 5))
    with pytest.raises(InvalidRequest, match="tile of this slide"):
        slide.put_generated(TileAddress(0, 9, 9), pixels((256, 256)))
    with pytest.raises(InvalidImage, match="cut the tile"):
        slide.put_generated(TileAddress(0, 2, 2), pixels((256, 256)))


# --------------------------------------------------------------------------- drawing


def test_drawn_tiles_stay(slide: SlideStore) -> None:
    draw_all(slide)
    before = everything(slide)
    with reopen(slide) as again:
        assert same(everything(again), before)
        assert again.nbytes == slide.nbytes > 0


def test_base_needs_drawn_tiles(slide: SlideStore) -> None:
    with pytest.raises(StorageError, match="draw it first"):
        slide.base(slide.spec.bounds(2))
    draw(slide, CORNER)
    bounds = slide.spec.bounds(2)
    np.testing.assert_array_equal(slide.base(bounds), slide.read(bounds))
    outside = bounds.pad(40)
    np.testing.assert_array_equal(slide.base(outside), slide.read(outside))
    np.testing.assert_array_equal(slide.base(outside)[:40], colours(slide, outside)[:40])


def test_labels_are_stored_with_their_tile(slide: SlideStore) -> None:
    tile = TileAddress(0, 2, 1)
    labels = np.random.default_rng(0).integers(0, 9999, (188, 256), np.int32)
    slide.put_generated(tile, pixels((188, 256)), labels)
    found = slide.labels(Region(0, 500, 200, 210, 400))
    expected = np.zeros((210, 400), np.int32)
    expected[12:200, 56:312] = labels
    np.testing.assert_array_equal(found, expected)
    slide.evict(0)
    assert not slide.labels(slide.spec.bounds(0)).any()


def test_who_watches_is_told(slide: SlideStore) -> None:
    told: list[Region] = []
    stop = slide.subscribe(told.append)
    draw(slide, CORNER)
    region = edit(slide, Region(2, 5, 6, 7, 8))
    assert slide.undo() == slide.redo() == region
    assert told == [slide.spec.bounds(2), region, region, region]
    assert slide.undo() == region
    finer = TileAddress(1, 0, 0)
    draw(slide, finer)
    assert slide.evict(0) > 0
    assert told[4:] == [region, slide.spec.region(finer), slide.spec.bounds(0)]
    assert slide.evict(0) == 0
    assert len(told) == 7
    stop()
    stop()
    draw(slide, CORNER)
    edit(slide, Region(2, 5, 6, 7, 8))
    assert len(told) == 7


def test_a_tile_drawn_from_pixels_edited_since_is_not_taken(slide: SlideStore) -> None:
    draw_all(slide)
    tile = TileAddress(0, 0, 0)
    revision, old = slide.revision, drawn(slide, tile)
    edit(slide, Region(1, 5, 5, 9, 9))
    assert not slide.put_generated(tile, old, since=revision)
    assert slide.state(0)[0, 0] == TileState.STALE
    assert slide.put_generated(TileAddress(0, 2, 2), pixels((188, 88)), since=revision)
    for again in missing(slide):
        assert slide.put_generated(again, drawn(slide, again), since=slide.revision)


def test_what_is_out_of_date_is_evicted_before_what_is_good(slide: SlideStore) -> None:
    draw_all(slide)
    edit(slide, Region(1, 5, 5, 9, 9))
    stale = slide.state(0) == TileState.STALE
    good = slide.state(0) == TileState.GENERATED
    assert stale.any()
    assert good.any()
    assert slide.evict(slide.nbytes - 1) > 0
    assert (slide.state(0)[good] == TileState.GENERATED).all()
    assert (slide.state(0)[stale] == TileState.EMPTY).any()
    slide.evict(0)
    assert not (slide.state(0) == TileState.STALE).any()
    draw_all(slide)
    assert (slide.state(0) == TileState.GENERATED).all()


def test_eviction_goes_from_fine_to_coarse_and_longest_unread_first(slide: SlideStore) -> None:
    draw_all(slide)
    edit(slide, Region(0, 300, 300, 20, 20))
    before = everything(slide)
    slide.read(Region(0, 0, 0, 10, 10))
    total, one = slide.nbytes, slide.nbytes // 20
    freed = slide.evict(total - one)
    assert one <= freed == total - slide.nbytes < 4 * one
    assert slide.state(0)[0, 0] == TileState.GENERATED
    assert (slide.state(0) == TileState.EMPTY).any()
    assert (slide.state(1) != TileState.EMPTY).all()
    slide.evict(0)
    assert slide.state(0)[1, 1] == TileState.EDITED
    assert np.count_nonzero(slide.state(0)) == 1
    assert slide.evict(0) == 0
    draw_all(slide)
    assert same(everything(slide), before)
