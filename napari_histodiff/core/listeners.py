"""Callbacks that hear of events from another thread, and how often they do."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

__all__ = ["Listeners", "Throttle"]

logger = logging.getLogger(__name__)

Event = TypeVar("Event")


class Listeners(Generic[Event]):
    """Listeners of one kind of event; may be added and removed from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: list[Callable[[Event], None]] = []

    def __len__(self) -> int:
        return len(self._listeners)

    def add(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Call `listener` with every event from now on; returns what stops it."""
        with self._lock:
            self._listeners.append(listener)

        def remove() -> None:
            with self._lock, suppress(ValueError):
                self._listeners.remove(listener)

        return remove

    def emit(self, event: Event) -> None:
        """Call every listener in this thread; one that fails is logged and keeps none back."""
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            try:
                listener(event)
            except Exception:
                logger.exception("a listener failed on %s", type(event).__name__)


class Throttle:
    """Lets one event through per `interval` seconds, the first at once."""

    def __init__(self, interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = interval
        self._clock = clock
        self._next = -float("inf")

    def ready(self) -> bool:
        """Return whether an event may pass now, and count it when it may."""
        now = self._clock()
        if now < self._next:
            return False
        self._next = now + self._interval
        return True
