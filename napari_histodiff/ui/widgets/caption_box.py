"""The caption and what the model understands of it, word by word."""

from __future__ import annotations

from html import escape
from typing import Final

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import QPlainTextEdit
from superqt.utils import qdebounced, signals_blocked

from napari_histodiff.core.backend import BackendInfo, Captions
from napari_histodiff.core.captions import ParseReport, parse_caption
from napari_histodiff.ui.bindings import command_button
from napari_histodiff.ui.widgets.forms import Section, note_label
from napari_histodiff.ui.widgets.style import IGNORED, WRONG

__all__ = ["CaptionBox", "report_html"]

#: Milliseconds without a key after which what is typed counts.
_PAUSE: Final = 150


class CaptionBox(Section):
    """Text box, live report, and a button that writes the caption from the paint."""

    changed = Signal(str)

    def __init__(self) -> None:
        super().__init__("Caption")
        self.edit = QPlainTextEdit()
        self.edit.setPlaceholderText("colon, high epithelial, low lymphocyte, gland, pink stain")
        self.edit.setTabChangesFocus(True)
        self.edit.setFixedHeight(44)
        self.edit.installEventFilter(self)
        self._report = note_label()
        self._report.setToolTip(
            "Only words of the model's vocabulary steer it: organ, stain look, none/low/medium/"
            "high of each nucleus class, tissue words. Ignored words change nothing."
        )
        self.heading.addWidget(
            command_button("caption_from_paint", "Write from paint", share=False)
        )
        self.body.addWidget(self.edit)
        self.body.addWidget(self._report)
        self._captions: Captions = "vocabulary"
        self._is_typing = False
        self._commit_soon = qdebounced(self.commit, timeout=_PAUSE, parent=self)
        self.edit.textChanged.connect(self._typed)
        self._show_report("")

    def set_info(self, info: BackendInfo | None) -> None:
        """Show what becomes of the caption: it is read by us, by the model's own, or by nobody."""
        self._captions = "vocabulary" if info is None else info.captions
        self._show_report(self._text())

    def commit(self) -> None:
        """Report the typed text at once, without waiting for a pause."""
        self.changed.emit(self.take_typed())

    def take_typed(self) -> str:
        """Return the caption as it stands, typed to the end or not."""
        self._commit_soon.cancel()
        self._is_typing = False
        text = self._text()
        self._show_report(text)
        return text

    def set_caption(self, caption: str) -> None:
        """Show a caption without telling anyone; text being typed is left alone."""
        if self._is_typing or self._text() == caption:
            return
        with signals_blocked(self.edit):
            self.edit.setPlainText(caption)
        self._show_report(caption)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Let Enter end typing: a caption is one line, however it wraps."""
        if watched is self.edit and event is not None and event.type() == QEvent.Type.KeyPress:
            plain = event.modifiers() == Qt.KeyboardModifier.NoModifier
            if plain and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self.commit()
                return True
        return bool(super().eventFilter(watched, event))

    def _typed(self) -> None:
        self._is_typing = True
        self._commit_soon()

    def _text(self) -> str:
        return " ".join(self.edit.toPlainText().split())

    def _show_report(self, text: str) -> None:
        report = parse_caption(text).report
        self._report.setText(report_html(report, empty=not text, captions=self._captions))


def report_html(report: ParseReport, *, empty: bool, captions: Captions = "vocabulary") -> str:
    """Return the report as rich text: used, mapped, ignored (orange), contradictory (red).

    For a model that reads text itself, whether it gets a sentence of these words or what is
    written.
    """
    if captions == "none":
        return "This model takes no caption: it has no effect."
    if captions == "text" and not empty:
        if report.ignored or report.contradictory:
            return "Free text: passed on to the model's own text encoder as it is written."
        return "Passed on to the model's own text encoder as a sentence."
    if empty:
        return "No caption: the paint alone steers the model."
    lines = []
    if report.used:
        lines.append("Used: " + ", ".join(_words(item) for item in report.used))
    if report.mapped:
        lines.append("Read as: " + ", ".join(_words(item) for item in report.mapped))
    if report.contradictory:
        words = ", ".join(_words(item) for item in report.contradictory)
        lines.append(f'<span style="color:{WRONG}">Contradictory: {words}</span>')
    if report.ignored:
        words = ", ".join(_words(item) for item in report.ignored)
        lines.append(f'<span style="color:{IGNORED}">Ignored: {words}</span>')
    return "<br>".join(lines) or "Nothing to use."


def _words(item: str | tuple[str, ...]) -> str:
    return escape(item) if isinstance(item, str) else " → ".join(escape(part) for part in item)
