"""Draws the edits of a queue one at a time, so that their order can be changed until the last.

No Qt here. Only one edit is in the engine, which draws the tiles of slides as well: between two
edits those that wait there get their turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from psygnal import Signal

from napari_histodiff.core.engine import (
    Engine,
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
)
from napari_histodiff.core.errors import EngineUnavailable, HistodiffError
from napari_histodiff.ui.generation.states import RunPhase, RunState
from napari_histodiff.ui.queue.edits import EditQueue, EditState, QueuedEdit
from napari_histodiff.ui.queue.time_left import TimeLeft

if TYPE_CHECKING:
    from napari_histodiff.core.backend import BackendInfo

__all__ = ["Drawing"]

#: States of an engine that draws nothing any more.
_GONE: Final = (EngineState.DEAD, EngineState.CLOSED)

#: Seconds between two looks at how much time is left, when the engine tells nothing.
_TICK: Final = 1.0


class Drawing:
    """Which edit is drawn, how far it is, and which come after it.

    Parameters
    ----------
    engine : Engine
        What draws.
    clock : callable
        Seconds, never running backwards.
    """

    #: The edit that is drawn, or how far it is.
    run_changed = Signal(RunState)
    #: The edits, their order or their states; or the queue is held, or goes on.
    queue_changed = Signal()
    #: How an edit looks so far.
    previewed = Signal(QueuedEdit, object)
    #: An edit is drawn: the edit, and the event with its pixels.
    drawn = Signal(QueuedEdit, JobFinished)
    #: An edit could not be drawn: error and details.
    failed = Signal(Exception, str)

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.monotonic) -> None:
        self.queue = EditQueue()
        self.run = RunState()
        self._engine = engine
        self._state = engine.state
        self._info: BackendInfo | None = engine.info
        self._job: Job | None = None
        self._clock = clock
        self._time = TimeLeft(clock)
        self._tick_due = 0.0

    # ------------------------------------------------------------------- edits
    def ask_for(self, edit: QueuedEdit) -> bool:
        """Draw an edit now, or after those that wait; returns whether it is drawn now.

        A queue that is held draws what is asked for while nothing is drawn, and holds the rest.

        Raises
        ------
        EngineUnavailable
            When the engine was closed.
        InvalidRequest
            When too much waits already.
        """
        self.queue.add(edit)
        if self._job is not None:
            self.queue_changed.emit()
            return False
        self.queue.to_front(edit.id)
        try:
            self._begin(edit)
        except HistodiffError:
            self.queue.remove(edit.id)
            raise
        return True

    def cancel(self) -> None:
        """Ask the edit that is drawn to stop; the next one follows."""
        if self._job is not None and self.run.phase is RunPhase.RUNNING:
            self._set_run(phase=RunPhase.CANCELLING)
            self._engine.cancel(self._job)

    def hold(self, *, held: bool) -> None:
        """Hold the edits that wait, or go on with them; the one that is drawn is finished."""
        self.queue.paused = held
        self.queue_changed.emit()
        self.go_on()

    def move(self, edit_id: str, by: int) -> None:
        """Let an edit that waits be drawn so many places later, or earlier."""
        self.queue.move(edit_id, by)
        self.queue_changed.emit()

    def to_front(self, edit_id: str) -> None:
        """Let an edit that waits be the next one."""
        self.queue.to_front(edit_id)
        self.queue_changed.emit()

    def retry(self, edit_id: str) -> None:
        """Draw an edit that failed once more, before the others."""
        self.queue.retry(edit_id)
        self.queue_changed.emit()
        self.go_on()

    def remove(self, edit_id: str) -> None:
        """Take an edit out of the list; the one that is drawn is cancelled."""
        edit = self.queue.find(edit_id)
        if edit is not None and edit.state is EditState.RUNNING:
            self.cancel()
            return
        self.queue.remove(edit_id)
        self.queue_changed.emit()

    def remove_waiting(self) -> None:
        """Take all edits out of the list that wait or failed."""
        for edit in self.queue.edits:
            if edit.state in (EditState.WAITING, EditState.FAILED):
                self.queue.remove(edit.id)
        self.queue_changed.emit()

    def put_back(self, edits: list[QueuedEdit]) -> None:
        """Let edits of an earlier session wait, held until somebody goes on with them."""
        for edit in edits:
            self.queue.add(edit)
        self.queue.paused = self.queue.paused or bool(edits)
        self.queue_changed.emit()

    def set_ready(self, edit_id: str, entry: Any) -> None:
        """Keep what was drawn in the list, until it is applied or discarded."""
        self.queue.put(edit_id, EditState.READY, entry=entry)
        self.queue_changed.emit()

    # ------------------------------------------------------------------ engine
    def use_engine(self, engine: Engine) -> None:
        """Draw with another engine from now on; what the old one drew was cancelled by its end."""
        self._engine, self._state, self._info = engine, engine.state, engine.info
        if self._job is not None:  # its last event is not heard any more
            self._ended(EditState.FAILED, "The engine was changed meanwhile; retry.")

    def handle(self, event: EngineEvent) -> None:
        """Take in what the engine told; events of others' jobs are passed over."""
        if isinstance(event, EngineStateChanged):
            self._state, self._info = event.state, event.info or self._info
            self.go_on()
            return
        job = self._job
        if job is None or event.job != job.id:
            return
        edit = self.queue.running
        assert edit is not None
        if isinstance(event, JobStarted):
            self._time.begin(edit.expected)
            self._tick()
        elif isinstance(event, JobProgress):
            if self._time.elapsed is None:  # nobody told of its start
                self._time.begin(edit.expected)
            self._time.step(event.done, event.total)
            self._set_run(done=event.done, total=event.total, message=event.message)
        elif isinstance(event, JobPreview):
            if self.run.phase is RunPhase.RUNNING:
                self.previewed.emit(edit, event.image)
        elif isinstance(event, JobFinished):
            self._end_run()
            self.drawn.emit(edit, event)
            self.go_on()
        elif isinstance(event, JobCancelled):
            self._end_run()
            self.queue.remove(edit.id)
            self.queue_changed.emit()
            self.go_on()
        elif isinstance(event, JobFailed):
            self._ended(EditState.FAILED, str(event.error) or type(event.error).__name__)
            self.failed.emit(event.error, event.details)
            # An engine that lost its worker says next whether it goes on.
            if not isinstance(event.error, EngineUnavailable):
                self.go_on()

    def pump(self) -> None:
        """Count the time down where the engine says nothing for a while; call it on a timer."""
        if self._job is not None and self._clock() >= self._tick_due:
            self._tick()

    def go_on(self) -> None:
        """Begin the next edit, when nothing is drawn and nothing holds it."""
        while self._job is None and not self.queue.paused and self._state not in _GONE:
            edit = next(iter(self.queue.waiting), None)
            if edit is None:
                return
            if problem := self._misfit(edit):
                self.queue.put(edit.id, EditState.FAILED, problem=problem)
                self.queue_changed.emit()
                continue
            try:
                self._begin(edit)
            except HistodiffError as error:
                self.queue.put(edit.id, EditState.FAILED, problem=str(error))
                self.queue_changed.emit()

    # ---------------------------------------------------------------- internal
    def _begin(self, edit: QueuedEdit) -> None:
        self._job = self._engine.submit(edit.request)
        self.queue.put(edit.id, EditState.RUNNING)
        self._time.stop()
        self.run = RunState(RunPhase.RUNNING)
        self._set_run()
        self.queue_changed.emit()

    def _ended(self, state: EditState, problem: str) -> None:
        edit = self.queue.running
        self._end_run()
        if edit is not None:
            self.queue.put(edit.id, state, problem=problem)
            self.queue_changed.emit()

    def _end_run(self) -> None:
        self._job = None
        self._time.stop()
        self.run = RunState()
        self._set_run()

    def _tick(self) -> None:
        self._tick_due = self._clock() + _TICK
        self._set_run()

    def _set_run(self, **changes: Any) -> None:
        self.run = replace(self.run, elapsed=self._time.elapsed, left=self._time.left, **changes)
        self.run_changed.emit(self.run)

    def _misfit(self, edit: QueuedEdit) -> str:
        """Return why an edit is not for the model that draws now; empty when it is."""
        meant, info = edit.request, self._info
        if info is None or not meant.model_revision or meant.model_revision == info.revision:
            return ""
        return (
            f"It was meant for the model {meant.model_name}, and {info.name} draws now. Choose "
            "that model again and retry, or go to its place and press Generate."
        )
