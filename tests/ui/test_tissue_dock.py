"""Tissue in a real window: palette, keys, brush, import, and what is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QAbstractButton, QApplication, QDialog, QMessageBox
from skimage.io import imsave

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.forms import import_tissue
from napari_histodiff.ui.widgets.dialogs import FormDialog
from napari_histodiff.ui.widgets.palette_box import share_text
from tests.fakes import FAKE_INFO
from tests.ui.conftest import OpenDock
from tests.ui.doubles import RecordingEngine
from tests.ui.find import find, press, press_key


@pytest.fixture
def engine() -> RecordingEngine:
    return RecordingEngine()


@pytest.fixture
def dock(open_dock: OpenDock, engine: RecordingEngine) -> StudioDock:
    dock = open_dock(engine)
    dock.workspace.new_canvas(128, 128)
    engine.ready()
    dock.controller.pump()
    return dock


def test_the_switch_and_the_keys_choose_what_is_painted(dock: StudioDock) -> None:
    box = dock.palette_box
    press(dock, "palette_tissue")
    assert dock.workspace.paint.palette == "tissue"
    assert box.tissue.isVisibleTo(box)
    assert not box.nuclei.isVisibleTo(box)
    press_key(dock.viewer, "0")
    assert dock.workspace.paint.tissue_id == TISSUE_NAMES.index("necrosis")
    assert find(dock, "tissue_10", QAbstractButton).isChecked()
    press_key(dock.viewer, "3")
    assert dock.workspace.paint.tissue_id == 3
    press_key(dock.viewer, "N")
    assert box.nuclei.isVisibleTo(box)
    press_key(dock.viewer, "3")
    assert (dock.workspace.paint.class_id, dock.workspace.paint.tissue_id) == (3, 3)
    press_key(dock.viewer, "7")  # no class of nuclei
    assert (dock.workspace.paint.class_id, dock.workspace.paint.tissue_id) == (3, 3)
    press_key(dock.viewer, "T")
    press_key(dock.viewer, "Q")
    assert dock.workspace.paint.tissue_id == TISSUE_NAMES.index("vessel")


def test_the_palette_shows_shares_and_marks_what_the_model_does_not_know(dock: StudioDock) -> None:
    tissue = np.zeros((128, 128), np.uint8)
    tissue[:64], tissue[64:65, :9] = 2, 5
    dock.workspace.document.paint_tissue(tissue)
    dock.controller.refresh_plan()
    shown = {name: label.text() for name, label in dock.palette_box.tissue.shares.items()}
    assert (shown["stroma"], shown["muscle"], shown["lumen"]) == ("50 %", "⚠ <1 %", "–")
    assert "does not know muscle" in dock.palette_box.tissue.buttons["muscle"].toolTip()
    assert "does not know" not in dock.palette_box.tissue.buttons["stroma"].toolTip()
    assert "muscle" not in FAKE_INFO.tissue_names
    assert "does not know muscle" in dock.run.note.text()


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "–"), (0.004, "<1 %"), (0.126, "13 %"), (1.0, "100 %")]
)
def test_shares_are_short(share: float, text: str) -> None:
    assert share_text(share) == text


def test_the_width_of_the_brush_follows_the_layer_in_hand(dock: StudioDock) -> None:
    press(dock, "palette_tissue")
    brush = dock.tools.brush
    assert brush.slider.value() == 40.0
    brush.slider.setValue(100.0)
    assert dock.workspace.document.tissue.layer.brush_size == 200
    dock.workspace.document.tissue.layer.brush_size = 20  # by napari's own slider
    assert brush.slider.value() == 10.0
    press(dock, "palette_nuclei")
    assert brush.slider.value() == 6.0


def test_outlines_and_clear_include_tissue(dock: StudioDock) -> None:
    layer = dock.viewer.layers["Tissue"]
    dock.workspace.document.paint_tissue(np.full((128, 128), 2))
    press(dock, "outlines")
    assert layer.contour > 0
    press(dock, "outlines")
    assert layer.contour == 0
    press(dock, "clear_painting")
    assert not layer.data.any()


def test_import_asks_for_a_layer_or_a_file(
    dock: StudioDock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    monkeypatch.setattr("napari_histodiff.ui.actions.show_warning", warnings.append)
    monkeypatch.setattr(
        "napari_histodiff.ui.actions.show_trouble", lambda error: warnings.append(str(error))
    )
    regions = dock.viewer.add_labels(
        np.full((128, 128), 4), name="regions", scale=(0.5, 0.5), units=("um", "um")
    )
    imsave(tmp_path / "t.png", np.full((128, 128), 2, np.uint8), check_contrast=False)
    chosen: dict[str, object] = {}

    def accept(dialog: FormDialog) -> int:
        for name, value in chosen.items():
            dialog.form[name].value = value
        source = dialog.form["layer"]
        assert [source.native.itemText(n) for n in range(2)] == ["a file", "regions"]
        assert source.native.count() == 2
        assert dialog.form["file"].enabled == (source.value is None)
        return QDialog.DialogCode.Accepted

    monkeypatch.setattr(FormDialog, "exec", accept)
    press(dock, "import_tissue")
    assert "got neither; choose one" in warnings.pop()
    chosen["file"] = tmp_path / "t.png"
    press(dock, "import_tissue")
    assert (dock.workspace.document.tissue.tissue == 2).all()
    assert dock.workspace.paint.palette == "tissue"
    chosen["layer"] = regions
    press(dock, "import_tissue")
    assert (dock.workspace.document.tissue.tissue == 4).all()
    assert dock.viewer.layers.selection.active.name == "Tissue"
    assert not regions.visible  # it lies on what was painted of it
    imsave(tmp_path / "t.png", np.full((99, 128), 2, np.uint8), check_contrast=False)
    chosen["layer"], chosen["file"] = None, tmp_path / "t.png"
    press(dock, "import_tissue")
    assert "expected a tissue map of 128 x 128 px like the frame, got 99 x 128" in warnings.pop()
    with pytest.raises(InvalidRequest, match="a layer or a file"):
        import_tissue(dock.viewer)


@pytest.mark.parametrize(
    ("answer", "frame", "tissue"),
    [("Move the frame there", 64, 2), ("Take it into this frame", 0, 2), ("Cancel", 0, 0)],
)
def test_saved_tissue_of_another_place_is_asked_where_it_goes(
    dock: StudioDock, tmp_path: Path, answer: str, frame: int, tissue: int
) -> None:
    document, path = dock.workspace.document, tmp_path / "a_tissue.png"
    document.set_frame(Region(0, 0, 0, 64, 64))
    imsave(path, np.full((64, 64), 2, np.uint8), check_contrast=False)
    (tmp_path / "a.json").write_text(json.dumps({"region": [0, 64, 64, 64, 64]}))

    def choose() -> None:
        dialog = QApplication.activeModalWidget()
        assert isinstance(dialog, FormDialog)
        dialog.form["file"].value = path
        QTimer.singleShot(100, decide)
        dialog.accept()

    def decide() -> None:
        box = QApplication.activeModalWidget()
        assert isinstance(box, QMessageBox)
        next(b for b in box.buttons() if b.text().replace("&", "") == answer).click()

    QTimer.singleShot(100, choose)
    press(dock, "import_tissue")
    assert document.region == Region(0, frame, frame, 64, 64)
    assert (document.tissue.tissue == tissue).all()
