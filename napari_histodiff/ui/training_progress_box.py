"""How a run goes: the loss curve, the best model so far, and the newest samples."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QMouseEvent, QPixmap, QResizeEvent
from qtpy.QtWidgets import QLabel, QSizePolicy

from napari_histodiff.ui.forms import Section
from napari_histodiff.ui.training_curve import LossCurve
from napari_histodiff.ui.training_progress import LossTable

__all__ = ["SheetView", "TrainingProgressBox"]


class SheetView(QLabel):
    """A picture as wide as the dock; a click asks for it in the viewer."""

    clicked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._picture = QPixmap()
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setToolTip("Show in the viewer")

    def set_picture(self, path: Path | None) -> None:
        """Show a picture file; one that is only half written leaves the last in place."""
        picture = QPixmap() if path is None else QPixmap(str(path))
        if path is None or not picture.isNull():
            self._picture = picture
            self._scale()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the picture as wide as the dock."""
        super().resizeEvent(event)
        self._scale()

    def mouseReleaseEvent(self, _: QMouseEvent) -> None:
        """Ask for the picture in the viewer."""
        self.clicked.emit()

    def _scale(self) -> None:
        self.setVisible(not self._picture.isNull())
        if self._picture.isNull() or self.width() < 2:
            return
        mode = Qt.TransformationMode.SmoothTransformation
        scaled = self._picture.scaledToWidth(self.width(), mode)
        self.setPixmap(scaled)
        self.setFixedHeight(scaled.height())


class TrainingProgressBox(Section):
    """Curve, best validation loss and newest sheet of a run."""

    sheet_clicked = Signal()

    def __init__(self) -> None:
        super().__init__("Progress")
        self.curve = LossCurve()
        self.best = _line("The weights that do best on held-out images are kept")
        self.sheet = SheetView()
        self.sheet_note = _line("Each column is one crop of your images; a click enlarges them")
        for widget in (self.curve, self.best, self.sheet, self.sheet_note):
            self.body.addWidget(widget)
        self.sheet.clicked.connect(self.sheet_clicked)
        self.set_losses(LossTable(Path()))
        self.set_sheet(None)

    def set_losses(self, losses: LossTable) -> None:
        """Draw the curves and name the best point."""
        self.curve.set_losses(losses.train_curve(), losses.validation_curve())
        best = losses.best
        self.best.setVisible(best is not None)
        if best is not None:
            samples, loss = best
            self.best.setText(f"Best so far: {loss:.4g} after {samples:,} crops, kept")

    def set_sheet(self, path: Path | None) -> None:
        """Show a sample sheet."""
        self.sheet.set_picture(path)
        self.sheet_note.setVisible(path is not None)
        if path is not None:
            self.sheet_note.setText(f"Nuclei, real, drawn after {_samples_of(path):,} crops")


def _line(tip: str) -> QLabel:
    """Make a line of text that never widens the dock."""
    label = QLabel()
    label.setToolTip(tip)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return label


def _samples_of(sheet: Path) -> int:
    digits = sheet.stem.rpartition("_")[2]
    return int(digits) if digits.isdigit() else 0
