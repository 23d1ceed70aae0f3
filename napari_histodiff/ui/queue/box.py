"""The list of edits that wait, fail or are drawn elsewhere; not there while there are none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QSize, Qt, Signal
from qtpy.QtGui import QIcon, QImage, QKeyEvent, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QListWidget, QListWidgetItem, QToolButton

from napari_histodiff.core.colours import TISSUE_HEX, rgb_of
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.ui.bindings import command_button
from napari_histodiff.ui.colormaps import CLASS_COLOURS
from napari_histodiff.ui.generation.history import thumbnail
from napari_histodiff.ui.generation.states import RunState
from napari_histodiff.ui.queue.edits import EditState, QueuedEdit
from napari_histodiff.ui.text import count_text, duration_text, for_people, microns_text
from napari_histodiff.ui.widgets.forms import Section, button, row

__all__ = ["QueueBox", "place_text", "state_text"]

#: Pixels of a thumbnail's longest side, of a row, and rows in view at most.
_ICON: Final = 30
_ROW: Final = 36
_ROWS: Final = 3

#: RGB by id, on paper.
_PAPER: Final = (244, 240, 244)
_TISSUE_COLOURS: Final = np.array([_PAPER, *map(rgb_of, TISSUE_HEX[1:])], np.uint8)
_CLASS_COLOURS: Final = np.array([_PAPER, *CLASS_COLOURS], np.uint8)


class _EditList(QListWidget):
    """A list with a key of its own, which the window has for nuclei."""

    deleted = Signal()

    def event(self, event: QEvent | None) -> bool:
        """Take the key Delete before the window does."""
        is_key = isinstance(event, QKeyEvent) and event.key() == Qt.Key.Key_Delete
        if is_key and event is not None and event.type() == QEvent.Type.ShortcutOverride:
            event.accept()
            return True
        return bool(super().event(event))

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Tell of the key Delete."""
        if event is not None and event.key() == Qt.Key.Key_Delete:
            self.deleted.emit()
        else:
            super().keyPressEvent(event)


