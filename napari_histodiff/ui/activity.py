"""The running edit in napari's own activity dock."""

from __future__ import annotations

import time
from typing import Any, Final

from napari.utils import progress
from qtpy.QtGui import QMovie
from qtpy.QtWidgets import QLabel, QWidget

from napari_histodiff.ui.states import RunPhase, RunState

__all__ = ["Activity"]

#: Seconds between updates: napari's bar runs the whole event loop at each.
_INTERVAL: Final = 1.0


class Activity:
    """One progress bar of napari per running edit; call from the GUI thread.

    Parameters
    ----------
    host : QWidget
        A widget of the window whose activity dock is meant.
    """

    def __init__(self, host: QWidget) -> None:
        self._host = host
        self._bar: Any = None
        self._done = 0
        self._due = 0.0

    def set_run(self, state: RunState) -> None:
        """Follow the running edit."""
        if state.phase is RunPhase.IDLE:
            self.close()
            return
        if not state.total:
            return
        if self._bar is None:
            self._bar, self._done = progress(total=state.total, desc="Histodiff"), 0
            self._rest_spinner()
        if state.phase is RunPhase.CANCELLING:
            self._bar.set_description("Histodiff: cancelling")
        if state.done > self._done and time.monotonic() >= self._due:
            self._due = time.monotonic() + _INTERVAL
            self._bar.update(state.done - self._done)
            self._done = state.done

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _rest_spinner(self) -> None:
        """Show napari's spinner as a still picture.

        Each of its frames repaints the whole window, canvas included; measured with
        `benchmarks/bench_gui_lag.py`, that doubled the lag of every other event.
        """
        for label in self._host.window().findChildren(QLabel):
            movie = label.movie()
            if isinstance(movie, QMovie):
                movie.setPaused(True)
