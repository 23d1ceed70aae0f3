"""What the mouse does on the canvas."""

from __future__ import annotations

from typing import Final

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QButtonGroup, QVBoxLayout, QWidget

from napari_histodiff.ui.forms import NumberRow, button, row

__all__ = ["TOOLS", "ToolsBox"]

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
