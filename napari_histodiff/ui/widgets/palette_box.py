"""The six nucleus classes with their counts, and the tools that paint them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap
from qtpy.QtWidgets import (
    QButtonGroup,
    QGridLayout,
    QLabel,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_histodiff.core.backend import BackendInfo
from napari_histodiff.ui.bindings import command_button
from napari_histodiff.ui.colormaps import NucleusClass
from napari_histodiff.ui.commands import TOOLS, command
from napari_histodiff.ui.generation.plan import class_remark
from napari_histodiff.ui.text import short_count
from napari_histodiff.ui.widgets.forms import NumberRow, Section, row
from napari_histodiff.ui.widgets.style import IGNORED, SUBTLE

__all__ = ["PaletteBox", "ToolsBox"]

_SWATCH: Final = 14


class PaletteBox(Section):
    """One row per class.

    Parameters
    ----------
    palette : sequence of NucleusClass
        Ids, names, colours and keys, as on the canvas.
    """

    def __init__(self, palette: Sequence[NucleusClass]) -> None:
        super().__init__("Nuclei")
        self._group = QButtonGroup(self)
        self.buttons: dict[str, QToolButton] = {}
        self.painted: dict[str, QLabel] = {}
        self.seen: dict[str, QLabel] = {}
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(2)
        grid.setColumnStretch(0, 1)
        grid.setColumnMinimumWidth(1, 44)
        grid.setColumnMinimumWidth(2, 52)
        self.corner.setText("painted   trained on")
        self.corner.setToolTip("Nuclei in the frame, and nuclei the model learned from")
        for entry in palette:
            self._add_row(grid, entry)
        self.body.addLayout(grid)
        self.set_info(None)
        self.set_counts({})

    def select(self, class_id: int) -> None:
        """Mark a class as the one being painted, without telling anyone."""
        made = self._group.button(class_id)
        if made is not None:
            made.setChecked(True)

    def set_counts(self, counts: Mapping[str, int]) -> None:
        """Show how many nuclei of each class are painted in the frame."""
        for name, label in self.painted.items():
            label.setText(str(counts.get(name, 0)) if counts.get(name) else "–")

    def set_info(self, info: BackendInfo | None) -> None:
        """Show how many nuclei of each class the model was trained on, and mark the rare ones."""
        for name, label in self.seen.items():
            remark = class_remark(name, info)
            seen = None if info is None else info.class_counts.get(name, 0)
            count = "…" if seen is None else short_count(seen)
            mark = f'<span style="color:{IGNORED}">⚠ {count}</span>' if remark else count
            label.setText(mark)
            told = "The model is loading" if seen is None else f"{seen:,} training nuclei"
            label.setToolTip(remark or told)
            tip = command(self.buttons[name].objectName()).tooltip
            self.buttons[name].setToolTip(f"{tip}\n{remark or told}")

    def _add_row(self, grid: QGridLayout, entry: NucleusClass) -> None:
        name = entry.name
        text = f"{entry.key}  {name.capitalize()}"
        made = command_button(f"class_{entry.id}", text, checkable=True)
        made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        made.setIcon(_swatch(entry.colour))
        made.setIconSize(QSize(_SWATCH, _SWATCH))
        made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        made.setMinimumHeight(22)
        self._group.addButton(made, entry.id)
        self.buttons[name] = made
        self.painted[name] = _right("–")
        self.seen[name] = _right("…")
        self.seen[name].setProperty("role", SUBTLE)
        grid.addWidget(made, entry.id, 0)
        grid.addWidget(self.painted[name], entry.id, 1)
        grid.addWidget(self.seen[name], entry.id, 2)


def _right(text: str) -> QLabel:
    label = QLabel(text)
    label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return label


def _swatch(colour: str) -> QIcon:
    pixmap = QPixmap(_SWATCH * 2, _SWATCH * 2)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(colour))
    painter.drawEllipse(1, 1, _SWATCH * 2 - 2, _SWATCH * 2 - 2)
    painter.end()
    return QIcon(pixmap)


_FIRST_ROW: Final = 6


class ToolsBox(QWidget):
    """Exclusive buttons, and how dense the scatter is, which `density_changed` carries."""

    density_changed = Signal(float)

    def __init__(self, density: float) -> None:
        super().__init__()
        self._group = QButtonGroup(self)
        tools = [
            command_button(_command_of(name), name.capitalize(), checkable=True, share=False)
            for name, _, _ in TOOLS
        ]
        for made in tools:
            self._group.addButton(made)
        outlines = command_button("outlines", "Outlines", share=False)
        clear = command_button("clear_painting", "Clear", share=False)
        self.density = NumberRow(
            "Density", (0.1, 4.0), 0.1, "Of scatter: 1 = as dense as in real tissue of the class"
        )
        self.density.set_value(density)
        fill_area = command_button("fill_area", "Fill area", share=False)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 2, 0, 0)
        column.setSpacing(3)
        column.addLayout(row(*tools[:_FIRST_ROW], stretch=()))
        column.addLayout(row(*tools[_FIRST_ROW:], outlines, clear, stretch=()))
        column.addLayout(row(self.density, fill_area, stretch=0))
        self.density.changed.connect(self.density_changed)

    def select(self, tool: str) -> None:
        """Mark a tool as chosen, without telling anyone."""
        for made in self._group.buttons():
            if made.objectName() == _command_of(tool):
                made.setChecked(True)


def _command_of(tool: str) -> str:
    return f"tool_{tool.replace(' ', '_')}"
