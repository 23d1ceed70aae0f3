"""Which engine draws: a worker process of this machine with the bundled or another model.

The mailbox is the one door from engine threads to the Qt thread.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Final

from napari_histodiff.core.engine import Engine, EngineEvent, JobPreview, JobProgress

__all__ = ["BACKEND", "Mailbox", "default_engine"]

#: Import path of the backend factory; only the worker process imports it, and torch with it.
BACKEND: Final = "napari_histodiff.diffusion.backend:default_backend"

#: Where the factory finds the model folder when it is not the bundled one.
_MODEL_VARIABLE: Final = "HISTODIFF_MODEL"


def default_engine(model: Path | None = None) -> Engine:
    """Return a worker process on this machine, not started, with the bundled or another model."""
    from napari_histodiff.engine.local import LocalEngine

    return LocalEngine(
        BACKEND, environment=None if model is None else {_MODEL_VARIABLE: str(model)}
    )


class Mailbox:
    """Engine events put by any thread, drained by one.

    A deque's `append` and `popleft` are atomic, so the putting thread never waits for the window.
    """

    def __init__(self) -> None:
        self._events: deque[EngineEvent] = deque()

    def put(self, event: EngineEvent) -> None:
        """Add an event; safe from any thread."""
        self._events.append(event)

    def drain(self) -> list[EngineEvent]:
        """Return what arrived, in order, with only the newest progress and preview of each job."""
        events: list[EngineEvent] = []
        while self._events:
            events.append(self._events.popleft())
        newest = {
            (type(event), event.job): index
            for index, event in enumerate(events)
            if isinstance(event, JobProgress | JobPreview)
        }
        return [
            event
            for index, event in enumerate(events)
            if not isinstance(event, JobProgress | JobPreview)
            or newest[type(event), event.job] == index
        ]
