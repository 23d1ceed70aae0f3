"""The queue of edits in the window: its section of the dock, and what its buttons do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.utils.notifications import show_info

from napari_histodiff.ui.queue.box import QueueBox

if TYPE_CHECKING:
    from napari_histodiff.ui.generation.controller import Controller
    from napari_histodiff.ui.history.returning import Returning

__all__ = ["QueuePart"]


class QueuePart:
    """The section that lists edits while some wait, or are drawn at other places.

    Parameters
    ----------
    controller : Controller
        Whose edits are meant.
    returning : Returning
        Goes to the place of an edit.
    """

    def __init__(self, controller: Controller, returning: Returning) -> None:
        self.box = QueueBox()
        self._results = controller.results
        self._drawing = controller.drawing
        self._returning = returning
        box, drawing = self.box, self._drawing
        drawing.queue_changed.connect(self._show)
        controller.staging_changed.connect(self._show)
        drawing.run_changed.connect(box.set_run)
        box.go_requested.connect(self.go_to)
        box.move_requested.connect(drawing.move)
        box.front_requested.connect(drawing.to_front)
        box.retry_requested.connect(drawing.retry)
        box.remove_requested.connect(drawing.remove)
        box.clear_requested.connect(drawing.remove_waiting)

    def toggle_hold(self) -> None:
        """Hold the edits that wait, or go on with them."""
        self._drawing.hold(held=not self._drawing.queue.paused)

    def go_to_next(self) -> None:
        """Go to the oldest edit that is drawn and not in view."""
        shown = self._results.shown
        others = [edit for edit in self._drawing.queue.ready if edit.id != shown]
        if others:
            self.go_to(others[0].id)
        else:
            show_info("No other edit is drawn that you have not seen.")

    def go_to(self, edit_id: str) -> None:
        """Go to the place of an edit; its variants are shown when it is drawn."""
        edit = self._drawing.queue.find(edit_id)
        if edit is not None:
            self._returning.visit(edit)

    def _show(self, *_: object) -> None:
        queue = self._drawing.queue
        self.box.set_edits(queue.edits, self._results.shown, held=queue.paused)
