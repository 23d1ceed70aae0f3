"""Work that the window waits for, but does not stand still for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Final, TypeVar

from qtpy.QtCore import QEventLoop, Qt
from qtpy.QtWidgets import QApplication

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
            glance()
        return future.result()


def glance() -> None:
    """Draw the window and run its timers, amid work that only its own thread can do."""
    for _ in range(3):  # timers, then what they and the window draw, then timers again
        QApplication.processEvents(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)
