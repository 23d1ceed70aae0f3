"""How a run goes: the loss curve, the best model so far, and the newest samples."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import (
    QColor,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QPolygonF,
    QResizeEvent,
)
from qtpy.QtWidgets import QLabel, QSizePolicy, QWidget

from napari_histodiff.ui.text import short_count
from napari_histodiff.ui.training.process import LossTable
from napari_histodiff.ui.widgets.forms import Section, line_label

__all__ = ["LossCurve", "SheetView", "TrainingProgressBox"]


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
        self.best = line_label("The weights that do best on held-out images are kept")
        self.sheet = SheetView()
        self.sheet_note = line_label(
            "Each column is one crop of your images; a click enlarges them"
        )
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


def _samples_of(sheet: Path) -> int:
    digits = sheet.stem.rpartition("_")[2]
    return int(digits) if digits.isdigit() else 0


_TRAIN: Final = QColor("#3b8eea")
_CHECK: Final = QColor("#d9822b")
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 10.0, 20.0, 20.0


class LossCurve(QWidget):
    """Training loss as a line and validation loss as dots, both over training crops; log scale."""

    def __init__(self) -> None:
        super().__init__()
        self.train = np.empty((0, 2))
        self._checks = np.empty((0, 2))
        self._text, self._ground = QColor("#d0d0d0"), QColor("#333840")
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        """Ask for a low strip."""
        return QSize(320, 150)

    def set_colours(self, text: str, ground: str) -> None:
        """Take words and ground of a theme, as "#rrggbb"."""
        self._text, self._ground = QColor(text), QColor(ground)
        self.update()

    def set_losses(self, train: NDArray[np.float64], checks: NDArray[np.float64]) -> None:
        """Show two (n, 2) tables of crops and loss."""
        self.train, self._checks = train[train[:, 1] > 0], checks[checks[:, 1] > 0]
        self.update()

    def paintEvent(self, _: QPaintEvent) -> None:
        """Draw ground, axes, line, dots and key."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._ground)
        painter.drawRoundedRect(QRectF(self.rect()), 3, 3)
        font = painter.font()
        font.setPointSizeF(max(7.0, font.pointSizeF() * 0.85))
        painter.setFont(font)
        rows = np.concatenate([self.train, self._checks])
        if len(rows):
            self._draw(painter, rows)
        else:
            painter.setPen(self._text)
            painter.drawText(
                self.rect(), Qt.AlignmentFlag.AlignCenter, "The loss curve comes with the first log"
            )
        painter.end()

    def _draw(self, painter: QPainter, rows: NDArray[np.float64]) -> None:
        field = QRectF(self.rect()).adjusted(_LEFT, _TOP, -_RIGHT, -_BOTTOM)
        end = max(1.0, float(rows[:, 0].max()))
        low, high = float(rows[:, 1].min()), float(rows[:, 1].max())
        bottom, top = math.log(low) - 0.02, math.log(high) + 0.02

        def place(row: NDArray[np.float64]) -> QPointF:
            y = (math.log(row[1]) - bottom) / (top - bottom)
            return QPointF(
                field.left() + field.width() * row[0] / end, field.bottom() - field.height() * y
            )

        self._axes(painter, field, (low, high), end)
        painter.setPen(QPen(_TRAIN, 1.5))
        painter.drawPolyline(QPolygonF([place(row) for row in self.train]))
        if len(self._checks):
            self._dots(painter, [place(row) for row in self._checks])
        self._key(painter, field)

    def _axes(
        self, painter: QPainter, field: QRectF, losses: tuple[float, float], end: float
    ) -> None:
        faint = QColor(self._text)
        faint.setAlpha(70)
        painter.setPen(QPen(faint, 1))
        painter.drawLine(field.bottomLeft(), field.bottomRight())
        painter.drawLine(field.bottomLeft(), field.topLeft())
        painter.setPen(self._text)
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        low, high = losses
        for y, loss in ((field.top(), high), (field.bottom(), low)):
            painter.drawText(QRectF(0, y - 8, _LEFT - 5, 16), right, f"{loss:.3g}")
        below = QRectF(field.left(), field.bottom() + 2, field.width(), _BOTTOM - 2)
        painter.drawText(below, right, f"{short_count(end)} crops")
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, "0")

    def _dots(self, painter: QPainter, dots: list[QPointF]) -> None:
        line = QColor(_CHECK)
        line.setAlpha(110)
        painter.setPen(QPen(line, 1))
        painter.drawPolyline(QPolygonF(dots))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(_CHECK)
        for dot in dots:
            painter.drawEllipse(dot, 2.5, 2.5)
        best = dots[int(self._checks[:, 1].argmin())]
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(_CHECK, 1.5))
        painter.drawEllipse(best, 6, 6)

    def _key(self, painter: QPainter, field: QRectF) -> None:
        x = field.left() + 4
        names = [("training", _TRAIN)]
        if len(self._checks):
            names += [("validation (ring: best)", _CHECK)]
        for name, colour in names:
            painter.setPen(colour)
            width = painter.fontMetrics().horizontalAdvance(name)
            painter.drawText(QPointF(x, 14), name)
            x += width + 14
