from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind
from napari_histodiff.core.steering.start import Fill
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.generation.plan import FramePlan
from napari_histodiff.ui.generation.request import request_of
from napari_histodiff.ui.generation.settings import Settings
from napari_histodiff.ui.masks.context import CONTEXT_NAME, ContextOutline, widened
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.ui.conftest import OpenDock
from tests.ui.doubles import RecordingEngine

FRAME = Region(0, 96, 96, 64, 64)


def noise(side: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


def on_image(viewer: ViewerModel, mpp: float = 0.5) -> Workspace:
    """A workspace on an image of 256 px, its frame in the middle."""
    layer = viewer.add_image(noise(256), rgb=True, scale=(mpp, mpp), units=("um", "um"))
    workspace = Workspace(viewer, seed=0)
    workspace.use_layer(layer)
    workspace.document.set_frame(FRAME)
    return workspace


def mask_at_the_top(workspace: Workspace) -> np.ndarray:
    mask = np.zeros(FRAME.shape, bool)
    mask[:10, 20:30] = True
    workspace.document.edit_mask.put(mask)
    return mask


def test_parts_of_the_mask_keep_their_share_with_the_context(viewer) -> None:
    workspace = on_image(viewer)
    mask_at_the_top(workspace)
    parts = np.zeros(FRAME.shape, np.uint8)
    parts[:10, 20:25], parts[:10, 25:30] = 1, 11
    workspace.document.edit_mask.put_parts(parts)
    seen = widened(workspace.document.snapshot(), workspace.document, 16.0)
    inside = FRAME.relative_to(seen.region).slices
    np.testing.assert_array_equal(seen.shares > 0, seen.edit_mask)
    assert set(np.unique(seen.shares[inside]).tolist()) == {0.0, 0.5, 1.0}
    request = request_of(seen, Settings(strength=0.6))
    assert set(np.unique(request.strength_map).round(2)) == set(np.float32([0, 0.3, 0.6]))


def test_the_model_sees_pixels_around_the_mask_and_may_not_change_them(viewer) -> None:
    workspace = on_image(viewer)
    mask = mask_at_the_top(workspace)
    classes, instances = np.zeros((2, 64, 64), np.int32)
    instances[30:40, 30:40] = 1
    classes[instances > 0] = 3
    workspace.document.paint_nuclei(classes, instances)
    seen = widened(workspace.document.snapshot(), workspace.document, 16.0)
    assert seen.region == Region(0, 64, 80, 96, 80)  # 32 px above, 16 of 12 to the left
    inside = FRAME.relative_to(seen.region).slices
    np.testing.assert_array_equal(seen.image, noise(256)[seen.region.slices])
    np.testing.assert_array_equal(seen.edit_mask[inside], mask)
    assert seen.edit_mask.sum() == mask.sum()
    np.testing.assert_array_equal(seen.class_map[inside], classes)
    assert seen.class_map.sum() == classes.sum()
    assert seen.coverage.all()
    request = request_of(seen, Settings(feather=3.0))
    assert (request.kind, request.region, request.feather) == (
        EditKind.INPAINT,
        seen.region,
        3.0,
    )


def test_the_model_sees_what_lies_around_where_the_frame_was(viewer) -> None:
    workspace = on_image(viewer)
    mask_at_the_top(workspace)
    document = workspace.document
    snapshot = document.snapshot()
    before = widened(snapshot, document, 16.0)
    document.set_frame(Region(0, 0, 0, 96, 96))
    after = widened(snapshot, document, 16.0)
    assert after.region == before.region
    np.testing.assert_array_equal(after.image, before.image)


@pytest.mark.parametrize(("mpp", "pixels"), [(0.25, 64), (0.5, 32), (1.0, 16)])
def test_the_margin_is_in_micrometres(viewer, mpp: float, pixels: int) -> None:
    workspace = on_image(viewer, mpp)
    mask_at_the_top(workspace)
    seen = widened(workspace.document.snapshot(), workspace.document, 16.0)
    assert FRAME.y - seen.region.y == pixels


def test_what_is_drawn_anew_and_no_margin_see_the_frame(viewer) -> None:
    workspace = on_image(viewer)
    snapshot = workspace.document.snapshot()
    assert widened(snapshot, workspace.document, 16.0) is snapshot
    mask_at_the_top(workspace)
    snapshot = workspace.document.snapshot()
    assert widened(snapshot, workspace.document, 0.0) is snapshot


def test_empty_canvas_is_no_context(viewer) -> None:
    workspace = Workspace(viewer, seed=0)
    workspace.new_canvas(256, 256)
    document = workspace.document
    document.write(Region(0, 64, 64, 96, 64), noise(256)[:96, :64])
    document.set_frame(Region(0, 96, 64, 64, 96))  # its right third is empty
    snapshot = document.snapshot()
    assert snapshot.kind is EditKind.OUTPAINT
    seen = widened(snapshot, document, 16.0)
    assert seen.region == snapshot.region  # above the frame only a part is drawn
    document.write(Region(0, 64, 128, 32, 32), noise(256)[:32, :32])
    seen = widened(document.snapshot(), document, 16.0)
    assert seen.region == Region(0, 64, 64, 96, 96)
    np.testing.assert_array_equal(seen.edit_mask[32:], ~snapshot.coverage)
    assert not seen.edit_mask[:32].any()


def test_a_dashed_outline_shows_what_is_seen(viewer) -> None:
    made: list[object] = []
    outline = ContextOutline(viewer, made.append)
    workspace = on_image(viewer)
    outline.show_for(workspace.document, 16.0)
    assert CONTEXT_NAME not in viewer.layers
    mask_at_the_top(workspace)
    outline.show_for(workspace.document, 16.0)
    layer = viewer.layers[CONTEXT_NAME]
    assert made == [layer]
    ends = layer.data.sum(axis=1)
    corners = np.concatenate([layer.data[:, 0], ends])
    np.testing.assert_allclose(corners.min(axis=0), (63.5, 79.5))
    assert corners.max() <= 159.5
    workspace.document.edit_mask.put(np.zeros(FRAME.shape, bool))
    outline.show_for(workspace.document, 16.0)
    assert not layer.visible
    mask_at_the_top(workspace)
    outline.show_for(workspace.document, 32.0)
    assert layer.visible
    assert layer.data[:, 0].min() == pytest.approx(31.5)
    outline.remove()
    assert CONTEXT_NAME not in viewer.layers


def dock_on_an_image(open_dock: OpenDock, engine: RecordingEngine) -> StudioDock:
    dock: StudioDock = open_dock(engine)
    engine.ready()
    dock.controller.pump()
    layer = dock.viewer.add_image(noise(256), rgb=True, scale=(0.5, 0.5), units=("um", "um"))
    dock.workspace.use_layer(layer)
    dock.workspace.document.set_frame(FRAME)
    return dock


def test_the_dock_sends_and_shows_the_context(open_dock: OpenDock) -> None:
    engine = RecordingEngine()
    dock = dock_on_an_image(open_dock, engine)
    mask = mask_at_the_top(dock.workspace)
    dock.palette_box.mask.context.changed.emit(16.0)
    dock.palette_box.mask.feather.changed.emit(2.0)
    dock.controller.refresh_plan()
    assert dock.viewer.layers[CONTEXT_NAME].visible
    dock.actions.generate()
    request = engine.submitted[-1]
    assert request.region == Region(0, 64, 80, 96, 80)
    assert request.edit_mask is not None
    assert request.edit_mask.sum() == mask.sum()
    assert request.feather == 2.0
    dock.workspace.new_canvas(128, 128)
    assert CONTEXT_NAME not in dock.viewer.layers


@pytest.mark.parametrize("fill", [Fill.BLUR, Fill.BORDER])
def test_a_mask_with_nothing_around_it_is_refused_before_it_is_drawn(
    open_dock: OpenDock, fill: Fill
) -> None:
    engine = RecordingEngine()
    dock = dock_on_an_image(open_dock, engine)
    frame = dock.workspace.document.region
    dock.workspace.document.edit_mask.put(np.ones(frame.shape, np.bool_))

    def plan(**changes: object) -> FramePlan:
        dock.controller.set(**changes)
        dock.controller.refresh_plan()
        return dock.controller.plan

    assert plan(strength=0.6, fill=fill, context=64.0).enabled  # around the frame pixels are seen
    refused = plan(context=0.0)
    assert not refused.enabled
    assert f"nothing is left around it for “{fill}”" in dock.run.note.text()
    assert not dock.run.main.isEnabled()
    assert dock.settings.strength.isEnabled()  # which is a way out
    assert dock.palette_box.mask.start.isEnabled()
    assert plan(strength=1.0).enabled
    assert plan(strength=0.6, fill=Fill.NOISE).enabled
    assert plan(fill=Fill.ORIGINAL).enabled
    mask_at_the_top(dock.workspace)
    assert plan(fill=fill).enabled


def test_the_dock_sends_and_shows_what_an_edit_starts_from(open_dock: OpenDock) -> None:
    engine = RecordingEngine()
    dock = dock_on_an_image(open_dock, engine)
    mask_at_the_top(dock.workspace)
    start = dock.palette_box.mask.start
    dock.controller.refresh_plan()
    assert not start.isEnabled()
    assert "lower Strength" in start.toolTip()
    dock.controller.set(strength=0.6)
    dock.controller.refresh_plan()
    assert start.isEnabled()
    assert "Strength 1" not in start.toolTip()
    start.activated.emit(start.findText("border"))
    dock.actions.generate()
    assert engine.submitted[-1].fill == "border"
    dock.controller.set(fill=Fill.BLUR)
    assert start.currentText() == "blur"
    assert dock.controller.settings.fill is Fill.BLUR
