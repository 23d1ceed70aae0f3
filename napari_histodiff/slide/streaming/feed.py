"""Draws the tiles that are looked at, nearest first, and then what is to be rendered."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from queue import Empty, SimpleQueue
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.engine import (
    Engine,
    EngineEvent,
    EngineStateChanged,
    JobCancelled,
    JobFailed,
    JobFinished,
    JobProgress,
)
from napari_histodiff.core.errors import EngineUnavailable, HistodiffError, StorageError
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.listeners import Listeners
from napari_histodiff.core.recipe import TILE
from napari_histodiff.slide.store import SlideStore
from napari_histodiff.slide.streaming.planning import AT_REST, Motion
from napari_histodiff.slide.streaming.queue import FeedQueue, Flight, StateSnapshot
from napari_histodiff.slide.streaming.status import (
    FeedChanged,
    FeedEvent,
    FeedGuard,
    FeedListener,
    FeedStatus,
    RateMeter,
    TilesDrawn,
    TilesFailed,
)
from napari_histodiff.slide.streaming.tile_requests import (
    block_labels,
    block_pixels,
    block_request,
    glass_labels,
    glass_pixels,
    keeps_labels,
    put_block,
)

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["JOBS_IN_ENGINE", "TileFeed"]

#: One job runs and the next is ready, behind what the user asks for; more would be made for nothing
#: when the view moves on.
JOBS_IN_ENGINE: Final = 2

logger = logging.getLogger(__name__)

_Heard = EngineStateChanged | JobFinished | JobCancelled | JobFailed


class TileFeed:
    """Keeps an engine busy with the tiles of a slide that are looked at; one thread of its own.

    Missing tiles of the present view are drawn coarse before fine and nearest the centre first,
    then a ring of tiles around it, then what `render` queued. While the view moves, the coarsest
    level comes first, where the view will be by then. Jobs that the view left behind are cancelled
    unless they are nearly through. Calls from outside and events of the engine meet in one inbox
    and are handled by one thread, which alone asks the engine and writes tiles. Nothing is drawn
    into a slide that is open for reading only, or by another model than its recipe names.

    Parameters
    ----------
    store : SlideStore
        The slide; stays open when the feed is closed.
    engine : Engine
        What draws; started when there is something to draw, and left running.
    ahead : int
        Tiles around the view that are drawn when the view has all of its own.
    clock : callable
        Seconds, for the rate.
    """

    def __init__(
        self,
        store: SlideStore,
        engine: Engine,
        *,
        ahead: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._engine = engine
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._listeners: Listeners[FeedEvent] = Listeners()
        self._clock = clock
        self._meter = RateMeter(clock)
        self._known = FeedStatus()
        # Everything below is touched by the feed's thread only.
        self._queue = FeedQueue(ahead)
        self._recipe = store.recipe
        self._drawn = 0
        self._guard = FeedGuard(store, engine)
        self._open = True
        self._thread = threading.Thread(target=self._serve, name="histodiff-feed", daemon=True)
        self._stop_listening = (engine.subscribe(self._hear), store.subscribe(self._changed))
        self._thread.start()

    @property
    def status(self) -> FeedStatus:
        """What the feed is doing."""
        rate = self._meter.per_second()
        known = self._known
        left = known.queued + sum(region.snap(TILE).area // TILE**2 for region in known.in_flight)
        seconds = 0.0 if left == 0 else left / rate if rate > 0 else None
        return replace(known, rate=rate, seconds_left=seconds)

    def look_at(self, view: Region | None, motion: Motion = AT_REST) -> None:
        """Make this the view whose tiles are drawn first; None when nothing is looked at.

        Parameters
        ----------
        view : Region, optional
            ARRAY coordinates; its level is the one that is shown.
        motion : tuple of float
            How it moves, (y, x) in pixels of level 0 a second, until it is told anew.

        Raises
        ------
        InvalidRequest
            When the slide has no such level.
        """
        if view is not None:
            self._store.spec.bounds(view.level)
        self._inbox.put(partial(self._look_at, view, motion))

    def render(self, region: Region) -> None:
        """Queue everything of a region down to its level, behind what is looked at.

        Parameters
        ----------
        region : Region
            ARRAY coordinates; parts beyond the slide are left out.

        Raises
        ------
        InvalidRequest
            When the slide has no such level.
        """
        self._store.spec.bounds(region.level)
        self._inbox.put(partial(self._render, region))

    def pause(self) -> None:
        """Begin no further tile; those in the engine are finished."""
        self._inbox.put(partial(self._guard.pause, True))

    def resume(self) -> None:
        """Go on after `pause`, or after nothing could be stored."""
        self._inbox.put(partial(self._guard.pause, False))

    def retry(self) -> None:
        """Try the failed tiles again."""
        self._inbox.put(self._retry)

    def subscribe(self, listener: FeedListener) -> Callable[[], None]:
        """Call `listener` with every event, from the feed's thread; returns what stops it."""
        return self._listeners.add(listener)

    def close(self) -> None:
        """Cancel what is in the engine, store nothing more, end the thread; idempotent."""
        self._inbox.put(self._shut)
        if self._thread is not threading.current_thread():  # a listener may close its feed
            self._thread.join()

    def __enter__(self) -> Self:
        """Return the feed."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the feed."""
        self.close()

    # ---- the thread ----

    def _serve(self) -> None:
        busy = False
        while self._open:
            try:
                busy = self._drain(wait=not busy) and self._advance()
            except Exception as error:
                # Whatever a store or model raises: the feed stays alive and says it.
                logger.exception("the tile feed failed")
                self._guard.stop(
                    f"expected the feed to go on, got {type(error).__name__}: {error}; "
                    "read the log, then resume it"
                )
                self._publish_status(replace(self._known, paused=True, message=self._guard.message))
                busy = False

    def _drain(self, *, wait: bool) -> bool:
        """Do what was asked; return whether the feed is still open."""
        with contextlib.suppress(Empty):
            while self._open:
                action = self._inbox.get(block=wait)
                self._follow_growth()
                action()
                wait = False
        return self._open

    def _follow_growth(self) -> None:
        """Give everything its new place after the slide grew at its top or left, or got finer."""
        old, self._recipe = self._recipe, self._store.recipe
        if old == self._recipe:
            return
        self._cancel_all()
        finer = self._recipe.refined - old.refined
        dy, dx = ((a << finer) - b for a, b in zip(old.origin, self._recipe.origin, strict=True))
        self._queue = self._queue.moved(dy, dx, finer)

    def _advance(self) -> bool:
        """Cancel what nobody needs and begin one block; False when there is nothing to begin."""
        slide = StateSnapshot(self._store)
        self._queue.tidy(slide)
        for job in self._queue.obsolete(slide):
            self._engine.cancel(self._queue.flights[job].job)
        block = None
        if self._guard.may_draw and len(self._queue.flights) < JOBS_IN_ENGINE:
            block = self._queue.next_block(slide)
        if block is not None and self._guard.is_loaded():
            self._begin(block)
        else:
            block = None
        self._publish(slide)
        return block is not None

    def _publish(self, slide: StateSnapshot) -> None:
        view = self._queue.view
        status = FeedStatus(
            view_level=None if view is None else view.level,
            queued=self._queue.waiting(slide),
            in_flight=tuple(self._inside(flight.block) for flight in self._queue.flights.values()),
            failed=MappingProxyType(dict(self._queue.failed)),
            paused=self._guard.paused,
            message=self._guard.message,
            drawn=self._drawn,
        )
        self._publish_status(status)

    def _publish_status(self, status: FeedStatus) -> None:
        if status != self._known:
            self._known = status
            self._listeners.emit(FeedChanged(self.status))

    # ---- calls from outside, on the feed's thread ----

    def _look_at(self, view: Region | None, motion: Motion) -> None:
        self._queue.view, self._queue.motion = view, motion

    def _render(self, region: Region) -> None:
        if region not in self._queue.regions:
            self._queue.regions.append(region)

    def _retry(self) -> None:
        self._queue.retry()

    def _shut(self) -> None:
        self._open = False
        for stop in self._stop_listening:
            stop()
        self._cancel_all()

    def _cancel_all(self) -> None:
        for flight in self._queue.flights.values():
            self._engine.cancel(flight.job)

    # ---- drawing ----

    def _begin(self, block: Region) -> None:
        recipe, since, start = self._store.recipe, self._store.revision, self._clock()
        try:
            request = block_request(self._store, block)
            if request is not None:
                job = self._engine.submit(request, behind=True)
        except EngineUnavailable as error:
            self._guard.lose_engine(str(error))
        except StorageError as error:  # what it is drawn from may have been dropped just now
            self._retry_or_fail(block, str(error))
        except HistodiffError as error:
            self._fail(block, str(error))
        else:
            if not self._queue.flights:
                self._meter.start()
            if request is None:
                self._fill(block, since)
            else:
                asked = self._clock() - start
                self._queue.flights[job.id] = Flight(block, job, recipe, since, asked)

    def _fill(self, block: Region, since: int) -> None:
        """Store a block of glass."""
        try:
            pixels = glass_pixels(self._store, block)
        except StorageError as error:
            self._retry_or_fail(block, str(error))
        else:
            self._keep(block, pixels, glass_labels(self._store, block), since)

    def _keep(
        self,
        block: Region,
        pixels: NDArray[np.uint8],
        labels: NDArray[np.int32] | None,
        since: int,
    ) -> None:
        """Store what of a drawn block still holds; when that fails, pause the feed."""
        try:
            tiles = put_block(self._store, block, pixels, labels, since=since)
        except StorageError as error:
            self._guard.stop(str(error))
            return
        self._queue.complete(block)
        if tiles:
            self._drawn += len(tiles)
            self._meter.add(len(tiles))
            self._listeners.emit(TilesDrawn(self._inside(block)))

    def _fail(self, block: Region, reason: str) -> None:
        self._listeners.emit(TilesFailed(self._queue.fail(block, reason), reason))

    def _retry_or_fail(self, block: Region, reason: str) -> None:
        if not self._queue.may_retry(block):
            self._fail(block, reason)

    def _inside(self, block: Region) -> Region:
        return block.intersect(self._store.spec.bounds(block.level))

    # ---- events of slide and engine; called from any thread ----

    def _changed(self, region: Region) -> None:
        """Look at the slide again, unless it was the feed that changed it."""
        if threading.current_thread() is not self._thread:
            self._inbox.put(lambda: None)

    def _hear(self, event: EngineEvent) -> None:
        if isinstance(event, JobProgress):
            # Only noted: it changes nothing by itself, and there are many.
            if event.job in self._queue.flights:
                self._queue.shares[event.job] = event.done / event.total
        elif isinstance(event, _Heard) and not FeedGuard.is_idle_talk(event):
            self._inbox.put(partial(self._handle, event))

    def _handle(self, event: _Heard) -> None:
        if isinstance(event, EngineStateChanged):
            self._guard.engine_became(event)
            return
        flight = self._queue.flights.pop(event.job, None)
        self._queue.shares.pop(event.job, None)
        if flight is None:
            return
        if isinstance(event, JobFinished):
            # The next request is made while the engine draws: the slower one sets the pace.
            self._queue.record_duration(max(event.seconds, flight.asked))
            self._finish(flight, event.images[0])
        elif isinstance(event, JobFailed) and not self._guard.is_dead:
            if isinstance(event.error, EngineUnavailable):
                self._retry_or_fail(flight.block, str(event.error))
            else:
                self._fail(flight.block, str(event.error))

    def _finish(self, flight: Flight, pixels: NDArray[np.uint8]) -> None:
        """Store what a job drew, unless the slide or the model is another one meanwhile."""
        recipe, block, request = flight.recipe, flight.block, flight.job.request
        if self._store.recipe == recipe and self._guard.drew(recipe.revision):
            labels = block_labels(request, block) if keeps_labels(recipe, block.level) else None
            self._keep(block, block_pixels(request, block, pixels), labels, flight.since)
