"""The caption: completed while it is typed, from a template, and read word by word."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtGui import QTextCursor
from qtpy.QtWidgets import QCompleter, QLabel, QMenu, QPlainTextEdit, QToolButton
from superqt.utils import qdebounced, signals_blocked

from napari_histodiff.core.backend import BackendInfo
from napari_histodiff.core.captions.spelling import PHRASES_TO_TYPE, TEMPLATES
from napari_histodiff.ui.bindings import command_button
from napari_histodiff.ui.widgets.caption_report import CaptionReport
from napari_histodiff.ui.widgets.forms import Section, button, row
from napari_histodiff.ui.widgets.region_captions import RegionCaptions
from napari_histodiff.ui.widgets.style import SUBTLE

__all__ = ["CaptionBox", "CaptionEdit"]

#: Milliseconds without a key after which what is typed counts.
_PAUSE: Final = 150

#: Letters after which completions are offered.
_FEW: Final = 2

_TAKE: Final = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Tab)


class CaptionEdit(QPlainTextEdit):
    """A field for a caption that completes the phrase being typed; Enter and Tab take it."""

    #: Enter was pressed where nothing is offered: a caption is one line, however it wraps.
    ended = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setPlaceholderText("colon, high epithelial, low lymphocyte, gland, pink stain")
        self.setTabChangesFocus(True)
        self.setFixedHeight(44)
        self.setAccessibleName("Caption")
        self.completer = QCompleter(list(PHRASES_TO_TYPE), self)
        self.completer.setWidget(self)
        self.completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.completer.setFilterMode(Qt.MatchFlag.MatchContains)
        self.completer.activated.connect(self._complete)
        self.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Take the phrase in view, or end typing, at Enter; offer phrases after other keys."""
        if watched is not self or event is None:
            return bool(super().eventFilter(watched, event))
        if event.type() == QEvent.Type.KeyPress and event.key() in _TAKE:
            popup = self.completer.popup()
            if popup is not None and popup.isVisible():
                chosen = popup.currentIndex().data() or self.completer.currentCompletion()
                popup.hide()
                self._complete(chosen)
                return True
            plain = event.modifiers() == Qt.KeyboardModifier.NoModifier
            if plain and event.key() != Qt.Key.Key_Tab:
                self.ended.emit()
                return True
        if event.type() == QEvent.Type.KeyRelease and event.text().isprintable() and event.text():
            self._offer()
        return bool(super().eventFilter(watched, event))

    def phrase(self) -> str:
        """Return what stands between the last comma and the cursor."""
        before: str = self.toPlainText()[: self.textCursor().position()]
        return before.rpartition(",")[2].lstrip()

    def _offer(self) -> None:
        typed, popup = self.phrase(), self.completer.popup()
        self.completer.setCompletionPrefix(typed)
        found = self.completer.completionCount()
        same = found == 1 and self.completer.currentCompletion() == typed
        if popup is None or len(typed) < _FEW or not found or same:
            if popup is not None:
                popup.hide()
            return
        popup.setCurrentIndex(self.completer.completionModel().index(0, 0))
        place = self.cursorRect()
        place.setWidth(popup.sizeHintForColumn(0) + 24)
        self.completer.complete(place)

    def _complete(self, phrase: str) -> None:
        cursor = self.textCursor()
        kept = QTextCursor.MoveMode.KeepAnchor
        cursor.movePosition(QTextCursor.MoveOperation.Left, kept, len(self.phrase()))
        cursor.insertText(phrase)
        self.setTextCursor(cursor)


class CaptionBox(Section):
    """Text field, live report, templates, and a button that writes the caption from the paint."""

    changed = Signal(str)

    def __init__(self) -> None:
        super().__init__("Caption")
        self.edit = CaptionEdit()
        self.tick = QLabel("✓")
        self.tick.setAccessibleName("Every word is used")
        self.tick.setProperty("role", SUBTLE)
        room = self.tick.sizePolicy()
        room.setRetainSizeWhenHidden(True)  # what is typed stays where it is
        self.tick.setSizePolicy(room)
        self.report = CaptionReport(tick=self.tick)
        self._recent: tuple[str, ...] = ()
        self.templates = button(
            "Templates", "Captions to start from, and those used lately", share=False
        )
        self.templates.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._menu = QMenu(self.templates)
        self._menu.aboutToShow.connect(self.fill_menu)
        self.templates.setMenu(self._menu)
        self.fill_menu()
        self.regions = RegionCaptions()
        self.regions.add.clicked.connect(lambda: self.set_folded(folded=False))
        for made in (
            self.templates,
            command_button("caption_from_paint", "From paint", share=False),
            self.regions.add,
        ):
            self.heading.addWidget(made)
        self.body.addLayout(row(self.edit, self.tick, stretch=0))
        self.body.addWidget(self.report)
        self.body.addWidget(self.regions)
        self._is_typing = False
        self._commit_soon = qdebounced(self.commit, timeout=_PAUSE, parent=self)
        self.edit.textChanged.connect(self._typed)
        self.edit.ended.connect(self.commit)
        self.report.meant.connect(self._correct)

    def commit(self) -> None:
        """Report the typed text at once, without waiting for a pause."""
        self.changed.emit(self.take_typed())

    def take_typed(self) -> str:
        """Return the caption as it stands, typed to the end or not."""
        self._commit_soon.cancel()
        self._is_typing = False
        text = self._caption()
        self.report.show_caption(text)
        return text

    def set_caption(self, caption: str) -> None:
        """Show a caption without telling anyone; text being typed is left alone."""
        if self._is_typing or self._caption() == caption:
            return
        with signals_blocked(self.edit):
            self.edit.setPlainText(caption)
        self.report.show_caption(caption)

    def set_info(self, info: BackendInfo | None) -> None:
        """Say what becomes of the caption, and which organs the model hardly knows."""
        self.report.set_info(info)

    def set_recent(self, captions: Iterable[str]) -> None:
        """Offer captions that were used, the newest first, beside the templates."""
        self._recent = tuple(dict.fromkeys(filter(None, captions)))[:8]

    def fill_menu(self) -> None:
        """Write templates and recent captions into the menu."""
        self._menu.clear()
        for name, caption in TEMPLATES.items():
            self._menu.addAction(name, lambda text=caption: self._choose(text)).setToolTip(caption)
        if self._recent:
            self._menu.addSection("Used lately")
        for caption in self._recent:
            self._menu.addAction(caption, lambda text=caption: self._choose(text))

    def _choose(self, caption: str) -> None:
        self.edit.setPlainText(caption)
        self.commit()

    def _correct(self, word: str, meant: str) -> None:
        self._choose(self._caption().replace(word, meant, 1))

    def _typed(self) -> None:
        self._is_typing = True
        self._commit_soon()

    def _caption(self) -> str:
        return " ".join(self.edit.toPlainText().split())
