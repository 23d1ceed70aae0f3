"""Editing a slide in memory through the workspace and the controller."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.engine.inline import InlineEngine
from napari_histodiff.slide.storage.tile_table import TileState
from napari_histodiff.ui.generation.settings import SeedMode
from napari_histodiff.ui.slide.target import SlideTarget
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.slide.fake_store import PlaneFactory
from tests.ui.doubles import RecordingEngine
from tests.ui.slide.stage import MemoryStore, Stage

FRAME = Region(0, 512, 640, 128, 192)


@pytest.fixture
def engine():
    engine = InlineEngine(PlaneFactory())
    yield engine
    engine.close()


@pytest.fixture
def stage(engine):
    stage = Stage(MemoryStore(), engine)
    stage.session.layer.visible = False  # only what is asked for is drawn
    yield stage
    stage.session.close()


def drawn(stage, workspace, region=FRAME):
    """Put the frame somewhere and have it drawn."""
    workspace.document.set_frame(region)
    with pytest.raises(InvalidRequest, match="drawn first"):
        workspace.document.snapshot()
    stage.pump_until(lambda: not stage.session.target.pending(region))


def generated(stage, controller):
    controller.generate()
    stage.pump_until(lambda: controller.pump() or controller.staged.now is not None)
    return controller.staged.now


def paint_mask(workspace):
    shape = workspace.document.region.shape
    mask = np.zeros(shape, bool)
    mask[40:90, 50:120] = True
    workspace.document.set_painting(np.zeros(shape, np.uint8), np.zeros(shape, np.int32), mask)
    return mask


def test_a_slide_is_worked_on_as_a_slide(stage, workspace):
    assert workspace.target is stage.session.layer
    assert workspace.document.mpp == 0.25
    assert workspace.document.target.knows_mpp
    assert workspace.document.summary().has_own_maps
    assert not workspace.can_undo


def test_an_untouched_frame_asks_for_nothing(stage, workspace):
    with pytest.raises(InvalidRequest, match="paint in the frame or move it"):
        workspace.document.snapshot()
    stage.rest()
    assert stage.session.status.queued == 0
    assert not stage.store.state(2).any()


def test_moving_the_frame_has_its_place_drawn_first(stage, workspace):
    drawn(stage, workspace)
    snapshot = workspace.document.snapshot()
    np.testing.assert_array_equal(snapshot.image, stage.store.read(FRAME))
    assert (stage.store.state(0)[2:3, 2:4] == TileState.GENERATED).all()
    assert not stage.store.state(0)[5:].any()


def test_painting_has_the_place_drawn_too(stage, workspace):
    paint_mask(workspace)
    with pytest.raises(InvalidRequest, match="drawn first"):
        workspace.document.snapshot()
    stage.pump_until(lambda: not stage.session.target.pending(workspace.document.region))
    assert workspace.document.snapshot().kind is EditKind.INPAINT


def test_a_paused_slide_says_so(stage, workspace):
    stage.session.pause()
    stage.pump_until(lambda: stage.session.status.paused)
    workspace.document.set_frame(FRAME)
    with pytest.raises(InvalidRequest, match="paused"):
        workspace.document.snapshot()


def test_the_plan_waits_for_the_place_and_goes_on_by_itself(stage, workspace, controller):
    workspace.document.set_frame(FRAME)
    controller.refresh_plan()
    assert controller.plan.note == "This place is being drawn first."
    assert not controller.plan.enabled
    plans = []
    controller.plan_changed.connect(plans.append)
    stage.pump_until(lambda: controller.pump() or (plans and plans[-1].enabled))


def test_an_edit_reaches_the_slide_and_can_be_taken_back(stage, workspace, controller):
    drawn(stage, workspace)
    mask = paint_mask(workspace)
    before = stage.store.read(FRAME)
    staging = generated(stage, controller)
    assert staging.entry.request.kind is EditKind.INPAINT
    controller.staged.apply()
    stage.settle(workspace)
    after = stage.store.read(FRAME)
    np.testing.assert_array_equal(after[~mask], before[~mask])
    assert (after[mask] != before[mask]).any()
    assert (stage.store.state(0)[2, 2:4] == TileState.EDITED).any()
    assert workspace.can_undo
    controller.staged.undo()
    stage.settle(workspace)
    np.testing.assert_array_equal(stage.store.read(FRAME), before)
    assert not workspace.can_undo
    controller.staged.redo()
    stage.settle(workspace)
    np.testing.assert_array_equal(stage.store.read(FRAME), after)


def test_applying_redraws_the_layer(stage, workspace, controller):
    stage.session.layer.visible = True
    stage.look(576, 736)
    stage.rest()
    drawn(stage, workspace)
    stage.pump_until(lambda: stage.session.status.queued + stage.session.status.in_flight == 0)
    stage.rest()
    generated(stage, controller)
    del stage.refreshes[:]
    controller.staged.apply()
    stage.settle(workspace)
    assert stage.refreshes


def test_a_frame_drawn_anew_keeps_a_ring_and_the_slides_stain(stage, workspace, controller):
    drawn(stage, workspace)
    before = stage.store.read(FRAME)
    request = generated(stage, controller).entry.request
    assert request.kind is EditKind.INPAINT
    assert request.strength == 1
    assert request.stain == stage.store.recipe.stains[0]
    np.testing.assert_array_equal(request.tissue_map, stage.store.layout.tissue(FRAME))
    classes, instances = stage.store.layout.nuclei(FRAME)
    np.testing.assert_array_equal(request.class_map, classes)
    np.testing.assert_array_equal(request.instance_map, instances)
    controller.staged.apply()
    stage.settle(workspace)
    changed = (stage.store.read(FRAME) != before).any(axis=2)
    assert changed[16:-16, 16:-16].mean() > 0.9
    changed[16:-16, 16:-16] = False
    assert not changed.any()


def test_no_ring_where_the_slide_ends(stage, workspace):
    corner = Region(0, 2048 - 64, 0, 64, 128)
    request = EditRequest(kind=EditKind.GENERATE, region=corner, mpp=0.25)
    dressed = stage.session.target.with_slide_conditions(request)
    rows, cols = np.nonzero(dressed.edit_mask)
    assert (rows.min(), rows.max(), cols.min(), cols.max()) == (16, 63, 0, 111)


def test_painted_nuclei_and_tissue_go_before_the_slides():
    stage = Stage(MemoryStore(), RecordingEngine())
    classes = np.zeros(FRAME.shape, np.uint8)
    classes[5:9, 5:9] = 3
    request = EditRequest(
        kind=EditKind.GENERATE, region=FRAME, mpp=0.25, class_map=classes, tissue_map=classes
    )
    dressed = stage.session.target.with_slide_conditions(request)
    np.testing.assert_array_equal(dressed.class_map, classes)
    assert (dressed.tissue_map[5:9, 5:9] == 3).all()
    elsewhere = classes == 0
    np.testing.assert_array_equal(
        dressed.tissue_map[elsewhere], stage.store.layout.tissue(FRAME)[elsewhere]
    )
    stage.session.close()


def test_tissue_that_the_slides_model_has_no_name_for_is_left_open(monkeypatch):
    stage = Stage(MemoryStore(), RecordingEngine())
    lymphoid = TISSUE_NAMES.index("lymphoid")
    assert "lymphoid" not in stage.store.recipe.tissue_names
    monkeypatch.setattr(
        stage.store.layout, "tissue_to_draw", lambda r: np.full(r.shape, lymphoid, np.uint8)
    )
    request = EditRequest(kind=EditKind.GENERATE, region=FRAME, mpp=0.25)
    assert not stage.session.target.with_slide_conditions(request).tissue_map.any()
    stage.session.close()


def test_a_caption_of_ones_own_goes_before_the_slides():
    stage = Stage(MemoryStore(), RecordingEngine())
    request = EditRequest(kind=EditKind.GENERATE, region=FRAME, mpp=0.25, caption="gland")
    assert stage.session.target.with_slide_conditions(request).caption == "gland"
    stage.session.close()


def test_seeds_give_variants_of_one_place(stage, workspace, controller):
    drawn(stage, workspace)
    controller.set(variants=2, seed=5, seed_mode=SeedMode.FIXED)
    first = generated(stage, controller)
    assert first.count == 2
    assert (first.entry.images[0] != first.entry.images[1]).any()
    controller.set(seed=6)
    second = generated(stage, controller)
    assert (first.entry.images[0] != second.entry.images[0]).any()
    controller.set(seed=5)
    again = generated(stage, controller)
    np.testing.assert_array_equal(first.entry.images, again.entry.images)


def test_pixels_without_their_request_are_refused(stage, workspace):
    drawn(stage, workspace)
    with pytest.raises(InvalidRequest, match="where its pixels come from"):
        workspace.document.write(FRAME, np.zeros((*FRAME.shape, 3), np.uint8))
    assert not stage.store.can_undo


def test_an_undrawn_place_is_not_written_but_drawn(stage, workspace):
    workspace.document.set_frame(FRAME)
    request = EditRequest(kind=EditKind.GENERATE, region=FRAME, mpp=0.25)
    with pytest.raises(InvalidRequest, match="drawn first"):
        workspace.document.write(FRAME, np.zeros((*FRAME.shape, 3), np.uint8), None, request)
    stage.pump_until(lambda: not stage.session.target.pending(FRAME))
    workspace.document.write(FRAME, np.zeros((*FRAME.shape, 3), np.uint8), None, request)
    stage.settle(workspace)
    assert not stage.store.read(FRAME).any()


def test_a_slide_open_elsewhere_is_not_edited():
    stage = Stage(MemoryStore(read_only=True), RecordingEngine())
    workspace = Workspace(stage.viewer, seed=0)
    workspace.use_layer(stage.session.layer)
    with pytest.raises(InvalidRequest, match="another window"):
        workspace.document.snapshot()
    stage.store.pretend_an_edit(FRAME)
    assert not workspace.can_undo
    workspace.document.undo()
    stage.session.close()


def test_going_to_another_image_and_back_keeps_the_slides_target(stage, workspace):
    target = stage.session.target
    workspace.new_canvas(256, 256)
    workspace.use_layer(stage.session.layer)
    assert workspace.document.target is target
    assert isinstance(target, SlideTarget)


def test_closing_the_slide_leaves_the_workspace_empty(stage, workspace):
    stage.session.close()
    assert workspace.target is None
    assert len(stage.viewer.layers) == 0


def test_a_slide_that_is_worked_on_again_comes_up_with_the_marks_of_its_tiles(stage, workspace):
    stage.session.prepare_marks(lambda: None)
    size = stage.store.spec.bounds(0).shape
    cover = stage.viewer.add_image(np.zeros((*size, 3), np.uint8), name="cover", rgb=True)
    slide = stage.session.layer
    cover.scale, cover.units = slide.scale, slide.units
    slide.visible = True
    workspace.use_layer(cover)
    workspace.use_layer(slide)
    (marks,) = workspace.document.target.layers
    assert list(stage.viewer.layers)[:3] == [cover, slide, marks]
    assert list(stage.viewer.layers)[3:] == workspace.paint_layers
    assert marks in workspace.own_layers
