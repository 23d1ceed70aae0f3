"""The running edit in napari's own activity dock."""

from __future__ import annotations

from typing import Any

from napari.utils import progress

from napari_histodiff.ui.states import RunPhase, RunState

__all__ = ["Activity"]


class Activity:
    """One progress bar of napari per running edit; call from the GUI thread."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._done = 0

    def set_run(self, state: RunState) -> None:
        """Follow the running edit."""
        if state.phase is RunPhase.IDLE:
            self.close()
            return
        if not state.total:
            return
        if self._bar is None:
            self._bar, self._done = progress(total=state.total, desc="Histodiff"), 0
        if state.phase is RunPhase.CANCELLING:
            self._bar.set_description("Histodiff: cancelling")
        if state.done > self._done:
            self._bar.update(state.done - self._done)
            self._done = state.done

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
