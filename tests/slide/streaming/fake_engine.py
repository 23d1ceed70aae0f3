"""Engines that are worked by hand."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from napari_histodiff.core.backend import BackendInfo
from napari_histodiff.core.engine import (
    EngineEvent,
    EngineState,
    EngineStateChanged,
    Job,
    JobCancelled,
    JobFailed,
    JobFinished,
    Listener,
)
from napari_histodiff.core.errors import EngineUnavailable
from napari_histodiff.core.requests import EditRequest
from tests.fakes import FAKE_INFO
from tests.slide.fake_store import draw_on_plane

__all__ = ["ManualEngine", "QuietEngine"]


class QuietEngine:
    """An engine that is asked for nothing; every call is kept and answered with an error."""

    state = EngineState.CLOSED
    info = None

    def __init__(self) -> None:
        self.calls: list[str] = []

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        return lambda: None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def called(*_: object, **__: object) -> Any:
            self.calls.append(name)
            raise AssertionError(f"{name} was called")

        return called


class ManualEngine:
    """An engine whose jobs end when a test says so; cancelled ones at once."""

    def __init__(self, info: BackendInfo | None = FAKE_INFO) -> None:
        self.info = info
        self.state = EngineState.READY if info else EngineState.CLOSED
        self.jobs: list[Job] = []
        self.cancelled: list[Job] = []
        self.submitted = 0
        self.starts = 0
        self._listeners: list[Listener] = []

    def start(self) -> None:
        self.starts += 1

    def restart(self) -> None:
        self.start()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def submit(self, request: EditRequest, *, behind: bool = False) -> Job:
        if self.state is EngineState.CLOSED and self.info is None:
            raise EngineUnavailable("expected an open engine, got a closed one; make a new engine")
        job = Job(uuid.uuid4().hex, request, behind)
        self.submitted += 1
        self.jobs.append(job)
        return job

    def cancel(self, job: Job) -> None:
        if job in self.jobs:
            self.jobs.remove(job)
            self.cancelled.append(job)
            self.emit(JobCancelled(job.id))

    def close(self) -> None:
        self.become(EngineState.CLOSED)

    def finish(self, job: Job | None = None) -> None:
        """End the oldest job, or this one, with its pixels."""
        job = job or self.jobs[0]
        self.jobs.remove(job)
        self.emit(JobFinished(job.id, draw_on_plane(job.request)[None], 0.0))

    def fail(self, error: Exception) -> None:
        """Fail the oldest job."""
        self.emit(JobFailed(self.jobs.pop(0).id, error))

    def become(
        self, state: EngineState, message: str = "", info: BackendInfo | None = None
    ) -> None:
        self.state, self.info = state, info or self.info
        self.emit(EngineStateChanged(state, self.info, 0, message))

    def emit(self, event: EngineEvent) -> None:
        for listener in tuple(self._listeners):
            listener(event)
