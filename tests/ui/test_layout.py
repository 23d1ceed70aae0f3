"""Sections that fold, and a dock that fits."""

from __future__ import annotations

from pathlib import Path

import pytest
from qtpy.QtWidgets import QAbstractButton, QWidget

from napari_histodiff.ui import dock as dock_module
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.generation.settings import SettingsStore
from napari_histodiff.ui.widgets.forms import Section, whole_number
from napari_histodiff.ui.workspace.targets import Target
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
