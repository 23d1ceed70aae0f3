"""Small building blocks of the dock's sections and forms."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QSlider,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

__all__ = [
    "NumberRow",
    "Section",
    "button",
    "dice_icon",
    "free_bytes",
    "name_label",
    "note_label",
    "quiet",
    "real_number",
    "row",
    "whole_number",
]

#: Pixels of the names in front of sliders and boxes, so that these line up.
_NAME_WIDTH: Final = 68


class Section(QFrame):
    """A titled part of the dock; `body` is the layout to fill.

    `corner` is a label, and `heading` the row it stands in, right of the title.
    """

    def __init__(self, title: str) -> None:
        super().__init__()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 2)
        outer.setSpacing(3)
        self.corner = QLabel()
        self.corner.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.heading = row(QLabel(f"<b>{title}</b>"), self.corner, stretch=1)
        outer.addLayout(self.heading)
        self.body = QVBoxLayout()
        self.body.setSpacing(3)
        outer.addLayout(self.body)


class NumberRow(QWidget):
    """Label, slider and number box of one real number; `changed` carries what the user chose."""

    changed = Signal(float)

    def __init__(self, label: str, limits: tuple[float, float], step: float, tip: str) -> None:
        super().__init__()
        low, high = limits
        self._step = step
        self._slider = QSlider(Qt.Orientation.Horizontal)
        self._slider.setRange(round(low / step), round(high / step))
        self._box = QDoubleSpinBox()
        self._box.setDecimals(2 if step < 0.1 else 1)
        self._box.setRange(low, high)
        self._box.setSingleStep(step)
        self._box.setKeyboardTracking(False)
        self._box.setFixedWidth(94)
        self.set_value(low)
        self.setLayout(row(name_label(label), self._slider, self._box, stretch=1))
        self.setToolTip(tip)
        self._slider.valueChanged.connect(lambda ticks: self._chosen(ticks * step))
        self._box.valueChanged.connect(self._chosen)

    def set_value(self, value: float) -> None:
        """Show a value without telling anyone."""
        self._value = value
        with quiet(self._slider, self._box):
            self._slider.setValue(round(value / self._step))
            self._box.setValue(value)
            self._shown = self._box.value()

    def take_typed(self) -> float:
        """Return the number as it stands, confirmed by Enter or not; as set if none was typed."""
        with quiet(self._box):
            self._box.interpretText()
        typed = self._box.value()
        return self._value if typed == self._shown else round(float(typed), 2)

    def _chosen(self, value: float) -> None:
        value = round(value, 2)
        self.set_value(value)
        self.changed.emit(value)


def row(*widgets: QWidget, stretch: int | tuple[int, ...] | None = None) -> QHBoxLayout:
    """Lay widgets side by side; those at `stretch` share the spare width, None = all do."""
    layout = QHBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    if stretch is None:
        stretch = tuple(range(len(widgets)))
    stretching = (stretch,) if isinstance(stretch, int) else stretch
    for index, widget in enumerate(widgets):
        layout.addWidget(widget, 1 if index in stretching else 0)
    return layout


def button(text: str, tip: str, *, checkable: bool = False, share: bool = True) -> QToolButton:
    """Make a flat button.

    With `share`, the buttons of a row without stretch are equally wide, otherwise as their texts.
    """
    made = QToolButton()
    made.setText(text)
    made.setToolTip(tip)
    made.setCheckable(checkable)
    made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
    policy = QSizePolicy.Policy.Ignored if share else QSizePolicy.Policy.Preferred
    made.setSizePolicy(policy, QSizePolicy.Policy.Fixed)
    made.setMinimumHeight(24)
    return made


def whole_number(limits: tuple[float, float], tip: str, *, step: int = 1) -> QSpinBox:
    """Make a box for a whole number that reports only finished input."""
    box = QSpinBox()
    box.setRange(int(limits[0]), int(limits[1]))
    box.setSingleStep(step)
    box.setKeyboardTracking(False)
    box.setToolTip(tip)
    box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return box


def name_label(text: str) -> QLabel:
    """Make the name in front of an entry, as wide as the others."""
    label = QLabel(text)
    label.setFixedWidth(_NAME_WIDTH)
    return label


def note_label() -> QLabel:
    """Make a label for a small, wrapping remark."""
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.RichText)
    label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
    return label


@contextmanager
def quiet(*objects: Any) -> Iterator[None]:
    """Keep Qt objects from emitting signals inside the block."""
    blockers = [QSignalBlocker(item) for item in objects]
    try:
        yield
    finally:
        for blocker in blockers:
            blocker.unblock()


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
