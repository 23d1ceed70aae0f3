from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QDialog, QInputDialog, QMessageBox, QVBoxLayout, QWidget

from napari_histodiff.core.engine import EngineState, JobFailed
from napari_histodiff.core.errors import StorageError
from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.slide.storage.tile_table import TileState
from napari_histodiff.slide.store import SlideStore
from napari_histodiff.ui.bindings import bind_buttons
from napari_histodiff.ui.generation.controller import Controller
from napari_histodiff.ui.generation.settings import SettingsStore
from napari_histodiff.ui.generation.states import EngineStatus
from napari_histodiff.ui.slide.new_slide_dialog import NewSlideDialog
from napari_histodiff.ui.slide.part import SlidePart
from napari_histodiff.ui.slide.recent import SUFFIX
from napari_histodiff.ui.slide.session import SlideSession
from napari_histodiff.ui.slide.sketching import SKETCH_NAME
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.fakes import FAKE_INFO
from tests.ui.doubles import RecordingEngine
from tests.ui.slide.stage import resize
from tests.ui.slide.widget_doubles import SIDE, recipe_of

pytestmark = pytest.mark.usefixtures("places_of_its_own")


@pytest.fixture
def engine() -> RecordingEngine:
    """Takes jobs and draws nothing."""
    made = RecordingEngine()
    made.state, made.info = EngineState.READY, FAKE_INFO
    return made


@dataclass
class Desk:
    """What `SlidePart` needs of a dock, without a window."""

    engine: RecordingEngine
    viewer: ViewerModel
    workspace: Workspace
    controller: Controller
    slide: SlidePart


@pytest.fixture
def desk(engine: RecordingEngine, told: list[str], qtbot, tmp_path: Path) -> Iterator[Desk]:
    viewer, parent = ViewerModel(), QWidget()
    qtbot.addWidget(parent)
    resize(viewer, 400, 600)
    workspace = Workspace(viewer)
    store = SettingsStore(tmp_path / "studio.json")
    controller = Controller(viewer, workspace, engine, store=store)
    controller.set(suggest=False)
    part = SlidePart(viewer, workspace, controller, parent)
    QVBoxLayout(parent).addWidget(part.box)
    engine.ready()
    controller.pump()
    desk = Desk(engine, viewer, workspace, controller, part)
    bind_buttons(parent, desk)
    yield desk
    part.close_slide()
    controller.close()


@pytest.fixture
def session(desk: Desk, slide_path: Path) -> SlideSession:
    desk.slide.open_slide(slide_path)
    assert desk.slide.session is not None
    return desk.slide.session


