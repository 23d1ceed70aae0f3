"""A finer level for the slide that is open: the place, the frame and its paint stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_histodiff.core.engine import EngineState
from napari_histodiff.core.errors import StorageError
from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.slide.store import SlideStore
from napari_histodiff.ui.bindings import bind_buttons
from napari_histodiff.ui.generation.controller import Controller
from napari_histodiff.ui.generation.settings import SettingsStore
from napari_histodiff.ui.slide.part import SlidePart
from napari_histodiff.ui.viewport import camera_of
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.fakes import FAKE_INFO
from tests.ui.doubles import RecordingEngine
from tests.ui.slide.stage import put_block, resize
from tests.ui.slide.widget_doubles import SIDE

pytestmark = pytest.mark.usefixtures("places_of_its_own")

FRAME = Region(0, 1024, 1280, 256, 512)


@dataclass
class Desk:
    """What `SlidePart` needs of a dock, without a window; a slide of two levels is open."""

    engine: RecordingEngine
    viewer: ViewerModel
    workspace: Workspace
    controller: Controller
    slide: SlidePart

    def see(self, wait_for: Callable[..., None], holds: Callable[[], bool]) -> None:
        def look() -> bool:
            self.slide.session.changed.emit()
            self.slide.pump()
            return holds()

        wait_for(look)


@pytest.fixture
def desk(told: list[str], qtbot, tmp_path: Path, slide_path: Path) -> Iterator[Desk]:
    engine, viewer, parent = RecordingEngine(), ViewerModel(), QWidget()
    engine.state, engine.info = EngineState.READY, FAKE_INFO
    qtbot.addWidget(parent)
    resize(viewer, 400, 600)
    workspace = Workspace(viewer)
    settings = SettingsStore(tmp_path / "studio.json")
    controller = Controller(viewer, workspace, engine, store=settings)
    controller.set(suggest=False)
    part = SlidePart(viewer, workspace, controller, parent)
    QVBoxLayout(parent).addWidget(part.box)
    engine.ready()
    controller.pump()
    with SlideStore.open(slide_path) as store:
        for level in (1, 0):
            put_block(store, store.spec.bounds(level), 100 + level)
    part.open_slide(slide_path)
    workspace.document.set_frame(FRAME)
    desk = Desk(engine, viewer, workspace, controller, part)
    bind_buttons(parent, desk)
    yield desk
    part.close_slide()
    controller.close()


def test_the_button_adds_a_level_and_draws_the_frame_there(
    desk: Desk, told: list[str], wait_for
) -> None:
    box = desk.slide.box
    desk.see(wait_for, lambda: "0.25 µm" in box.finer.toolTip())
    assert box.finer.isEnabled()
    assert desk.engine.submitted == []
    box.finer.click()
    assert told == []
    session = desk.slide.session
    assert session is not None
    assert session.store.spec.bounds(0).shape == (2 * SIDE, 2 * SIDE)
    assert desk.workspace.target is session.layer
    assert desk.workspace.document.region == replace(FRAME, level=1)
    np.testing.assert_array_equal(session.layer.scale, (0.25, 0.25))
    desk.see(wait_for, lambda: bool(desk.engine.submitted))
    request = desk.engine.submitted[0]
    assert request.mpp == 0.25
    inside = Region(-1, 2048, 2560, 512, 1024)
    assert inside.contains(request.target)
    assert not box.finer.isEnabled()
    assert "0.125 µm per pixel" in box.finer.toolTip()


def test_old_tissue_stays_in_its_place_in_the_world(desk: Desk) -> None:
    desk.slide.session.grow(512, 0, 0, 0)
    before = desk.slide.session.layer.data_to_world((1535.5, 1279.5))
    placed = desk.workspace.paint_layers[0].data_to_world((-0.5, -0.5))
    desk.slide.refine()
    layer = desk.slide.session.layer
    np.testing.assert_allclose(layer.data_to_world((3071.5, 2559.5)), before)
    assert desk.workspace.document.region == replace(FRAME, level=1).translate(512, 0)
    for own in desk.workspace.paint_layers[:3]:
        np.testing.assert_allclose(own.data_to_world((-0.5, -0.5)), placed)
    assert (np.asarray(layer.data[1][1536:1546, 1280:1290]) == 100).all()


def test_view_and_readout_follow(desk: Desk, wait_for) -> None:
    session, box = desk.slide.session, desk.slide.box
    session.go_to(1500, 2000)
    camera_of(desk.viewer).zoom = 2.0
    desk.see(wait_for, lambda: box.corner.text() == "Level 0 · 0.50 µm/px")
    seen = session.view_box()
    place = box.place.text()
    desk.slide.refine()
    session = desk.slide.session
    view = session.view_box()
    middle = view.y + view.height / 2, view.x + view.width / 2
    np.testing.assert_allclose(middle, (3000, 4000), atol=2)
    np.testing.assert_allclose(view.shape, seen.shape, atol=2)
    desk.see(wait_for, lambda: box.corner.text() == "Level 0 · 0.25 µm/px")
    assert box.place.text() == place


def test_who_looks_from_afar_goes_on_to(desk: Desk, wait_for) -> None:
    camera_of(desk.viewer).zoom = 0.5
    desk.see(wait_for, lambda: desk.slide.session.status.level == 2)
    desk.slide.refine()
    assert camera_of(desk.viewer).zoom == 0.5
    desk.see(wait_for, lambda: desk.slide.session.status.level == 3)
    assert desk.slide.session.status.mpp == 2.0


def test_paint_in_the_frame_stays(desk: Desk) -> None:
    classes, mask = np.zeros(FRAME.shape, np.uint8), np.zeros(FRAME.shape, np.bool_)
    classes[20:40, 30:60] = 3
    mask[100:120, 5:9] = True
    desk.workspace.document.set_painting(classes, classes.astype(np.int32) * 5, mask)
    before = desk.workspace.document.snapshot()
    desk.slide.refine()
    after = desk.workspace.document.snapshot()
    assert after.mpp == before.mpp == 0.5
    for name in ("class_map", "instance_map", "edit_mask", "image"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))


def test_drawing_stays_paused_and_another_image_in_use(desk: Desk, wait_for) -> None:
    desk.workspace.new_canvas(128, 128)
    canvas = desk.workspace.target
    desk.slide.toggle_pause()
    desk.see(wait_for, lambda: desk.slide.session.status.paused)
    desk.slide.refine()
    assert desk.workspace.target is canvas
    desk.see(wait_for, lambda: desk.slide.session.status.paused)
    assert desk.engine.submitted == []


def test_the_reason_is_told_when_there_is_no_finer_level(
    desk: Desk, told: list[str], slide_path: Path, wait_for
) -> None:
    box = desk.slide.box
    desk.engine.info = replace(FAKE_INFO, mpp=(0.5, 1.0))
    desk.controller.status = replace(desk.controller.status, info=desk.engine.info)
    desk.see(wait_for, lambda: not box.finer.isEnabled())
    assert "draws 0.5 and coarser. Choose" in box.finer.toolTip()
    desk.slide.refine()
    assert told == [box.finer.toolTip()]
    desk.controller.status = replace(desk.controller.status, info=None)
    desk.see(wait_for, lambda: "being loaded" in box.finer.toolTip())
    desk.slide.close_slide()
    desk.slide.refine()
    assert told[-1] == "Make or open a slide first."
    with SlideStore.open(slide_path, read_only=False):
        desk.slide.open_slide(slide_path)
        desk.see(wait_for, lambda: "another window" in box.finer.toolTip())
        assert not box.finer.isEnabled()
        desk.slide.close_slide()


def test_the_button_comes_to_life_when_the_model_is_ready(desk: Desk, wait_for) -> None:
    """Also when nothing else of the slide changes."""
    box = desk.slide.box
    ready = desk.controller.status
    desk.controller.status = replace(ready, info=None)
    desk.see(wait_for, lambda: not box.finer.isEnabled())
    desk.controller.status = ready
    desk.controller.status_changed.emit(ready)

    def shown() -> bool:
        desk.slide.pump()
        return box.finer.isEnabled()

    wait_for(shown)


def test_a_level_that_another_program_added_is_shown(
    desk: Desk, told: list[str], slide_path: Path, wait_for
) -> None:
    desk.slide.close_slide()
    with SlideStore.open(slide_path, read_only=False) as writer:
        desk.slide.open_slide(slide_path)
        desk.workspace.document.set_frame(FRAME)
        session = desk.slide.session
        writer.refine(FAKE_INFO)
        desk.see(wait_for, lambda: desk.slide.session is not session)
        session = desk.slide.session
        assert session.store.read_only
        np.testing.assert_array_equal(session.layer.scale, (0.25, 0.25))
        assert desk.workspace.document.region == replace(FRAME, level=1)
        desk.slide.close_slide()


def test_a_full_disk_leaves_the_slide_open_as_it_was(
    desk: Desk, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StorageError("expected room, got none; free some space")

    monkeypatch.setattr(SlideStore, "refine", full)
    desk.slide.refine()
    assert told == ["expected room, got none; free some space"]
    assert desk.slide.session.store.recipe.refined == 0
    assert not desk.slide.session.store.read_only
    assert desk.workspace.document.region == FRAME
    assert desk.slide.session.store.state(0)[TileAddress(0, 0, 0).row, 0] == 2
