from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_histodiff.core.geometry import PyramidSpec, Region
from napari_histodiff.ui.slide.watcher import ViewWatcher
from napari_histodiff.ui.viewport import camera_of, canvas_size_of, level_shown
from tests.ui.slide.stage import resize

SPEC = PyramidSpec(2048, 4096, 256, 4, 0.5)


def slide_layer(**placing):
    levels = [np.zeros((*SPEC.bounds(level).shape, 3), np.uint8) for level in range(SPEC.levels)]
    placing = {"scale": (SPEC.mpp, SPEC.mpp), "units": ("um", "um")} | placing
    return Image(levels, multiscale=True, rgb=True, **placing)


@pytest.fixture
def viewer():
    viewer = ViewerModel()
    resize(viewer, 400, 600)
    return viewer


@pytest.fixture
def layer(viewer):
    return viewer.add_layer(slide_layer())


def look(viewer, layer, y, x, pixels=1.0):
    camera_of(viewer).zoom = 1 / (SPEC.mpp * pixels)
    camera_of(viewer).center = tuple(layer.data_to_world((y - 0.5, x - 0.5)))


def test_the_region_is_what_the_canvas_covers(viewer, layer):
    assert canvas_size_of(viewer) == (400, 600)
    look(viewer, layer, 1000, 2000)
    watcher = ViewWatcher(viewer, layer)
    assert watcher.region(SPEC) == Region(0, 800, 1700, 400, 600)
    assert watcher.box(SPEC) == Region(0, 800, 1700, 400, 600)


@pytest.mark.parametrize(
    ("pixels", "level"), [(0.25, 0), (1, 0), (1.9, 0), (2.1, 1), (4.1, 2), (6.5, 2), (30, 3)]
)
def test_the_level_follows_the_pixels_on_the_screen(viewer, layer, pixels, level):
    look(viewer, layer, 1024, 2048, pixels)
    region = ViewWatcher(viewer, layer).region(SPEC)
    assert region.level == level
    whole = SPEC.bounds(level)
    assert whole.contains(region)
    assert region.height == pytest.approx(min(whole.height, 400 * pixels / 2**level), abs=2)
    assert region.width == pytest.approx(min(whole.width, 600 * pixels / 2**level), abs=2)


def test_the_view_is_cut_at_the_slide_and_none_beside_it(viewer, layer):
    look(viewer, layer, 0, 4096)
    watcher = ViewWatcher(viewer, layer)
    assert watcher.region(SPEC) == Region(0, 0, 3796, 200, 300)
    look(viewer, layer, -900, 2000)
    assert watcher.region(SPEC) is None
    assert watcher.box(SPEC).is_empty


def test_a_moved_layer_is_looked_at_where_it_lies(viewer):
    layer = viewer.add_layer(slide_layer(translate=(-70.0, 300.0)))
    look(viewer, layer, 1000, 2000)
    assert ViewWatcher(viewer, layer).region(SPEC) == Region(0, 800, 1700, 400, 600)


def test_hidden_removed_or_three_dimensional_shows_nothing(viewer, layer):
    look(viewer, layer, 1000, 2000)
    watcher = ViewWatcher(viewer, layer)
    layer.visible = False
    assert watcher.region(SPEC) is None
    layer.visible = True
    viewer.dims.ndisplay = 3
    assert watcher.region(SPEC) is None
    viewer.dims.ndisplay = 2
    assert watcher.region(SPEC) is not None
    viewer.layers.remove(layer)
    assert watcher.region(SPEC) is None


def test_a_view_is_told_when_it_rests(viewer, layer):
    watcher = ViewWatcher(viewer, layer)
    look(viewer, layer, 1000, 2000)
    assert not watcher.poll(SPEC, 0.0)
    assert not watcher.poll(SPEC, 0.09)
    assert watcher.poll(SPEC, 0.11)
    assert watcher.told == Region(0, 800, 1700, 400, 600)
    assert not watcher.poll(SPEC, 0.2)
    look(viewer, layer, 1000, 2100)
    assert not watcher.poll(SPEC, 0.3)
    look(viewer, layer, 1000, 2000)  # and back before anybody was told
    assert not watcher.poll(SPEC, 0.5)
    watcher.forget()
    assert not watcher.poll(SPEC, 0.6)
    assert watcher.poll(SPEC, 0.8)


