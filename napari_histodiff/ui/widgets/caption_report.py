"""What becomes of a caption's words: below every field for a caption."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final
from urllib.parse import quote, unquote

from qtpy.QtCore import QEvent, Signal
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_histodiff.core.backend import BackendInfo, Captions
from napari_histodiff.core.captions import Caption, ParseReport, parse_caption
from napari_histodiff.core.captions.spelling import hint_for, meant_by
from napari_histodiff.ui.generation.plan import organ_remark
from napari_histodiff.ui.widgets.forms import note_label
from napari_histodiff.ui.widgets.style import SUBTLE, WARNING, WRONG

__all__ = ["CaptionReport", "report_lines"]

_TIP = (
    "Only words of the model's vocabulary steer it: organ, stain look, no/low/medium/high of each "
    "nucleus class, tissue words. Ignored words change nothing."
)

_ALL_USED: Final = "✓ Every word is used."


class CaptionReport(QWidget):
    """Words used, contradictory and ignored, a line each; `meant` carries a word and its like.

    Parameters
    ----------
    without : str
        What is said where there is no caption.
    tick : QLabel, optional
        What stands, elsewhere, while every word is used, in place of a line that says so.
    """

    meant = Signal(str, str)

    def __init__(
        self,
        without: str = "No caption: the paint alone steers the model.",
        tick: QLabel | None = None,
    ) -> None:
        super().__init__()
        self._without = without
        self._tick = tick
        self._info: BackendInfo | None = None
        self._text = ""
        self._lines = {role: note_label() for role in (SUBTLE, WRONG, WARNING)}
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(1)
        for role, line in self._lines.items():
            line.setProperty("role", role)
            line.setToolTip(_TIP)
            line.linkActivated.connect(self._take)
            column.addWidget(line)
        column.addStretch(1)
        self.show_caption("")

    def text(self) -> str:
        """Return all that is said, as rich text."""
        return "<br>".join(line.text() for line in self._lines.values() if line.text())

    def set_info(self, info: BackendInfo | None) -> None:
        """Say what becomes of the caption, and which organs the model hardly knows."""
        self._info = info
        self.show_caption(self._text)

    def show_caption(self, text: str) -> None:
        """Report on a caption."""
        self._text = text
        parsed = parse_caption(text)
        captions = "vocabulary" if self._info is None else self._info.captions
        empty = self._without if not text else ""
        said = report_lines(parsed.report, empty=empty, captions=captions)
        if captions == "vocabulary" and (remark := _organ(parsed.caption, self._info)):
            said[WARNING] = "<br>".join(filter(None, (said.get(WARNING), f"⚠ {escape(remark)}")))
        whole = bool(
            parsed.report.used
            and not parsed.report.mapped
            and tuple(said) == (SUBTLE,)
            and captions == "vocabulary"
        )
        if whole:  # nothing to see to: which words it were, on asking
            place = self._lines[SUBTLE] if self._tick is None else self._tick
            place.setToolTip(f"{_ALL_USED}<br>{said[SUBTLE]}<br>{_TIP}")
            said = {SUBTLE: _ALL_USED} if self._tick is None else {}
        if self._tick is not None:
            self._tick.setVisible(whole)
        self.setVisible(bool(said))
        for role, line in self._lines.items():
            line.ensurePolished()
            ink = line.palette().color(line.foregroundRole()).name()
            # Links as readable as what is around them: Qt's own blue is not on a dark ground.
            line.setText(said.get(role, "").replace("<a ", f'<a style="color:{ink}" '))
            line.setVisible(role in said)

    def changeEvent(self, event: QEvent | None) -> None:
        """Write the report anew in the colours of another theme."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.StyleChange:
            self.show_caption(self._text)

    def _take(self, link: str) -> None:
        word, _, meant = link.partition("|")
        self.meant.emit(unquote(word), unquote(meant))


def report_lines(
    report: ParseReport, *, empty: str = "", captions: Captions = "vocabulary"
) -> dict[str, str]:
    """Return what becomes of a caption's words, as rich text by the role of the line.

    Ignored words are links to the word that may have been meant. Of a model that reads text itself
    it is said whether it gets a sentence of these words, or what is written.

    Parameters
    ----------
    report : ParseReport
        Of the caption.
    empty : str
        What is said instead where there is no caption.
    captions : str
        What the model makes of a caption, as `BackendInfo.captions`.
    """
    if captions == "none":
        return {SUBTLE: "This model takes no caption: it has no effect."}
    if captions == "text" and not empty:
        as_written = report.ignored or report.contradictory
        passed = "as it is written" if as_written else "as a sentence"
        return {SUBTLE: f"Passed on to the model's own text encoder {passed}."}
    if empty:
        return {SUBTLE: empty}
    lines = {}
    used = [f"Used: {_listed(report.used)}"] if report.used else []
    used += [f"Read as: {_listed(report.mapped)}"] if report.mapped else []
    if used:
        lines[SUBTLE] = "<br>".join(used)
    if report.contradictory:
        lines[WRONG] = f"✕ Contradictory: {_listed(report.contradictory)}"
    if report.ignored:
        lines[WARNING] = f"⚠ Ignored: {', '.join(_ignored(word) for word in report.ignored)}"
    return lines or {WARNING: "⚠ Nothing to use."}


def _organ(caption: Caption, info: BackendInfo | None) -> str:
    return organ_remark(caption.organ, info) if caption.organ else ""


def _ignored(word: str) -> str:
    meant = meant_by(word)
    if not meant:
        return escape(word + hint_for(word), quote=False)
    link = f'<a href="{quote(word)}|{quote(meant)}">{escape(meant)}</a>'
    return f"{escape(word)} (did you mean {link}?)"


def _listed(items: Sequence[str | tuple[str, ...]]) -> str:
    return ", ".join(_words(item) for item in items)


def _words(item: str | tuple[str, ...]) -> str:
    return escape(item) if isinstance(item, str) else " → ".join(escape(part) for part in item)
