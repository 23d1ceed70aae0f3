from __future__ import annotations

import threading

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_histodiff.core.engine import EngineState
from napari_histodiff.core.errors import StorageError
from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.core.recipe import TILE
from napari_histodiff.engine.inline import InlineEngine
from napari_histodiff.slide.storage.tile_table import TileState
from napari_histodiff.ui.slide.session import SlideSession
from napari_histodiff.ui.slide.tile_overlay import OVERLAY_NAME
from napari_histodiff.ui.viewport import camera_of
from napari_histodiff.ui.workspace.targets import open_target
from tests.fakes import FAKE_INFO
from tests.slide.fake_store import PlaneFactory
from tests.ui.doubles import RecordingEngine
from tests.ui.slide.stage import MemoryStore, Stage, put_block, wait_until


@pytest.fixture
def engine():
    engine = InlineEngine(PlaneFactory())
    yield engine
    engine.close()


@pytest.fixture
def stage(engine):
    stage = Stage(MemoryStore(), engine)
    yield stage
    stage.session.close()


def idle_engine():
    engine = RecordingEngine()
    engine.state, engine.info = EngineState.READY, FAKE_INFO
    return engine


@pytest.fixture
def still():
    """A stage whose engine takes jobs and draws nothing."""
    stage = Stage(MemoryStore(), idle_engine())
    yield stage
    stage.session.close()


def test_adding_the_layer_starts_nothing(still):
    layer = still.session.layer
    assert layer.thumbnail.size
    layer.get_status((40.0, 40.0), world=True)
    still.session.overview()
    still.session.coverage()
    assert still.engine.submitted == []
    assert still.engine.started == 0
    assert layer in still.viewer.layers
    assert layer.name == "fake"
    assert tuple(layer.scale) == (0.25, 0.25)
    assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]
    assert [level.shape[:2] for level in layer.data] == [(2048, 2048), (1024, 1024), (512, 512)]


def test_what_is_looked_at_is_drawn_and_shown(stage):
    stage.look(600, 700)
    stage.pump_until(lambda: (stage.store.state(0)[1:3, 1:4] == TileState.GENERATED).all())
    assert stage.session.status.level == 0
    stage.pump_until(lambda: stage.session.status.queued == 0)
    assert stage.session.status.generated > 6
    assert stage.refreshes
    assert not stage.store.state(0)[6:].any()  # far from the view


def test_zooming_out_asks_for_coarser_tiles(stage):
    stage.look(1024, 1024, pixels=4)
    stage.rest()
    stage.pump_until(lambda: (stage.store.state(2) == TileState.GENERATED).all())
    stage.pump_until(lambda: stage.session.status.in_flight == 0)
    assert not stage.store.state(0).any()
    status = stage.session.status
    assert (status.level, status.mpp) == (2, 1.0)


def test_a_hidden_layer_asks_for_nothing(still):
    still.session.layer.visible = False
    still.rest()
    still.rest()
    assert still.engine.submitted == []
    still.session.layer.visible = True
    still.rest()
    wait_until(lambda: bool(still.engine.submitted))


def test_new_tiles_redraw_the_layer_at_most_ten_times_a_second(still):
    still.rest()
    del still.refreshes[:]
    for index in range(20):
        put_block(still.store, Region(2, 256, 256, 256, 256), index)
        still.pump(0.01)
    assert 1 <= len(still.refreshes) <= 3
    assert still.session.layer.data[2][300, 300].tolist() == [19, 19, 19]


def test_tiles_out_of_view_redraw_nothing(still):
    still.look(300, 300)
    still.rest()
    del still.refreshes[:]
    put_block(still.store, Region(0, 1792, 1792, 256, 256), 5)
    still.rest()
    assert still.refreshes == []
    assert still.session.status.generated == 1


def test_the_overview_follows_although_napari_keeps_it(still):
    still.look(1024, 1024, pixels=8)
    still.rest()
    whole = np.asarray(still.session.layer.data[-1])
    put_block(still.store, Region(2, 0, 0, 256, 256), 77)
    still.pump()
    assert whole[10, 10].tolist() == [77, 77, 77]
    assert still.session.overview()[10, 10].tolist() == [77, 77, 77]


def test_changes_are_told_at_most_four_times_a_second(still):
    still.rest()
    before = still.changes
    for index in range(100):
        put_block(still.store, Region(0, 0, 0, 256, 256), index)
        still.pump(0.01)
    assert 2 <= still.changes - before <= 5


def test_a_quiet_slide_tells_nothing(still):
    # The feed has a thread of its own: quiet is once it has begun all that it begins.
    asked = still.engine.submitted
    still.pump_until(
        lambda: (
            len(asked) > 0
            and still.session.status.in_flight == sum(r.target.area for r in asked) // TILE**2
        )
    )
    still.rest()
    before = still.changes
    still.rest()
    assert still.changes == before


def test_moving_the_view_is_told(still):
    still.rest()
    before = still.changes
    still.look(500, 500)
    still.rest()
    assert still.changes > before
    assert still.session.view_box() == Region(0, 300, 200, 400, 600)


def test_going_somewhere_moves_the_camera(still):
    still.session.go_to(1000, 400)
    box = still.session.view_box()
    assert (box.y + box.bottom) / 2 == 1000
    assert (box.x + box.right) / 2 == 400
    assert len(camera_of(still.viewer).center) == 3


