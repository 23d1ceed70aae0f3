"""The forms' functions as a script calls them, and the keys of their dialogs."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QColorDialog,
    QDialogButtonBox,
    QPushButton,
)

from napari_histodiff.core.colours import GLASS_COLOUR
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.maps import CLASS_NAMES
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.forms import (
    OF_EACH_PIXEL,
    import_form,
    import_labels,
    new_canvas,
    new_canvas_form,
)
from napari_histodiff.ui.widgets.dialogs import FormDialog
from tests.ui.conftest import OpenDock
from tests.ui.doubles import RecordingEngine
from tests.ui.find import find


@pytest.fixture
def dock(open_dock: OpenDock) -> StudioDock:
    return open_dock(RecordingEngine())


def test_a_script_makes_a_canvas(dock: StudioDock) -> None:
    new_canvas(dock.viewer, width=192, height=128, mpp=0.25, background=(1, 2, 3))
    snapshot = dock.workspace.document.snapshot()
    assert snapshot.image.shape == (128, 192, 3)
    assert (snapshot.image == (1, 2, 3)).all()
    assert snapshot.mpp == 0.25
    with pytest.raises(InvalidRequest, match="canvas width"):
        new_canvas(dock.viewer, width=8)


def test_a_script_imports_labels(dock: StudioDock) -> None:
    new_canvas(dock.viewer, 128, 128)
    numbers = np.zeros((128, 128), np.int32)
    numbers[10:20, 10:20], numbers[40:50, 60:70] = 1, 4
    layer = dock.viewer.add_labels(numbers, scale=(0.5, 0.5), units=("um", "um"))
    nuclei = dock.workspace.document.nuclei
    import_labels(dock.viewer, layer, "plasma")
    assert nuclei.counts()["plasma"] == 2
    import_labels(dock.viewer, layer, OF_EACH_PIXEL)
    assert nuclei.counts()[CLASS_NAMES[0]] == nuclei.counts()["plasma"] == 1
    with pytest.raises(InvalidRequest, match="expected a class"):
        import_labels(dock.viewer, layer, "tumour")


def test_enter_accepts_a_form_and_escape_does_not(dock: StudioDock, qtbot) -> None:
    for key, result in ((Qt.Key.Key_Return, 1), (Qt.Key.Key_Escape, 0)):
        dialog = FormDialog(dock, "New canvas", new_canvas_form(dock.viewer, 16))
        dialog.show()
        width = find(dialog, "width", QAbstractSpinBox)
        width.lineEdit().setText("320")
        qtbot.keyClick(width, key)
        assert dialog.result() == result
        assert not dialog.isVisible()
        if result:
            assert dialog.form["width"].value == 320


def test_ok_of_an_asked_form_is_carried_out(dock: StudioDock) -> None:
    def answer() -> None:
        dialog = QApplication.activeModalWidget()
        assert isinstance(dialog, FormDialog)
        dialog.form["width"].value = 192
        dialog.findChild(QDialogButtonBox).button(QDialogButtonBox.StandardButton.Ok).click()

    QTimer.singleShot(100, answer)
    dock.actions.ask_new_canvas()
    assert dock.workspace.document.target.bounds.width == 192


def test_the_background_is_chosen_as_a_colour(
    dock: StudioDock, qtbot, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = new_canvas_form(dock.viewer, 16)
    assert form["background"].value == GLASS_COLOUR
    answers = iter([QColor(), QColor(9, 8, 7)])
    monkeypatch.setattr(QColorDialog, "getColor", lambda *_: next(answers))
    button = form["background"].native
    assert isinstance(button, QPushButton)
    button.click()
    assert form["background"].value == GLASS_COLOUR
    button.click()
    assert form["background"].value == (9, 8, 7)
    form.close()


def test_fields_have_names_and_units(dock: StudioDock) -> None:
    form = new_canvas_form(dock.viewer, 16)
    assert [form[name].label for name in ("width", "mpp")] == ["width (px)", "pixel size (µm/px)"]
    layer = dock.viewer.add_labels(np.zeros((8, 8), np.int32))
    for fields in (form, import_form(dock.viewer, [layer])):
        assert all(field.native.objectName() for field in fields)
        fields.close()
