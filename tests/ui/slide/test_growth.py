"""Growing an open slide: tissue, frame and paint stay where they are."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.slide.store import SlideStore
from tests.slide.fake_store import FakeLayout, small_recipe
from tests.ui.doubles import RecordingEngine
from tests.ui.slide.stage import Stage, put_block

FRAME = Region(0, 512, 640, 128, 192)
TOP, LEFT = 1024, 2048


@pytest.fixture
def stage(tmp_path):
    store = SlideStore.create(
        tmp_path / "slide.ome.zarr", small_recipe(), layout=lambda recipe, sketch: FakeLayout()
    )
    for level in (2, 1, 0):
        put_block(store, store.spec.bounds(level), 100 + level)
    stage = Stage(store, RecordingEngine())
    yield stage
    stage.session.close()


@pytest.fixture
def workspace(workspace):
    workspace.document.set_frame(FRAME)
    return workspace


def paint(workspace, value):
    shape = workspace.document.region.shape
    classes = np.zeros(shape, np.uint8)
    classes[20:40, 30:60] = value
    workspace.document.set_painting(classes, classes.astype(np.int32), classes > 0)


def painted(workspace):
    """The painted class map of the frame; what lies below may not be drawn."""
    return workspace.document.nuclei.maps()[0]


def test_tissue_stays_where_it_is_in_the_world(stage):
    layer = stage.session.layer
    before = layer.data_to_world((100, 200))
    stage.session.grow(TOP, LEFT, 1024, 0)
    np.testing.assert_allclose(layer.data_to_world((100 + TOP, 200 + LEFT)), before)
    assert stage.store.spec.bounds(0) == Region(0, 0, 0, 4096, 4096)
    assert [level.shape[:2] for level in layer.data] == [
        stage.store.spec.bounds(level).shape for level in range(stage.store.spec.levels)
    ]
    assert (layer.data[0][TOP + 300 : TOP + 310, LEFT + 300 : LEFT + 310] == 100).all()


def test_a_growth_is_one_undo_step_of_the_window(stage, workspace):
    paint(workspace, 4)
    layer, document = stage.session.layer, workspace.document
    before, shape = layer.data_to_world((100, 200)), layer.data[0].shape
    stage.session.grow(TOP, LEFT, 1024, 0)
    assert workspace.can_undo
    document.undo()
    assert layer.data[0].shape == shape
    np.testing.assert_allclose(layer.data_to_world((100, 200)), before)
    assert document.region == FRAME
    assert painted(workspace)[25, 35] == 4
    assert not workspace.can_undo
    assert workspace.can_redo
    document.redo()
    assert stage.store.spec.bounds(0) == Region(0, 0, 0, 4096, 4096)
    assert document.region == FRAME.translate(TOP, LEFT)
    assert painted(workspace)[25, 35] == 4


def test_a_frame_in_the_part_that_goes_is_brought_back_onto_the_slide(stage, workspace):
    stage.session.grow(TOP, LEFT, 0, 0)
    workspace.document.set_frame(Region(0, 0, 0, 128, 192))
    workspace.document.undo()
    assert workspace.document.region == Region(0, 0, 0, 128, 192)
    assert stage.session.layer.data[0].shape[:2] == (2048, 2048)


def test_the_view_stays_and_is_told_again(stage):
    stage.rest()
    before = stage.session.view_box()
    stage.session.grow(TOP, LEFT, 0, 0)
    assert stage.session.view_box() == before.translate(TOP, LEFT)
    stage.rest()
    assert stage.session._watcher.told == before.translate(TOP, LEFT)


def test_growing_while_far_inside_a_level_shows_the_slide(stage):
    layer = stage.session.layer
    layer._data_level = 0  # as napari leaves it when it drew the lower right corner
    layer.corner_pixels = np.array([(1800, 1800), (2047, 2047)])
    stage.session.grow(TOP, 0, 0, 0)
    assert layer._slice.image.raw.size > 0


def test_frame_and_paint_move_with_the_tissue(stage, workspace):
    seen = []
    workspace.frame_changed.connect(seen.append)
    paint(workspace, 3)
    placed = [layer.data_to_world((0, 0)) for layer in workspace.paint_layers[:3]]
    stage.session.grow(TOP, LEFT, 0, 0)
    assert workspace.document.region == FRAME.translate(TOP, LEFT)
    assert seen == [FRAME.translate(TOP, LEFT)]
    assert painted(workspace)[25, 40] == 3
    assert np.count_nonzero(painted(workspace)) == 600
    for layer, place in zip(workspace.paint_layers[:3], placed, strict=True):
        np.testing.assert_allclose(layer.data_to_world((0, 0)), place)
    assert workspace.target is stage.session.layer
    names = [layer.name for layer in stage.viewer.layers]
    assert names == ["slide", "Tissue", "Edit mask", "Nuclei", "Frame"]


def test_paint_that_rests_elsewhere_moves_too(stage, workspace):
    paint(workspace, 4)
    workspace.document.set_frame(Region(0, 0, 0, 128, 192))
    stage.session.grow(TOP, LEFT, 0, 0)
    assert not painted(workspace).any()
    workspace.document.set_frame(FRAME.translate(TOP, LEFT))
    assert painted(workspace)[25, 40] == 4
    stage.session.grow(0, 1024, 0, 0)
    assert painted(workspace)[25, 40] == 4
    assert workspace.document.region == FRAME.translate(TOP, LEFT + 1024)


def test_a_slide_that_is_not_worked_on_grows_as_well(stage, workspace):
    paint(workspace, 5)
    workspace.new_canvas(256, 256)
    stage.session.grow(TOP, LEFT, 0, 0)
    assert workspace.target is not stage.session.layer
    workspace.use_layer(stage.session.layer)
    assert workspace.document.region == FRAME.translate(TOP, LEFT)
    assert painted(workspace)[25, 40] == 5


def test_edits_from_before_can_be_taken_back(stage, workspace):
    request = EditRequest(kind=EditKind.GENERATE, region=FRAME, mpp=0.25)
    workspace.document.write(FRAME, np.full((*FRAME.shape, 3), 9, np.uint8), None, request)
    stage.session.grow(TOP, LEFT, 0, 0)
    there = FRAME.translate(TOP, LEFT)
    assert (stage.store.read(there) == 9).all()
    workspace.document.undo()  # the growth
    assert (stage.store.read(FRAME) == 9).all()
    workspace.document.undo()
    stage.settle(workspace)
    assert (stage.store.read(FRAME) == 100).all()


def test_half_a_tile_is_refused_and_nothing_changes(stage, workspace):
    translate = np.array(stage.session.layer.translate)
    with pytest.raises(InvalidRequest, match="multiple of 1024"):
        stage.session.grow(100, 0, 0, 0)
    with pytest.raises(InvalidRequest):
        stage.session.grow(1 << 20, 0, 0, 0)
    np.testing.assert_array_equal(stage.session.layer.translate, translate)
    assert workspace.document.region == FRAME