def test_coverage_shows_the_largest_state_of_a_place(still):
    put_block(still.store, Region(2, 256, 0, 256, 256), 1)
    put_block(still.store, Region(0, 0, 256, 256, 256), 2)
    coverage = still.session.coverage()
    assert coverage.shape == (8, 8)
    assert coverage.dtype == np.uint8
    expected = np.zeros((8, 8), np.uint8)
    expected[4:, :4] = TileState.GENERATED
    expected[0, 1] = TileState.GENERATED
    np.testing.assert_array_equal(coverage, expected)


def test_pausing_holds_and_rendering_reaches_the_finest_level(stage):
    stage.session.pause()
    stage.pump_until(lambda: stage.session.status.paused)
    stage.rest()
    assert stage.session.status.generated == 0
    stage.session.layer.visible = False
    stage.session.render_frame(Region(0, 0, 0, 300, 200))
    stage.session.resume()
    stage.pump_until(lambda: bool(stage.store.state(0)[0, 0] and stage.store.state(0)[1, 0]))
    stage.pump_until(lambda: not stage.session.status.in_flight)
    assert np.count_nonzero(stage.store.state(0)) == 2


def test_rendering_can_be_stopped_and_the_view_is_still_drawn(stage):
    stage.session.pause()
    stage.session.render_all()
    stage.pump_until(lambda: stage.session.status.queued > 60)
    stage.session.stop_rendering()
    stage.look(100, 100)
    stage.rest()
    stage.pump_until(lambda: 0 < stage.session.status.queued < 30)
    assert stage.session.status.paused
    stage.session.resume()
    stage.pump_until(lambda: stage.store.state(0)[0, 0] == TileState.GENERATED)


def test_failed_tiles_are_marked_and_tried_again(engine):
    broken = InlineEngine(PlaneFactory(fault="value", always=True))
    stage = Stage(MemoryStore(), broken)
    notices = []
    stage.session.noticed.connect(notices.append)
    stage.look(1024, 600, pixels=4)
    stage.pump_until(lambda: stage.session.status.failed > 0)
    assert "moon" in stage.session.status.message
    stage.rest()
    assert sum("moon" in notice for notice in notices) == 1
    marks = stage.viewer.layers[OVERLAY_NAME]
    assert (marks.data[..., 3] > 200).any()
    stage.session.use_engine(engine)
    stage.pump_until(lambda: (stage.store.state(2) == TileState.GENERATED).all())
    broken.close()
    stage.pump_until(lambda: not (marks.data[..., 3] > 200).any())
    stage.session.close()


def test_work_is_marked_without_taking_the_selection(still):
    still.viewer.layers.selection.active = still.session.layer
    still.rest()
    wait_until(lambda: bool(still.engine.submitted))
    still.pump_until(lambda: OVERLAY_NAME in still.viewer.layers)
    marks = still.viewer.layers[OVERLAY_NAME]
    assert still.viewer.layers.selection.active is still.session.layer
    assert not marks.editable
    assert list(still.viewer.layers) == [still.session.layer, marks]
    assert still.session.status.in_flight > 0
    still.viewer.layers.remove(marks)  # and it does not come back
    still.look(300, 300)
    still.rest()
    assert OVERLAY_NAME not in still.viewer.layers


def test_removing_the_layer_closes_the_session(still):
    closed = []
    still.session.closed.connect(lambda: closed.append(True))
    still.rest()
    still.viewer.layers.remove(still.session.layer)
    assert closed == [True]
    assert still.engine.listeners == []
    still.session.pump()
    still.session.close()
    assert closed == [True]
    assert len(still.viewer.layers) == 0


def test_closing_takes_the_layers_away_and_leaves_the_engine(still):
    other = still.viewer.add_image(np.zeros((8, 8), np.uint8))
    still.rest()
    still.session.close()
    assert list(still.viewer.layers) == [other]
    assert still.engine.closed == 0


def test_a_slide_open_elsewhere_can_only_be_looked_at():
    engine = idle_engine()
    stage = Stage(MemoryStore(read_only=True), engine)
    notices = []
    stage.session.noticed.connect(notices.append)
    stage.rest()
    assert stage.session.status.read_only
    assert notices == [stage.session.status.message]
    assert "looked at" in notices[0]
    assert engine.submitted == []
    stage.session.close()


def test_the_layer_opens_as_a_slide(still):
    assert open_target(still.session.layer, still.viewer) is still.session.target


def test_two_slides_in_one_viewer_keep_apart(engine):
    viewer = ViewerModel()
    first = SlideSession(viewer, MemoryStore(), engine, name="one")
    second = SlideSession(viewer, MemoryStore(), engine, name="two")
    first.close()
    assert [layer.name for layer in viewer.layers] == ["two"]
    second.close()
    assert len(viewer.layers) == 0


def test_statuses_count_edits_and_stale_tiles(still):
    put_block(still.store, Region(2, 0, 0, 256, 256), 1)
    still.store.mark(TileAddress(2, 0, 0), TileState.EDITED)
    put_block(still.store, Region(1, 0, 0, 256, 256), 1)
    still.store.mark(TileAddress(1, 0, 0), TileState.STALE)
    still.rest()
    status = still.session.status
    assert (status.edited, status.stale, status.generated) == (1, 1, 0)


def test_a_slide_that_cannot_be_read_leaves_nothing_behind(monkeypatch):
    def broken(region):
        raise StorageError("expected whole pixels, got a damaged file; restore the slide")

    store, viewer = MemoryStore(), ViewerModel()
    monkeypatch.setattr(store, "read", broken)
    before = threading.active_count()
    with pytest.raises(StorageError, match="damaged"):
        SlideSession(viewer, store, idle_engine())
    assert threading.active_count() == before
    assert len(viewer.layers) == 0
