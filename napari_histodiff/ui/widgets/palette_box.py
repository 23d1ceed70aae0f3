"""What is painted, nuclei, tissue or the edit mask, and the tools that paint it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPainter, QPen, QPixmap
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
from napari_histodiff.ui.colormaps import PaintClass
from napari_histodiff.ui.commands import command
from napari_histodiff.ui.generation.plan import class_remark, tissue_remark
from napari_histodiff.ui.masks.box import MaskBox
from napari_histodiff.ui.paint_commands import TOOLS
from napari_histodiff.ui.widgets.forms import NumberRow, Section, name_label, note_label, row
from napari_histodiff.ui.widgets.style import WARNING
from napari_histodiff.ui.workspace.tools import PALETTES

__all__ = ["NucleiPalette", "PaletteBox", "TissuePalette", "ToolsBox", "share_text"]

_SWATCH: Final = 14

#: Lightness from which black shows better than white.
_BRIGHT: Final = 120

#: Pixels of a count or a share.
_COUNT: Final = 34

#: What stands for nothing painted.
_NONE: Final = "–"


class PaletteBox(Section):
    """A switch between nuclei, tissue and edit mask, and the palette of what is chosen.

    Parameters
    ----------
    nuclei, tissue : sequence of PaintClass
        Ids, names, colours and keys, as on the canvas.
    """

    def __init__(self, nuclei: Sequence[PaintClass], tissue: Sequence[PaintClass]) -> None:
        super().__init__("Paint")
        self._group = QButtonGroup(self)
        self._switches: dict[str, QToolButton] = {}
        for place, name in enumerate(PALETTES, 1):
            made = command_button(
                f"palette_{name.replace(' ', '_')}", name.capitalize(), checkable=True, share=False
            )
            self._group.addButton(made)
            self._switches[name] = made
            self.heading.insertWidget(place, made)
        self.heading.addWidget(command_button("clear_painting", "Clear", share=False))
        self.nuclei = NucleiPalette(nuclei)
        self.tissue = TissuePalette(tissue)
        self.mask = MaskBox()
        self.body.addWidget(self.nuclei)
        self.body.addWidget(self.tissue)
        self.body.addWidget(self.mask)
        self.show_palette("nuclei")

    def show_palette(self, name: str) -> None:
        """Show one of `PALETTES`, without telling anyone."""
        self._switches[name].setChecked(True)
        self.nuclei.setVisible(name == "nuclei")
        self.tissue.setVisible(name == "tissue")
        self.mask.setVisible(name == "edit mask")

    def set_info(self, info: BackendInfo | None) -> None:
        """Show what the model was trained on, and mark what it hardly knows."""
        self.nuclei.set_info(info)
        self.tissue.set_info(info)


class NucleiPalette(QWidget):
    """The classes of nuclei in two columns; below them what to know of the one in hand."""

    def __init__(self, palette: Sequence[PaintClass]) -> None:
        super().__init__()
        self._group = QButtonGroup(self)
        self.buttons: dict[str, QToolButton] = {}
        self.painted: dict[str, QLabel] = {}
        self._colours = {entry.name: entry.colour for entry in palette}
        grid = QGridLayout()
        for entry in palette:
            made = self.buttons[entry.name] = _class_button(f"class_{entry.id}", entry)
            self._group.addButton(made, entry.id)
            self.painted[entry.name] = _right(_NONE)
            self.painted[entry.name].setToolTip("Painted in the frame")
        _two_columns(grid, [(self.buttons[n], self.painted[n]) for n in self.buttons])
        self.note = note_label()
        self.note.setProperty("role", WARNING)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addLayout(grid)
        column.addWidget(self.note)
        self._remarks: dict[str, str] = {}
        self.set_info(None)
        self.set_counts({})

    def select(self, class_id: int) -> None:
        """Mark a class as the one being painted, without telling anyone."""
        _check(self._group, class_id)
        self._show_note()

    def set_counts(self, counts: Mapping[str, int]) -> None:
        """Show how many nuclei of each class are painted in the frame."""
        for name, label in self.painted.items():
            label.setText(str(counts.get(name, 0)) if counts.get(name) else "–")

    def set_info(self, info: BackendInfo | None) -> None:
        """Mark the classes that the model hardly knows with a "!" in their colour."""
        for name, made in self.buttons.items():
            remark = self._remarks[name] = class_remark(name, info)
            seen = None if info is None else info.class_counts.get(name, 0)
            told = "The model is loading" if seen is None else f"{seen:,} training nuclei"
            made.setIcon(_swatch(self._colours[name], square=False, marked=bool(remark)))
            _say(made, remark or told)
        self._show_note()

    def _show_note(self) -> None:
        made = self._group.checkedButton()
        name = next((n for n, other in self.buttons.items() if other is made), "")
        remark = self._remarks.get(name, "")
        self.note.setText(f"⚠ {remark.partition(':')[0]}." if remark else "")
        self.note.setToolTip(remark)
        self.note.setVisible(bool(remark))


class TissuePalette(QWidget):
    """The classes of tissue in two columns; where the second ends, what else fills the layer."""

    def __init__(self, palette: Sequence[PaintClass]) -> None:
        super().__init__()
        self._group = QButtonGroup(self)
        self.buttons: dict[str, QToolButton] = {}
        self.shares: dict[str, QLabel] = {}
        self._info: BackendInfo | None = None
        self._painted: Mapping[str, float] = {}
        grid = QGridLayout()
        for entry in palette:
            made = self.buttons[entry.name] = _class_button(
                f"tissue_{entry.id}", entry, square=True
            )
            self._group.addButton(made, entry.id)
            self.shares[entry.name] = _right(_NONE)
        _two_columns(grid, [(self.buttons[n], self.shares[n]) for n in self.buttons])
        offers = row(
            command_button("suggest", "Suggest", share=False),
            command_button("import_tissue", "Import…", share=False),
        )
        grid.addLayout(offers, grid.rowCount() - 1, 2, 1, 2)  # there are an odd number of tissues
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(grid)
        self._refresh()

    def select(self, tissue_id: int) -> None:
        """Mark a tissue as the one being painted, without telling anyone."""
        _check(self._group, tissue_id)

    def set_shares(self, shares: Mapping[str, float]) -> None:
        """Show which share of the frame, 0-1, each tissue is painted on."""
        self._painted = shares
        self._refresh()

    def set_info(self, info: BackendInfo | None) -> None:
        """Mark the tissues that the model does not know."""
        self._info = info
        self._refresh()

    def _refresh(self) -> None:
        for name, label in self.shares.items():
            remark = tissue_remark(name, self._info)
            text = share_text(self._painted.get(name, 0.0))
            label.setText(f"⚠ {text}" if remark and text != _NONE else text)
            label.setProperty("role", WARNING if remark else "")
            label.setToolTip(remark or "Share of the frame")
            _say(self.buttons[name], remark)


def share_text(share: float) -> str:
    """Return a share of 0-1 in percent, as short as it can be: "–", "<1 %", "37 %"."""
    if not share:
        return _NONE
    return "<1 %" if share < 0.01 else f"{100 * share:.0f} %"


def _two_columns(grid: QGridLayout, entries: Sequence[tuple[QWidget, ...]]) -> None:
    """Lay rows of widgets out in two columns, of which the first widgets share the spare width."""
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(5)
    grid.setVerticalSpacing(2)
    rows = -(-len(entries) // 2)
    for place, widgets in enumerate(entries):
        column, line = divmod(place, rows)
        for offset, widget in enumerate(widgets):
            grid.addWidget(widget, line, column * len(widgets) + offset)
    for column in range(2):
        first = column * len(entries[0])
        grid.setColumnStretch(first, 1)
        grid.setColumnMinimumWidth(first + 1, _COUNT)


def _class_button(command_id: str, entry: PaintClass, *, square: bool = False) -> QToolButton:
    text = f"{entry.key} {entry.name.capitalize()}"
    made = command_button(command_id, text, checkable=True)
    made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    made.setIcon(_swatch(entry.colour, square=square))
    made.setIconSize(QSize(_SWATCH, _SWATCH))
    made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    made.setMinimumHeight(22)
    return made


def _say(made: QToolButton, remark: str) -> None:
    made.setToolTip("\n".join(filter(None, (command(made.objectName()).tooltip, remark))))


def _check(group: QButtonGroup, number: int) -> None:
    made = group.button(number)
    if made is not None:
        made.setChecked(True)


def _right(text: str) -> QLabel:
    label = QLabel(text)
    label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return label


def _swatch(colour: str, *, square: bool, marked: bool = False) -> QIcon:
    pixmap = QPixmap(_SWATCH * 2, _SWATCH * 2)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(colour))
    draw = painter.drawRect if square else painter.drawEllipse
    draw(1, 1, _SWATCH * 2 - 2, _SWATCH * 2 - 2)
    if marked:
        ink = "black" if QColor(colour).lightness() > _BRIGHT else "white"
        painter.setPen(QPen(QColor(ink), 4))
        painter.drawLine(_SWATCH, 6, _SWATCH, 15)
        painter.drawPoint(_SWATCH, 21)
    painter.end()
    return QIcon(pixmap)


_FIRST_ROW: Final = 6

#: Tools that have a width.
_WITH_BRUSH: Final = ("brush", "erase", "scatter")


class ToolsBox(QWidget):
    """Exclusive buttons, and what belongs to the tool in hand: its width, or what is selected.

    The signals carry what the user chose: um, and the factor on the density of real tissue.
    """

    brush_changed = Signal(float)
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
        self.brush = NumberRow(
            "Ø µm",
            (0.5, 400.0),
            0.5,
            "Width in µm of brush, eraser and scatter; keys [ and ]",
            is_alone=False,
        )
        self.brush.slider.setAccessibleName("Width of the brush in µm")
        room = self.brush.sizePolicy()
        room.setRetainSizeWhenHidden(True)  # the tools beside it stay where they are
        self.brush.setSizePolicy(room)
        self.selected = QWidget()
        self.selected.setLayout(
            row(
                name_label("Selected"),
                command_button("previous_nucleus", "Previous", share=False),
                command_button("next_nucleus", "Next", share=False),
                command_button("smaller_nuclei", "Smaller", share=False),
                command_button("larger_nuclei", "Larger", share=False),
                command_button("delete_nuclei", "Delete", share=False),
                stretch=(),
            )
        )
        self.density = NumberRow(
            "Density", (0.1, 4.0), 0.1, "Of scatter: 1 = as dense as in real tissue of the class"
        )
        self.density.set_value(density)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 2, 0, 0)
        column.setSpacing(3)
        column.addLayout(row(*tools[:_FIRST_ROW], stretch=()))
        column.addLayout(row(*tools[_FIRST_ROW:], command_button("outlines", "Outlines")))
        column.addWidget(self.selected)
        column.addWidget(self.density)
        #: The last row, in which others may stand before these.
        self.foot = row(
            command_button("fill_area", "Fill area", share=False), self.brush, stretch=1
        )
        column.addLayout(self.foot)
        self.brush.changed.connect(self.brush_changed)
        self.density.changed.connect(self.density_changed)
        self.select("brush")

    def select(self, tool: str) -> None:
        """Mark a tool as chosen, and show what belongs to it, without telling anyone."""
        for made in self._group.buttons():
            if made.objectName() == _command_of(tool):
                made.setChecked(True)
        self.brush.setVisible(tool in _WITH_BRUSH)
        self.selected.setVisible(tool == "select")
        self.density.setVisible(tool == "scatter")


def _command_of(tool: str) -> str:
    return f"tool_{tool.replace(' ', '_')}"
