"""The dock of reader studies: the browser's trials, in napari's canvas."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from napari.layers import Image
from qtpy.QtCore import Qt

from napari_histodiff.studies.reading.create import new_study
from napari_histodiff.studies.reading.database import ReaderStudy
from napari_histodiff.studies.reading.trials import ReadingOptions
from napari_histodiff.ui.study.controller import ReadingController
from napari_histodiff.ui.study.dock import READING_LAYER, READING_WIDGET, ReadingDock
from napari_histodiff.ui.widgets.style import WRONG
from tests.studies.reading.pictures import folders
from tests.ui.conftest import WaitFor


@pytest.fixture
def study(tmp_path) -> ReaderStudy:
    real, synthetic = folders(tmp_path, count=6)
    options = ReadingOptions(pairs=3, singles=2, catch=1, practice=2)
    return new_study(tmp_path / "a.study", [real], [synthetic], options)[0]


@pytest.fixture
def dock(make_napari_viewer, study):
    viewer = make_napari_viewer()
    dock = ReadingDock(viewer)
    viewer.window.add_dock_widget(dock, name=READING_WIDGET, area="right")
    dock.file.setText(str(study.path))
    dock.name.setText("Ann")
    yield dock
    dock.shut_down()


def begin(dock: ReadingDock, wait_for: WaitFor) -> None:
    dock.begin()
    wait_for(lambda: READING_LAYER in dock.viewer.layers)


def press(dock: ReadingDock, qtbot, wait_for: WaitFor, key: Qt.Key) -> None:
    before = dock.controller.current
    qtbot.keyClick(dock, key)
    wait_for(lambda: dock.controller.current is not before)


def test_a_reader_answers_everything_by_keys(dock, study, qtbot, wait_for) -> None:
    begin(dock, wait_for)
    seat = study.readers()[0]
    while (trial := study.next_trial(seat.reader)) is not None:
        asked = dock.controller.current
        assert asked.trial == trial
        if len(trial.images) == 2:
            assert dock.viewer.layers[READING_LAYER].data.shape == (72, 148, 4)
            assert not dock.sides[0].isHidden()
            assert dock.ratings[0].isHidden()
            press(dock, qtbot, wait_for, Qt.Key.Key_Right)
        else:
            assert dock.viewer.layers[READING_LAYER].data.shape == (72, 72, 4)
            press(dock, qtbot, wait_for, Qt.Key.Key_5)
    assert READING_LAYER not in dock.viewer.layers
    assert "Thank you" in dock.question.text()
    answers = study.answers(practice=True)
    assert len(answers) == seat.total
    assert {a.chosen for a in answers if a.kind != "single"} == {1}
    assert {a.rating for a in answers if a.kind == "single"} == {5}


def test_the_order_is_that_of_the_browser(dock, study, wait_for, qtbot) -> None:
    seat = study.join("Ann")
    first = study.next_trial(seat.reader)
    study.answer(seat.reader, first.trial, chosen=first.images[0], seconds=1)
    begin(dock, wait_for)
    assert dock.controller.current.trial == study.next_trial(seat.reader)
    assert dock.place.text().startswith("2 of")


def test_other_layers_are_hidden_and_come_back(dock, wait_for) -> None:
    layer = dock.viewer.add_image(np.zeros((9, 9)))
    hidden = dock.viewer.add_image(np.zeros((9, 9)), visible=False)
    begin(dock, wait_for)
    assert not layer.visible
    dock.shut_down()
    assert layer.visible
    assert not hidden.visible
    assert READING_LAYER not in dock.viewer.layers


def test_the_canvas_answers_to_the_same_keys(dock, study, wait_for) -> None:
    begin(dock, wait_for)
    layer = dock.viewer.layers[READING_LAYER]
    before = dock.controller.current
    bound = {str(key): act for key, act in layer.keymap.items()}
    bound["Left"](layer)
    wait_for(lambda: dock.controller.current is not before)
    assert study.answers(practice=True)[0].chosen == 0
    assert {"Left", "Right", "1", "6"} <= set(bound)
    assert "Left" not in {str(key) for key in Image.class_keymap}


def test_keys_that_mean_nothing_and_answers_twice_do_nothing(dock, study, qtbot, wait_for) -> None:
    begin(dock, wait_for)
    for key in (Qt.Key.Key_5, Qt.Key.Key_A, Qt.Key.Key_Up):
        qtbot.keyClick(dock, key)
    assert study.answers(practice=True) == []
    before = dock.controller.current
    dock.controller.answer(side=0)
    dock.controller.answer(side=1)
    wait_for(lambda: dock.controller.current is not before)
    assert len(study.answers(practice=True)) == 1


def test_a_reason_is_kept_with_the_answer(dock, study, qtbot, wait_for) -> None:
    begin(dock, wait_for)
    qtbot.keyClick(dock, Qt.Key.Key_Slash)
    dock.reason.setText(" smooth chromatin ")
    press(dock, qtbot, wait_for, Qt.Key.Key_Left)
    assert study.answers(practice=True)[0].reason == "smooth chromatin"
    assert dock.reason.text() == ""


def test_what_cannot_be_opened_is_said_in_the_dock(dock, tmp_path, wait_for) -> None:
    dock.file.setText(str(tmp_path / "none.study"))
    dock.begin()
    wait_for(lambda: "no file" in dock.error.text())
    assert dock.error.property("role") == WRONG
    assert dock.start.isEnabled()
    assert READING_LAYER not in dock.viewer.layers
    dock.file.setText(str(tmp_path / "a.study"))
    dock.name.setText("")
    dock.begin()
    wait_for(lambda: "name of 1 to 80" in dock.error.text())


def test_the_file_is_used_in_a_thread_and_time_runs_from_when_it_is_shown(study) -> None:
    times = iter((10.0, 12.5))
    controller = ReadingController(clock=lambda: next(times))
    controller.open(study.path, "Ann")
    while controller.current is None:
        controller.pump()
    controller.shown()
    controller.answer(side=0)
    controller.close()
    assert [a.seconds for a in study.answers(practice=True)] == [2.5]
    assert not any(t.name.startswith("reader-study") for t in threading.enumerate())
