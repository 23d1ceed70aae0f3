"""A slide in a real window: what is drawn is seen, and closing the window frees the slide."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QTimer

from napari_histodiff.core.engine import EngineState
from napari_histodiff.core.geometry import Region
from napari_histodiff.engine.inline import InlineEngine
from napari_histodiff.slide.storage.tile_table import TileState
from napari_histodiff.slide.store import SlideStore
from napari_histodiff.ui.slide.session import SlideSession
from napari_histodiff.ui.slide.tile_overlay import OVERLAY_NAME
from napari_histodiff.ui.viewport import camera_of
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.fakes import FAKE_INFO
from tests.slide.fake_store import FakeLayout, PlaneFactory, small_recipe
from tests.ui.conftest import WaitFor
from tests.ui.doubles import RecordingEngine
from tests.ui.slide.stage import put_block

pytestmark = pytest.mark.timeout(300)

GREEN = (0, 250, 0)


def layout(recipe, sketch):
    return FakeLayout()


@pytest.fixture
def store(tmp_path):
    return SlideStore.create(tmp_path / "slide.ome.zarr", small_recipe(), layout=layout)


@pytest.fixture
def viewer(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(900, 700)
    return viewer


@pytest.fixture
def open_session(viewer, store):
    opened = []

    def open_(engine) -> SlideSession:
        session = SlideSession(viewer, store, engine)
        timer = QTimer()
        timer.timeout.connect(session.pump)
        timer.start(50)
        opened.append((session, timer))
        viewer.reset_view()
        return session

    yield open_
    for session, timer in opened:
        timer.stop()
        session.close()


def idle_engine():
    engine = RecordingEngine()
    engine.state, engine.info = EngineState.READY, FAKE_INFO
    return engine


def look(session, viewer, y, x, pixels=1.0):
    camera_of(viewer).zoom = 1 / (session.store.spec.mpp * pixels)
    session.go_to(y, x)


def share(viewer, colour):
    """How much of the canvas shows a colour, under the veil of tiles in work or not."""
    shot = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
    return (np.abs(shot - colour).max(axis=2) <= 40).mean()


def put_green(store, region):
    for tile in store.spec.tiles(region):
        place = store.spec.region(tile)
        store.put_generated(tile, np.full((*place.shape, 3), GREEN, np.uint8))


def test_looking_at_it_starts_no_model_before_the_timer(viewer, store):
    """Promise 1, for a slide: adding it, thumbnails, status values and drawing submit nothing."""
    engine = idle_engine()
    session = SlideSession(viewer, store, engine)
    viewer.reset_view()
    viewer.screenshot(canvas_only=True, flash=False)
    look(session, viewer, 700, 700)
    viewer.screenshot(canvas_only=True, flash=False)
    assert session.layer.thumbnail.size
    session.layer.get_status((100.0, 100.0), world=True)
    assert engine.submitted == []
    session.close()


@pytest.mark.parametrize("pixels", [0.8, 2.5, 9.0])
def test_a_finished_tile_is_seen_at_every_level(viewer, store, open_session, wait_for, pixels):
    session = open_session(idle_engine())
    look(session, viewer, 768, 768, pixels)
    wait_for(lambda: session.status.in_flight > 0)
    assert share(viewer, GREEN) == 0
    level = session.layer.data_level
    put_green(store, store.spec.at_level(Region(0, 512, 512, 512, 512), level))
    wait_for(lambda: share(viewer, GREEN) > 0.01)


def test_what_is_in_view_is_drawn(viewer, store, open_session, wait_for: WaitFor):
    engine = InlineEngine(PlaneFactory())
    session = open_session(engine)
    look(session, viewer, 700, 600)
    wait_for(lambda: session.status.level == 0)
    view = session.view_box()
    tiles = list(store.spec.tiles(view))
    wait_for(lambda: all(store.state(0)[t.row, t.col] == TileState.GENERATED for t in tiles))
    wait_for(lambda: not session.status.in_flight)
    session.close()
    engine.close()


def test_tiles_in_work_are_seen(viewer, store, open_session, wait_for: WaitFor):
    session = open_session(idle_engine())
    look(session, viewer, 768, 768, 4)
    wait_for(lambda: OVERLAY_NAME in viewer.layers and viewer.layers[OVERLAY_NAME].data.any())
    marks = viewer.layers[OVERLAY_NAME]
    before = viewer.screenshot(canvas_only=True, flash=False)
    marks.visible = False
    after = viewer.screenshot(canvas_only=True, flash=False)
    changed = (before != after).any(axis=2)
    assert 0 < changed.mean() < 0.9
    assert np.abs(before.astype(int) - after).max() < 120  # subtle


def test_closing_the_window_frees_the_slide(viewer, store, open_session, wait_for: WaitFor):
    session = open_session(idle_engine())
    look(session, viewer, 768, 768)
    wait_for(lambda: session.status.in_flight > 0)
    viewer.close()
    again = SlideStore.open(store.path, read_only=False, layout=layout)
    again.close()


def test_growing_keeps_the_tissue_where_it_is_on_the_screen(viewer, store, open_session, wait_for):
    session = open_session(idle_engine())
    put_block(store, Region(0, 512, 512, 512, 512), 30)
    look(session, viewer, 768, 768, 1.2)
    workspace = Workspace(viewer, seed=0)
    workspace.use_layer(session.layer)
    for layer in workspace.own_layers:
        layer.visible = False
    if OVERLAY_NAME in viewer.layers:
        viewer.layers[OVERLAY_NAME].visible = False
    before = viewer.screenshot(canvas_only=True, flash=False)
    dark = (before[..., :3] == 30).all(axis=2)
    assert dark.mean() > 0.1
    session.grow(1024, 1024, 0, 1024)
    for layer in viewer.layers:
        layer.visible = layer is session.layer
    after = viewer.screenshot(canvas_only=True, flash=False)
    np.testing.assert_array_equal((after[..., :3] == 30).all(axis=2), dark)
