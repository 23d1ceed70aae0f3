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
from napari_histodiff.core.maps import CLASS_NAMES
from napari_histodiff.ui.colormaps import NucleusClass
from napari_histodiff.ui.generation.plan import class_remark
from napari_histodiff.ui.widgets.forms import NumberRow, Section, button, row
from napari_histodiff.ui.widgets.style import IGNORED, SUBTLE

__all__ = ["TOOLS", "PaletteBox", "ToolsBox", "count_text"]

_SWATCH: Final = 14


class PaletteBox(Section):
    """One row per class; `class_selected` carries its id, 1 to 6.

    Parameters
    ----------
    palette : sequence of NucleusClass
        Ids, names, colours and keys, as on the canvas.
    """

    class_selected = Signal(int)

    def __init__(self, palette: Sequence[NucleusClass]) -> None:
        super().__init__("Nuclei")
        self._group = QButtonGroup(self)
        self._painted: dict[str, QLabel] = {}
        self._seen: dict[str, QLabel] = {}
        self._buttons: dict[str, QToolButton] = {}
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
        self._group.idClicked.connect(self.class_selected)
        self.set_info(None)
        self.set_counts({})

    def select(self, class_id: int) -> None:
        """Mark a class as the one being painted, without telling anyone."""
        made = self._group.button(class_id)
        if made is not None:
            made.setChecked(True)

    def set_counts(self, counts: Mapping[str, int]) -> None:
        """Show how many nuclei of each class are painted in the frame."""
        for name, label in self._painted.items():
            label.setText(str(counts.get(name, 0)) if counts.get(name) else "–")

    def set_info(self, info: BackendInfo | None) -> None:
        """Show how many nuclei of each class the model was trained on, and mark the rare ones."""
        for name, label in self._seen.items():
            remark = class_remark(name, info)
            seen = None if info is None else info.class_counts.get(name, 0)
            count = "…" if seen is None else count_text(seen)
            mark = f'<span style="color:{IGNORED}">⚠ {count}</span>' if remark else count
            label.setText(mark)
            told = "The model is loading" if seen is None else f"{seen:,} training nuclei"
            label.setToolTip(remark or told)
            key = CLASS_NAMES.index(name) + 1
            self._buttons[name].setToolTip(f"Paint {name} nuclei (key {key})\n{remark or told}")

    def _add_row(self, grid: QGridLayout, entry: NucleusClass) -> None:
        name = entry.name
        made = QToolButton()
        made.setCheckable(True)
        made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        made.setIcon(_swatch(entry.colour))
        made.setIconSize(QSize(_SWATCH, _SWATCH))
        made.setText(f"{entry.key}  {name.capitalize()}")
        made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        made.setMinimumHeight(22)
        self._group.addButton(made, entry.id)
        self._buttons[name] = made
        self._painted[name] = _right("–")
        self._seen[name] = _right("…")
        self._seen[name].setObjectName(SUBTLE)
        grid.addWidget(made, entry.id, 0)
        grid.addWidget(self._painted[name], entry.id, 1)
        grid.addWidget(self._seen[name], entry.id, 2)


def count_text(count: int) -> str:
    """Return a count in at most four characters or so: "0", "713", "12.4k", "212k"."""
    if count < 1000:
        return str(count)
    thousands = count / 1000
    return f"{thousands:.1f}k" if thousands < 99.95 else f"{thousands:.0f}k"


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


#: Tool name of the workspace, key, what it does.
TOOLS: Final = (
    ("brush", "P", "Paint nuclei freely; each stroke is one nucleus"),
    ("polygon", "G", "Outline one nucleus; Enter or double-click closes it"),
    ("stamp", "S", "Click places one nucleus of natural size and shape"),
    ("scatter", "D", "Drag fills an area with nuclei at the density below"),
    ("erase", "E", "Erase nuclei, or the edit mask when that is selected"),
    ("fill", "F", "Give a whole nucleus another class"),
    ("edit mask", "K", "Paint where pixels may change, for inpainting"),
    ("frame", "R", "Move and resize the frame with the mouse"),
    ("pan", "Z", "Move the view; hold Space for the same with any tool"),
)
_FIRST_ROW: Final = 6


class ToolsBox(QWidget):
    """Exclusive buttons; `tool_selected` carries the name, `density_changed` a number."""

    tool_selected = Signal(str)
    density_changed = Signal(float)
    fill_requested = Signal()
    outlines_requested = Signal()
    clear_requested = Signal()

    def __init__(self, density: float) -> None:
        super().__init__()
        self._group = QButtonGroup(self)
        tools = [
            button(name.capitalize(), f"{tip} ({key})", checkable=True, share=False)
            for name, key, tip in TOOLS
        ]
        for index, made in enumerate(tools):
            self._group.addButton(made, index)
        outlines = button("Outlines", "Paint as outlines or filled (Shift+O)", share=False)
        clear = button("Clear", "Remove the paint in the frame (Shift+X)", share=False)
        self.density = NumberRow(
            "Density", (0.1, 4.0), 0.1, "Of scatter: 1 = as dense as in real tissue of the class"
        )
        self.density.set_value(density)
        fill_area = button(
            "Fill area", "Scatter over the edit mask; without one, the frame", share=False
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 2, 0, 0)
        column.setSpacing(3)
        column.addLayout(row(*tools[:_FIRST_ROW], stretch=()))
        column.addLayout(row(*tools[_FIRST_ROW:], outlines, clear, stretch=()))
        column.addLayout(row(self.density, fill_area, stretch=0))
        self._group.idClicked.connect(lambda i: self.tool_selected.emit(TOOLS[i][0]))
        self.density.changed.connect(self.density_changed)
        fill_area.clicked.connect(self.fill_requested)
        outlines.clicked.connect(self.outlines_requested)
        clear.clicked.connect(self.clear_requested)

    def select(self, tool: str) -> None:
        """Mark a tool as chosen, without telling anyone."""
        for index, (name, _, _) in enumerate(TOOLS):
            if name == tool:
                self._group.button(index).setChecked(True)
