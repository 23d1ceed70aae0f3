"""What the mouse does on the canvas."""

from __future__ import annotations

from typing import Final

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QButtonGroup, QGridLayout, QWidget

from napari_histodiff.ui.forms import NumberRow, button, row

__all__ = ["TOOLS", "ToolsBox"]

#: Tool name of the workspace, key, what it does; three in a row.
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
_COLUMNS: Final = 3


class ToolsBox(QWidget):
    """Exclusive buttons; `tool_selected` carries the name, `density_changed` a number."""

    tool_selected = Signal(str)
    density_changed = Signal(float)
    fill_requested = Signal()
    import_requested = Signal()
    clear_requested = Signal()

    def __init__(self, density: float) -> None:
        super().__init__()
        self._group = QButtonGroup(self)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 2, 0, 0)
        grid.setSpacing(3)
        for index, (name, key, tip) in enumerate(TOOLS):
            made = button(name.capitalize(), f"{tip} ({key})", checkable=True)
            self._group.addButton(made, index)
            grid.addWidget(made, index // _COLUMNS, index % _COLUMNS)
        self.density = NumberRow(
            "Density", (0.1, 4.0), 0.1, "Of scatter: 1 = as dense as in real tissue of the class"
        )
        self.density.set_value(density)
        fill_area = button("Fill", "Scatter over the edit mask, or the whole frame without one")
        dense = QWidget()
        dense.setLayout(row(self.density, fill_area, stretch=0))
        grid.addWidget(dense, 3, 0, 1, _COLUMNS)
        bring = button("Import labels…", "Use a Labels layer as nuclei (Shift+M)")
        clear = button("Clear painting", "Remove all nuclei and the edit mask (Shift+X)")
        holder = QWidget()
        holder.setLayout(row(bring, clear))
        grid.addWidget(holder, 4, 0, 1, _COLUMNS)
        self._group.idClicked.connect(lambda i: self.tool_selected.emit(TOOLS[i][0]))
        self.density.changed.connect(self.density_changed)
        fill_area.clicked.connect(self.fill_requested)
        bring.clicked.connect(self.import_requested)
        clear.clicked.connect(self.clear_requested)

    def select(self, tool: str) -> None:
        """Mark a tool as chosen, without telling anyone."""
        for index, (name, _, _) in enumerate(TOOLS):
            if name == tool:
                self._group.button(index).setChecked(True)
