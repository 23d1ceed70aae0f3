"""Where the backend lives: loads it, renders one job, turns every exception into an outcome."""

from __future__ import annotations

import importlib
import time
import traceback
from collections.abc import Callable
from typing import Final

import numpy as np
import psutil
from numpy.typing import NDArray

from napari_histodiff.core.backend import Backend, BackendFactory, Step
from napari_histodiff.core.engine import Job, JobPreview, JobProgress, JobStep
from napari_histodiff.core.errors import (
    Cancelled,
    EngineUnavailable,
    HistodiffError,
    ModelInvalid,
    OutOfMemory,
)
from napari_histodiff.core.listeners import Throttle
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.engine.messages import (
    Failed,
    Loaded,
    LoadFailed,
    Outcome,
    Problem,
    Rendered,
    Stopped,
)

__all__ = ["BackendHost", "resolve_factory"]

#: Seconds between two step previews of a job: making one costs the model time.
_PREVIEW_INTERVAL: Final = 0.25


class BackendHost:
    """Keeps one backend loaded for many jobs; runs in the process and thread of the model."""

    def __init__(self) -> None:
        self._backend: Backend | None = None

    def load(self, factory: BackendFactory | str) -> Loaded | LoadFailed:
        """Build the backend from a factory or its import path "module:function"."""
        try:
            self._backend = resolve_factory(factory)()
            return Loaded(self._backend.info, _resident_bytes())
        except Exception as error:  # noqa: BLE001 - whatever a model raises must reach the user
            advice = "read the details, repair the installation or the model folder, start again"
            return LoadFailed(_problem(error, "the model to load", advice))

    def render(
        self, job: Job, *, is_cancelled: Callable[[], bool], report: Callable[[JobStep], None]
    ) -> Outcome:
        """Render one job and report its steps; a preview is made only when one is due."""
        request = job.request
        throttle = Throttle(_PREVIEW_INTERVAL)

        def on_step(step: Step) -> None:
            if is_cancelled():
                raise Cancelled("expected the job to run on, got a cancel; submit it again")
            report(JobProgress(job.id, step.done, step.total))
            if step.done < step.total and throttle.ready():
                report(JobPreview(job.id, step.preview()))

        start = time.perf_counter()
        try:
            if self._backend is None:
                raise EngineUnavailable("expected a loaded model, got none; start the engine")
            if is_cancelled():
                return Stopped(_resident_bytes())
            (images,) = self._backend.render([request], on_step=on_step)
            _check_images(images, request)
            return Rendered(images, time.perf_counter() - start, _resident_bytes())
        except Cancelled:
            return Stopped(_resident_bytes())
        except Exception as error:  # noqa: BLE001 - one bad job must not end the worker
            advice = "read the details; try another frame or settings, or report it as a bug"
            return Failed(_problem(error, "the model to render", advice), _resident_bytes())


def resolve_factory(factory: BackendFactory | str) -> BackendFactory:
    """Import the factory behind "module:function"; a callable is returned as it is.

    Raises
    ------
    EngineUnavailable
        When the path has another form or names nothing callable.
    """
    if not isinstance(factory, str):
        return factory
    module, _, name = factory.partition(":")
    if not (module and name):
        raise EngineUnavailable(
            f'expected a backend as "module:function", got {factory!r}; write it in that form'
        )
    found: object = getattr(importlib.import_module(module), name, None)
    if not callable(found):
        raise EngineUnavailable(
            f"expected a function {name!r} in {module}, got {found!r}; check the name"
        )
    return found


def _problem(error: Exception, expected: str, advice: str) -> Problem:
    """Keep the type and message of our own errors, give the others advice."""
    details = traceback.format_exc()
    if isinstance(error, HistodiffError):
        return Problem.of(error, details)
    got = f"{type(error).__name__}: {error}"
    if isinstance(error, MemoryError):
        short = f"expected enough memory, got {got}; choose a smaller frame or fewer variants"
        return Problem.of(OutOfMemory(short), details)
    return Problem.of(HistodiffError(f"expected {expected}, got {got}; {advice}"), details)


def _check_images(images: NDArray[np.uint8], request: EditRequest) -> None:
    expected = (request.variants, *request.drawn.shape, 3)
    if images.shape != expected or images.dtype != np.uint8:
        raise ModelInvalid(
            f"expected images of shape {expected} uint8 from the backend, got {images.shape} "
            f"{images.dtype}; correct the backend"
        )


def _resident_bytes() -> int:
    return int(psutil.Process().memory_info().rss)
