"""What an engine tells: exactly one terminal event per job, and states of the worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.protocols import BackendInfo

__all__ = [
    "EngineEvent",
    "EngineState",
    "EngineStateChanged",
    "JobCancelled",
    "JobFailed",
    "JobFinished",
    "JobPreview",
    "JobProgress",
    "JobStarted",
    "Listener",
]


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


EngineEvent = (
    EngineStateChanged
    | JobStarted
    | JobProgress
    | JobPreview
    | JobFinished
    | JobCancelled
    | JobFailed
)

#: Called from any thread; a listener must hand over to its own thread before it touches Qt.
Listener = Callable[[EngineEvent], None]