def test_a_long_pan_is_told_on_its_way(viewer, layer):
    watcher = ViewWatcher(viewer, layer)
    told = []
    for step in range(40):
        look(viewer, layer, 1000, 1000 + 10 * step)
        if watcher.poll(SPEC, step * 0.05):
            told.append(watcher.told.x)
    assert 7 <= len(told) <= 11
    assert told == sorted(set(told))


def test_how_a_view_moves_is_told_and_that_it_stopped(viewer, layer):
    watcher = ViewWatcher(viewer, layer)
    look(viewer, layer, 1000, 1000)
    watcher.poll(SPEC, 0.0)
    watcher.poll(SPEC, 1.0)
    assert watcher.motion == (0.0, 0.0)
    now = 1.0
    for step in range(1, 9):
        now += 0.05
        look(viewer, layer, 1000 - 5 * step, 1000 + 10 * step)
        if watcher.poll(SPEC, now):
            assert watcher.motion == pytest.approx((-100, 200))
    assert watcher.motion != (0.0, 0.0)
    watcher.poll(SPEC, now + 0.05)
    assert watcher.poll(SPEC, now + 0.2)  # perhaps the same view, but it rests
    assert watcher.told == Region(0, 760, 780, 400, 600)
    assert watcher.motion == (0.0, 0.0)
    assert not watcher.poll(SPEC, now + 0.4)


def test_a_leap_or_a_change_of_level_is_no_motion(viewer, layer):
    watcher = ViewWatcher(viewer, layer)
    for step in range(20):
        look(viewer, layer, 1000, 700 if step % 2 else 3000)
        watcher.poll(SPEC, step * 0.05)
        assert watcher.motion == (0.0, 0.0)
    for step in range(20):
        look(viewer, layer, 1000, 2000 + step, 1 if step % 2 else 2.5)
        watcher.poll(SPEC, 1 + step * 0.05)
        assert watcher.motion == (0.0, 0.0)


def test_a_hidden_layer_is_told_at_once(viewer, layer):
    watcher = ViewWatcher(viewer, layer)
    look(viewer, layer, 1000, 2000)
    watcher.poll(SPEC, 0.0)
    watcher.poll(SPEC, 1.0)
    layer.visible = False
    assert watcher.poll(SPEC, 1.01)
    assert watcher.told is None


def test_a_locked_level_is_taken_as_it_is(viewer, layer):
    if not hasattr(layer, "locked_data_level"):
        pytest.skip("this napari cannot lock a level")
    look(viewer, layer, 1000, 2000)
    layer.locked_data_level = 2
    assert ViewWatcher(viewer, layer).region(SPEC).level == 2


@pytest.mark.parametrize("shape", [(2048, 4096), (512, 4096), (4096, 700)])
def test_the_level_is_the_one_napari_draws(make_napari_viewer, shape):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(900, 700)
    spec = PyramidSpec(*shape, 256, 4, 0.5)
    levels = [np.zeros((*spec.bounds(level).shape, 3), np.uint8) for level in range(4)]
    layer = viewer.add_image(
        levels, multiscale=True, rgb=True, scale=(0.5, 0.5), units=("um", "um")
    )
    seen = set()
    for pixels in (0.3, 0.9, 1.3, 2.4, 3.3, 4.6, 7.0, 9.0):
        camera_of(viewer).zoom = 1 / (spec.mpp * pixels)
        viewer.screenshot(canvas_only=True, flash=False)
        view = ViewWatcher(viewer, layer).region(spec)
        assert view.level == layer.data_level
        loaded = layer.corner_pixels
        assert loaded[0][0] <= view.y + 1
        assert loaded[1][1] >= view.right - 2
        seen.add(view.level)
    assert len(seen) >= 3
    assert level_shown(viewer, layer, np.array([[0.0, 0.0], [10.0, 10.0]])) == 0
