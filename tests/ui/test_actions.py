"""Import from the dock: what is asked, what is said, and a window that lives meanwhile."""

from __future__ import annotations

import threading

import dask.array as da
import numpy as np
import pytest
from qtpy.QtWidgets import QAbstractButton, QDialog

from napari_histodiff.core.engine import JobFinished
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.forms import BY_TABLE, OF_EACH_PIXEL
from napari_histodiff.ui.widgets import dialogs
from tests.ui.conftest import OpenDock, WaitFor
from tests.ui.doubles import RecordingEngine
from tests.ui.find import find


@pytest.fixture
def dock(open_dock: OpenDock) -> StudioDock:
    return open_dock(RecordingEngine())


def test_import_asks_what_the_labels_are(dock: StudioDock, monkeypatch: pytest.MonkeyPatch) -> None:
    dock.workspace.new_canvas(128, 128)
    labels = np.zeros((128, 128), np.int32)
    labels[10:20, 10:20], labels[40:50, 60:70] = 9, 31
    own = dock.viewer.add_labels(labels, scale=(0.5, 0.5), units=("um", "um"))

    def accept(dialog: dialogs.FormDialog) -> int:
        assert dialog.form["layer"].value is own
        dialog.form["nuclei_are"].value = "plasma"
        return QDialog.DialogCode.Accepted

    monkeypatch.setattr(dialogs.FormDialog, "exec", accept)
    dock.actions.ask_import()
    assert dock.workspace.document.nuclei.counts()["plasma"] == 2
    assert dock.viewer.layers.selection.active.name == "Nuclei"
    assert not own.visible  # it lies on what was painted of it


def test_marks_of_nuclei_are_no_labels_to_import(
    dock: StudioDock, monkeypatch: pytest.MonkeyPatch
) -> None:
    dock.workspace.new_canvas(128, 128)
    square = np.zeros((128, 128), np.int32)
    square[10:20, 10:20] = 1
    dock.workspace.document.paint_nuclei(2 * square, square)
    dock.actions.toggle_outlines()
    assert dock.workspace.document.tools.highlights.layer in dock.viewer.layers
    said: list[str] = []
    monkeypatch.setattr("napari_histodiff.ui.actions.show_warning", said.append)
    dock.actions.ask_import()
    assert "There is no other Labels layer" in said.pop()


@pytest.mark.parametrize("fate", ["read", "failed", "cancelled"])
def test_the_window_lives_while_labels_are_read(
    dock: StudioDock, wait_for: WaitFor, monkeypatch: pytest.MonkeyPatch, fate: str
) -> None:
    said: list[str] = []
    for name in ("show_warning", "show_info"):
        monkeypatch.setattr(f"napari_histodiff.ui.actions.{name}", said.append)
    monkeypatch.setattr(
        "napari_histodiff.ui.actions.show_trouble", lambda error: said.append(str(error))
    )
    monkeypatch.setattr(dialogs.FormDialog, "exec", lambda _: QDialog.DialogCode.Accepted)
    go, asked = threading.Event(), threading.Event()

    def chunk(block_info: dict | None = None) -> np.ndarray:
        if asked.is_set():
            assert go.wait(60)
            if fate == "failed":
                raise OSError("the share is gone")
        return np.kron([[0, 1], [2, 0]], np.ones((64, 64), np.int32))

    lazy = da.map_blocks(chunk, chunks=((128,), (128,)), dtype=np.int32, meta=np.zeros((0, 0)))
    dock.workspace.new_canvas(128, 128)
    dock.viewer.add_labels(lazy, scale=(0.5, 0.5), units=("um", "um"), visible=False)
    asked.set()
    dock.actions.ask_import()
    assert dock.run.note.text() == "Reading the labels…"
    assert (dock.run.main.text(), dock.run.main.isEnabled()) == ("Cancel", True)
    if fate == "cancelled":
        dock.run.main.click()
    go.set()
    wait_for(lambda: not dock.workspace.doing.text)
    nuclei = dock.workspace.document.nuclei
    assert bool(nuclei.counts()["epithelial"]) is (fate == "read")
    active = dock.viewer.layers.selection.active
    assert (active is nuclei.layer) is (fate == "read")
    words = {"read": [], "failed": ["the share is gone"], "cancelled": ["was cancelled"]}[fate]
    assert len(said) == len(words)
    assert all(word in message for word, message in zip(words, said, strict=True))