class QueueBox(Section):
    """Edits in their order, and what can be done with the selected one: signals out, setters in."""

    go_requested = Signal(str)
    move_requested = Signal(str, int)
    front_requested = Signal(str)
    retry_requested = Signal(str)
    remove_requested = Signal(str)
    clear_requested = Signal()

    def __init__(self) -> None:
        super().__init__("Waiting edits")
        self._edits: tuple[QueuedEdit, ...] = ()
        self._shown = ""
        self._run = RunState()
        self._icons: dict[str, QIcon] = {}
        self.hold = command_button("queue_hold", "Pause", share=False)
        self.next = command_button("queue_next", "Show drawn", share=False)
        self.clear = button("Clear", "Remove all edits that wait or failed", share=False)
        for made in (self.next, self.hold, self.clear):
            self.heading.addWidget(made)
        self.list = _EditList()
        self.list.setAccessibleName("Waiting edits")
        self.list.setIconSize(QSize(_ICON, _ICON))
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.go = button("Go to it", "Show its place, and its variants when they are drawn")
        self.earlier = button("▲", "Draw it earlier", share=False)
        self.later = button("▼", "Draw it later", share=False)
        self.front = button("Next", "Draw it next, before the others that wait")
        self.retry = button("Retry", "Draw it once more")
        self.remove = button("Remove", "Take it out of the list; stops it when it is drawn now")
        for made, name in (
            (self.earlier, "Draw earlier"),
            (self.later, "Draw later"),
            (self.front, "Draw next"),
        ):
            made.setAccessibleName(name)
        self.body.addWidget(self.list)
        self.body.addLayout(
            row(
                self.go,
                self.earlier,
                self.later,
                self.front,
                self.retry,
                self.remove,
                stretch=(0, 3, 4, 5),
            )
        )
        self._connect()
        self.hide()

    def _connect(self) -> None:
        self.clear.clicked.connect(self.clear_requested.emit)
        self.go.clicked.connect(lambda: self._ask(self.go_requested))
        self.front.clicked.connect(lambda: self._ask(self.front_requested))
        self.retry.clicked.connect(lambda: self._ask(self.retry_requested))
        self.remove.clicked.connect(lambda: self._ask(self.remove_requested))
        self.earlier.clicked.connect(lambda: self._ask(self.move_requested, -1))
        self.later.clicked.connect(lambda: self._ask(self.move_requested, 1))
        self.list.itemActivated.connect(lambda _: self._ask(self.go_requested))
        self.list.currentRowChanged.connect(lambda _: self._refresh_buttons())
        self.list.deleted.connect(lambda: self._ask(self.remove_requested))

    # -------------------------------------------------------------------- show
    def set_edits(self, edits: Sequence[QueuedEdit], shown: str, *, held: bool) -> None:
        """Show the edits; `shown` is the one whose variants are staged, which needs no row."""
        chosen = self.selected
        self._edits, self._shown = tuple(edits), shown
        others = [e for e in edits if e.state is not EditState.RUNNING and e.id != shown]
        self.setVisible(bool(others))
        self.hold.setText("Go on" if held else "Pause")
        self.hold.setAccessibleName("Go on with waiting edits" if held else "Pause waiting edits")
        self._icons = {e.id: self._icons.get(e.id) or icon_of(e.request) for e in edits}
        self.list.clear()
        for edit in edits:
            item = QListWidgetItem(self._icons[edit.id], "")
            item.setSizeHint(QSize(0, _ROW))
            self.list.addItem(item)
        self.list.setFixedHeight(_ROW * min(len(edits), _ROWS) + 4)
        ids = [edit.id for edit in edits]
        self.list.setCurrentRow(ids.index(chosen) if chosen in ids else 0)
        self._refresh(held=held)

    def set_run(self, run: RunState) -> None:
        """Show how far the edit is that is drawn."""
        self._run = run
        for index, edit in enumerate(self._edits):
            if edit.state is EditState.RUNNING:
                self._say(index)

    @property
    def selected(self) -> str:
        """The id of the selected edit; empty when none is."""
        there = self.list.currentRow()
        return self._edits[there].id if 0 <= there < len(self._edits) else ""

    def _refresh(self, *, held: bool) -> None:
        for index in range(len(self._edits)):
            self._say(index)
        waiting = [e for e in self._edits if e.state is EditState.WAITING]
        ready = [e for e in self._edits if e.state is EditState.READY and e.id != self._shown]
        known = [e.expected for e in waiting if e.expected is not None]
        time = f", {duration_text(sum(known))}" if known and len(known) == len(waiting) else ""
        self.next.setVisible(bool(ready))
        self.next.setText(f"Show {len(ready)} drawn")
        self.corner.setText(f"{len(waiting)} {'held' if held else 'wait'}{time}" if waiting else "")
        self.hold.setEnabled(held or bool(waiting))
        self._refresh_buttons()

    def _say(self, index: int) -> None:
        edit, item = self._edits[index], self.list.item(index)
        said = state_text(edit, self._run, shown=edit.id == self._shown)
        image = edit.place.name
        where = f"{edit.title}, {place_text(edit)} of {image}"
        # There is little room: the image is named where there are several.
        several = len({one.place.key for one in self._edits}) > 1
        text = f"{image}: {edit.title}" if several else f"{edit.title}, {place_text(edit)}"
        text += f"\n{said}"
        if item.text() != text:
            item.setText(text)
            item.setToolTip(f"{where}\n{edit.request.caption or 'No caption'}\n{said}")
            item.setData(Qt.ItemDataRole.AccessibleTextRole, f"{where}: {said}")

    def _refresh_buttons(self) -> None:
        edit = next((e for e in self._edits if e.id == self.selected), None)
        state = None if edit is None else edit.state
        order = [e.id for e in self._edits if e.state is EditState.WAITING]
        first = bool(edit and order and edit.id == order[0])
        last = bool(edit and order and edit.id == order[-1])
        is_waiting = state is EditState.WAITING
        enabled: dict[QToolButton, bool] = {
            self.go: edit is not None,
            self.earlier: is_waiting and not first,
            self.later: is_waiting and not last,
            self.front: is_waiting and not first,
            self.retry: state is EditState.FAILED,
            self.remove: edit is not None,
        }
        for made, is_enabled in enabled.items():
            made.setEnabled(is_enabled)

    def _ask(self, signal: Signal, *more: object) -> None:
        if self.selected:
            signal.emit(self.selected, *more)


def place_text(edit: QueuedEdit) -> str:
    """Return how large an edit's frame is, and where: "256 × 256 µm at 1.20 mm, 340 µm"."""
    place = edit.place
    scale = place.mpp * (1 << place.frame.level)
    height, width = (microns_text(n * scale) for n in place.frame.shape)
    x, y = (microns_text(n * scale) for n in (place.frame.x, place.frame.y))
    return f"{width.removesuffix(' µm')} × {height} at {x}, {y}"


def state_text(edit: QueuedEdit, run: RunState, *, shown: bool) -> str:
    """Return what became of an edit, in a line."""
    if edit.state is EditState.RUNNING:
        return run.text()
    if edit.state is EditState.FAILED:
        return f"Failed: {for_people(edit.problem)}"
    if edit.state is EditState.READY:
        count = count_text(edit.request.variants, "variant")
        return f"{count} in view" if shown else f"Drawn: {count} to look at"
    time = "" if edit.expected is None else f", about {duration_text(edit.expected)}"
    return f"Waits{time}"


def icon_of(request: EditRequest) -> QIcon:
    """Return a thumbnail of the pixels that an edit changes, or of the paint it draws."""
    small = np.ascontiguousarray(_look_of(request))
    height, width = small.shape[:2]
    image = QImage(small.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    return QIcon(QPixmap.fromImage(image))


def _look_of(request: EditRequest) -> NDArray[np.uint8]:
    if request.image is not None:
        return thumbnail(request.image, 2 * _ICON)
    step = max(1, -(-max(request.shape) // (2 * _ICON)))
    part = (slice(step // 2, None, step), slice(step // 2, None, step))
    tissue, classes = (
        np.zeros(request.shape, np.uint8)[part] if map_ is None else map_[part]
        for map_ in (request.tissue_map, request.class_map)
    )
    nuclei = classes > 0
    return np.where(nuclei[..., None], _CLASS_COLOURS[classes], _TISSUE_COLOURS[tissue])
