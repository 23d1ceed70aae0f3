"""Work on files that takes its time: a thread, a bar, and a button that ends it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Event, Thread
from typing import Any, Final

from psygnal import Signal
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QProgressDialog, QWidget

from napari_histodiff.core.errors import Cancelled

__all__ = ["FileJob", "Report"]

#: Milliseconds between two looks at the thread.
_LOOK: Final = 100

#: Milliseconds until the bar is shown.
_SOON: Final = 500

#: Called from the thread: how much is done, of how much (0 = nobody knows), and what is being done.
Report = Callable[[int, int, str], None]


class FileJob:
    """Does one thing in a thread while the window goes on.

    Parameters
    ----------
    parent : QWidget, optional
        What the bar stands on.
    title : str
        Of the bar.
    work : callable
        Called in the thread with a `Report`, which raises `Cancelled` when it shall end.
    holds_window : bool
        Whether nothing but its button can be used meanwhile, because it changes what is painted.
    """

    #: It is over: what `work` returned and None, or None and why not. On the viewer's thread.
    ended = Signal(object, object)

    def __init__(
        self,
        parent: QWidget | None,
        title: str,
        work: Callable[[Report], object],
        *,
        holds_window: bool = False,
    ) -> None:
        self._result: Future[object] = Future()
        self._stop = Event()
        self._progress = (0, 0, title)
        self._bar = QProgressDialog(title, "Cancel", 0, 0, parent)
        self._bar.setObjectName("file_job")
        self._bar.setWindowTitle(title)
        modality = Qt.WindowModality
        self._bar.setWindowModality(modality.WindowModal if holds_window else modality.NonModal)
        self._bar.setMinimumDuration(0 if holds_window else _SOON)
        self._bar.setAutoReset(False)
        self._bar.canceled.connect(self.cancel)
        self._timer = QTimer()
        self._timer.timeout.connect(self._look)
        self._timer.start(_LOOK)
        Thread(target=self._run, args=(work,), name="histodiff-files", daemon=True).start()

    @property
    def is_over(self) -> bool:
        """Whether it was told what came of it."""
        return not self._timer.isActive()

    def cancel(self) -> None:
        """Have it end at its next step; nothing is left of it then."""
        self._stop.set()

    def _run(self, work: Callable[[Report], object]) -> None:
        try:
            self._result.set_result(work(self._report))
        except BaseException as error:  # noqa: BLE001 - told on the viewer's thread
            self._result.set_exception(error)

    def _report(self, done: int, total: int, what: str) -> None:
        self._progress = (done, total, what)
        if self._stop.is_set():
            raise Cancelled("stopped; nothing of it is left")

    def _look(self) -> None:
        done, total, what = self._progress
        self._bar.setMaximum(total)
        self._bar.setValue(min(done, total) if total else 0)
        self._bar.setLabelText(what)
        if not self._result.done():
            return
        self._timer.stop()
        self._bar.canceled.disconnect(self.cancel)
        self._bar.close()
        self._bar.deleteLater()
        error: Any = self._result.exception()
        self.ended.emit(None if error else self._result.result(), error)
