"""Small building blocks of the dock's sections and forms."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final, cast

from qtpy.QtCore import QPoint, QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap, QPolygon
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSizePolicy,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible, QElidingLabel, QLabeledDoubleSlider
from superqt.utils import signals_blocked

from napari_histodiff.ui.widgets.style import PLAIN

__all__ = [
    "NumberRow",
    "RealNumber",
    "Section",
    "Unfolding",
    "WholeNumber",
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

#: Qt's own, which not every binding offers: as high as a widget can be.
QWIDGETSIZE_MAX: Final = (1 << 24) - 1

_HEADING: Final = """
QPushButton { text-align: left; border: none; background: transparent; font-weight: bold;
  padding: 1px 2px; }
QPushButton:hover { text-decoration: underline; }
QPushButton:focus { border: 1px dotted gray; }
"""

#: Pixels of both buttons of napari's number boxes, and of what is around the number.
_BUTTONS: Final = 54

#: Pixels that a note has at least: layouts ask how high it is at its narrowest.
_NOTE_WIDTH: Final = 318

#: Pixels around the number of a box without buttons.
_AROUND: Final = 22

#: Pixels of the names in front of sliders and boxes, so that these line up.
_NAME_WIDTH: Final = 68


class Section(QCollapsible):
    """A titled part of the dock that folds away; `body` is the layout to fill.

    `corner` is a label, and `heading` the row it stands in, right of the title; both stay in view.
    """

    def __init__(self, title: str) -> None:
        super().__init__(title, expandedIcon=_arrow(down=True), collapsedIcon=_arrow(down=False))
        self.setDuration(0)
        toggle = self.toggleButton()
        toggle.setStyleSheet(_HEADING)
        toggle.setToolTip("Fold this part of the dock away, or open it")
        toggle.setAccessibleName(f"{title}, fold or open")
        self.corner = line_label()
        self.corner.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.heading = row(toggle, self.corner, stretch=1)
        outer = cast("QVBoxLayout", self.layout())
        outer.setContentsMargins(0, 0, 0, 1)
        outer.setSpacing(2)
        outer.insertLayout(0, self.heading)
        self.body = cast("QVBoxLayout", self.content().layout())
        self.body.setContentsMargins(0, 0, 0, 0)
        self.body.setSpacing(3)
        self.toggled.connect(self._fold)
        self.expand(animate=False)

    @property
    def title(self) -> str:
        """What it is called, and remembered by."""
        return str(self.text())

    def set_folded(self, *, folded: bool) -> None:
        """Fold it away or open it."""
        if folded == self.isExpanded():
            (self.collapse if folded else self.expand)(animate=False)

    def _fold(self, expanded: bool) -> None:
        # superqt holds the height it had when it was opened; rows come and go here. And what is
        # folded away is out of the keyboard's way, too.
        self.content().setMaximumHeight(QWIDGETSIZE_MAX)
        self.content().setVisible(expanded)


class Unfolding(QToolButton):
    """A button that shows and hides what stands below it; hidden at first."""

    def __init__(self, text: str, tip: str, content: QWidget) -> None:
        super().__init__()
        self.setText(text)
        self.setToolTip(tip)
        self.setCheckable(True)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.setMinimumHeight(24)
        self._content = content
        self.toggled.connect(self._unfold)
        self._unfold(False)

    def _unfold(self, shown: bool) -> None:
        self.setArrowType(Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow)
        self._content.setVisible(shown)


class NumberRow(QWidget):
    """Label and slider with its number; `changed` carries what the user chose.

    Dragging goes by steps; what is typed into the number may lie between them. One that is not
    alone in its row has a label no wider than its text.
    """

    changed = Signal(float)

    def __init__(
        self,
        label: str,
        limits: tuple[float, float],
        step: float,
        tip: str,
        *,
        is_alone: bool = True,
    ) -> None:
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
        name = (name_label if is_alone else named_label)(label, self.slider)
        self.setLayout(row(name, self.slider, stretch=1))
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


class WholeNumber(QSpinBox):
    """A box for a whole number, never narrower than its longest number, whatever the font."""

    def minimumSizeHint(self) -> QSize:
        """Room for the longest number and both buttons."""
        return _with_room(self, super().minimumSizeHint(), self.textFromValue(self.maximum()))

    def sizeHint(self) -> QSize:
        """As narrow as may be: it grows where a layout has room."""
        return self.minimumSizeHint()


class RealNumber(QDoubleSpinBox):
    """A box for a number, never narrower than its longest one."""

    def minimumSizeHint(self) -> QSize:
        """Room for the longest number and both buttons."""
        return _with_room(self, super().minimumSizeHint(), self.textFromValue(self.maximum()))


def _with_room(box: QAbstractSpinBox, hint: QSize, longest: str) -> QSize:
    plain = box.property("role") == PLAIN
    around = _AROUND if plain else _BUTTONS
    return QSize(box.fontMetrics().horizontalAdvance(longest) + around, hint.height())


def whole_number(limits: tuple[float, float], tip: str, *, step: int = 1) -> WholeNumber:
    """Make a box for a whole number that reports only finished input."""
    box = WholeNumber()
    box.setRange(int(limits[0]), int(limits[1]))
    box.setSingleStep(step)
    box.setKeyboardTracking(False)
    box.setToolTip(tip)
    box.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Fixed)
    return box


def name_label(text: str, field: QWidget | None = None) -> QLabel:
    """Make the name in front of a field, as wide as others, by which screen readers tell it."""
    label = named_label(text, field) if field is not None else QLabel(text)
    label.setMinimumWidth(_NAME_WIDTH)
    return label


def named_label(text: str, field: QWidget) -> QLabel:
    """Make the name in front of a field, by which screen readers tell it."""
    label = QLabel(text)
    label.setBuddy(field)
    if not field.accessibleName():
        field.setAccessibleName(text)
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
    label.setMinimumWidth(_NOTE_WIDTH)
    return label


def free_bytes(folder: Path) -> int | None:
    """Return the free bytes of the disk that a folder is on, or will be on."""
    there = next((path for path in (folder, *folder.parents) if path.exists()), None)
    try:
        return None if there is None else shutil.disk_usage(there).free
    except OSError:
        return None


def _arrow(*, down: bool) -> QIcon:
    """Draw the arrow of a section: a font may lack it, and superqt would draw it with the font."""
    pixmap = QPixmap(24, 24)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor("#868c98"))  # 3:1 and more on both themes
    corners = ((4, 8), (20, 8), (12, 18)) if down else ((8, 4), (8, 20), (18, 12))
    painter.drawPolygon(QPolygon([QPoint(*corner) for corner in corners]))
    painter.end()
    return QIcon(pixmap)


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
