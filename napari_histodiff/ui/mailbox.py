"""The one door from engine threads to the Qt thread."""

from __future__ import annotations

from collections import deque

from napari_histodiff.core.engine import EngineEvent, JobPreview, JobProgress

__all__ = ["Mailbox"]


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
