"""The list of waiting edits in a real window."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_histodiff.core.engine import JobFailed, JobFinished, JobProgress, JobStarted
from napari_histodiff.core.errors import OutOfMemory
from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.commands import run
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.viewport import camera_of
from tests.ui.conftest import OpenDock
from tests.ui.doubles import RecordingEngine
from tests.ui.find import press


@pytest.fixture
def engine() -> RecordingEngine:
    return RecordingEngine()


@pytest.fixture
def dock(open_dock: OpenDock, engine: RecordingEngine) -> StudioDock:
    dock = open_dock(engine)
    dock.workspace.new_canvas(512, 512)
    engine.ready()
    dock.controller.pump()
    dock.controller.set(variants=2)
    return dock


def _press_at(dock: StudioDock, y: int, x: int) -> None:
    dock.workspace.document.set_frame(Region(0, y, x, 64, 128))
    dock.controller.refresh_plan()
    (dock.run.main if dock.run.after.isHidden() else dock.run.after).click()


def _tell(dock: StudioDock, engine: RecordingEngine, *events: object) -> None:
    engine.emit(*events)
    dock.controller.pump()


def _finish(dock: StudioDock, engine: RecordingEngine, shade: int = 90) -> None:
    request = engine.submitted[-1]
    images = np.full((request.variants, *request.shape, 3), shade, np.uint8)
    _tell(dock, engine, JobFinished(str(len(engine.submitted)), images, 0.5))


def _rows(dock: StudioDock) -> list[str]:
    items = dock.queue.box.list
    return [items.item(row).text() for row in range(items.count())]


def test_the_list_is_there_only_while_something_waits(
    dock: StudioDock, engine: RecordingEngine
) -> None:
    box = dock.queue.box
    assert box.isHidden()
    _press_at(dock, 0, 0)
    assert box.isHidden()
    _press_at(dock, 128, 256)
    assert not box.isHidden()
    assert _rows(dock)[1].startswith("Generate, 64 × 32 µm at 128 µm, 64 µm\nWaits")
    assert box.corner.text().startswith("1 wait")
    _finish(dock, engine)
    _finish(dock, engine)
    assert len(_rows(dock)) == 2
    dock.actions.apply()
    assert len(_rows(dock)) == 1
    dock.queue.go_to_next()
    assert box.isHidden()  # what is in view needs no row
    assert dock.controller.staged.now.region == Region(0, 128, 256, 64, 128)
    dock.controller.staged.discard()
    assert box.isHidden()


def test_going_to_an_edit_brings_frame_and_camera_there_and_leaves_the_paint(
    dock: StudioDock, engine: RecordingEngine
) -> None:
    _press_at(dock, 0, 0)
    _press_at(dock, 384, 384)
    dock.workspace.document.set_frame(Region(0, 192, 0, 64, 128))
    labels = dock.workspace.document.nuclei.layer
    labels.data_setitem((np.array([5, 6]), np.array([5, 5])), 9)
    camera = camera_of(dock.viewer)
    camera.center, camera.zoom = (10, 10), 40  # far from it
    box = dock.queue.box
    box.list.setCurrentRow(1)
    box.go.click()
    assert dock.workspace.document.region == Region(0, 384, 384, 64, 128)
    assert dock.controller.staged.now is None  # it is not drawn yet
    np.testing.assert_allclose(camera.center[-2:], (0.5 * 416, 0.5 * 448), atol=1)
    dock.workspace.document.set_frame(Region(0, 192, 0, 64, 128))
    assert dock.workspace.document.nuclei.layer.data[5, 5] == 9


def test_buttons_change_order_and_take_out(
    dock: StudioDock, engine: RecordingEngine, qtbot
) -> None:
    for x in (0, 128, 256, 384):
        _press_at(dock, 0, x)
    box, queue = dock.queue.box, dock.controller.drawing.queue
    first, second, third = (edit.id for edit in queue.waiting)
    box.list.setCurrentRow(3)
    assert box.selected == third
    assert not box.later.isEnabled()
    box.earlier.click()
    assert [edit.id for edit in queue.waiting] == [first, third, second]
    assert box.selected == third  # the selection goes along
    box.front.click()
    assert [edit.id for edit in queue.waiting] == [third, first, second]
    assert not box.front.isEnabled()
    qtbot.keyClick(box.list, Qt.Key.Key_Delete)
    assert [edit.id for edit in queue.waiting] == [first, second]
    box.clear.click()
    assert not queue.waiting


def test_pause_and_go_on_by_button_and_key(dock: StudioDock, engine: RecordingEngine) -> None:
    _press_at(dock, 0, 0)
    _press_at(dock, 0, 128)
    press(dock, "queue_hold")
    assert dock.queue.box.hold.text() == "Go on"
    _finish(dock, engine)
    assert len(engine.submitted) == 1
    assert "held" in dock.queue.box.corner.text()
    run("queue_hold", dock)
    assert len(engine.submitted) == 2


def test_a_failure_says_why_and_is_retried(dock: StudioDock, engine: RecordingEngine) -> None:
    _press_at(dock, 0, 0)
    _tell(dock, engine, JobFailed("1", OutOfMemory("expected memory, got none; draw less")))
    box = dock.queue.box
    assert "Failed: Needed: memory, but there is none. Draw less." in _rows(dock)[0]
    box.retry.click()
    assert box.isHidden()
    assert len(engine.submitted) == 2


def test_progress_counts_in_the_note_and_in_the_row(
    dock: StudioDock, engine: RecordingEngine
) -> None:
    _press_at(dock, 0, 0)
    _press_at(dock, 0, 128)
    _tell(dock, engine, JobStarted("1"), JobProgress("1", 1, 12))
    for text in (dock.run.note.text(), _rows(dock)[0]):
        assert "Step 1 of 12: " in text
        assert " so far, " in text


def test_rows_and_buttons_have_names_for_screen_readers(
    dock: StudioDock, engine: RecordingEngine
) -> None:
    _press_at(dock, 0, 0)
    _press_at(dock, 0, 128)
    box = dock.queue.box
    said = box.list.item(1).data(Qt.ItemDataRole.AccessibleTextRole)
    assert said.startswith("Generate, 64 × 32 µm at 64 µm, 0 µm of Canvas: Waits")
    assert box.list.accessibleName()
    for made in (box.earlier, box.later, box.front):
        assert made.accessibleName()
        assert made.focusPolicy() != Qt.FocusPolicy.NoFocus
