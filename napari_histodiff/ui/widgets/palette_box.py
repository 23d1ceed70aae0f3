"""What is painted, nuclei, tissue or the edit mask, and the tools that paint it."""

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
from napari_histodiff.ui.colormaps import PaintClass
from napari_histodiff.ui.commands import command
from napari_histodiff.ui.generation.plan import class_remark, tissue_remark
from napari_histodiff.ui.masks.box import MaskBox
from napari_histodiff.ui.paint_commands import TOOLS
from napari_histodiff.ui.text import short_count
from napari_histodiff.ui.widgets.forms import NumberRow, Section, name_label, row
from napari_histodiff.ui.widgets.style import IGNORED, SUBTLE
from napari_histodiff.ui.workspace.tools import PALETTES

__all__ = ["NucleiPalette", "PaletteBox", "TissuePalette", "ToolsBox", "share_text"]

_SWATCH: Final = 14

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
        self.nuclei = NucleiPalette(nuclei)
        self.tissue = TissuePalette(tissue)
        self.mask = MaskBox()
        self._corners = {
            "nuclei": ("painted   trained on", "Nuclei in the frame, and in the model's training"),
            "tissue": ("of the frame", "Share of the frame that each tissue is painted on"),
            "edit mask": ("", "Where pixels may change; everything else stays byte for byte"),
        }
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
        text, tip = self._corners[name]
        self.corner.setText(text)
        self.corner.setToolTip(tip)

    def set_info(self, info: BackendInfo | None) -> None:
        """Show what the model was trained on, and mark what it hardly knows."""
        self.nuclei.set_info(info)
        self.tissue.set_info(info)


class NucleiPalette(QWidget):
    """One row per class of nuclei."""

    def __init__(self, palette: Sequence[PaintClass]) -> None:
        super().__init__()
        self._group = QButtonGroup(self)
        self.buttons: dict[str, QToolButton] = {}
        self.painted: dict[str, QLabel] = {}
        self.seen: dict[str, QLabel] = {}
        grid = _grid(self)
        grid.setColumnStretch(0, 1)
        grid.setColumnMinimumWidth(1, 44)
        grid.setColumnMinimumWidth(2, 52)
        for entry in palette:
            made = self.buttons[entry.name] = _class_button(f"class_{entry.id}", entry)
            self._group.addButton(made, entry.id)
            self.painted[entry.name] = _right("–")
            self.seen[entry.name] = _right("…")
            self.seen[entry.name].setProperty("role", SUBTLE)
            grid.addWidget(made, entry.id, 0)
            grid.addWidget(self.painted[entry.name], entry.id, 1)
            grid.addWidget(self.seen[entry.name], entry.id, 2)
        self.set_info(None)
        self.set_counts({})

    def select(self, class_id: int) -> None:
        """Mark a class as the one being painted, without telling anyone."""
        _check(self._group, class_id)

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
            _say(self.buttons[name], remark or told)


class TissuePalette(QWidget):
    """The classes of tissue in two columns; below them, in `offers`, what else fills the layer."""

    def __init__(self, palette: Sequence[PaintClass]) -> None:
        super().__init__()
        self._group = QButtonGroup(self)
        self.buttons: dict[str, QToolButton] = {}
        self.shares: dict[str, QLabel] = {}
        self._info: BackendInfo | None = None
        self._painted: Mapping[str, float] = {}
        grid = QGridLayout()
        _tight(grid)
        rows = -(-len(palette) // 2)
        for place, entry in enumerate(palette):
            made = self.buttons[entry.name] = _class_button(
                f"tissue_{entry.id}", entry, square=True
            )
            self._group.addButton(made, entry.id)
            self.shares[entry.name] = _right("–")
            column, line = divmod(place, rows)
            grid.addWidget(made, line, 2 * column)
            grid.addWidget(self.shares[entry.name], line, 2 * column + 1)
        for column in (0, 2):
            grid.setColumnStretch(column, 1)
            grid.setColumnMinimumWidth(column + 1, 46)
        grid.setHorizontalSpacing(5)
        self.offers = row(
            command_button("suggest", "Suggest", share=False),
            command_button("import_tissue", "Import tissue…", share=False),
            stretch=(),
        )
        self.offers.addStretch(1)
        column_of_both = QVBoxLayout(self)
        column_of_both.setContentsMargins(0, 0, 0, 0)
        column_of_both.setSpacing(3)
        column_of_both.addLayout(grid)
        column_of_both.addLayout(self.offers)
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
            label.setStyleSheet(f"color: {IGNORED}" if remark else "")
            label.setToolTip(remark or "Share of the frame")
            _say(self.buttons[name], remark)


def share_text(share: float) -> str:
    """Return a share of 0-1 in percent, as short as it can be: "–", "<1 %", "37 %"."""
    if not share:
        return _NONE
    return "<1 %" if share < 0.01 else f"{100 * share:.0f} %"


def _grid(parent: QWidget) -> QGridLayout:
    grid = QGridLayout(parent)
    _tight(grid)
    return grid


def _tight(grid: QGridLayout) -> None:
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(8)
    grid.setVerticalSpacing(2)


def _class_button(command_id: str, entry: PaintClass, *, square: bool = False) -> QToolButton:
    text = f"{entry.key}  {entry.name.capitalize()}"
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


def _swatch(colour: str, *, square: bool) -> QIcon:
    pixmap = QPixmap(_SWATCH * 2, _SWATCH * 2)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(colour))
    draw = painter.drawRect if square else painter.drawEllipse
    draw(1, 1, _SWATCH * 2 - 2, _SWATCH * 2 - 2)
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
            "Width", (0.5, 400.0), 0.5, "Width in µm of brush, eraser and scatter; keys [ and ]"
        )
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
        column.addLayout(row(*tools[_FIRST_ROW:], stretch=()))
        column.addWidget(self.brush)
        column.addWidget(self.selected)
        column.addWidget(self.density)
        column.addLayout(
            row(
                command_button("fill_area", "Fill area"),
                command_button("outlines", "Outlines"),
                command_button("clear_painting", "Clear"),
            )
        )
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
