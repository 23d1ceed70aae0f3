"""Editing a slide at the level that is looked at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from napari.layers import Image

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.engine.inline import InlineEngine
from napari_histodiff.slide.storage.tile_table import TileState
from napari_histodiff.slide.store import SlideStore
from napari_histodiff.slide.streaming.tile_requests import to_plane
from napari_histodiff.ui.generation.history import History
from napari_histodiff.ui.generation.staged import PREVIEW_NAME
from napari_histodiff.ui.history.archive import Facts, Kept
from napari_histodiff.ui.proposals.proposer import Proposer
from napari_histodiff.ui.workspace.frame import at_its_level
from napari_histodiff.ui.workspace.transforms import place_region
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.slide.fake_store import FakeLayout, PlaneFactory, small_recipe
from tests.ui.doubles import RecordingEngine
from tests.ui.filling import fill_area
from tests.ui.mouse import drag
from tests.ui.slide.stage import Stage, put_block

FRAME = Region(1, 256, 320, 128, 192)


def layout(recipe, sketch):
    return FakeLayout()


@pytest.fixture
def engine():
    engine = InlineEngine(PlaneFactory())
    yield engine
    engine.close()


@pytest.fixture
def stage(engine, tmp_path):
    stage = Stage(
        SlideStore.create(tmp_path / "slide.ome.zarr", small_recipe(), layout=layout), engine
    )
    stage.session.layer.visible = False  # only what is asked for is drawn
    yield stage
    stage.session.close()


def drawn(stage, workspace, region=FRAME):
    workspace.document.set_frame(region)
    stage.session.target.prepare(region)
    stage.pump_until(lambda: not stage.session.target.pending(region))


def edited(stage, workspace, controller):
    """Generate what the frame says, and apply it."""
    controller.generate()
    stage.pump_until(lambda: controller.pump() or controller.staged.now is not None)
    request = controller.staged.now.entry.request
    controller.staged.apply()
    stage.settle(workspace)
    return request


@given(
    st.integers(0, 4), st.integers(0, 500), st.integers(0, 500), st.integers(1, 40),
    st.floats(0.05, 4), st.floats(-90, 90),
)  # fmt: skip
def test_a_pixel_of_a_layer_on_a_level_lies_in_the_middle_of_those_it_covers(
    level, y, x, side, scale, degrees
):
    slide = Image(np.zeros((4, 4)), scale=(scale, scale), rotate=degrees, translate=(7, -3))
    layer = Image(np.zeros((side, side)), **place_region(slide, Region(level, y, x, side, side)))
    for i, j in ((0, 0), (side - 1, side // 2)):
        covered = [
            slide.data_to_world(((y + i) * 2**level + dy, (x + j) * 2**level + dx))
            for dy in (0, 2**level - 1)
            for dx in (0, 2**level - 1)
        ]
        np.testing.assert_allclose(
            layer.data_to_world((i, j)),
            np.mean(covered, axis=0),
            atol=1e-6 * scale * 2**level * 600,
        )
    np.testing.assert_allclose(layer.scale, slide.scale * 2**level)


@pytest.mark.parametrize(("pixels", "level"), [(0.5, 0), (1, 0), (2.5, 1), (4.5, 2), (20, 2)])
def test_the_frame_is_placed_at_the_level_in_view(stage, pixels, level):
    stage.session.layer.visible = True
    stage.look(1024, 1024, pixels=pixels)
    workspace = Workspace(stage.viewer, seed=0)
    workspace.use_layer(stage.session.layer)
    region = workspace.document.region
    assert region.level == workspace.document.level_in_view() == level
    assert workspace.document.mpp == 0.25 * 2**level
    bounds = stage.store.spec.bounds(level)
    assert (region.y + region.bottom, region.x + region.right) == bounds.shape


def test_levels_are_those_the_model_draws(workspace):
    assert workspace.document.target.mpps == (0.25, 0.5, 1.0)
    workspace.new_canvas(256, 256)
    assert workspace.document.target.mpps == (0.5,)
    with pytest.raises(InvalidRequest, match=r"0\.5 um per pixel on this image, got one of 1"):
        workspace.document.set_frame(Region(1, 0, 0, 64, 64))


def test_another_level_keeps_the_place_and_the_brush(stage, workspace):
    workspace.document.set_frame(Region(0, 512, 640, 256, 384))
    _, mask, nuclei, frame = workspace.paint_layers
    nuclei.brush_size = 20
    corners = frame.data[0].copy()
    for level in (2, 1, 0, 1):
        workspace.document.set_level(level)
        region = workspace.document.region
        assert region == Region(level, 512 >> level, 640 >> level, 256 >> level, 384 >> level)
        np.testing.assert_array_equal(frame.data[0], corners)
        for layer in (mask, nuclei):
            assert layer.data.shape == region.shape
            np.testing.assert_allclose(layer.scale, 0.25 * 2**level)
        assert nuclei.brush_size == 20 >> level
    assert [layer.name for layer in workspace.paint_layers] == [
        "Tissue",
        "Edit mask",
        "Nuclei",
        "Frame",
    ]


def test_a_large_frame_is_cut_around_its_middle_at_a_finer_level(stage, workspace):
    stage.session.grow(0, 0, 6144, 6144)
    workspace.document.set_frame(Region(2, 0, 0, 2048, 2048))
    workspace.document.set_level(0)
    assert workspace.document.region == Region(0, 2048, 2048, 4096, 4096)


def test_dragging_the_frame_keeps_its_level(stage, workspace):
    workspace.document.set_frame(FRAME)
    workspace.select_tool("frame")
    frame = workspace.paint_layers[-1]
    drag(frame, [(600, 700), (640, 741), (660, 761)])
    assert workspace.document.region == Region(1, 286, 350, 128, 192)  # whole pixels of level 1
    np.testing.assert_array_equal(frame.data[0].min(axis=0) + 0.5, (572, 700))


def test_paint_rests_at_its_level(stage, workspace):
    workspace.document.set_frame(Region(0, 512, 640, 256, 384))
    classes = np.zeros((256, 384), np.uint8)
    classes[20:40, 30:60] = 3
    workspace.document.set_painting(classes, classes.astype(np.int32), classes > 0)
    workspace.document.set_level(1)
    assert not any(workspace.document.nuclei.counts().values())
    coarse = classes[::2, ::2] * 0
    coarse[5:9, 5:9] = 4
    workspace.document.set_painting(coarse, coarse.astype(np.int32), coarse > 0)
    workspace.document.set_level(0)
    assert workspace.document.nuclei.counts()["lymphocyte"] == 1
    np.testing.assert_array_equal(workspace.document.nuclei.maps()[0], classes)
    workspace.document.set_level(1)
    assert workspace.document.nuclei.counts()["plasma"] == 1


def test_scatter_draws_nuclei_of_their_size_in_um(stage, workspace):
    areas = []
    for level in (0, 1):
        workspace.document.set_frame(Region(level, 256 << (1 - level), 256, 256, 256))
        workspace.paint.density = 0.5
        placed = fill_area(workspace)
        labels = workspace.document.nuclei.labels
        areas.append(np.count_nonzero(labels) / placed * workspace.document.mpp**2)
    assert areas[1] == pytest.approx(areas[0], rel=0.35)


def test_a_coarse_edit_has_the_stain_layout_and_pixels_of_its_level(stage, workspace, controller):
    drawn(stage, workspace)
    before = {
        level: stage.store.read(stage.store.spec.at_level(FRAME, level)) for level in range(3)
    }
    request = edited(stage, workspace, controller)
    recipe = stage.store.recipe
    assert (request.kind, request.region, request.mpp) == (EditKind.INPAINT, FRAME, 0.5)
    assert request.stain == recipe.stains[1]
    np.testing.assert_array_equal(request.image, before[1])
    np.testing.assert_array_equal(
        request.tissue_map, stage.store.layout.tissue(to_plane(recipe, FRAME))
    )
    after = stage.store.read(FRAME)
    changed = (after != before[1]).any(axis=2)
    assert changed[16:-16, 16:-16].mean() > 0.9
    changed[16:-16, 16:-16] = False
    assert not changed.any()  # the ring
    assert (stage.store.read(stage.store.spec.at_level(FRAME, 2)) != before[2]).any()
    assert stage.store.state(1)[1, 1] == TileState.EDITED
    assert workspace.can_undo
    controller.staged.undo()
    stage.settle(workspace)
    np.testing.assert_array_equal(stage.store.read(FRAME), before[1])


def test_finer_tissue_under_a_coarse_edit_is_drawn_anew(stage, workspace, controller):
    fine = stage.store.spec.at_level(FRAME, 0)
    drawn(stage, workspace, fine)
    before = stage.store.read(fine)
    drawn(stage, workspace)
    edited(stage, workspace, controller)
    tiles = list(stage.store.spec.tiles(fine))
    assert all(stage.store.state(0)[t.row, t.col] == TileState.STALE for t in tiles)
    assert "drawn" in stage.session.target.pending(fine)
    stage.session.target.prepare(fine)
    stage.pump_until(lambda: not stage.session.target.pending(fine))
    assert (stage.store.read(fine) != before).any()


def test_finer_edits_are_counted_before_they_are_replaced(stage, workspace, controller):
    fine = Region(0, 576, 704, 128, 64)  # in one tile, and inside the ring that stays
    drawn(stage, workspace, fine)
    edited(stage, workspace, controller)
    drawn(stage, workspace)
    mask = np.zeros(FRAME.shape, bool)
    mask[:8, :8] = True
    request = EditRequest(
        kind=EditKind.INPAINT, region=FRAME, image=np.zeros((*FRAME.shape, 3), np.uint8),
        edit_mask=mask, mpp=0.5,
    )  # fmt: skip
    edits_under = workspace.document.target.edits_under
    assert edits_under(request) == 1
    assert edits_under(replace(request, edit_mask=np.ones_like(mask))) == 1
    assert edits_under(replace(request, edit_mask=np.roll(mask, 180, axis=1))) == 0
    before = stage.store.read(fine)
    edited(stage, workspace, controller)
    assert edits_under(replace(request, edit_mask=np.ones_like(mask))) == 0
    controller.staged.undo()
    stage.settle(workspace)
    np.testing.assert_array_equal(stage.store.read(fine), before)


def test_a_variant_lies_on_its_place(stage, workspace, controller):
    drawn(stage, workspace)
    controller.generate()
    stage.pump_until(lambda: controller.pump() or controller.staged.now is not None)
    preview, slide = stage.viewer.layers[PREVIEW_NAME], stage.session.layer
    assert preview.data.shape == (*FRAME.shape, 3)
    np.testing.assert_allclose(preview.data_to_world((0, 0)), slide.data_to_world((512.5, 640.5)))
    np.testing.assert_allclose(preview.scale, (0.5, 0.5))
    workspace.document.set_frame(Region(0, 0, 0, 64, 64))
    controller.staged.apply()  # where it was generated, whatever the frame is at now
    stage.settle(workspace)
    assert stage.store.state(1)[1, 1] == TileState.EDITED


def test_history_tells_the_place_and_brings_back_the_level(stage, workspace, controller):
    drawn(stage, workspace)
    edited(stage, workspace, controller)
    (entry,) = controller.history.entries
    assert (
        "192 x 128 px of 0.5 µm at x 0.16, y 0.13 mm"
        in Kept(Facts.of(entry), entry.images[0]).summary()
    )
    workspace.document.set_frame(Region(0, 0, 0, 64, 64))
    controller.restore(entry)
    assert workspace.document.region == FRAME
    assert controller.staged.now.entry is entry


def test_an_edit_is_found_again_by_its_pixel_size():
    request = EditRequest(kind=EditKind.GENERATE, region=FRAME, mpp=0.5)
    entry = History().add(request, np.zeros((1, *FRAME.shape, 3), np.uint8), 1.0)
    refined = at_its_level(entry, (0.125, 0.25, 0.5, 1.0))
    assert refined.request.region == replace(FRAME, level=2)
    assert refined.images is entry.images
    assert at_its_level(entry, (0.25, 0.5, 1.0)) is entry
    assert at_its_level(entry, (0.3,)) is entry


def test_labels_are_imported_onto_the_level(stage, workspace):
    workspace.document.set_frame(FRAME)
    ids = np.zeros((2048, 2048), np.uint16)
    ids[2 * 260 : 2 * 270, 2 * 330 : 2 * 350] = 5
    layer = stage.viewer.add_labels(ids, scale=(0.25, 0.25), units=("um", "um"))
    workspace.document.import_labels(layer, {5: 2})
    painted = workspace.document.nuclei.maps()[0]
    expected = np.zeros(FRAME.shape, np.uint8)
    expected[4:14, 10:30] = 2
    np.testing.assert_array_equal(painted, expected)


def test_nuclei_are_proposed_where_they_can_be_told_apart(stage, workspace):
    proposer = Proposer(stage.viewer, workspace, ("false",))
    notices = []
    proposer.noticed.connect(notices.append)
    drawn(stage, workspace, Region(2, 64, 64, 128, 128))
    proposer.propose()
    assert "0.75 µm per pixel or finer, the frame has 1" in notices[-1].message
    assert not proposer.state.running
    drawn(stage, workspace)
    proposer.propose()
    assert proposer.state.running
    proposer.close()


def test_a_coarse_frame_and_its_paint_move_with_a_growing_slide(stage, workspace):
    workspace.document.set_frame(FRAME)
    classes = np.zeros(FRAME.shape, np.uint8)
    classes[20:40, 30:60] = 5
    workspace.document.set_painting(classes, classes.astype(np.int32), classes > 0)
    placed = workspace.document.nuclei.layer.data_to_world((0, 0))
    stage.session.grow(1024, 2048, 0, 0)
    assert workspace.document.region == FRAME.translate(512, 1024)
    np.testing.assert_array_equal(workspace.document.nuclei.maps()[0], classes)
    np.testing.assert_allclose(workspace.document.nuclei.layer.data_to_world((0, 0)), placed)


def test_drawing_under_a_coarse_frame_wakes_the_plan(tmp_path):
    store = SlideStore.create(tmp_path / "slide.ome.zarr", small_recipe(), layout=layout)
    stage = Stage(store, RecordingEngine())
    workspace, seen = Workspace(stage.viewer, seed=0), []
    workspace.use_layer(stage.session.layer)
    workspace.document.set_frame(FRAME)
    workspace.pixels_changed.connect(seen.append)
    put_block(stage.store, Region(2, 0, 0, 256, 256), 3)
    stage.rest()
    assert seen == [FRAME]
    put_block(stage.store, Region(1, 512, 512, 256, 256), 3)
    stage.rest()
    assert seen == [FRAME]
    stage.session.close()


def test_tissue_rests_at_its_level_of_a_slide(stage, workspace):
    workspace.document.set_frame(Region(0, 512, 640, 256, 384))
    tissue = np.zeros((256, 384), np.uint8)
    tissue[20:40, 30:60] = 9
    workspace.document.paint_tissue(tissue)
    layer = workspace.document.tissue.layer
    layer.brush_size = 40
    workspace.document.set_level(1)
    assert not workspace.document.tissue.tissue.any()
    assert layer.brush_size == 20  # as much of the slide as before
    workspace.document.paint_tissue(tissue[::2, ::2] // 3)
    workspace.document.set_level(0)
    np.testing.assert_array_equal(workspace.document.tissue.tissue, tissue)
    workspace.document.set_level(1)
    np.testing.assert_array_equal(workspace.document.tissue.tissue, tissue[::2, ::2] // 3)
