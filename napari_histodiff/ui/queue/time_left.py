"""How long an edit has been drawn and how much longer it will be, in numbers that do not jump."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

__all__ = ["TimeLeft"]

#: How many network evaluations the estimate made before weighs as much as.
_TRUST: Final = 1.0

#: The end is moved this much of the way to where it is seen to be.
_FOLLOW: Final = 0.5

#: A time left may not become longer by less than this share of it, and so many seconds.
_CALM: Final = 0.25
_CALM_SECONDS: Final = 1.5


class TimeLeft:
    """The time of one edit after another.

    The end is told by the durations of the evaluations so far, and before there are enough of them
    by the estimate. It follows them slowly, and what is said becomes longer only when it is clear
    that it will take longer: the first evaluation of an edit is often the slowest.

    Parameters
    ----------
    clock : callable
        Seconds, never running backwards.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start: float | None = None
        self._expected: float | None = None
        self._done = self._after = 0
        #: When the first evaluation was told, and how many were done then.
        self._first: tuple[float, int] | None = None
        self._each = 0.0
        self._end: float | None = None
        self._said: float | None = None

    def begin(self, expected: float | None) -> None:
        """An edit is being drawn from now on; it was expected to take so many seconds."""
        self._start = self._clock()
        self._expected = expected
        self._end = None if expected is None else self._start + expected
        self._said, self._each = None, 0.0
        self._done, self._after, self._first = 0, 0, None

    def stop(self) -> None:
        """Nothing is being drawn any more."""
        self._start = None

    def step(self, done: int, total: int) -> None:
        """So many of all evaluations are done."""
        if self._start is None or not self._done < done <= total:
            return
        now = self._clock()
        self._done, self._after = done, max(0, total - done - 1)
        self._each = self._evaluation(now, done, total)
        seen = now + self._each * (total - done)
        self._end = seen if self._end is None else self._end + _FOLLOW * (seen - self._end)
        if done == total:
            self._end = now

    def _evaluation(self, now: float, done: int, total: int) -> float:
        """Return the seconds of one evaluation; the first one counts only where nothing else is."""
        assert self._start is not None
        if self._first is None:
            self._first = (now, done)
        first, count = self._first
        if self._expected is not None:
            before = self._expected / total
            return (now - first + _TRUST * before) / (done - count + _TRUST)
        if done == count:
            return (now - self._start) / done
        return (now - first) / (done - count)

    @property
    def elapsed(self) -> float | None:
        """Seconds that it has been drawn; None before it began."""
        return None if self._start is None else self._clock() - self._start

    @property
    def left(self) -> float | None:
        """Seconds that it still takes; None when nobody knows."""
        if self._start is None or self._end is None:
            return None
        # However long the present evaluation takes, those after it are still to come.
        left = max(self._end - self._clock(), self._each * self._after)
        if self._said is not None and left > self._said:
            longer = max((1 + _CALM) * self._said, self._said + _CALM_SECONDS)
            left = left if left > longer else self._said
        self._said = left
        return left
