"""What all engines of dask have in common: jobs sent to one worker, and its steps heard."""

from __future__ import annotations

import asyncio
import contextlib
import traceback
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from napari_histodiff.core.engine import Job
from napari_histodiff.core.errors import EngineUnavailable
from napari_histodiff.engine import worker
from napari_histodiff.engine.messages import Ended, Failed, Problem, Report

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["Connection", "lost"]


class Connection(ABC):
    """One worker's lifetime, seen from here; everything it has to say goes to `report`."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._stack = contextlib.ExitStack()
        self._client: Client | None = None
        self._worker = ""
        self._topic = f"napari-histodiff-{uuid.uuid4().hex}"
        self._tasks: set[asyncio.Future[None]] = set()
        self._rendering: Job | None = None

    @abstractmethod
    def open(self) -> None:
        """Connect; `Loading` and `Loaded` follow."""

    @abstractmethod
    async def _worker_ends(self) -> bool:
        """Return whether dask's error was the worker's end, which is reported apart."""

    def render(self, job: Job) -> None:
        """Send a job to the worker and return at once; `Ended` follows."""
        self._spawn(self._render(job))

    def cancel(self, job: Job) -> None:
        """Raise a job's flag in the worker and return at once."""
        self._spawn(self._cancel(job))

    def close(self) -> None:
        """Let go of the worker; idempotent."""
        self._stack.close()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run in the client's event loop, where events and results arrive in order."""
        loop: Any = self._connected().loop
        loop.add_callback(self._begin, coroutine)

    def _begin(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)  # the event loop itself keeps no hold on a task
        task.add_done_callback(self._tasks.discard)

    def _connected(self) -> Client:
        if self._client is None:
            raise EngineUnavailable("expected a running worker, got none; start the engine")
        return self._client

    def _submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        # Bound to this worker and never repeated: a job that killed its worker would kill the next.
        return self._connected().submit(
            function, *arguments, workers=[self._worker], pure=False, retries=0
        )

    async def _render(self, job: Job) -> None:
        self._rendering = job
        try:
            # Sent ahead of its task: dask warns of large arguments, and maps are large.
            request = await self._connected().scatter(
                job.request, workers=[self._worker], hash=False
            )
            outcome = await self._submit(worker.render, job.id, request, self._topic)
        except Exception as error:  # noqa: BLE001 - whatever dask or pickle raise
            problem = lost("render", error)
            if await self._worker_ends():
                return
            outcome = Failed(problem, 0)
        finally:
            self._rendering = None
        self._report(Ended(job.id, outcome))

    async def _cancel(self, job: Job) -> None:
        with contextlib.suppress(Exception):  # a worker that is gone is reported apart
            await self._connected().run(worker.cancel, job.id, workers=[self._worker])


def lost(task: str, error: Exception) -> Problem:
    """Return what is said of a task that dask or pickle broke off."""
    message = (
        f"expected the worker to {task}, got {type(error).__name__}: {error}; "
        "read the details and try again"
    )
    return Problem.of(EngineUnavailable(message), traceback.format_exc())
