"""Contract of an engine: it runs jobs and tells events, exactly one terminal one per job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.backend import BackendInfo
from napari_histodiff.core.requests import EditRequest

__all__ = [
    "Engine",
    "EngineEvent",
    "EngineState",
    "EngineStateChanged",
    "Job",
    "JobCancelled",
    "JobFailed",
    "JobFinished",
    "JobPreview",
    "JobProgress",
    "JobStarted",
    "JobStep",
    "Listener",
]


@dataclass(frozen=True, slots=True)
class Job:
    """A handle on a submitted request.

    Attributes
    ----------
    id : str
    request : EditRequest
    behind : bool
        Whether nobody waits for it: it begins after all that somebody asked for.
    """

    id: str
    request: EditRequest
    behind: bool = False


@runtime_checkable
class Engine(Protocol):
    """Runs jobs one at a time; exactly one of finished / cancelled / failed follows each submit."""

    @property
    def state(self) -> EngineState:
        """The present state."""

    @property
    def info(self) -> BackendInfo | None:
        """The backend's description once the model is loaded."""

    def start(self) -> None:
        """Start in the background and return at once; repeated calls do nothing."""

    def restart(self) -> None:
        """Start afresh in the background, whatever the state; a running job is cancelled."""

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every event, from any thread; returns the function that stops it."""

    def submit(self, request: EditRequest, *, behind: bool = False) -> Job:
        """Queue a request and return at once; starts the engine when it is not running.

        One that is `behind` begins after all that are not, also those submitted later.
        """

    def cancel(self, job: Job) -> None:
        """Ask a job to stop; it ends within one network evaluation. Ended jobs are left alone."""

    def close(self) -> None:
        """Cancel everything, stop the worker and leave no process behind; idempotent."""


class EngineState(StrEnum):
    """What the engine is doing, as the status line shows it."""

    STARTING = "starting"
    LOADING = "loading model"
    READY = "ready"
    BUSY = "busy"
    DEAD = "dead"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class EngineStateChanged:
    """The engine changed its state; `memory` is the worker's resident bytes, 0 when unknown.

    `info` is set from READY on; `message` tells why the engine is dead, with the next step.
    """

    state: EngineState
    info: BackendInfo | None = None
    memory: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class JobStarted:
    """The worker began the job."""

    job: str


@dataclass(frozen=True, slots=True)
class JobProgress:
    """`done` of `total` units of work (network evaluations, all variants and phases) are done."""

    job: str
    done: int
    total: int
    message: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class JobPreview:
    """The current estimate of the first unfinished variant, (h, w, 3) uint8."""

    job: str
    image: NDArray[np.uint8]


#: What is told while a job runs, and worth nothing once something newer of its kind is.
JobStep = JobProgress | JobPreview


@dataclass(frozen=True, slots=True, eq=False)
class JobFinished:
    """Terminal: `images` is (variants, h, w, 3) uint8; `seconds` the worker's wall time."""

    job: str
    images: NDArray[np.uint8]
    seconds: float


@dataclass(frozen=True, slots=True)
class JobCancelled:
    """Terminal: the job was stopped on request; no pixels exist."""

    job: str


@dataclass(frozen=True, slots=True)
class JobFailed:
    """Terminal: `error` carries the message with the next step, `details` the traceback text."""

    job: str
    error: Exception
    details: str = ""


EngineEvent = EngineStateChanged | JobStarted | JobStep | JobFinished | JobCancelled | JobFailed

#: Called from any thread; a listener must hand over to its own thread before it touches Qt.
Listener = Callable[[EngineEvent], None]
