"""The level of the frame and the writing of edits, in a real window with the dock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from napari.utils.colormaps import DirectLabelColormap
from qtpy.QtWidgets import QMessageBox

from napari_histodiff.core.engine import EngineState
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.slide.storage.tile_table import TileState
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.generation.states import Staging
from napari_histodiff.ui.viewport import camera_of
from tests.fakes import FAKE_INFO
from tests.ui.conftest import OpenDock, WaitFor
from tests.ui.doubles import RecordingEngine
from tests.ui.find import press
from tests.ui.slide.stage import put_block

pytestmark = [pytest.mark.usefixtures("places_of_its_own"), pytest.mark.timeout(300)]

FRAME = Region(1, 768, 896, 256, 256)
RED = (255, 0, 0)
GREEN = (0, 255, 0)


@pytest.fixture
def dock(open_dock: OpenDock, slide_path, request: pytest.FixtureRequest) -> StudioDock:
    """A slide whose middle is drawn but for level 0, with an engine that draws nothing more.

    Shown where a test says so.
    """
    engine = RecordingEngine()
    engine.state, engine.info = EngineState.READY, FAKE_INFO
    dock = open_dock(engine, show=getattr(request, "param", False))
    engine.ready()
    dock.viewer.window.resize(1500, 900)
    dock.slide.open_slide(slide_path)
    _draw(dock, FRAME.level)
    return dock


def _draw(dock: StudioDock, level: int) -> None:
    store = dock.slide.session.store
    put_block(store, store.spec.at_level(Region(0, 1024, 1024, 2048, 2048), level), 200)


def _look(dock: StudioDock, pixels: float) -> None:
    session = dock.slide.session
    camera_of(dock.viewer).zoom = 1 / (session.store.spec.mpp * pixels)
    session.go_to(2048, 2048)


def _put_variant(dock: StudioDock, region: Region, colour=RED) -> EditRequest:
    pixels = np.full((*region.shape, 3), colour, np.uint8)
    request = EditRequest(
        kind=EditKind.INPAINT,
        region=region,
        image=pixels,
        edit_mask=np.ones(region.shape, np.bool_),
        mpp=0.5 * 2**region.level,
    )
    entry = dock.controller.history.add(request, pixels[None], 1.0)
    dock.controller.staged.put(Staging(entry))
    return request


def _settle(dock: StudioDock, wait_for: WaitFor) -> None:
    wait_for(lambda: not dock.workspace.doing.text)


def _box_of(dock: StudioDock, colour) -> list[int]:
    """Where a colour is on the canvas: first and last row and column."""
    shot = dock.viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
    rows, cols = np.nonzero(np.abs(shot - colour).max(axis=2) <= 40)
    assert rows.size
    return [rows.min(), rows.max(), cols.min(), cols.max()]


def _answer(monkeypatch: pytest.MonkeyPatch, text: str, said: list[str]) -> None:
    def press(box: QMessageBox) -> int:
        said.append(box.text())
        next(b for b in box.buttons() if b.text().replace("&", "") == text).click()
        return 0

    monkeypatch.setattr(QMessageBox, "exec", press)


def test_the_box_offers_the_levels_of_a_slide_only(dock: StudioDock) -> None:
    box = dock.canvas
    texts = [box.level.itemText(n) for n in range(box.level.count())]
    assert texts == ["0.5 µm per pixel", "1 µm per pixel"]
    assert not box.levels.isHidden()
    assert box.level.currentIndex() == dock.workspace.document.region.level == 1  # as in view
    assert "0.5 µm/px" in box.corner.text()
    dock.workspace.new_canvas(256, 256)
    assert box.levels.isHidden()


def test_choosing_a_level_keeps_the_frame_on_its_place(dock: StudioDock) -> None:
    dock.workspace.document.set_frame(FRAME)
    assert "256 × 256 µm" in dock.canvas.frame_width.toolTip()
    dock.canvas.level.setCurrentIndex(0)
    dock.canvas.level.activated.emit(0)
    assert dock.workspace.document.region == Region(0, 1536, 1792, 512, 512)
    assert dock.canvas.frame_width.value() == 512
    assert "256 × 256 µm" in dock.canvas.frame_width.toolTip()


def test_to_view_takes_the_level_in_view(dock: StudioDock) -> None:
    for pixels, level in ((0.8, 0), (3, 1)):
        _look(dock, pixels)
        press(dock, "frame_to_view")
        region = dock.workspace.document.region
        assert region.level == level
        assert abs((region.y + region.height / 2) * 2**level - 2048) <= 2**level
        assert dock.canvas.level.currentIndex() == level
    dock.actions.resize_frame(256, 512)
    assert dock.workspace.document.region == replace(region, height=256, width=512)


def test_the_frame_is_drawn_down_to_the_finest_level(dock: StudioDock, monkeypatch) -> None:
    asked: list[Region] = []
    monkeypatch.setattr(dock.slide.session, "render_frame", asked.append)
    dock.workspace.document.set_frame(FRAME)
    dock.slide.draw_frame()
    assert asked == [Region(0, 1536, 1792, 512, 512)]


@pytest.mark.parametrize("dock", [True], indirect=True, ids=["shown"])
@pytest.mark.parametrize("pixels", [0.9, 2.2])
def test_what_is_painted_and_staged_lies_on_the_tissue_it_will_change(
    dock: StudioDock, wait_for: WaitFor, pixels: float
) -> None:
    _look(dock, pixels)
    dock.workspace.document.set_frame(FRAME)
    _, mask, nuclei, frame = dock.workspace.paint_layers
    frame.visible = nuclei.visible = False
    mask.data = np.ones_like(mask.data)
    mask.colormap = DirectLabelColormap(color_dict={1: (0, 1, 0, 1), None: (0, 0, 0, 0)})
    mask.opacity = 1.0
    painted = _box_of(dock, GREEN)
    mask.visible = False
    _put_variant(dock, FRAME)
    staged = _box_of(dock, RED)
    dock.actions.apply()
    _settle(dock, wait_for)
    for layer in dock.viewer.layers:
        layer.visible = layer is dock.slide.session.layer
    written = _box_of(dock, RED)
    assert np.abs(np.subtract(painted, written)).max() <= 1
    assert np.abs(np.subtract(staged, written)).max() <= 1


def test_buttons_rest_while_an_edit_is_written_and_say_why(
    dock: StudioDock, wait_for: WaitFor
) -> None:
    run, session = dock.run, dock.slide.session
    dock.workspace.document.set_frame(FRAME)
    _put_variant(dock, FRAME)
    dock.controller.refresh_plan()
    bar = run.staging
    assert bar.apply.isEnabled()
    assert run.main.isEnabled()
    with session.store._lock:  # the edit waits for it
        dock.actions.apply()
        assert run.note.text() == "Writing the edit…"
        for button in (bar.apply, bar.discard, run.undo, run.redo):
            assert not button.isEnabled()
            assert button.toolTip() == "Writing the edit…"
        assert not run.main.isEnabled()
        assert not bar.isHidden()
    _settle(dock, wait_for)
    assert bar.isHidden()
    assert run.undo.isEnabled()
    assert "Shift+Z" in run.undo.toolTip()
    assert not run.redo.isEnabled()
    wait_for(lambda: run.main.isEnabled())
    press(dock, "undo")
    _settle(dock, wait_for)
    assert run.redo.isEnabled()
    assert not run.undo.isEnabled()


def test_closing_the_dock_waits_for_the_edit(dock: StudioDock) -> None:
    store = dock.slide.session.store
    _put_variant(dock, FRAME)
    dock.actions.apply()
    path, opened = store.path, type(store).open
    dock.shut_down()
    with opened(path, read_only=False) as again:
        assert (again.read(FRAME) == RED).all()


def test_finer_edits_are_asked_about_before_they_are_replaced(
    dock: StudioDock, wait_for: WaitFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    fine = Region(0, 1536, 1792, 128, 128)

    def apply(region: Region, colour, answer: str) -> Callable[[], np.ndarray]:
        _answer(monkeypatch, answer, said)
        _put_variant(dock, region, colour)
        dock.actions.apply()
        _settle(dock, wait_for)
        return dock.slide.session.store.read(fine)

    _draw(dock, fine.level)
    apply(fine, (1, 2, 3), "Cancel")
    assert said == []
    assert (apply(FRAME, RED, "Cancel") == (1, 2, 3)).all()
    assert said == ["1 tile with finer edits of yours lies under this edit at 1 µm per pixel."]
    assert dock.controller.staged.now is not None
    assert (apply(FRAME, RED, "Apply") == (1, 2, 3)).all()  # until it is drawn anew
    assert dock.slide.session.store.state(0)[6, 7] == TileState.STALE
    assert len(said) == 2
    dock.controller.staged.undo()
    _settle(dock, wait_for)
    assert (dock.slide.session.store.read(fine) == (1, 2, 3)).all()
