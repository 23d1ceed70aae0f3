"""Painting a slide's sketch: which tissue, and Apply or Cancel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QButtonGroup, QGridLayout, QToolButton, QWidget

from napari_histodiff.core.colours import TISSUE_HEX
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.ui.bindings import command_button
from napari_histodiff.ui.widgets.forms import button, row
from napari_histodiff.ui.widgets.style import APPLY

if TYPE_CHECKING:
    from napari.layers import Labels

__all__ = ["SketchBox", "SketchHand", "TissueGrid"]

_SWATCH: Final = 10
_COLUMNS: Final = 4


class TissueGrid(QWidget):
    """What the brush paints while the sketch is open; `selected` carries an id of the sketch."""

    selected = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.group = QButtonGroup(self)
        places = QGridLayout(self)
        places.setContentsMargins(0, 0, 0, 0)
        places.setSpacing(2)
        for number, name in enumerate(TISSUE_NAMES[1:], 1):
            tissue = button(name.capitalize(), f"Paint {name}", checkable=True, share=False)
            tissue.setIcon(_swatch(TISSUE_HEX[number]))
            tissue.setIconSize(QSize(_SWATCH, _SWATCH))
            tissue.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            self._put(places, tissue, number)
        free = button("Free", "Leave the place to seed and caption", checkable=True, share=False)
        self._put(places, free, 0)
        self.group.idClicked.connect(self.selected)

    def _put(self, places: QGridLayout, made: QToolButton, number: int) -> None:
        line, column = divmod(len(self.group.buttons()), _COLUMNS)
        self.group.addButton(made, number)
        places.addWidget(made, line, column)

    def select(self, number: int) -> None:
        """Mark a tissue as the one being painted, without telling anyone."""
        made = self.group.button(number)
        if made is not None:
            made.setChecked(True)


class SketchBox(QWidget):
    """Edit, then Apply or Cancel; `tissues` is to be put wherever there is room."""

    def __init__(self) -> None:
        super().__init__()
        self.edit = command_button("sketch_edit", "Edit sketch")
        self.apply = command_button("sketch_apply", "Apply sketch")
        self.apply.setProperty("role", APPLY)
        self.cancel = command_button("sketch_cancel", "Cancel")
        self.tissues = TissueGrid()
        self.setLayout(row(self.edit, self.cancel, self.apply))
        self.set_editing(editing=False)

    def set_editing(self, *, editing: bool) -> None:
        """Offer tissues and Apply while the sketch is open for painting."""
        self.edit.setVisible(not editing)
        self.apply.setVisible(editing)
        self.cancel.setVisible(editing)
        self.tissues.setVisible(editing)

    def set_possible(self, possible: bool) -> None:
        """Tell whether the slide may be changed."""
        self.setEnabled(possible)
        self.tissues.setEnabled(possible)


class SketchHand:
    """Keeps the buttons and the open sketch layer alike.

    Parameters
    ----------
    viewer : napari ViewerModel
        Where the sketch is painted.
    box : SketchBox
        The buttons.
    """

    def __init__(self, viewer: Any, box: SketchBox) -> None:
        self._viewer = viewer
        self._box = box
        self._layer: Labels | None = None
        box.tissues.selected.connect(self._take)
        viewer.layers.events.removed.connect(self._on_removed)

    def follow(self, layer: Labels) -> None:
        """Paint on the layer of an open sketch, until it is removed."""
        if layer is not self._layer:
            layer.events.selected_label.connect(self._show)
        self._layer = layer
        self._box.set_editing(editing=True)
        self._show()

    def _take(self, number: int) -> None:
        if self._layer is not None:
            self._viewer.layers.selection.active = self._layer
            self._layer.selected_label = number
            self._layer.mode = "paint"

    def _show(self, *_: object) -> None:
        if self._layer is not None:
            self._box.tissues.select(self._layer.selected_label)

    def _on_removed(self, event: Any) -> None:
        if event.value is self._layer:
            self._layer = None
            self._box.set_editing(editing=False)


def _swatch(colour: str) -> QIcon:
    pixmap = QPixmap(_SWATCH * 2, _SWATCH * 2)
    pixmap.fill(QColor(colour))
    return QIcon(pixmap)
