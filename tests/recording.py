"""A small request, and a listener that keeps an engine's events."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from napari_histodiff.core.engine import (
    Engine,
    EngineEvent,
    EngineState,
    EngineStateChanged,
    Job,
    JobCancelled,
    JobFailed,
    JobFinished,
    JobProgress,
)
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest

__all__ = ["TERMINAL", "Recorder", "Terminal", "edit_request"]

Terminal = JobFinished | JobCancelled | JobFailed
TERMINAL = (JobFinished, JobCancelled, JobFailed)


def edit_request(
    kind: EditKind = EditKind.GENERATE, size: tuple[int, int] = (32, 48), **changes: Any
) -> EditRequest:
    """Return a small request of a kind with everything it needs; few steps."""
    height, width = size
    rng = np.random.default_rng(7)
    needs: dict[str, Any] = {"steps": 3}
    if kind in (EditKind.INPAINT, EditKind.OUTPAINT):
        needs["image"] = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        needs["edit_mask"] = np.zeros((height, width), bool)
        needs["edit_mask"][height // 4 : height // 2, width // 4 : width // 2] = True
    if kind is EditKind.ZOOM:
        needs["coarse"] = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return EditRequest(kind=kind, region=Region(0, 16, -32, height, width), **needs | changes)


class Recorder:
    """Keeps an engine's events and waits for them."""

    PATIENCE: ClassVar[float] = 60.0

    def __init__(self, engine: Engine) -> None:
        self.events: list[EngineEvent] = []
        self._changed = threading.Condition()
        self._reactions: list[Callable[[EngineEvent], None]] = []
        engine.subscribe(self._receive)

    def react(self, reaction: Callable[[EngineEvent], None]) -> None:
        """Call `reaction` with each event, inside the engine's thread."""
        self._reactions.append(reaction)

    def wait(self, reached: Callable[[], object]) -> None:
        """Wait until `reached` holds; fails with the events so far."""
        with self._changed:
            ok = self._changed.wait_for(reached, self.PATIENCE)
        assert ok, f"not reached; events: {self.events}"

    def ends(self, *jobs: Job) -> list[Terminal]:
        """Wait for the ends of jobs and return them in the order of `jobs`."""
        self.wait(lambda: all(self.of(job, *TERMINAL) for job in jobs))
        return [self.of(job, *TERMINAL)[0] for job in jobs]

    def end(self, job: Job) -> Terminal:
        """Wait for the end of one job."""
        return self.ends(job)[0]

    def wait_state(self, state: EngineState) -> EngineStateChanged:
        """Wait for a state, now or past, and return its last event."""
        self.wait(lambda: any(event.state is state for event in self.states()))
        return [event for event in self.states() if event.state is state][-1]

    def wait_started(self, job: Job) -> None:
        """Wait until a job has reported its first step."""
        self.wait(lambda: self.of(job, JobProgress))

    def states(self) -> list[EngineStateChanged]:
        """The state changes so far."""
        return [event for event in self.events if isinstance(event, EngineStateChanged)]

    def of(self, job: Job, *kinds: type) -> list[Any]:
        """The events of a job of some kinds so far."""
        return [e for e in self.events if isinstance(e, kinds) and e.job == job.id]

    def _receive(self, event: EngineEvent) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()
        for reaction in self._reactions:
            reaction(event)
