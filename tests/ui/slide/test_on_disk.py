"""A slide on disk in a viewer: edits survive, one writer at a time."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histodiff.core.geometry import Region
from napari_histodiff.engine.inline import InlineEngine
from napari_histodiff.slide.storage.tile_table import TileState
from napari_histodiff.slide.store import SlideStore
from napari_histodiff.ui.generation.controller import Controller
from napari_histodiff.ui.generation.settings import SettingsStore
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.slide.fake_store import FakeLayout, PlaneFactory, small_recipe
from tests.ui.slide.stage import Stage, wait_until

FRAME = Region(0, 512, 640, 128, 192)


def layout(recipe, sketch):
    return FakeLayout()


@pytest.fixture
def engine():
    engine = InlineEngine(PlaneFactory())
    engine.start()
    wait_until(lambda: engine.info is not None)
    yield engine
    engine.close()


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "slide.ome.zarr"
    SlideStore.create(path, small_recipe(), layout=layout).close()
    return path


@pytest.fixture
def open_stage(path, engine):
    opened = []

    def open_() -> Stage:
        opened.append(Stage(SlideStore.open(path, layout=layout), engine))
        return opened[-1]

    yield open_
    for stage in opened:
        stage.session.close()


def work_on(stage, region=FRAME):
    workspace = Workspace(stage.viewer, seed=0)
    workspace.use_layer(stage.session.layer)
    workspace.document.set_frame(region)
    stage.session.target.prepare(region)
    stage.pump_until(lambda: not stage.session.target.pending(region))
    return workspace


def edit(stage, workspace, engine, tmp_path):
    controller = Controller(
        stage.viewer, workspace, engine, store=SettingsStore(tmp_path / "studio.json")
    )
    controller.set(suggest=False)
    controller.generate()
    stage.pump_until(lambda: controller.pump() or controller.staged.now is not None)
    controller.staged.apply()
    stage.settle(workspace)
    return controller


def test_an_edit_is_on_disk_and_can_be_taken_back_after_opening_again(open_stage, engine, tmp_path):
    stage = open_stage()
    workspace = work_on(stage)
    before = stage.store.read(FRAME)
    edit(stage, workspace, engine, tmp_path)
    after = stage.store.read(FRAME)
    assert (after != before).any()
    stage.session.close()

    again = open_stage()
    np.testing.assert_array_equal(again.store.read(FRAME), after)
    assert (again.store.state(0) == TileState.EDITED).any()
    workspace = work_on(again)
    assert workspace.can_undo
    workspace.document.undo()
    again.settle(workspace)
    np.testing.assert_array_equal(again.store.read(FRAME), before)
    assert workspace.can_redo
    again.session.close()

    third = open_stage()
    workspace = work_on(third)
    workspace.document.redo()
    third.settle(workspace)
    np.testing.assert_array_equal(third.store.read(FRAME), after)


def test_the_same_place_has_the_same_bytes_after_opening_again(open_stage):
    stage = open_stage()
    stage.look(600, 700)
    stage.pump_until(lambda: (stage.store.state(0)[2, 2:4] == TileState.GENERATED).all())
    drawn = stage.store.read(Region(0, 512, 512, 256, 512))
    stage.session.close()
    again = open_stage()
    np.testing.assert_array_equal(again.store.read(Region(0, 512, 512, 256, 512)), drawn)


def test_the_second_window_can_only_look_and_sees_what_the_first_draws(open_stage, engine):
    first, second = open_stage(), open_stage()
    assert not first.session.status.read_only
    assert second.session.status.read_only
    notices = []
    second.session.noticed.connect(notices.append)
    second.rest()
    assert "another window" in notices[0]
    first.look(1024, 1024, pixels=4)
    first.pump_until(lambda: (first.store.state(2) == TileState.GENERATED).all())
    second.pump_until(lambda: (second.store.state(2) == TileState.GENERATED).all())
    np.testing.assert_array_equal(first.session.overview(), second.session.overview())
    first.session.close()
    second.session.close()
    assert not open_stage().store.read_only


def test_closing_the_layer_frees_the_slide(open_stage, path):
    stage = open_stage()
    stage.look(600, 700)
    stage.rest()
    stage.viewer.layers.clear()
    free = SlideStore.open(path, read_only=False, layout=layout)
    free.close()
