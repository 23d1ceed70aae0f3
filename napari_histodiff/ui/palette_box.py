"""The six nucleus classes: colour, key, how many are painted, how many the model has seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap
from qtpy.QtWidgets import QButtonGroup, QGridLayout, QLabel, QSizePolicy, QToolButton

from napari_histodiff.core.backend import BackendInfo
from napari_histodiff.core.maps import CLASS_NAMES
from napari_histodiff.ui.forms import Section
from napari_histodiff.ui.palette import NucleusClass
from napari_histodiff.ui.plan import class_remark
from napari_histodiff.ui.style import IGNORED, SUBTLE

__all__ = ["PaletteBox", "count_text"]

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
