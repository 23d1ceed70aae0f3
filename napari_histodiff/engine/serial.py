"""The engine without its worker: one thread owns queue, state and events."""

from __future__ import annotations

import atexit
import contextlib
import logging
import threading
import traceback
import uuid
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Self

from napari_histodiff.core.backend import BackendInfo
from napari_histodiff.core.engine import (
    EngineEvent,
    EngineState,
    EngineStateChanged,
    Job,
    JobCancelled,
    JobFailed,
    JobFinished,
    JobPreview,
    JobProgress,
    JobStarted,
    JobStep,
    Listener,
)
from napari_histodiff.core.errors import EngineUnavailable
from napari_histodiff.core.listeners import Listeners
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.engine.messages import (
    Died,
    Ended,
    Failed,
    Loaded,
    LoadFailed,
    Loading,
    Message,
    Problem,
    Rendered,
    Runner,
)
from napari_histodiff.engine.queue import JobQueue

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["SerialEngine"]

logger = logging.getLogger(__name__)


class SerialEngine:
    """Runs jobs one at a time on a runner; implements `core.backend.Engine`.

    Calls from outside and messages from the runner meet in one inbox and are handled in order by
    one thread, so no two endings of a job can race. The state is CLOSED before the first `start`
    or `submit`, and for good after `close`.

    Parameters
    ----------
    runner : Runner
        What holds the backend; only the engine's thread calls it.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._listeners: Listeners[EngineEvent] = Listeners()
        self._lock = threading.Lock()  # guards _thread and _closed
        self._thread: threading.Thread | None = None
        self._closed = False
        # Everything below is written by the engine's thread only.
        self._queue = JobQueue()
        self._state = EngineState.CLOSED
        self._info: BackendInfo | None = None
        self._memory = 0
        self._problem = Problem.of(EngineUnavailable())
        self._generation = 0
        self._open = True

    @property
    def state(self) -> EngineState:
        """The present state."""
        return self._state

    @property
    def info(self) -> BackendInfo | None:
        """The backend's description once the model is loaded."""
        return self._info

    def start(self) -> None:
        """Start in the background and return at once; from DEAD it tries again.

        Raises
        ------
        EngineUnavailable
            When the engine was closed.
        """
        self._post(self._start)

    def restart(self) -> None:
        """Load the model afresh in the background; cancels the running job, waiting ones wait on.

        Raises
        ------
        EngineUnavailable
            When the engine was closed.
        """
        self._post(self._restart)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every event, from the engine's thread; returns what stops it."""
        return self._listeners.add(listener)

    def submit(self, request: EditRequest, *, behind: bool = False) -> Job:
        """Queue a request and return at once; starts the engine when it was never started.

        Parameters
        ----------
        request : EditRequest
            What to draw.
        behind : bool
            Whether it waits for all that is submitted without, also later.

        Raises
        ------
        EngineUnavailable
            When the engine was closed.
        """
        job = Job(uuid.uuid4().hex, request, behind)
        self._post(partial(self._submit, job))
        return job

    def cancel(self, job: Job) -> None:
        """Ask a job to stop; it ends within one network evaluation. Ended jobs are left alone."""
        with contextlib.suppress(EngineUnavailable):
            self._post(partial(self._cancel, job))

    def close(self) -> None:
        """Cancel everything, stop the worker, wait until it is gone; idempotent."""
        with self._lock:
            first, self._closed = not self._closed, True
            thread = self._thread
        if thread is None:
            return
        if first:
            self._inbox.put(self._shut)
            atexit.unregister(self.close)
        if thread is not threading.current_thread():  # a listener may close its engine
            thread.join()

    def __enter__(self) -> Self:
        """Start the engine."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the engine."""
        self.close()

    # ---- the inbox ----

    def _post(self, action: Callable[[], None]) -> None:
        with self._lock:
            if self._closed:
                raise EngineUnavailable(
                    "expected an open engine, got a closed one; make a new engine"
                )
            if self._thread is None:
                # A daemon: the interpreter joins other threads before atexit could close us.
                self._thread = threading.Thread(
                    target=self._serve, name="histodiff-engine", daemon=True
                )
                self._thread.start()
                atexit.register(self.close)
            self._inbox.put(action)

    def _serve(self) -> None:
        while self._open:
            action = self._inbox.get()
            try:
                action()
            except Exception as error:
                # This thread owes every job its end, so it outlives whatever a runner raises.
                logger.exception("the engine failed")
                message = (
                    f"expected the engine to go on, got {type(error).__name__}: {error}; "
                    "read the details, then start it again"
                )
                self._die(Problem.of(EngineUnavailable(message), traceback.format_exc()))

    def _become(self, state: EngineState, message: str = "") -> None:
        self._state = state
        self._listeners.emit(EngineStateChanged(state, self._info, self._memory, message))

    # ---- calls from outside, on the engine's thread ----

    def _start(self) -> None:
        if self._state in (EngineState.CLOSED, EngineState.DEAD):
            self._start_runner()

    def _restart(self) -> None:
        if self._state not in (EngineState.CLOSED, EngineState.DEAD):
            running = self._queue.running
            if running is not None and self._queue.finish(running.id):
                self._listeners.emit(JobCancelled(running.id))
            self._generation += 1  # what the old runner still says is dropped
            self._runner.stop()
        self._start_runner()

    def _start_runner(self) -> None:
        self._generation += 1
        self._info, self._memory = None, 0
        self._become(EngineState.STARTING)
        self._runner.start(partial(self._receive, self._generation))

    def _submit(self, job: Job) -> None:
        if self._state is EngineState.DEAD:
            self._fail(job.id, self._problem)
            return
        self._queue.add(job)
        self._start()
        self._dispatch()

    def _cancel(self, job: Job) -> None:
        if self._queue.withdraw(job.id):
            self._listeners.emit(JobCancelled(job.id))
        elif self._queue.request_cancel(job.id):
            self._runner.cancel(job)

    def _shut(self) -> None:
        self._open = False
        for job in self._queue.drain():
            self._listeners.emit(JobCancelled(job.id))
        self._runner.stop()
        running = self._queue.running
        if running is not None and self._queue.finish(running.id):
            self._listeners.emit(JobCancelled(running.id))
        self._info, self._memory = None, 0
        self._become(EngineState.CLOSED)

    def _dispatch(self) -> None:
        if self._state not in (EngineState.READY, EngineState.BUSY):
            return
        job = self._queue.start_next()
        if job is not None:
            self._become(EngineState.BUSY)
            self._listeners.emit(JobStarted(job.id))
            self._runner.run(job)
        elif self._queue.running is None and self._state is not EngineState.READY:
            self._become(EngineState.READY)

    # ---- messages of the runner ----

    def _receive(self, generation: int, message: Message) -> None:
        """Queue a message of any thread; those of a runner that was replaced are dropped."""

        def handle() -> None:
            if generation == self._generation:
                self._handle(message)

        self._inbox.put(handle)

    def _handle(self, message: Message) -> None:
        match message:
            case Loading():
                self._become(EngineState.LOADING)
            case Loaded():
                self._info, self._memory = message.info, message.memory
                self._become(EngineState.READY)
                self._dispatch()
            case LoadFailed():
                self._die(message.problem)
            case JobProgress() | JobPreview():
                self._step(message)
            case Ended():
                self._end(message)
            case Died():
                self._replace(message.problem)

    def _step(self, step: JobStep) -> None:
        running = self._queue.running
        if running is None or running.id != step.job or self._queue.cancel_requested:
            return
        self._listeners.emit(step)

    def _end(self, ended: Ended) -> None:
        cancelled = self._queue.cancel_requested
        if not self._queue.finish(ended.job):
            return
        outcome = ended.outcome
        self._memory = outcome.memory
        if isinstance(outcome, Rendered) and not cancelled:
            self._listeners.emit(JobFinished(ended.job, outcome.images, outcome.seconds))
        elif isinstance(outcome, Failed) and not cancelled:
            self._fail(ended.job, outcome.problem)
        else:  # a cancel that was asked for in time wins over pixels that came anyway
            self._listeners.emit(JobCancelled(ended.job))
        self._dispatch()

    def _fail(self, job: str, problem: Problem) -> None:
        self._listeners.emit(JobFailed(job, problem.error, problem.details))

    def _die(self, problem: Problem) -> None:
        self._generation += 1
        self._problem = problem
        try:
            self._runner.stop()
        except Exception:
            logger.exception("the worker could not be stopped")
        running = self._queue.running
        if running is not None and self._queue.finish(running.id):
            self._fail(running.id, problem)
        self._become(EngineState.DEAD if self._open else EngineState.CLOSED, problem.message)
        for job in self._queue.drain():
            self._fail(job.id, problem)

    def _replace(self, problem: Problem) -> None:
        """Fail the running job and start a new worker, unless this one never came up."""
        if self._info is None:
            self._die(problem)
            return
        running = self._queue.running
        cancelled = self._queue.cancel_requested
        if running is not None and self._queue.finish(running.id):
            if cancelled:
                self._listeners.emit(JobCancelled(running.id))
            else:
                self._fail(running.id, problem)
        self._generation += 1
        self._runner.stop()
        self._start_runner()
