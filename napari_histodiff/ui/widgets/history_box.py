"""Thumbnails of the edits of this session and of earlier ones, found by caption."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from qtpy.QtCore import QPoint, QSize, Qt, Signal
from qtpy.QtGui import QIcon, QImage, QPainter, QPixmap
from qtpy.QtWidgets import QLineEdit, QListView, QListWidget, QListWidgetItem, QMenu

from napari_histodiff.ui.generation.history import THUMBNAIL
from napari_histodiff.ui.history.archive import Kept
from napari_histodiff.ui.widgets.forms import Section

__all__ = ["HistoryBox", "icon_of"]

#: Most thumbnails shown; older ones are found by their caption.
_MOST: Final = 200


class HistoryBox(Section):
    """One row of thumbnails, newest first; a click goes there, a right click offers more."""

    restore_requested = Signal(object)  # Kept
    repeat_requested = Signal(object)
    save_requested = Signal(object)
    python_requested = Signal(object)
    star_requested = Signal(object, bool)
    remove_requested = Signal(object)
    copy_requested = Signal(str)

    def __init__(self) -> None:
        super().__init__("History")
        self._all: tuple[Kept, ...] = ()
        self._shown: tuple[Kept, ...] = ()
        self._icons: dict[tuple[str, bool], QIcon] = {}
        self.search = QLineEdit()
        self.search.setObjectName("history_search")
        self.search.setPlaceholderText("Search captions")
        self.search.setAccessibleName("Search the history by caption")
        self.search.setToolTip("Words of the caption, the kind of edit or the name of the image")
        self.search.setClearButtonEnabled(True)
        self.list = QListWidget()
        self.list.setAccessibleName("History")
        self.list.setViewMode(QListView.ViewMode.IconMode)
        self.list.setFlow(QListView.Flow.LeftToRight)
        self.list.setWrapping(False)
        self.list.setMovement(QListView.Movement.Static)
        self.list.setIconSize(QSize(THUMBNAIL, THUMBNAIL))
        self.list.setSpacing(3)
        self.list.setFixedHeight(THUMBNAIL + 22)
        self.list.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.list.itemClicked.connect(
            lambda item: self.restore_requested.emit(self._shown[self.list.row(item)])
        )
        self.list.customContextMenuRequested.connect(self._open_menu)
        self.search.textChanged.connect(self._show)
        self.body.addWidget(self.search)
        self.body.addWidget(self.list)
        self.set_entries(())

    def set_entries(self, entries: Sequence[Kept]) -> None:
        """Show the entries, newest first, as far as the search finds them."""
        self._all = tuple(entries)
        self._show()

    def menu_for(self, kept: Kept) -> QMenu:
        """Return the context menu of an entry."""
        menu = QMenu(self)
        facts = kept.facts
        menu.addAction("Go there, restore paint and settings", self._emit("restore", kept))
        menu.addAction("The same, and keep its seed", self._emit("repeat", kept))
        menu.addSeparator()
        title = "No favourite any more" if kept.favourite else "Favourite: keep it for good"
        menu.addAction(title, lambda: self.star_requested.emit(kept, not kept.favourite))
        menu.addAction("Save…", self._emit("save", kept))
        menu.addAction("Copy as Python", self._emit("python", kept))
        menu.addAction("Copy caption", lambda: self.copy_requested.emit(facts.caption))
        menu.addAction("Copy seed", lambda: self.copy_requested.emit(str(facts.seed)))
        menu.addSeparator()
        menu.addAction("Delete", self._emit("remove", kept))
        return menu

    def _emit(self, what: str, kept: Kept) -> Callable[[], None]:
        return lambda: getattr(self, f"{what}_requested").emit(kept)

    def _show(self) -> None:
        words = self.search.text()
        self._shown = tuple(kept for kept in self._all if kept.matches(words))[:_MOST]
        keys = [(kept.facts.id, kept.favourite) for kept in self._shown]
        self._icons = {
            key: self._icons.get(key) or icon_of(kept)
            for key, kept in zip(keys, self._shown, strict=True)
        }
        self.list.clear()
        for key, kept in zip(keys, self._shown, strict=True):
            item = QListWidgetItem(self._icons[key], "")
            item.setToolTip(kept.summary())
            item.setData(Qt.ItemDataRole.AccessibleTextRole, kept.summary())
            self.list.addItem(item)
        self.list.setVisible(bool(self._shown))
        self.search.setVisible(bool(self._all))
        count = f"{len(self._shown)} of {len(self._all)} found"
        self.corner.setText((count if words else "click to go there") if self._all else "empty")

    def _open_menu(self, position: QPoint) -> None:
        item = self.list.itemAt(position)
        if item is not None:
            kept = self._shown[self.list.row(item)]
            self.menu_for(kept).exec(self.list.mapToGlobal(position))


def icon_of(kept: Kept) -> QIcon:
    """Return the thumbnail of an edit, with a star when it is a favourite."""
    small = np.ascontiguousarray(kept.thumbnail)
    height, width = small.shape[:2]
    image = QImage(small.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    pixmap = QPixmap.fromImage(image)
    if kept.favourite:
        painter = QPainter(pixmap)
        font = painter.font()
        font.setPixelSize(18)
        painter.setFont(font)
        for colour, shift in ((Qt.GlobalColor.black, 1), (Qt.GlobalColor.yellow, 0)):
            painter.setPen(colour)
            painter.drawText(2 + shift, 17 + shift, "★")
        painter.end()
    return QIcon(pixmap)
