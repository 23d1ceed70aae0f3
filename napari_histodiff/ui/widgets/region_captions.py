"""Captions of single tissues: a line for each, under the caption of the rest."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QLineEdit, QPushButton, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_histodiff.core.captions import parse_caption
from napari_histodiff.core.captions.spelling import hint_for
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.ui.widgets.forms import button, row

__all__ = ["RegionCaptions"]

_TIP = (
    "Where this tissue is painted, its caption takes the place of the one above. Each costs one "
    "more pass of the model in the windows it lies in."
)


class RegionCaptions(QWidget):
    """Lines of a tissue and its caption; `add`, a button for another one, stands elsewhere."""

    #: The captions by tissue, as pairs; without those that are empty.
    changed = Signal(tuple)

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[tuple[QWidget, QComboBox, QLineEdit]] = []
        self.add = button("By tissue…", _TIP, share=False)
        self.add.setObjectName("add_region_caption")
        self.add.clicked.connect(lambda: self._add_line())
        self._rows = QVBoxLayout(self)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self.hide()

    @property
    def captions(self) -> tuple[tuple[str, str], ...]:
        """The captions by tissue; of a tissue that has two lines the first."""
        found: dict[str, str] = {}
        for _, tissue, text in self._lines:
            said = " ".join(text.text().split())
            if said:
                found.setdefault(tissue.currentText(), said)
        return tuple(found.items())

    def set_captions(self, captions: Iterable[tuple[str, str]]) -> None:
        """Show captions without telling anyone; lines that say the same stay as they are typed."""
        if dict(captions) == dict(self.captions):
            return
        for line in list(self._lines):
            self._remove(line[0], quietly=True)
        for name, caption in captions:
            self._add_line(name, caption)

    def _add_line(self, name: str = "", caption: str = "") -> None:
        used = {tissue.currentText() for _, tissue, _ in self._lines}
        free = [known for known in TISSUE_NAMES[1:] if known not in used]
        tissue, text, drop = QComboBox(), QLineEdit(caption), QPushButton("×")
        tissue.addItems(TISSUE_NAMES[1:])
        tissue.setCurrentText(name or (free[0] if free else TISSUE_NAMES[1]))
        tissue.setAccessibleName("Tissue of this caption")
        tissue.setToolTip(_TIP)
        text.setAccessibleName("Caption of this tissue")
        text.setPlaceholderText("high neutrophil")
        drop.setAccessibleName("Remove this caption")
        drop.setToolTip("Remove this caption")
        line = QWidget()
        line.setLayout(row(tissue, text, drop, stretch=1))
        self._lines.append((line, tissue, text))
        self.show()
        self._rows.insertWidget(len(self._lines) - 1, line)
        drop.clicked.connect(partial(self._remove, line))
        text.editingFinished.connect(self._tell)
        text.textEdited.connect(partial(self._check, text))
        tissue.currentTextChanged.connect(self._tell)
        self._check(text, caption)

    def _remove(self, line: QWidget, quietly: bool = False) -> None:
        self._lines = [kept for kept in self._lines if kept[0] is not line]
        self.setVisible(bool(self._lines))
        self._rows.removeWidget(line)
        with signals_blocked(line):
            line.hide()
            line.deleteLater()
        if not quietly:
            self._tell()

    def _check(self, text: QLineEdit, said: str) -> None:
        ignored = [word + hint_for(word) for word in parse_caption(said).report.ignored]
        text.setToolTip(f"Ignored: {', '.join(ignored)}" if ignored else _TIP)

    def _tell(self, *_: object) -> None:
        self.changed.emit(self.captions)
