"""What a tile feed tells: its status, and events when tiles were drawn or failed."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from napari_histodiff.core.geometry import Region, TileAddress

__all__ = [
    "FeedChanged",
    "FeedEvent",
    "FeedListener",
    "FeedStatus",
    "RateMeter",
    "TilesDrawn",
    "TilesFailed",
]

_SPAN: Final = 10.0


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """What a feed is doing, at one moment.

    Attributes
    ----------
    view_level : int, optional
        Level of the present view; None without one.
    queued : int
        Tiles that the view and the regions to render still lack and that are not in the engine,
        those that wait for a failed one among them; the ring around the view does not count.
    in_flight : tuple of Region
        Blocks in the engine, cut at the slide's border, ARRAY coordinates.
    failed : mapping of TileAddress to str
        Tiles that could not be drawn and why; they are left alone until `TileFeed.retry`.
    rate : float
        Tiles a second over the last 10 seconds.
    seconds_left : float, optional
        Estimate for what is queued and in flight; 0 when there is none, None when unknown.
    paused : bool
        Whether `TileFeed.pause` was called, or the feed paused because nothing could be stored.
    message : str
        Why nothing is drawn although something is missing, with the next step; empty when all is
        well.
    drawn : int
        Tiles drawn since the feed started.
    """

    view_level: int | None = None
    queued: int = 0
    in_flight: tuple[Region, ...] = ()
    failed: Mapping[TileAddress, str] = field(default_factory=lambda: MappingProxyType({}))
    rate: float = 0.0
    seconds_left: float | None = 0.0
    paused: bool = False
    message: str = ""
    drawn: int = 0


@dataclass(frozen=True, slots=True)
class TilesDrawn:
    """The pixels of `region` (one block, cut at the slide's border) are in the slide."""

    region: Region


@dataclass(frozen=True, slots=True)
class TilesFailed:
    """These tiles could not be drawn; `reason` carries the message with the next step."""

    tiles: tuple[TileAddress, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class FeedChanged:
    """The status is another one."""

    status: FeedStatus


FeedEvent = TilesDrawn | TilesFailed | FeedChanged

#: Called from the feed's thread; a listener must hand over to its own thread before it touches Qt.
FeedListener = Callable[[FeedEvent], None]


class RateMeter:
    """Counts what was done over the last 10 seconds of work; may be called from any thread.

    Parameters
    ----------
    clock : callable
        Seconds, never running backwards.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: deque[tuple[float, int]] = deque()
        self._since = clock()

    def start(self) -> None:
        """Say that work begins after a rest."""
        with self._lock:
            if not self._recent():
                self._since = self._clock()

    def add(self, count: int) -> None:
        """Say that so many more are done."""
        with self._lock:
            self._counts.append((self._clock(), count))

    def per_second(self) -> float:
        """Return how many a second; 0 after 10 seconds of rest."""
        with self._lock:
            count = self._recent()
            seconds = min(_SPAN, self._clock() - self._since)
            return count / seconds if seconds > 0 else 0.0

    def _recent(self) -> int:
        first = self._clock() - _SPAN
        while self._counts and self._counts[0][0] < first:
            self._counts.popleft()
        return sum(count for _, count in self._counts)
