"""What a runner tells the engine that owns it; plain data that can cross a process border."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core import errors
from napari_histodiff.core.backend import BackendInfo
from napari_histodiff.core.engine import Job, JobStep

__all__ = [
    "Died",
    "Ended",
    "Failed",
    "Greeting",
    "LoadFailed",
    "Loaded",
    "Loading",
    "Message",
    "Outcome",
    "Problem",
    "Rendered",
    "Report",
    "Runner",
    "Stopped",
]


@dataclass(frozen=True, slots=True)
class Problem:
    """An error of our family as text, because exceptions do not survive every pickle.

    (dask installs tblib's reducers, which cannot rebuild a subclass of MemoryError.)
    """

    kind: str
    message: str
    details: str = ""

    @classmethod
    def of(cls, error: errors.HistodiffError, details: str = "") -> Problem:
        """Describe an error; one of a class we do not know becomes its nearest base."""
        kind = next(base.__name__ for base in type(error).__mro__ if _is_ours(base))
        return cls(kind, str(error), details)

    @property
    def error(self) -> errors.HistodiffError:
        """The error again."""
        kind: type[errors.HistodiffError] = getattr(errors, self.kind)
        return kind(self.message)


def _is_ours(kind: type) -> bool:
    return getattr(errors, kind.__name__, None) is kind


@dataclass(frozen=True, slots=True)
class Loading:
    """The worker is up and begins to load the model."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The model is loaded; `memory` is the worker's resident bytes."""

    info: BackendInfo
    memory: int


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """The worker could not be started or the model not be loaded."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a worker on another machine says first: its release, and whether the model is loaded."""

    version: str
    answer: Loaded | LoadFailed


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """A job's pixels, (variants, h, w, 3) uint8."""

    images: NDArray[np.uint8]
    seconds: float
    memory: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """A job saw its cancel flag."""

    memory: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A job raised; the details are the traceback."""

    problem: Problem
    memory: int


Outcome = Rendered | Stopped | Failed


@dataclass(frozen=True, slots=True)
class Ended:
    """The worker is done with a job."""

    job: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Died:
    """The worker process ended without being asked to; the details are its last output."""

    problem: Problem


Message = Loading | Loaded | LoadFailed | JobStep | Ended | Died
#: Steps of a job are told as the engine tells them.
Report = Callable[[Message], None]


class Runner(Protocol):
    """Holds one loaded backend and renders one job at a time; called from one thread only."""

    def start(self, report: Report) -> None:
        """Begin to load the backend and return at once; `report` may be called from any thread."""

    def run(self, job: Job) -> None:
        """Begin to render and return at once; `Ended` or `Died` follows."""

    def cancel(self, job: Job) -> None:
        """Raise the flag of the running job; it ends within one network evaluation."""

    def stop(self) -> None:
        """Stop the worker and what runs in it, and wait until it is gone; idempotent."""
