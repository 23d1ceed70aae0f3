"""A dask scheduler and client in this process, and one worker process connected over TLS."""

from __future__ import annotations

import asyncio
import logging
import pickle
import tempfile
from collections.abc import Mapping
from typing import Any

import dask
from dask.system import CPU_COUNT
from distributed import Client, LocalCluster, Security
from distributed.gc import disable_gc_diagnosis

from napari_histodiff.core.backend import BackendFactory
from napari_histodiff.core.errors import WorkerDied
from napari_histodiff.engine import worker
from napari_histodiff.engine.connection import Connection, lost
from napari_histodiff.engine.messages import (
    Died,
    Loaded,
    LoadFailed,
    Loading,
    Problem,
    Report,
)
from napari_histodiff.engine.process import WorkerProcess, child_environment

__all__ = ["Cluster", "private_cluster"]

#: dask may see a lost connection a little before the system has reaped the process.
_END_POLLS, _END_POLL_SECONDS = 20, 0.1


def private_cluster(workers: int, security: Security, **more: Any) -> LocalCluster:
    """Make a scheduler and workers that only who has its keys reaches, on this machine."""
    return LocalCluster(
        n_workers=workers,
        security=security,
        protocol="tls",
        host="127.0.0.1",
        scheduler_port=0,
        dashboard_address="127.0.0.1:0",  # any free port, not dask's 8787
        scheduler_kwargs={"dashboard": False},
        **more,
    )


class Cluster(Connection):
    """One worker process's lifetime; everything it has to say goes to `report`."""

    def __init__(
        self,
        report: Report,
        factory: BackendFactory | str,
        threads: int | None,
        niceness: int,
        environment: Mapping[str, str] | None,
    ) -> None:
        super().__init__(report)
        self._factory = factory
        self._threads = threads
        self._niceness = niceness
        self._environment = environment
        self._process: WorkerProcess | None = None
        self._loaded = False
        self._log_filter = _EndsOfOurs()

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
        settings = {
            # Each side remembers its last messages; a thousand previews would be gigabytes.
            "distributed.admin.low-level-log-length": 16,
            # The scheduler always opens an HTTP port; nothing is to be read there.
            "distributed.scheduler.http.routes": [],
        }
        with dask.config.set(settings):
            cluster = self._stack.enter_context(private_cluster(0, security))
            # Its callback at every garbage collection costs the window time, and trips over
            # collections that another thread has begun.
            disable_gc_diagnosis()
            # Not the default client: dask arrays of the window must not be computed by our worker.
            self._client = self._stack.enter_context(
                Client(cluster, set_as_default=False, direct_to_workers=True)
            )
        self._log_filter.addresses.append(cluster.scheduler_address)
        self._client.subscribe_topic(self._topic, self._receive)
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
                "topic": self._topic,
                "niceness": self._niceness,
                "directory": directory,
            },
            child_environment(CPU_COUNT, self._threads, self._environment),
            self._died,
        )

    def close(self) -> None:
        """End the worker, then scheduler and client; idempotent."""
        if self._process is not None:
            self._process.stop()
        super().close()

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
            problem = lost("load the model", error)
            if not await self._worker_ends():
                self._report(LoadFailed(problem))

    async def _worker_ends(self) -> bool:
        """Return whether dask's error was the worker's end, which the process itself reports."""
        for _ in range(_END_POLLS):
            if self._process is not None and self._process.ended:
                return True
            await asyncio.sleep(_END_POLL_SECONDS)
        return False

    def _died(self, reason: str, output: str) -> None:
        if self._loaded:
            advice = (
                "it is being replaced: try again, with a smaller frame or fewer variants "
                "if it happens again"
            )
        else:
            advice = "it ended before the model was loaded: read the details, then start again"
        error = WorkerDied(
            f"expected the drawing to go on, got the end of its process by {reason}; {advice}"
        )
        self._report(Died(Problem.of(error, output)))


class _EndsOfOurs(logging.Filter):
    """Drops what dask logs about connections that end with our worker: we report that ourselves."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return not any(address in message for address in self.addresses)