def test_numbers_of_nuclei_imported_as_classes_are_warned_of(
    dock: StudioDock, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr("napari_histodiff.ui.actions.show_warning", said.append)
    monkeypatch.setattr(
        "napari_histodiff.ui.actions.show_trouble", lambda error: said.append(str(error))
    )
    dock.workspace.new_canvas(128, 128)
    ids = np.kron([[0, 1], [2, 0]], np.ones((64, 64), np.int32))
    dock.viewer.add_labels(ids, name="cells", scale=(0.5, 0.5), units=("um", "um"))

    def accept(dialog: dialogs.FormDialog) -> int:
        dialog.form["nuclei_are"].value = OF_EACH_PIXEL
        return QDialog.DialogCode.Accepted

    monkeypatch.setattr(dialogs.FormDialog, "exec", accept)
    dock.actions.ask_import()
    (warning,) = said
    assert "'cells'" in warning
    assert "each nucleus had its own" in warning
    assert sum(dock.workspace.document.nuclei.counts().values()) == 2


def test_a_tool_pressed_too_early_does_not_stay_lit(
    dock: StudioDock, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr("napari_histodiff.ui.actions.show_warning", said.append)
    monkeypatch.setattr(
        "napari_histodiff.ui.actions.show_trouble", lambda error: said.append(str(error))
    )
    find(dock, "tool_scatter", QAbstractButton).click()
    assert len(said) == 1
    assert find(dock, "tool_brush", QAbstractButton).isChecked()
    find(dock, "class_5", QAbstractButton).click()
    assert find(dock, "class_2", QAbstractButton).isChecked()
    find(dock, "palette_tissue", QAbstractButton).click()
    assert find(dock, "palette_nuclei", QAbstractButton).isChecked()


def test_paint_makes_way_for_variants_and_is_seen_over_them(dock: StudioDock) -> None:
    dock.workspace.new_canvas(128, 128)
    nuclei = dock.workspace.document.nuclei.layer
    engine = dock.controller.engine
    engine.ready()
    dock.controller.pump()
    dock.controller.generate()
    images = np.zeros((1, *engine.submitted[-1].shape, 3), np.uint8)
    engine.emit(JobFinished("1", images, 1.0))
    dock.controller.pump()
    layers = list(dock.viewer.layers)
    assert layers.index(dock.viewer.layers["Preview"]) < layers.index(nuclei)
    assert nuclei.contour == 1
    dock.actions.toggle_outlines()
    dock.controller.staged.step(1)
    assert nuclei.contour == 0


def test_labels_with_a_table_bring_the_class_of_each_nucleus(
    dock: StudioDock, monkeypatch: pytest.MonkeyPatch
) -> None:
    dock.workspace.new_canvas(128, 128)
    labels = np.zeros((128, 128), np.int32)
    labels[10:20, 10:20], labels[40:50, 60:70], labels[90:99, 90:99] = 9, 31, 50
    table = {"index": [9, 31, 50], "Class": ["plasma", 3, "something else"]}
    dock.viewer.add_labels(labels, scale=(0.5, 0.5), units=("um", "um"), features=table)

    def accept(dialog: dialogs.FormDialog) -> int:
        assert dialog.form["nuclei_are"].value == BY_TABLE
        return QDialog.DialogCode.Accepted

    monkeypatch.setattr(dialogs.FormDialog, "exec", accept)
    dock.actions.ask_import()
    counts = dock.workspace.document.nuclei.counts()
    assert {name: n for name, n in counts.items() if n} == {
        "lymphocyte": 1,
        "plasma": 1,
        "unknown": 1,
    }


def test_an_image_that_was_worked_on_is_used_again_with_its_paint(dock: StudioDock) -> None:
    dock.workspace.new_canvas(128, 128)
    first = dock.workspace.document
    first.paint_tissue(np.full(first.region.shape, 2, np.uint8))
    dock.workspace.new_canvas(128, 128)
    dock.viewer.layers.selection.active = first.target.layer
    dock.actions.use_selected()
    assert dock.workspace.document is first
    assert (dock.workspace.document.tissue.tissue == 2).all()
