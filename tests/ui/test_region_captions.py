"""The list of captions of tissues under the caption box, and what requests make of it."""

from __future__ import annotations

import numpy as np
from qtpy.QtWidgets import QComboBox, QLineEdit, QPushButton

from napari_histodiff.ui.generation.request import request_of
from napari_histodiff.ui.widgets.region_captions import RegionCaptions
from tests.ui.conftest import OpenDock
from tests.ui.doubles import RecordingEngine


def test_lines_are_added_told_and_removed(qtbot) -> None:
    box = RegionCaptions()
    qtbot.addWidget(box)
    told: list[tuple[tuple[str, str], ...]] = []
    box.changed.connect(told.append)
    box.add.click()
    text = box.findChild(QLineEdit)
    text.setText("  high   neutrophil ")
    text.editingFinished.emit()
    assert told[-1] == (("gland", "high neutrophil"),)
    box.findChild(QComboBox).setCurrentText("stroma")
    assert told[-1] == (("stroma", "high neutrophil"),)
    box.add.click()
    assert box.captions == told[-1], "an empty line says nothing"
    drop = next(b for b in box.findChildren(QPushButton) if b.text() == "×")
    drop.click()
    assert told[-1] == ()


def test_what_is_shown_tells_nobody(qtbot) -> None:
    box = RegionCaptions()
    qtbot.addWidget(box)
    told: list[object] = []
    box.changed.connect(told.append)
    box.set_captions((("fat", "low plasma"), ("gland", "high neutrophil")))
    assert dict(box.captions) == {"fat": "low plasma", "gland": "high neutrophil"}
    box.set_captions(())
    assert box.captions == ()
    assert told == []


def test_they_are_in_the_request_and_come_back_from_it(open_dock: OpenDock) -> None:
    dock = open_dock(RecordingEngine())
    dock.workspace.new_canvas(128, 128)
    dock.caption.regions.set_captions((("gland", "high neutrophil"),))
    dock.caption.regions.changed.emit(dock.caption.regions.captions)
    assert dock.controller.settings.region_captions == (("gland", "high neutrophil"),)
    tissue = np.ones((128, 128), np.uint8)
    dock.workspace.document.paint_tissue(tissue)
    made = request_of(dock.workspace.document.snapshot(), dock.controller.settings)
    assert made.region_captions == (("gland", "high neutrophil"),)
    dock.controller.set(region_captions=())
    assert dock.caption.regions.captions == ()
