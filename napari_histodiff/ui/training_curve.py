"""The loss curve of a run, drawn in the colours of the dock."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

__all__ = ["LossCurve", "short_count"]

_TRAIN: Final = QColor("#3b8eea")
_CHECK: Final = QColor("#d9822b")
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 10.0, 20.0, 20.0


class LossCurve(QWidget):
    """Training loss as a line and validation loss as dots, both over training crops; log scale."""

    def __init__(self) -> None:
        super().__init__()
        self._train = np.empty((0, 2))
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
        self._train, self._checks = train[train[:, 1] > 0], checks[checks[:, 1] > 0]
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
        rows = np.concatenate([self._train, self._checks])
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
        painter.drawPolyline(QPolygonF([place(row) for row in self._train]))
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


def short_count(number: float) -> str:
    """Return a count as an axis says it: "950", "12k", "1.5M"."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.0f}"
