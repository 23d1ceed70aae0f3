"""Small parts of the slide's forms."""

from __future__ import annotations

import shutil
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap
from qtpy.QtWidgets import QDoubleSpinBox

__all__ = ["dice_icon", "free_bytes", "real_number"]


def real_number(limits: tuple[float, float], step: float, decimals: int) -> QDoubleSpinBox:
    """Make a box for a real number that reports only finished input."""
    box = QDoubleSpinBox()
    box.setDecimals(decimals)
    box.setRange(*limits)
    box.setSingleStep(step)
    box.setKeyboardTracking(False)
    return box


def free_bytes(folder: Path) -> int | None:
    """Return the free bytes of the disk that a folder is on, or will be on."""
    there = next((path for path in (folder, *folder.parents) if path.exists()), None)
    try:
        return None if there is None else shutil.disk_usage(there).free
    except OSError:
        return None


def dice_icon() -> QIcon:
    """Draw the five of a die: fonts often lack it."""
    pixmap = QPixmap(32, 32)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor("#b4b8bf"))
    painter.drawRoundedRect(2, 2, 28, 28, 7, 7)
    painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Clear)
    for x, y in ((9, 9), (23, 9), (16, 16), (9, 23), (23, 23)):
        painter.drawEllipse(x - 3, y - 3, 6, 6)
    painter.end()
    return QIcon(pixmap)
