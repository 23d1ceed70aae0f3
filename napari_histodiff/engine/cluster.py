"""A dask scheduler and client in this process, and one worker process connected over TLS."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import pickle
import tempfile
import traceback
import uuid
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import dask
from dask.system import CPU_COUNT
from distributed import Client, Future, LocalCluster, Security
from distributed.gc import disable_gc_diagnosis

from napari_histodiff.core.backend import BackendFactory
from napari_histodiff.core.engine import Job
from napari_histodiff.core.errors import EngineUnavailable, WorkerDied
from napari_histodiff.engine import worker
from napari_histodiff.engine.messages import (
    Died,
    Ended,
    Failed,
    Loaded,
    LoadFailed,
    Loading,
    Problem,
    Report,
)
from napari_histodiff.engine.process import WorkerProcess, child_environment

__all__ = ["Cluster"]


#: dask may see a lost connection a little before the system has reaped the process.
_END_POLLS, _END_POLL_SECONDS = 20, 0.1


class Cluster:
    """One worker's lifetime; everything it has to say goes to `report`."""

    def __init__(
        self,
        report: Report,
        factory: BackendFactory | str,
        threads: int | None,
        niceness: int,
        environment: Mapping[str, str] | None,
    ) -> None:
        self._factory = factory
        self._report = report
        self._threads = threads
        self._niceness = niceness
        self._environment = environment
        self._stack = contextlib.ExitStack()
        self._client: Client | None = None
        self._process: WorkerProcess | None = None
        self._worker = ""
        self._loaded = False
        self._log_filter = _EndsOfOurs()
        self._tasks: set[asyncio.Future[None]] = set()

    @property
    def worker_pid(self) -> int | None:
        """Process id of the worker, None while there is none."""
        return self._process.pid if self._process is not None else None

    def open(self) -> None:
        """Start scheduler, client and worker; `Loading` and `Loaded` follow when it connects."""
        for name in ("distributed.scheduler", "distributed.core", "distributed.comm.tcp"):
            log = logging.getLogger(name)
            log.addFilter(self._log_filter)
            self._stack.callback(log.removeFilter, self._log_filter)
        security = Security.temporary()
        topic = f"napari-histodiff-{uuid.uuid4().hex}"
        settings = {
            # Each side remembers its last messages; a thousand previews would be gigabytes.
            "distributed.admin.low-level-log-length": 16,
            # The scheduler always opens an HTTP port; nothing is to be read there.
            "distributed.scheduler.http.routes": [],
        }
        with dask.config.set(settings):
            cluster: LocalCluster = self._stack.enter_context(
                LocalCluster(
                    n_workers=0,
                    security=security,
                    protocol="tls",
                    host="127.0.0.1",
                    scheduler_port=0,
                    dashboard_address="127.0.0.1:0",  # any free port, not dask's 8787
                    scheduler_kwargs={"dashboard": False},
                )
            )
            # Its callback at every garbage collection costs the window time, and trips over
            # collections that another thread has begun.
            disable_gc_diagnosis()
            # Not the default client: dask arrays of the window must not be computed by our worker.
            self._client = self._stack.enter_context(
                Client(cluster, set_as_default=False, direct_to_workers=True)
            )
        self._log_filter.addresses.append(cluster.scheduler_address)
        self._client.subscribe_topic(topic, self._receive)
        directory = self._stack.enter_context(
            tempfile.TemporaryDirectory(prefix="histodiff-", ignore_cleanup_errors=True)
        )
        self._process = WorkerProcess(
            {
                "scheduler": cluster.scheduler_address,
                "security": {
                    "tls_ca_file": security.tls_ca_file,
                    "tls_worker_cert": security.tls_worker_cert,
                    "tls_worker_key": security.tls_worker_key,
                },
                "topic": topic,
                "niceness": self._niceness,
                "directory": directory,
            },
            child_environment(CPU_COUNT, self._threads, self._environment),
            self._died,
        )

    def render(self, job: Job) -> None:
        """Send a job to the worker and return at once; `Ended` follows."""
        self._spawn(self._render(job))

    def cancel(self, job: Job) -> None:
        """Raise a job's flag in the worker and return at once."""
        self._spawn(self._cancel(job))

    def close(self) -> None:
        """End the worker, then scheduler and client; idempotent."""
        if self._process is not None:
            self._process.stop()
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

    def _receive(self, event: tuple[float, dict[str, Any]]) -> None:
        _, message = event
        if worker.HELLO in message:
            self._worker = message[worker.HELLO]
            self._log_filter.addresses.append(self._worker)
            self._report(Loading())
            self._spawn(self._load())
        else:
            self._report(worker.decode_step(message))

    async def _load(self) -> None:
        factory = self._factory
        try:
            # Pickled here and unpickled under the worker's care, so both can fail with advice.
            sent = factory if isinstance(factory, str) else pickle.dumps(factory)
            answer: Loaded | LoadFailed = await self._submit(worker.load, sent)
            self._loaded = isinstance(answer, Loaded)
            self._report(answer)
        except Exception as error:  # noqa: BLE001 - whatever dask or pickle raise
            problem = _lost("load the model", error)
            if not await self._worker_ends():
                self._report(LoadFailed(problem))

    async def _render(self, job: Job) -> None:
        try:
            # Sent ahead of its task: dask warns of large arguments, and maps are large.
            request = await self._connected().scatter(
                job.request, workers=[self._worker], hash=False
            )
            outcome = await self._submit(worker.render, job.id, request)
        except Exception as error:  # noqa: BLE001 - whatever dask or pickle raise
            problem = _lost("render", error)
            if await self._worker_ends():
                return
            outcome = Failed(problem, 0)
        self._report(Ended(job.id, outcome))

    async def _worker_ends(self) -> bool:
        """Return whether dask's error was the worker's end, which the process itself reports."""
        for _ in range(_END_POLLS):
            if self._process is not None and self._process.ended:
                return True
            await asyncio.sleep(_END_POLL_SECONDS)
        return False

    async def _cancel(self, job: Job) -> None:
        with contextlib.suppress(Exception):  # a worker that is gone is reported by its process
            await self._connected().run(worker.cancel, job.id, workers=[self._worker])

    def _died(self, reason: str, output: str) -> None:
        if self._loaded:
            advice = (
                "it is being replaced: try again, with a smaller frame or fewer variants "
                "if it happens again"
            )
        else:
            advice = "it ended before the model was loaded: read the details, then start again"
        error = WorkerDied(
            f"expected the worker process to go on, got its end by {reason}; {advice}"
        )
        self._report(Died(Problem.of(error, output)))


def _lost(task: str, error: Exception) -> Problem:
    message = (
        f"expected the worker to {task}, got {type(error).__name__}: {error}; "
        "read the details and try again"
    )
    return Problem.of(EngineUnavailable(message), traceback.format_exc())


class _EndsOfOurs(logging.Filter):
    """Drops what dask logs about connections that end with our worker: we report that ourselves."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return not any(address in message for address in self.addresses)
