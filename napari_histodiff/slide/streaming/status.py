"""What a tile feed tells: its status, tiles drawn or failed, and why it may not draw."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from napari_histodiff.core.engine import Engine, EngineEvent, EngineState, EngineStateChanged
from napari_histodiff.core.errors import EngineUnavailable
from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.slide.store import SlideStore

__all__ = [
    "FeedChanged",
    "FeedEvent",
    "FeedGuard",
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


# States that begin or end what hinders a feed.
_TELLING: Final = (EngineState.READY, EngineState.DEAD, EngineState.CLOSED)

_DEAD: Final = "the engine is not running; start it again to draw tiles"
_CLOSED: Final = "the engine was closed; open the slide again to draw tiles"


class FeedGuard:
    """Keeps a feed from drawing while it is paused, or where it can not or must not draw.

    Parameters
    ----------
    store : SlideStore
        The slide.
    engine : Engine
        What draws.

    Attributes
    ----------
    paused : bool
        Whether the user, or a fault, made it pause.
    is_dead : bool
        Whether the engine will run no job until it is started again.
    """

    def __init__(self, store: SlideStore, engine: Engine) -> None:
        self._store = store
        self._engine = engine
        self._fault = ""
        self._dead = _DEAD if engine.state is EngineState.DEAD else ""
        self.paused = False

    @property
    def is_dead(self) -> bool:
        """Whether the engine will run no job until it is started again."""
        return bool(self._dead)

    @property
    def message(self) -> str:
        """Why nothing can be drawn, with the next step; empty when it can."""
        if self._fault:
            return self._fault
        if self._store.read_only:
            return "the slide is open for reading only; open it for writing to draw tiles"
        if self._dead:
            return self._dead
        recipe, info = self._store.recipe, self._engine.info
        if info is not None and info.revision != recipe.revision:
            return (
                f"expected the model of this slide, {recipe.model} ({recipe.revision}), got "
                f"{info.name} ({info.revision}); choose that model, or start a new slide"
            )
        return ""

    @property
    def may_draw(self) -> bool:
        """Whether a block may be begun."""
        return not self.paused and not self.message

    def pause(self, paused: bool) -> None:
        """Pause or go on; either forgets the last fault."""
        self.paused = paused
        self._fault = ""

    def stop(self, fault: str) -> None:
        """Pause because of a fault."""
        self.paused = True
        self._fault = fault

    def lose_engine(self, reason: str) -> None:
        """Draw nothing until the engine says that it is ready."""
        self._dead = reason

    def engine_became(self, event: EngineStateChanged) -> None:
        """Follow the engine's state."""
        if event.state is EngineState.DEAD:
            self._dead = event.message or _DEAD
        elif event.state is EngineState.CLOSED:
            self._dead = _CLOSED
        elif event.state is EngineState.READY:
            self._dead = ""

    @staticmethod
    def is_idle_talk(event: EngineEvent) -> bool:
        """Return whether an event is a state in which a feed does nothing it did not before."""
        return isinstance(event, EngineStateChanged) and event.state not in _TELLING

    def is_loaded(self) -> bool:
        """Return whether the engine has its model; starts it otherwise."""
        if self._engine.info is not None:
            return True
        try:
            self._engine.start()
        except EngineUnavailable as error:
            self._dead = str(error)
        return False

    def drew(self, revision: str) -> bool:
        """Return whether what the engine just finished is by the model of this revision."""
        info = self._engine.info
        return info is not None and info.revision == revision
