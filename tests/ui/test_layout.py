"""Sections that fold, and a dock that fits."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QRect, QSize
from qtpy.QtWidgets import QAbstractButton, QWidget

from napari_histodiff.core.engine import EngineState, EngineStateChanged, JobFinished
from napari_histodiff.core.maps import CLASS_NAMES
from napari_histodiff.ui import dock as dock_module
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.generation.settings import SettingsStore
from napari_histodiff.ui.starting.painted import DEMO_CAPTION, paint_demo
from napari_histodiff.ui.widgets.forms import Section, whole_number
from napari_histodiff.ui.workspace.targets import Target
from tests.fakes import FAKE_INFO
from tests.ui.conftest import OpenDock
from tests.ui.doubles import RecordingEngine
from tests.ui.find import find

RARE = {"Check and change"}


@pytest.fixture
def dock(open_dock: OpenDock) -> StudioDock:
    return open_dock(RecordingEngine())


def folded(dock: StudioDock) -> set[str]:
    return {s.title for s in dock.findChildren(Section) if not s.isExpanded()}


def test_what_is_folded_away_stays_so(
    dock: StudioDock, open_dock: OpenDock, tmp_path: Path
) -> None:
    assert folded(dock) == RARE
    dock.caption.toggleButton().click()
    assert not dock.caption.edit.isVisibleTo(dock)
    dock.shut_down()
    assert SettingsStore(tmp_path / "studio.json").load().folded == ("Caption", *RARE)
    again = open_dock(RecordingEngine())
    assert folded(again) == {"Caption", *RARE}
    again.caption.toggleButton().click()
    assert again.caption.edit.isVisibleTo(again)


def test_a_small_screen_begins_with_what_the_main_path_needs(
    open_dock: OpenDock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dock_module, "_SMALL", 1 << 20)
    dock = open_dock(RecordingEngine())
    assert folded(dock) == {"Canvas", "Slide", "History", *RARE}
    for needed in (dock.caption.edit, find(dock, "tool_brush", QAbstractButton), dock.run.main):
        assert needed.isVisibleTo(dock)


@pytest.mark.parametrize("slide", [False, True], ids=["canvas", "slide"])
@pytest.mark.parametrize("size", [(1366, 728), (1440, 860)], ids=lambda size: f"{size[0]} px")
def test_the_main_path_is_in_view_on_a_small_screen(
    open_dock: OpenDock, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], slide: bool, qtbot
) -> None:
    monkeypatch.setattr(dock_module, "_SMALL", 1 << 20)
    engine = RecordingEngine()
    dock = open_dock(engine, show=True)
    dock.workspace.new_canvas(512, 512)
    dock.workspace.document.set_painting(*paint_demo(512, 512), np.zeros((512, 512), bool))
    known = replace(FAKE_INFO, steps=2, class_counts=dict.fromkeys(CLASS_NAMES, 9999))
    engine.emit(EngineStateChanged(EngineState.READY, known))
    dock.controller.set(caption=DEMO_CAPTION, steps=5)
    dock.controller.refresh_plan()
    if slide:  # what its section and a choice of levels take
        dock.slide.box.show()
        dock.canvas.set_levels((0.5, 1.0, 2.0))
    window = dock.viewer.window._qt_window
    window.setGeometry(0, 0, *size)
    for step in (lambda: None, partial(draw, dock, engine)):
        step()
        qtbot.waitUntil(lambda: window.size() == QSize(*size))
        qtbot.waitUntil(lambda: unseen(dock) == [])
    assert dock.run.staging.isVisible()


def unseen(dock: StudioDock) -> list[QWidget]:
    """What of the main path cannot be seen."""
    staging = dock.run.staging
    needed = (
        dock.palette_box.nuclei.buttons["connective"],
        find(dock, "tool_brush", QAbstractButton),
        dock.proposal.main,
        dock.caption.edit,
        dock.settings.guidance,
        dock.run.main,
        *((staging.which, staging.apply) if staging.isVisible() else ()),
    )
    return [widget for widget in needed if not seen(widget)]


def seen(widget: QWidget) -> bool:
    """Whether all of a widget can be seen, scrolled to the top as its section is."""
    if not widget.isVisible():
        return False
    around = widget.parentWidget()
    while around is not None:
        place = QRect(widget.mapTo(around, QPoint()), widget.size())
        if not around.rect().contains(place):
            return False
        around = around.parentWidget()
    return True


def draw(dock: StudioDock, engine: RecordingEngine) -> None:
    dock.run.main.click()
    request = engine.submitted[-1]
    images = np.full((request.variants, *request.shape, 3), 90, np.uint8)
    engine.emit(JobFinished(str(len(engine.submitted)), images, 0.5))
    dock.controller.pump()
    dock.controller.refresh_plan()


def test_rows_that_come_later_have_room_in_an_open_section(qtbot) -> None:
    section = Section("Part")
    qtbot.addWidget(section)
    section.show()
    section.set_folded(folded=True)
    section.set_folded(folded=False)
    before = section.sizeHint().height()
    row = QWidget()
    row.setFixedHeight(300)
    section.body.addWidget(row)
    row.show()
    assert section.sizeHint().height() >= before + 300
    assert section.content().maximumHeight() > 300


@pytest.mark.parametrize("size", [8, 12, 24])
def test_number_boxes_have_room_for_their_longest_number(qtbot, size: int) -> None:
    box = whole_number((0, 4096), "")
    qtbot.addWidget(box)
    font = box.font()
    font.setPointSize(size)
    box.setFont(font)
    assert box.minimumSizeHint().width() > box.fontMetrics().horizontalAdvance("4096") + 40


def test_tooltips_stay_until_they_are_read(dock: StudioDock) -> None:
    assert dock.settings.guidance.toolTipDuration() > 60_000


def test_a_slide_brings_its_caption_along(
    dock: StudioDock, monkeypatch: pytest.MonkeyPatch
) -> None:
    dock.controller.set(caption="skin")
    dock.workspace.new_canvas(128, 128)
    assert dock.controller.settings.caption == "skin"
    monkeypatch.setattr(Target, "caption", "colon, gland")
    dock.workspace.new_canvas(128, 128)
    assert dock.controller.settings.caption == "colon, gland"
    dock.controller.set(caption="lung")
    dock.workspace.target_changed.emit()
    assert dock.controller.settings.caption == "lung"
