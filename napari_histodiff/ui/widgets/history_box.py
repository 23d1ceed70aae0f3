"""Thumbnails of the edits of this session."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qtpy.QtCore import QPoint, QSize, Qt, Signal
from qtpy.QtGui import QIcon, QImage, QPixmap
from qtpy.QtWidgets import QListView, QListWidget, QListWidgetItem, QMenu

from napari_histodiff.ui.generation.history import THUMBNAIL, HistoryEntry, thumbnail
from napari_histodiff.ui.widgets.forms import Section

__all__ = ["HistoryBox"]


class HistoryBox(Section):
    """One row of thumbnails, newest first; a click restores, a right click offers more."""

    restore_requested = Signal(object)  # HistoryEntry
    save_requested = Signal(object)
    copy_requested = Signal(str)
    python_requested = Signal(object)

    def __init__(self) -> None:
        super().__init__("History")
        self._entries: tuple[HistoryEntry, ...] = ()
        self._icons: dict[int, QIcon] = {}
        self.list = QListWidget()
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
            lambda item: self.restore_requested.emit(self._entries[self.list.row(item)])
        )
        self.list.customContextMenuRequested.connect(self._open_menu)
        self.body.addWidget(self.list)
        self.set_entries(())

    def set_entries(self, entries: Sequence[HistoryEntry]) -> None:
        """Show the entries, newest first."""
        self._entries = tuple(entries)
        self._icons = {e.number: self._icons.get(e.number) or _icon(e) for e in entries}
        self.list.clear()
        for entry in entries:
            item = QListWidgetItem(self._icons[entry.number], "")
            item.setToolTip(entry.summary())
            self.list.addItem(item)
        self.list.setVisible(bool(entries))
        self.corner.setText("click to restore" if entries else "empty")

    def menu_for(self, entry: HistoryEntry) -> QMenu:
        """Return the context menu of an entry."""
        menu = QMenu(self)
        menu.addAction("Restore settings and paint", lambda: self.restore_requested.emit(entry))
        menu.addAction("Copy as Python", lambda: self.python_requested.emit(entry))
        menu.addAction("Copy caption", lambda: self.copy_requested.emit(entry.request.caption))
        menu.addAction("Copy seed", lambda: self.copy_requested.emit(str(entry.request.seed)))
        menu.addSeparator()
        menu.addAction("Save…", lambda: self.save_requested.emit(entry))
        return menu

    def _open_menu(self, position: QPoint) -> None:
        item = self.list.itemAt(position)
        if item is not None:
            entry = self._entries[self.list.row(item)]
            self.menu_for(entry).exec(self.list.mapToGlobal(position))


def _icon(entry: HistoryEntry) -> QIcon:
    small = np.ascontiguousarray(thumbnail(entry.images[0]))
    height, width = small.shape[:2]
    image = QImage(small.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    return QIcon(QPixmap.fromImage(image))
