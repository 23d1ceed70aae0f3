"""What the window says of things that went wrong, and what is copied of them."""

from __future__ import annotations

import numpy as np
import pytest
from napari._qt.dialogs.qt_notification import NapariQtNotification
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.generation.states import Level, Notice
from napari_histodiff.ui.text import for_people
from napari_histodiff.ui.widgets.notices import (
    diagnostics,
    show_info,
    show_notice,
    show_trouble,
    show_warning,
)
from tests.ui.conftest import OpenDock
from tests.ui.doubles import RecordingEngine


@pytest.fixture
def dock(open_dock: OpenDock) -> StudioDock:
    return open_dock(RecordingEngine())


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (
            "expected an image to work on, got none; make a canvas or use an image layer",
            "Needed: an image to work on, but there is none. Make a canvas or use an image layer.",
        ),
        (
            "expected pixels of 0.5 um, got 4 x 4 um; resample, or correct it",
            "Needed: pixels of 0.5 µm. Found: 4 × 4 µm. Resample, or correct it.",
        ),
        ("expected uint8 colours, got float32", "Needed: 8-bit colours. Found: float32."),
        ("expected ids 0-11, got uint16 up to 900", "Needed: ids 0-11. Found: 16-bit up to 900."),
        (
            "expected the drawing to go on, got the end of its process by SIGKILL; draw it again",
            "The drawing stopped: its process was ended by SIGKILL. Draw it again.",
        ),
        ("Select an image first.", "Select an image first."),
    ],
)
def test_errors_are_said_in_a_pathologist_s_words(message: str, said: str) -> None:
    assert for_people(message) == said


def test_a_notice_of_trouble_offers_the_diagnostics(dock: StudioDock) -> None:
    try:
        raise InvalidRequest("expected a frame, got none; draw one")
    except InvalidRequest as error:
        show_trouble(error)
    told = notification_manager.records[-1]
    assert told.message.strip() == "Needed: a frame, but there is none. Draw one."
    ((text, copy),) = told.actions
    assert text == "Copy diagnostics"
    copy(None)
    copied = QApplication.clipboard().text()
    assert "InvalidRequest: expected a frame" in copied
    assert "napari-histodiff: " in copied
    assert told.message.strip() in copied


def test_warnings_and_the_line_of_the_button_say_it_so_too(dock: StudioDock) -> None:
    raw, said = "expected a frame, got none; draw one", "Needed: a frame, but there is none."
    for show in (show_warning, show_info):
        show(raw)
        assert notification_manager.records[-1].message.strip() == f"{said} Draw one."
    dock.workspace.new_canvas(128, 128)
    nuclei = dock.workspace.document.nuclei.layer
    nuclei.data = np.zeros((64, 64), np.int32)
    dock.controller.refresh_plan()
    assert dock.controller.plan.note.startswith("Needed: nuclei of 128 × 128 px like the frame.")


def test_a_notice_that_is_opened_shows_the_next_step(open_dock: OpenDock, qtbot) -> None:
    dock = open_dock(RecordingEngine(), show=True)
    said = "expected the drawing to go on, got the end of its process; " + "draw less, " * 12
    show_notice(Notice(Level.ERROR, said + "or retry"))
    window = dock.viewer.window._qt_window
    qtbot.waitUntil(lambda: bool(window.findChildren(NapariQtNotification)))
    (row,) = window.findChildren(NapariQtNotification)
    row.toggle_expansion()
    text = for_people(said + "or retry")
    wrapped = int(Qt.TextFlag.TextWordWrap)

    def is_whole() -> bool:
        room = row.message.contentsRect()
        return row.message.fontMetrics().boundingRect(room, wrapped, text).height() <= room.height()

    qtbot.waitUntil(is_whole)


def test_good_news_offers_nothing(dock: StudioDock) -> None:
    show_notice(Notice(Level.INFO, "Saved."))
    assert notification_manager.records[-1].actions == ()


def test_the_menu_copies_model_and_image(dock: StudioDock) -> None:
    dock.controller.engine.ready()
    dock.controller.pump()
    dock.workspace.new_canvas(128, 96)
    dock.actions.copy_diagnostics()
    copied = QApplication.clipboard().text()
    assert "model: " in copied
    assert "height=128" in copied


def test_diagnostics_name_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_histodiff.ui.widgets.notices._PACKAGES", ("no-such-package",))
    assert "no-such-package: not installed" in diagnostics("trace")
    assert diagnostics("trace").endswith("trace")
