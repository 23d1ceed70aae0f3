"""A change of an image that may take its time: what comes of it, and what is said meanwhile.

A thread carries it out step by step, while the window lives. No Qt here.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Thread
from typing import Any, Final, TypeVar

from psygnal import Signal

from napari_histodiff.core.errors import HistodiffError, InvalidRequest, StorageError
from napari_histodiff.core.geometry import Region

__all__ = ["PendingOperations", "PendingStep", "StepReader", "StepWorker"]

T = TypeVar("T")


class PendingStep:
    """One write, undo or redo: on its way, or over. Belongs to the thread of the viewer.

    Attributes
    ----------
    is_over : bool
        Whether it was carried out or failed.
    region : Region or None
        Where pixels changed; None when nothing did.
    error : Exception or None
        Why it failed; the image is as it was then.
    """

    def __init__(self) -> None:
        self.is_over = False
        self.region: Region | None = None
        self.error: Exception | None = None
        self._listeners: list[Callable[[PendingStep], None]] = []

    @classmethod
    def carried_out(cls, region: Region | None) -> PendingStep:
        """Return a step that is over."""
        step = cls()
        step.end(region)
        return step

    def then(self, listener: Callable[[PendingStep], None]) -> PendingStep:
        """Call `listener` when the step is over, at once when it is; returns the step."""
        if self.is_over:
            listener(self)
        else:
            self._listeners.append(listener)
        return self

    def end(self, region: Region | None = None, error: Exception | None = None) -> None:
        """Tell what came of it; only who carries it out calls this, and once."""
        self.is_over, self.region, self.error = True, region, error
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener(self)


class PendingOperations:
    """What is being done to an image, in words, for as long as it takes."""

    #: The words changed, empty when nothing is being done any more; and whether it can be stopped.
    changed = Signal(str, bool)

    def __init__(self) -> None:
        self._steps: dict[PendingStep, tuple[str, bool]] = {}

    @property
    def text(self) -> str:
        """What is being done, "Writing the edit…"; empty when nothing is."""
        return self._first[0]

    def follow(self, text: str, step: PendingStep, *, can_stop: bool = False) -> None:
        """Say `text` until a step is over; those asked for before it are said first.

        `can_stop` tells that *Cancel* ends it.
        """
        if not step.is_over:
            self._steps[step] = (text, can_stop)
            self.changed.emit(*self._first)
            step.then(self._forget)

    @property
    def _first(self) -> tuple[str, bool]:
        return next(iter(self._steps.values()), ("", False))

    def _forget(self, step: PendingStep) -> None:
        del self._steps[step]
        self.changed.emit(*self._first)


log = logging.getLogger(__name__)

_ABANDONED: Final = (
    "expected the edit to be written by now, got a disk that is busy; it goes on in the "
    "background, so open the slide again to see it"
)

#: Changes an image and returns where; None when there was nothing to change.
Work = Callable[[], Region | None]


class StepWorker:
    """Carries out steps in the order they were asked for, one at a time.

    All of it is called on the viewer's thread, and `deliver` ends the steps there. When a step
    fails, those asked for after it and before that was told are left undone: they were meant for
    what did not happen. Whoever ends the process calls `finish` before, or a step is cut off.
    """

    #: Whether a step is on its way: told before the first one begins and after the last one ended.
    busy_changed = Signal(bool)
    #: A step is done; told before it ends.
    carried_out = Signal()

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="histodiff-edits")
        self._waiting: deque[tuple[PendingStep, Future[Region | None]]] = deque()

    @property
    def busy(self) -> bool:
        """Whether a step is on its way, or not told yet."""
        return bool(self._waiting)

    @property
    def has_news(self) -> bool:
        """Whether `deliver` has something to tell."""
        return bool(self._waiting) and self._waiting[0][1].done()

    def submit(self, work: Work) -> PendingStep:
        """Have something done in the thread, after all that was asked for before."""
        if not self._waiting:
            self.busy_changed.emit(True)
        before = self._waiting[-1][1] if self._waiting else None
        step = PendingStep()
        self._waiting.append((step, self._executor.submit(_do, work, before)))
        return step

    def deliver(self) -> None:
        """End the steps that are done; call it on a timer."""
        while self.has_news:
            step, future = self._waiting.popleft()
            if not self._waiting:
                self.busy_changed.emit(False)
            self.carried_out.emit()
            error = future.exception()
            if error is None:
                step.end(future.result())
            elif isinstance(error, _LeftUndone):
                step.end()
            else:
                step.end(error=_told(error, "change the slide"))

    def finish(self, seconds: float) -> bool:
        """Wait until all is done, at most so long, and tell it; return whether it is."""
        wait([future for _, future in self._waiting], seconds)
        self.deliver()
        return not self.busy

    def close(self, last: Callable[[], object]) -> None:
        """Do one thing after all that was asked for; nothing may be asked for afterwards.

        It is done here unless something is still on its way: then the thread does it, and the steps
        that it is waiting for end with an error that says so.
        """
        if self.finish(0):
            self._executor.shutdown()
            last()
            return
        self._executor.submit(last)
        self._executor.shutdown(wait=False)
        steps, self._waiting = self._waiting, deque()
        self.busy_changed.emit(False)
        for step, _ in steps:
            step.end(error=StorageError(_ABANDONED))


class StepReader:
    """Reads one thing at a time in a thread of its own, which nobody has to wait for.

    All of it is called on the viewer's thread, and `deliver` puts there what was read.
    """

    def __init__(self) -> None:
        self._step: PendingStep | None = None
        self._read: Future[Any] = Future()
        self._put: Callable[[Any], Region | None] = lambda _: None

    def begin(self, read: Callable[[], T], put: Callable[[T], Region | None]) -> PendingStep:
        """Have something read in a thread; what it returns is put where it belongs here.

        Raises
        ------
        InvalidRequest
            When something is being read.
        """
        if self._step is not None:
            raise InvalidRequest(
                "expected nothing else to be read, got a reading on its way; wait until it is "
                "over, or cancel it"
            )
        future: Future[T] = Future()
        self._step, self._read, self._put = PendingStep(), future, put
        # No executor: the end of the process would wait for what is read from a dead share.
        Thread(target=_fulfil, args=(future, read), name="histodiff-reading", daemon=True).start()
        return self._step

    def deliver(self) -> None:
        """End the step when all was read; call it on a timer."""
        step = self._step
        if step is None or not self._read.done():
            return
        self._step = None
        try:
            region = self._put(self._read.result())
        except Exception as error:  # noqa: BLE001 - or the step would never end
            step.end(error=_told(error, "read that"))
        else:
            step.end(region)

    def cancel(self, error: Exception | None = None) -> None:
        """End the step, with an error when there is one to tell; what is read is dropped."""
        step, self._step = self._step, None
        if step is not None:
            step.end(error=error)


class _LeftUndone(Exception):
    """The step before failed."""


def _fulfil(future: Future[T], read: Callable[[], T]) -> None:
    try:
        future.set_result(read())
    except BaseException as error:  # noqa: BLE001 - told to whoever delivers
        future.set_exception(error)


def _do(work: Work, before: Future[Region | None] | None) -> Region | None:
    if before is not None and before.exception() is not None:
        raise _LeftUndone
    return work()


def _told(error: BaseException, what: str) -> Exception:
    """Return an error whose message the user can be shown."""
    if isinstance(error, HistodiffError):
        return error
    log.error("could not %s", what, exc_info=error)
    unforeseen = StorageError(
        f"expected to {what}, got {type(error).__name__}: {error}; nothing was changed, so try "
        "again, and read the log when that does not help"
    )
    unforeseen.__cause__ = error
    return unforeseen
