"""How often something may happen."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Throttle"]


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