def _press(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Answer message boxes by the button with a text."""

    def press(box: QMessageBox) -> int:
        next(b for b in box.buttons() if b.text().replace("&", "") == text).click()
        return 0

    monkeypatch.setattr(QMessageBox, "exec", press)


def _draw(session: SlideSession, *tiles: TileAddress) -> None:
    rng = np.random.default_rng(3)
    for tile in tiles:
        shape = session.store.spec.region(tile).shape
        session.store.put_generated(tile, rng.integers(0, 256, (*shape, 3), np.uint8))


def _edit(session: SlideSession, region: Region) -> None:
    mask = np.ones(region.shape, np.bool_)
    pixels = np.full((*region.shape, 3), 30, np.uint8)
    request = EditRequest(kind=EditKind.INPAINT, region=region, image=pixels, edit_mask=mask)
    session.store.write(request, pixels, mask)


def _report(desk: Desk, wait_for: Callable[..., None], holds: Callable[[], bool]) -> None:
    def look() -> bool:
        desk.slide.pump()
        return holds()

    wait_for(look)


def test_opening_draws_nothing(session: SlideSession, engine: RecordingEngine) -> None:
    assert engine.submitted == []


def test_the_dialog_hears_when_the_model_is_ready(
    desk: Desk, engine: RecordingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.controller.status = EngineStatus(EngineState.LOADING)
    seen: list[bool] = []

    def look(dialog: NewSlideDialog) -> int:
        seen.append(dialog.make.isEnabled())
        engine.ready()
        desk.controller.pump()
        seen.append(dialog.make.isEnabled())
        dialog.done(QDialog.DialogCode.Rejected)
        return QDialog.DialogCode.Rejected

    monkeypatch.setattr(NewSlideDialog, "exec", look)
    desk.slide.new_slide()
    assert seen == [False, True]
    assert desk.slide.session is None


def test_recent_slides_are_offered(desk: Desk, session: SlideSession, slide_path: Path) -> None:
    desk.slide.close_slide()
    menu = desk.slide.recent
    menu.fill()
    (action,) = menu.actions()
    assert (action.text(), action.toolTip()) == ("one", str(slide_path))
    action.trigger()
    assert desk.slide.session.store.path == slide_path
    desk.slide.close_slide()
    slide_path.rename(slide_path.with_name("elsewhere"))
    menu.fill()
    assert [action.isEnabled() for action in menu.actions()] == [False]


def test_what_is_no_slide_is_told_and_the_open_one_stays(
    desk: Desk, session: SlideSession, tmp_path: Path, told: list[str]
) -> None:
    (tmp_path / f"empty{SUFFIX}").mkdir()
    desk.slide.open_slide(tmp_path / f"empty{SUFFIX}")
    assert "choose" in told[-1]
    assert desk.slide.session is session


def test_an_open_slide_is_not_opened_again(
    desk: Desk, session: SlideSession, slide_path: Path, told: list[str]
) -> None:
    desk.slide.open_slide(slide_path)
    assert "open already" in told[-1]
    assert desk.slide.session is session


def test_a_busy_slide_can_only_be_looked_at(
    desk: Desk, slide_path: Path, told: list[str], wait_for
) -> None:
    box = desk.slide.box
    with SlideStore.open(slide_path, read_only=False):
        desk.slide.open_slide(slide_path)
        assert desk.slide.session.status.read_only
        _report(desk, wait_for, lambda: not box.view.isEnabled())
        assert not box.space.isEnabled()
        assert not box.sketch.isEnabled()
        desk.slide.close_slide()


def test_removing_the_layer_closes_the_slide(desk: Desk, session: SlideSession) -> None:
    desk.viewer.layers.remove(session.layer)
    assert desk.slide.session is None
    assert desk.slide.box.isHidden()


def test_another_slide_takes_the_place_of_the_first(
    desk: Desk, session: SlideSession, tmp_path: Path, slide_path: Path
) -> None:
    other = tmp_path / f"two{SUFFIX}"
    SlideStore.create(other, recipe_of(SIDE, 2 * SIDE)).close()
    desk.slide.open_slide(other)
    assert desk.slide.session.store.path == other
    assert [layer.name for layer in desk.viewer.layers if layer.name in ("one", "two")] == ["two"]
    assert desk.slide.box.map.width() == 2 * desk.slide.box.map.height()
    SlideStore.open(slide_path, read_only=False).close()


def test_the_readout_follows(desk: Desk, session: SlideSession, wait_for) -> None:
    box = desk.slide.box
    assert box.corner.text().startswith("Level ")
    tiles = [TileAddress(1, 0, 0), TileAddress(1, 0, 1)]
    _draw(session, *tiles)
    _report(desk, wait_for, lambda: box.tiles.text() == "2 tiles drawn")

    def is_weighed() -> bool:
        session.changed.emit()
        return box.disk.text() not in ("", "0 bytes on disk")

    _report(desk, wait_for, is_weighed)


def test_the_map_takes_you_there(desk: Desk, session: SlideSession) -> None:
    desk.slide.box.map.went.emit(1000, 3000)
    view = session.view_box()
    assert view.is_empty or abs(view.y + view.height / 2 - 1000) < 600
    centre = desk.viewer.scene.camera.center if hasattr(desk.viewer, "scene") else None
    if centre is not None:
        assert np.allclose(centre[-2:], (1000 * 0.5, 3000 * 0.5), atol=1)


def test_pause_and_resume(desk: Desk, session: SlideSession, wait_for) -> None:
    box = desk.slide.box
    box.pause.click()
    _report(desk, wait_for, lambda: box.pause.text() == "Resume")
    assert session.status.paused
    assert "paused" in box.queue.text() + box.left.text()
    desk.slide.toggle_pause()
    _report(desk, wait_for, lambda: box.pause.text() == "Pause")


def test_the_frame_is_drawn_and_the_queue_told(
    desk: Desk, session: SlideSession, engine: RecordingEngine, wait_for
) -> None:
    desk.workspace.document.set_frame(Region(0, 1024, 1024, 512, 512))
    box = desk.slide.box
    box.frame.click()
    _report(desk, wait_for, lambda: bool(engine.submitted) and "in work" in box.queue.text())
    assert box.stop.isEnabled()
    box.stop.click()
    _report(desk, wait_for, lambda: session.status.queued == 0 and not box.stop.isEnabled())


def test_a_frame_on_another_image_is_not_drawn(
    desk: Desk, session: SlideSession, told: list[str]
) -> None:
    desk.workspace.new_canvas(128, 128)
    desk.slide.draw_frame()
    assert "press Use image" in told[-1]


def test_failed_places_say_why_and_can_be_retried(
    desk: Desk, session: SlideSession, engine: RecordingEngine, told: list[str], wait_for
) -> None:
    desk.workspace.document.set_frame(Region(0, 1024, 1024, 256, 256))
    box = desk.slide.box
    box.frame.click()
    _report(desk, wait_for, lambda: len(engine.submitted) > 0)
    error = StorageError("expected paint, got none; buy some")
    for job in range(1, len(engine.submitted) + 1):
        engine.emit(JobFailed(str(job), error))
    _report(desk, wait_for, lambda: not box.failed.isHidden())
    assert "failed" in box.failed_text.text()
    told.clear()
    box.why.click()
    assert "buy some" in told[-1]
    box.retry.click()
    _report(desk, wait_for, box.failed.isHidden)
    assert session.status.failed == 0


def test_the_whole_slide_is_drawn_only_when_confirmed(
    desk: Desk,
    session: SlideSession,
    engine: RecordingEngine,
    monkeypatch: pytest.MonkeyPatch,
    wait_for,
) -> None:
    said: list[str] = []

    def read(box: QMessageBox) -> None:
        said.append(box.text() + box.informativeText())

    _press(monkeypatch, "Cancel")
    press = QMessageBox.exec
    monkeypatch.setattr(QMessageBox, "exec", lambda box: (read(box), press(box))[1])
    desk.slide.box.whole.click()
    # 16 x 16 tiles of level 0 and 8 x 8 of level 1.
    assert "320 tiles to draw" in said[0]
    assert "MB on the disk" in said[0]
    desk.slide.pump()
    assert engine.submitted == []
    _press(monkeypatch, "Draw all")
    desk.slide.box.whole.click()
    _report(desk, wait_for, lambda: session.status.queued > 100)


def test_growing_asks_and_moves_everything_along(
    desk: Desk, session: SlideSession, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    box = desk.slide.box
    step = session.growth_step
    assert (box.by.minimum(), box.by.singleStep(), box.by.value()) == (step, step, step)
    box.by.setValue(step + 1)
    top = next(b for b in box.grow_buttons if b.accessibleName() == "Grow at the top")
    before = desk.workspace.document.region
    _press(monkeypatch, "Cancel")
    top.click()
    assert session.store.spec.height == SIDE
    _press(monkeypatch, "Outpaint")
    top.click()
    assert session.store.spec.height == SIDE + 2 * step
    assert desk.workspace.document.region == before.translate(2 * step >> before.level, 0)
    desk.slide.grow(0, 131_072, 0, 0)
    assert "expected" in told[-1]
    assert session.store.spec.width == SIDE


def test_a_sketch_is_painted_and_applied(desk: Desk, session: SlideSession) -> None:
    sketch = desk.slide.box.sketch
    assert sketch.tissues.isHidden()
    sketch.edit.click()
    layer = desk.viewer.layers[SKETCH_NAME]
    assert not sketch.tissues.isHidden()
    assert sketch.tissues.group.checkedId() == layer.selected_label == 1
    sketch.tissues.group.button(3).click()
    assert layer.selected_label == 3
    layer.selected_label = 2
    assert sketch.tissues.group.checkedId() == 2
    layer.data[:] = 2
    sketch.apply.click()
    assert session.store.sketch is not None
    assert SKETCH_NAME not in desk.viewer.layers
    assert sketch.tissues.isHidden()
    assert not sketch.edit.isHidden()


def test_a_sketch_can_be_given_up(desk: Desk, session: SlideSession) -> None:
    desk.slide.box.sketch.edit.click()
    desk.viewer.layers[SKETCH_NAME].data[:] = 2
    desk.slide.box.sketch.cancel.click()
    assert session.store.sketch is None
    assert SKETCH_NAME not in desk.viewer.layers
    assert desk.slide.box.sketch.apply.isHidden()


def test_a_sketch_under_edits_is_asked_about(
    desk: Desk, session: SlideSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    _draw(session, TileAddress(1, 0, 0), TileAddress(0, 0, 0))
    _edit(session, Region(0, 0, 0, 256, 256))
    desk.slide.box.sketch.edit.click()
    desk.viewer.layers[SKETCH_NAME].data[:] = 4
    _press(monkeypatch, "Cancel")
    desk.slide.box.sketch.apply.click()
    assert session.store.sketch is None
    assert SKETCH_NAME in desk.viewer.layers
    _press(monkeypatch, "Apply")
    desk.slide.box.sketch.apply.click()
    assert session.store.sketch is not None
    # What the user changed stays.
    assert (session.store.read(Region(0, 0, 0, 256, 256)) == 30).all()


def test_space_is_freed_as_far_as_asked(
    desk: Desk, session: SlideSession, monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    tiles = [TileAddress(1, 0, n) for n in range(4)]
    _draw(session, *tiles)
    monkeypatch.setattr(QInputDialog, "getInt", lambda *_: (0, False))
    desk.slide.box.space.click()
    before = session.store.nbytes
    monkeypatch.setattr(QInputDialog, "getInt", lambda *_: (0, True))
    desk.slide.box.space.click()
    # Averages of what was drawn stay.
    assert session.store.nbytes < before / 2
    assert "freed" in told[-1]
    assert (session.store.state(1) == TileState.EMPTY).all()


def test_without_a_slide_the_commands_say_so(desk: Desk, told: list[str]) -> None:
    for action in (desk.slide.toggle_pause, desk.slide.draw_view, desk.slide.draw_frame):
        told.clear()
        action()
        assert "slide first" in told[0]


def test_another_model_is_handed_on(
    desk: Desk, session: SlideSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    other: Any = RecordingEngine()
    used: list[Any] = []
    monkeypatch.setattr(session, "use_engine", used.append)
    desk.slide.pump()
    assert used == []
    desk.controller.use_engine(other)
    desk.slide.pump()
    desk.slide.pump()
    assert used == [other]


def test_controls_have_names_and_tips(desk: Desk) -> None:
    box = desk.slide.box
    for made in (box.pause, box.veil, box.view, box.frame, box.whole, box.stop, box.space):
        assert made.toolTip()
        assert made.text()
    assert all(
        made.accessibleName() for made in (*box.grow_buttons, box.by, box.close_slide, box.map)
    )
