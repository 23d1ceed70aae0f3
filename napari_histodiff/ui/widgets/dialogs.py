"""Questions the dock asks: the size of a new canvas, and what imported labels mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QColorDialog,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFormLayout,
    QLabel,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_histodiff.core.colours import GLASS_COLOUR
from napari_histodiff.core.maps import CLASS_NAMES
from napari_histodiff.core.requests import LIMITS
from napari_histodiff.ui.widgets.forms import note_label, row, whole_number
from napari_histodiff.ui.workspace.targets import MAX_CANVAS

__all__ = ["ImportLabelsDialog", "NewCanvasDialog", "ask_keep"]


class NewCanvasDialog(QDialog):
    """Size in pixels and µm, pixel size, background."""

    def __init__(self, parent: QWidget | None, multiple: int, mpp: float = 0.5) -> None:
        super().__init__(parent)
        self.setWindowTitle("New canvas")
        self._background = GLASS_COLOUR
        limits = (64, MAX_CANVAS)
        self.width_px = whole_number(limits, "Width in pixels", step=multiple)
        self.height_px = whole_number(limits, "Height in pixels", step=multiple)
        self.width_px.setValue(512)
        self.height_px.setValue(512)
        self.mpp = QDoubleSpinBox()
        self.mpp.setDecimals(3)
        self.mpp.setRange(*LIMITS["mpp"])
        self.mpp.setSingleStep(0.05)
        self.mpp.setValue(mpp)
        self.mpp.setToolTip("Micrometres per pixel; 0.5 is a 20x scan, 0.25 a 40x scan")
        self._microns = QLabel()
        self._colour = QPushButton()
        self._colour.clicked.connect(self._choose_colour)
        form = QFormLayout(self)
        form.addRow("Size", row(self.width_px, QLabel("×"), self.height_px, QLabel("px")))
        form.addRow("Pixel size", row(self.mpp, QLabel("µm/px"), stretch=0))
        form.addRow("", self._microns)
        form.addRow("Background", self._colour)
        form.addRow(_buttons(self))
        for box in (self.width_px, self.height_px, self.mpp):
            box.valueChanged.connect(self._show_microns)
        self._show_microns()
        self._show_colour()

    @property
    def background(self) -> tuple[int, int, int]:
        """The chosen colour, uint8 RGB."""
        return self._background

    def _show_microns(self) -> None:
        mpp = self.mpp.value()
        wide, high = self.width_px.value() * mpp, self.height_px.value() * mpp
        self._microns.setText(f"{wide:g} × {high:g} µm")

    def _show_colour(self) -> None:
        r, g, b = self._background
        self._colour.setText(f"{r}, {g}, {b}")
        self._colour.setStyleSheet(f"background: rgb({r},{g},{b}); color: black;")

    def _choose_colour(self) -> None:
        chosen = QColorDialog.getColor(QColor(*self._background), self, "Background")
        if chosen.isValid():
            self._background = (chosen.red(), chosen.green(), chosen.blue())
            self._show_colour()


class ImportLabelsDialog(QDialog):
    """Which Labels layer, and whether its numbers are nuclei or classes.

    Parameters
    ----------
    layers : sequence of napari Labels
        What can be imported; the first is proposed.
    """

    def __init__(self, parent: QWidget | None, layers: Sequence[Any]) -> None:
        super().__init__(parent)
        self.setWindowTitle("Import labels")
        self._layers = list(layers)
        self._choice = QComboBox()
        self._choice.addItems([layer.name for layer in self._layers])
        self._meaning = QComboBox()
        self._meaning.addItem("nuclei, all of one class", "one")
        self._meaning.addItem("class of each pixel (1 to 6)", "classes")
        self._class = QComboBox()
        self._class.addItems([name.capitalize() for name in CLASS_NAMES])
        self._class.setCurrentIndex(CLASS_NAMES.index("epithelial"))
        note = note_label()
        note.setText("What lies outside the frame is left out; the paint in the frame is replaced.")
        form = QFormLayout()
        form.addRow("Layer", self._choice)
        form.addRow("Its numbers are", self._meaning)
        form.addRow("Class", self._class)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(note)
        layout.addWidget(_buttons(self))
        self._meaning.currentIndexChanged.connect(
            lambda _: self._class.setEnabled(self._meaning.currentData() == "one")
        )

    @property
    def layer(self) -> Any:
        """The chosen layer."""
        return self._layers[self._choice.currentIndex()]

    def class_of(self) -> int | None:
        """Return the class of all nuclei, or None when the numbers are classes already."""
        if self._meaning.currentData() == "classes":
            return None
        return int(self._class.currentIndex()) + 1


def ask_keep(parent: QWidget | None, painted: int) -> bool | None:
    """Ask what becomes of nuclei painted where others are proposed.

    Returns True to keep them and add what does not touch them, False to replace them, None when
    the user wants neither.
    """
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle("Propose nuclei")
    noun = "nucleus is" if painted == 1 else "nuclei are"
    box.setText(f"{painted} {noun} painted in the frame already.")
    box.setInformativeText("Either way it is one step that Ctrl+Z takes back.")
    replace = box.addButton("Replace", QMessageBox.ButtonRole.DestructiveRole)
    keep = box.addButton("Keep mine, add the rest", QMessageBox.ButtonRole.AcceptRole)
    box.addButton(QMessageBox.StandardButton.Cancel)
    box.setDefaultButton(keep)
    box.exec()
    return {replace: False, keep: True}.get(box.clickedButton())


def _buttons(dialog: QDialog) -> QDialogButtonBox:
    box = QDialogButtonBox(
        QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
    )
    box.accepted.connect(dialog.accept)
    box.rejected.connect(dialog.reject)
    return box
