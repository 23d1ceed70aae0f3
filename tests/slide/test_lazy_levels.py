from __future__ import annotations

import gc
from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from napari.components import ViewerModel

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import TileAddress
from napari_histodiff.core.recipe import MAX_SIDE
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.slide.lazy_levels import LazyLevel, pyramid
from napari_histodiff.slide.streaming.feed import TileFeed
from tests.slide.fake_store import FakeStore, small_recipe
from tests.slide.streaming.fake_engine import QuietEngine

SLIDE = FakeStore(small_recipe(700, 1100))
LEVEL = LazyLevel(SLIDE, 0)
PIXELS = SLIDE.read(SLIDE.spec.bounds(0))


def indices(side: int) -> st.SearchStrategy[Any]:
    places = st.integers(-side - 3, side + 3)
    steps = st.integers(-70, 70).filter(bool)
    slices = st.builds(slice, st.none() | places, st.none() | places, st.none() | steps)
    return slices | st.integers(-side, side - 1) | st.integers(0, side - 1).map(np.int64)


@given(indices(700), indices(1100), indices(3), st.sampled_from(["all", "...", "two", "one"]))
def test_it_is_read_as_numpy_reads(y: Any, x: Any, colour: Any, form: str) -> None:
    key = {
        "all": (y, x, colour),
        "...": (y, Ellipsis, colour),
        "two": (Ellipsis, x, colour),
        "one": y,
    }[form]
    got = LEVEL[key]
    np.testing.assert_array_equal(got, PIXELS[key])
    assert np.asarray(got).dtype == np.uint8


def test_it_has_what_an_array_has() -> None:
    assert LEVEL.shape == (700, 1100, 3)
    assert LEVEL.dtype == np.uint8
    assert LEVEL.ndim == 3
    assert LEVEL.size == LEVEL.nbytes == 700 * 1100 * 3
    assert LEVEL.chunks == LEVEL.chunksize == (256, 256, 3)
    assert len(LEVEL) == 700
    assert LEVEL.level == 0
    assert "LazyLevel 0" in repr(LEVEL)


@pytest.mark.parametrize(
    "key", [(0, 0, 0, 0), (..., ...), ([1, 2],), 700, (0, -1101), "a", None, np.ones(700, bool)]
)
def test_other_indices_are_refused(key: Any) -> None:
    with pytest.raises(IndexError, match="expected"):
        LEVEL[key]


def test_a_gigapixel_level_is_refused_as_a_whole_but_its_corner_is_read() -> None:
    levels = pyramid(FakeStore(small_recipe(MAX_SIDE, MAX_SIDE)))
    assert max(levels[-1].shape[:2]) <= 512
    assert levels[0].shape == (MAX_SIDE, MAX_SIDE, 3)
    with pytest.raises(InvalidRequest, match="index it"):
        np.asarray(levels[0])
    with pytest.raises(InvalidRequest, match="take a smaller one"):
        levels[0][:]
    with pytest.raises(InvalidRequest, match="take a smaller one"):
        levels[0][::1000, ::1000]
    assert levels[0][-10:, -20:].shape == (10, 20, 3)


def test_the_coarsest_level_as_a_whole_follows_the_slide() -> None:
    store = FakeStore(small_recipe(2048, 4096))
    last = pyramid(store)[-1]
    whole = np.asarray(last)
    assert whole is np.asarray(last)
    assert np.array(last, copy=True) is not whole
    assert np.asarray(last, dtype=np.float32).dtype == np.float32
    np.testing.assert_array_equal(whole, store.read(store.spec.bounds(last.level)))

    before = whole.copy()
    store.put_generated(TileAddress(2, 1, 2), np.full((256, 256, 3), 9, np.uint8))
    assert (whole[128:256, 256:384] == 9).all()
    assert (whole != before).any(-1).sum() <= 128 * 128
    request = EditRequest(kind="generate", region=store.spec.bounds(2))
    store.write(request, np.full((512, 1024, 3), 77, np.uint8))
    assert (whole == 77).all()
    store.undo()
    assert (whole[128:256, 256:384] == 9).all()


def test_a_level_nobody_holds_is_let_go() -> None:
    store = FakeStore()
    last = pyramid(store)[-1]
    np.asarray(last)
    assert store.listeners == 1
    del last
    gc.collect()
    assert store.listeners == 0


def test_dask_reads_the_same_pixels_and_names_them_the_same() -> None:
    array = LEVEL.to_dask()
    assert array.chunks == ((256, 256, 188), (256, 256, 256, 256, 76), (3,))
    SLIDE.reads.clear()
    part = array[300:310, 500:600].compute()
    np.testing.assert_array_equal(part, PIXELS[300:310, 500:600])
    assert sum(region.area for region in SLIDE.reads) <= 2 * 256**2
    assert array.name == LazyLevel(SLIDE, 0).to_dask().name
    assert array.name != LazyLevel(SLIDE, 1).to_dask().name
    assert array.name != LazyLevel(FakeStore(small_recipe(700, 1100, seed=1)), 0).to_dask().name
    np.testing.assert_array_equal(da.asarray(array).compute(), PIXELS)


def test_a_layer_of_it_reads_little_and_starts_no_job() -> None:
    store = FakeStore(small_recipe(MAX_SIDE, MAX_SIDE))
    engine = QuietEngine()
    with TileFeed(store, engine):
        viewer = ViewerModel()
        layer = viewer.add_image(pyramid(store), multiscale=True, rgb=True)
        assert layer.rgb
        assert layer.multiscale
        assert layer.contrast_limits == [0, 255]
        assert np.any(layer.thumbnail)
        layer.get_status((5.0, 6.0), world=True)
        for level in (0, 3, 8):
            layer.data_level = level
            layer.corner_pixels = np.array([[0, 0], [700, 900]]) >> level
            layer.refresh()
        layer.extent  # noqa: B018 - a property that computes
        viewer.reset_view()
        assert max(region.area for region in store.reads) <= 1024 * 1024
    assert engine.calls == []
