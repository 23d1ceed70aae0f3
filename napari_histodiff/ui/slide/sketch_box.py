"""Painting a slide's sketch: which tissue and which tool, and Apply or Cancel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QButtonGroup, QGridLayout, QToolButton, QWidget

from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.ui.bindings import bind_keymap, command_button
from napari_histodiff.ui.colormaps import TISSUE_PALETTE
from napari_histodiff.ui.painting.strokes import Lasso, hold_still, let_go, pan_while_held
from napari_histodiff.ui.widgets.forms import button, row
from napari_histodiff.ui.widgets.style import APPLY
from napari_histodiff.ui.workspace.tools import TOOLS

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_histodiff.ui.workspace.paint_layers import PaintSettings

__all__ = ["SketchBox", "SketchHand", "TissueGrid"]

_SWATCH: Final = 10
_COLUMNS: Final = 3

#: Tools that paint areas.
_SKETCHING: Final = ("brush", "polygon", "lasso", "fill", "erase", "pan")


class TissueGrid(QWidget):
    """What the brush paints while the sketch is open; `selected` carries an id of the sketch."""

    selected = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.group = QButtonGroup(self)
        places = QGridLayout(self)
        places.setContentsMargins(0, 0, 0, 0)
        places.setSpacing(2)
        for entry in TISSUE_PALETTE:
            text, tip = f"{entry.key} {entry.name.capitalize()}", f"Paint {entry.name}"
            tissue = button(text, f"{tip} ({entry.key})", checkable=True, share=False)
            tissue.setIcon(_swatch(entry.colour))
            tissue.setIconSize(QSize(_SWATCH, _SWATCH))
            tissue.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            self._put(places, tissue, entry.id)
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
    """Keeps the buttons and the open sketch layer alike, and has the tools of paint work on it.

    Parameters
    ----------
    viewer : napari ViewerModel
        Where the sketch is painted.
    box : SketchBox
        The buttons.
    settings : PaintSettings
        What is in the user's hand.
    """

    def __init__(self, viewer: Any, box: SketchBox, settings: PaintSettings) -> None:
        self._viewer = viewer
        self._box = box
        self._settings = settings
        self._layer: Labels | None = None
        box.tissues.selected.connect(self._take)
        viewer.layers.events.removed.connect(self._on_removed)

    @property
    def is_in_hand(self) -> bool:
        """Whether an open sketch is what is painted on: its layer is the selected one."""
        return self._layer is not None and self._viewer.layers.selection.active is self._layer

    def follow(self, layer: Labels) -> None:
        """Paint on the layer of an open sketch, until it is removed."""
        if layer is not self._layer:
            layer.selected_label = self._settings.tissue_id
            layer.events.selected_label.connect(self._show)
            Lasso(None, [layer], self._settings, self._viewer)
            bind_keymap([layer], self._viewer)
            layer.bind_key("Space", pan_while_held, overwrite=True)
        self._layer = layer
        self._box.set_editing(editing=True)
        self._work_on(layer)
        self._show()

    @contextmanager
    def along(self, tissue_id: int | None = None) -> Iterator[None]:
        """Have the sketch, where it is in hand, painted with what is taken in hand meanwhile.

        Parameters
        ----------
        tissue_id : int, optional
            The tissue, where it is one that is taken; a tool otherwise.
        """
        layer = self._layer if self.is_in_hand else None
        yield
        if layer is None or self._settings.tool not in _SKETCHING:
            return
        if tissue_id is not None:
            layer.selected_label = tissue_id
        self._work_on(layer)

    def step_brush(self, by: int) -> bool:
        """Make the brush a pixel wider, or narrower for -1; False where no sketch is in hand."""
        if self._layer is None or not self.is_in_hand:
            return False
        self._layer.brush_size = max(1, self._layer.brush_size + by)
        return True

    def _take(self, number: int) -> None:
        if self._layer is not None:
            self._layer.selected_label = number
            self._work_on(self._layer)

    def _work_on(self, layer: Labels) -> None:
        """Select the sketch, with the tool in hand, or the brush where that paints no areas."""
        tool = self._settings.tool if self._settings.tool in _SKETCHING else "brush"
        self._viewer.layers.selection.active = layer
        layer.mode = TOOLS[tool]
        if tool == "lasso":
            hold_still(layer, "cross")
        else:
            let_go(layer)

    def _show(self, *_: object) -> None:
        if self._layer is None:
            return
        if self._layer.selected_label >= len(TISSUE_NAMES):  # napari's field knows no palette
            self._layer.selected_label = max(1, self._box.tissues.group.checkedId())
        self._box.tissues.select(self._layer.selected_label)

    def _on_removed(self, event: Any) -> None:
        if event.value is self._layer:
            self._layer = None
            self._box.set_editing(editing=False)


def _swatch(colour: str) -> QIcon:
    pixmap = QPixmap(_SWATCH * 2, _SWATCH * 2)
    pixmap.fill(QColor(colour))
    return QIcon(pixmap)
