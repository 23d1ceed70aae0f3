"""Which engine draws: a worker process of this machine with the bundled or another model.

The mailbox is the one door from engine threads to the Qt thread.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from napari_histodiff.core.engine import (
    Engine,
    EngineEvent,
    JobCancelled,
    JobFailed,
    JobFinished,
    JobStep,
)
from napari_histodiff.core.listeners import Throttle
from napari_histodiff.ui.starting.preferences import preferences

__all__ = ["BACKEND", "Mailbox", "default_engine"]

#: Import path of the backend factory; only the worker process imports it, and torch with it.
BACKEND: Final = "napari_histodiff.backends:default_backend"

#: Where the factory finds the model folder when it is not the bundled one.
_MODEL_VARIABLE: Final = "HISTODIFF_MODEL"

#: Seconds between two steps shown; a window with a canvas repaints as a whole.
_SHOW_INTERVAL: Final = 0.25


def default_engine(model: Path | None = None) -> Engine:
    """Return a worker process on this machine, not started, with the bundled or another model.

    Device and precision are those of napari's preferences.
    """
    from napari_histodiff.engine.local import LocalEngine

    chosen = {} if model is None else {_MODEL_VARIABLE: str(model)}
    return LocalEngine(BACKEND, environment=preferences().environment | chosen)


class Mailbox:
    """Engine events put by any thread, drained by one; steps of a job at most four times a second.

    A deque's `append` and `popleft` are atomic, so the putting thread never waits for the window.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._events: deque[EngineEvent] = deque()
        self._steps: dict[type, JobStep] = {}
        self._throttle = Throttle(_SHOW_INTERVAL, clock)

    def put(self, event: EngineEvent) -> None:
        """Add an event; safe from any thread."""
        self._events.append(event)

    def drain(self) -> list[EngineEvent]:
        """Return what arrived, in order, and then the newest progress and preview when due.

        Both come together, since each repaint of the window costs the same, and none after the end
        of a job: an engine runs one at a time.
        """
        events: list[EngineEvent] = []
        while self._events:
            event = self._events.popleft()
            if isinstance(event, JobStep):
                self._steps[type(event)] = event
                continue
            if isinstance(event, JobFinished | JobCancelled | JobFailed):
                self._forget(event.job)
            events.append(event)
        if self._steps and self._throttle.ready():
            events += self._steps.values()
            self._steps = {}
        return events

    def _forget(self, job: str) -> None:
        self._steps = {kind: step for kind, step in self._steps.items() if step.job != job}
