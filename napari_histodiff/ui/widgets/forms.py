"""Small building blocks of the dock's sections and forms."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSizePolicy,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel, QLabeledDoubleSlider
from superqt.utils import signals_blocked

__all__ = [
    "NumberRow",
    "Section",
    "button",
    "dice_icon",
    "free_bytes",
    "line_label",
    "name_label",
    "named_label",
    "note_label",
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
    """Label and slider with its number; `changed` carries what the user chose.

    Dragging goes by steps; what is typed into the number may lie between them.
    """

    changed = Signal(float)

    def __init__(self, label: str, limits: tuple[float, float], step: float, tip: str) -> None:
        super().__init__()
        self._step = step
        self.slider = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(*limits)
        self.slider.setSingleStep(step)
        self.slider.setPageStep(10 * step)
        self.slider.setDecimals(2 if step < 0.1 else 1)
        self.slider.setAccessibleName(label)
        self.edit: QLineEdit = self.slider.findChild(QLineEdit)
        self.edit.setAccessibleName(f"{label}, number")
        self.set_value(limits[0])
        self.setLayout(row(name_label(label), self.slider, stretch=1))
        self.setToolTip(tip)
        self.slider.valueChanged.connect(self._chosen)

    def set_value(self, value: float) -> None:
        """Show a value without telling anyone."""
        self._value = value
        with signals_blocked(self):
            self.slider.setValue(value)

    def take_typed(self) -> float:
        """Return the number as it stands, confirmed by Enter or not; as set if none was typed."""
        if self.edit.isModified() and self.edit.hasAcceptableInput():
            with signals_blocked(self):
                self.edit.editingFinished.emit()
        return self._value

    def _chosen(self, value: float) -> None:
        if value == self._value:
            return
        if self.slider.isSliderDown():
            value = round(value / self._step) * self._step
        self._value = round(value, 2)
        if value != self.slider.value():
            self.slider.setValue(self._value)
        self.changed.emit(self._value)


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


def named_label(text: str, field: QWidget, *, width: int | None = None) -> QLabel:
    """Make the name in front of a field, by which screen readers tell it."""
    label = QLabel(text)
    label.setBuddy(field)
    if not field.accessibleName():
        field.setAccessibleName(text)
    if width is not None:
        label.setFixedWidth(width)
    return label


def line_label(tip: str = "") -> QElidingLabel:
    """Make a label of one line that never widens the dock; what does not fit becomes "…"."""
    label = QElidingLabel()
    label.setToolTip(tip)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return label


def note_label() -> QLabel:
    """Make a label for a small, wrapping remark."""
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.RichText)
    label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
    return label


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
