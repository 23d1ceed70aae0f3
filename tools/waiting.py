"""Lets a window live while pictures of it are made."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from qtpy.QtCore import QEventLoop, QTimer

__all__ = ["until", "wait"]

#: Seconds until the window must be as far as the next picture needs.
_PATIENCE: Final = 900.0


def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds of the window; end the program where it never does."""
    end = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("expected the window to be further by now, got nothing; look above")
        wait(0.1)


def wait(seconds: float) -> None:
    """Let the window live so long."""
    loop = QEventLoop()
    QTimer.singleShot(round(seconds * 1000), loop.quit)
    loop.exec()
