"""The default engine: one dask worker in a process of its own on this machine."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from napari_histodiff.core.backend import BackendFactory
from napari_histodiff.core.engine import Job
from napari_histodiff.core.errors import EngineUnavailable
from napari_histodiff.engine.messages import LoadFailed, Problem, Report
from napari_histodiff.engine.serial import SerialEngine

if TYPE_CHECKING:
    from napari_histodiff.engine.connection import Connection

__all__ = ["DaskRunner", "LocalEngine"]


class LocalEngine(SerialEngine):
    """Runs jobs in a worker process of `dask.distributed`, over loopback with temporary TLS.

    The model never enters this process, so it can neither slow its event loop nor take it down.

    Parameters
    ----------
    factory : str or callable
        Import path "module:function" of what makes the backend, called in the worker; a callable
        must be picklable and its module be importable here without torch.
    threads : int, optional
        Threads of the model; by default all cores but one, at least one.
    niceness : int
        How far the worker's priority is lowered (POSIX nice value; on Windows "below normal").
    environment : mapping, optional
        Further environment variables of the worker, set before it starts.
    """

    def __init__(
        self,
        factory: BackendFactory | str,
        *,
        threads: int | None = None,
        niceness: int = 10,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        runner = DaskRunner(partial(_own_cluster, factory, threads, niceness, environment))
        super().__init__(runner)
        self._dask_runner = runner

    @property
    def worker_pid(self) -> int | None:
        """Process id of the worker, None while there is none."""
        return self._dask_runner.worker_pid


class DaskRunner:
    """A fresh connection for every start, so that nothing of a dead worker is carried over.

    Parameters
    ----------
    connect : callable
        Makes what `open` is called on, in a thread; dask is imported there, as it takes its time.
    """

    def __init__(self, connect: Callable[[Report], Connection]) -> None:
        self._connect = connect
        self._cluster: Connection | None = None
        self._opening: threading.Thread | None = None

    @property
    def worker_pid(self) -> int | None:
        """Process id of the worker, None while there is none."""
        return getattr(self._cluster, "worker_pid", None)

    def start(self, report: Report) -> None:
        """Connect in a thread: importing dask and starting it takes about a second."""
        self._opening = threading.Thread(
            target=self._open, args=(report,), name="histodiff-start", daemon=True
        )
        self._opening.start()

    def run(self, job: Job) -> None:
        """Send a job to the worker."""
        if self._cluster is not None:
            self._cluster.render(job)

    def cancel(self, job: Job) -> None:
        """Raise the job's flag in the worker."""
        if self._cluster is not None:
            self._cluster.cancel(job)

    def stop(self) -> None:
        """End the worker and close the cluster."""
        if self._opening is not None:
            self._opening.join()
            self._opening = None
        if self._cluster is not None:
            self._cluster.close()
            self._cluster = None

    def _open(self, report: Report) -> None:
        try:
            self._cluster = self._connect(report)
            self._cluster.open()
        except Exception as error:  # noqa: BLE001 - the user must see why nothing starts
            failure = EngineUnavailable(
                f"expected the worker to start, got {type(error).__name__}: {error}; "
                "check that new processes and local connections are allowed, then start again"
            )
            report(LoadFailed(Problem.of(failure, traceback.format_exc())))


def _own_cluster(
    factory: BackendFactory | str,
    threads: int | None,
    niceness: int,
    environment: Mapping[str, str] | None,
    report: Report,
) -> Connection:
    from napari_histodiff.engine.cluster import Cluster

    return Cluster(report, factory, threads, niceness, environment)
