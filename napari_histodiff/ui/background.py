"""Work that the window waits for, but does not stand still for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from typing import Final, TypeVar

from qtpy.QtCore import QEvent, QEventLoop, QObject, Qt
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QApplication, QWidget

__all__ = ["glance", "in_background", "waiting"]

T = TypeVar("T")

#: Seconds between two looks at the window.
_GLANCE: Final = 0.02


@contextmanager
def waiting() -> Iterator[None]:
    """Show by the pointer that something takes its time."""
    QApplication.setOverrideCursor(Qt.CursorShape.WaitCursor)
    try:
        yield
    finally:
        QApplication.restoreOverrideCursor()


def in_background(work: Callable[[], T]) -> T:
    """Run work in a thread and return what it returns, or raise what it raises.

    Meanwhile the window is drawn and its timers run; clicks and keys wait until the work is done,
    so that nothing else begins in between. Files are opened and made so: a slide on a slow disk
    would hold the window up for seconds.
    """
    with waiting(), ThreadPoolExecutor(1, "histodiff-files") as pool:
        future = pool.submit(work)
        while not wait([future], _GLANCE).done:
            _live()
        return future.result()


def glance() -> None:
    """Run the window's timers and draw it, amid work that only its own thread can do.

    It is drawn after they ran: what was done and drawing it would else be one wait.
    """
    held = _HeldDrawing()
    try:
        _turn()
    finally:
        held.release()
    _live()


class _HeldDrawing(QObject):
    """Keeps windows from being drawn until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self._windows = [w for w in QApplication.topLevelWidgets() if w.isVisible()]
        self._waiting: list[QWidget] = []
        canvases = (c for window in self._windows for c in window.findChildren(QOpenGLWidget))
        self._canvases = [canvas for canvas in canvases if canvas.updatesEnabled()]
        for window in self._windows:
            window.installEventFilter(self)
        for canvas in self._canvases:  # which draw themselves when their size changes
            canvas.setUpdatesEnabled(False)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Take requests to draw out of the way of what else is to be done."""
        asks = event is not None and event.type() == QEvent.Type.UpdateRequest
        if asks and isinstance(watched, QWidget):
            self._waiting.append(watched)
            return True
        return False

    def release(self) -> None:
        """Have the windows drawn that asked for it; Qt asks again when that was answered."""
        for window in self._windows:
            with suppress(RuntimeError):  # it may be gone by now
                window.removeEventFilter(self)
        for canvas in self._canvases:
            with suppress(RuntimeError):
                canvas.setUpdatesEnabled(True)
        for window in self._waiting:
            with suppress(RuntimeError):
                request = QEvent(QEvent.Type.UpdateRequest)
                QApplication.postEvent(window, request, Qt.EventPriority.LowEventPriority.value)


def _live() -> None:
    for _ in range(3):  # timers, then what they and the window draw, then timers again
        _turn()


def _turn() -> None:
    QApplication.processEvents(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)
