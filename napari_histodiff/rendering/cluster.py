"""The workers: processes of this machine over TLS, or those of any dask scheduler."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dask
from dask.system import CPU_COUNT
from distributed import Client, Security

from napari_histodiff.core.errors import EngineUnavailable
from napari_histodiff.engine.cluster import private_cluster
from napari_histodiff.engine.process import child_environment

__all__ = ["certificates", "connected"]

_CONNECT_SECONDS = 30

#: Of the parent's environment a worker inherits everything; these are set before it starts.
_THREAD_VARIABLES = (
    "OMP_WAIT_POLICY",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
)


def certificates(authority: Path, certificate: Path, key: Path) -> Security:
    """Return what a client shows to a scheduler; all three files are PEM."""
    return Security(
        tls_ca_file=str(authority),
        tls_client_cert=str(certificate),
        tls_client_key=str(key),
        require_encryption=True,
    )


@contextmanager
def connected(scheduler: str | None, workers: int, security: Security | None) -> Iterator[Client]:
    """Give a client of a scheduler's workers, or of `workers` processes started for it here.

    Parameters
    ----------
    scheduler : str, optional
        For example "tls://node7:8786".
    workers : int
        Processes to start where there is no scheduler; they share the cores.
    security : Security, optional
        Certificates of the scheduler; by default what dask's configuration names.

    Raises
    ------
    EngineUnavailable
        When the scheduler does not answer or the processes do not start.
    """
    with ExitStack() as stack:
        failure = ""
        try:
            address = scheduler
            if address is None:
                address, security = stack.enter_context(_local(workers))
            client = stack.enter_context(
                # Not the default client: other dask arrays must not be computed by our workers.
                Client(
                    address,
                    security=security,
                    timeout=_CONNECT_SECONDS,
                    set_as_default=False,
                    direct_to_workers=scheduler is None,
                )
            )
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            failure = f"{type(error).__name__}: {error}"
        if failure:
            # Here and now: a client that never connected takes, when it is collected, a lock that
            # the start of another one may hold at that moment.
            gc.collect()
            raise EngineUnavailable(
                f"expected {workers} worker processes, got {failure}; check that new processes are "
                'allowed, and call render_slide under `if __name__ == "__main__":` in a script'
                if scheduler is None
                else f"expected an answer from {scheduler}, got {failure}; check the address, the "
                "certificates (--tls-ca, --tls-cert, --tls-key) and that it runs"
            )
        yield client


@contextmanager
def _local(workers: int) -> Iterator[tuple[str, Security]]:
    share = None if "OMP_NUM_THREADS" in os.environ else max(1, CPU_COUNT // workers)
    environment = child_environment(CPU_COUNT, share)
    security = Security.temporary()
    settings = {
        # Before the process starts: numpy reads them when it loads.
        "distributed.nanny.pre-spawn-environ": {
            name: environment[name] for name in _THREAD_VARIABLES
        },
        # Nothing is to be read on the HTTP ports that dask always opens.
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
    }
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(settings))
        with _deaf_to_interrupts():
            cluster = stack.enter_context(
                private_cluster(
                    workers,
                    security,
                    threads_per_worker=1,
                    processes=True,
                    memory_limit=0,
                    silence_logs="CRITICAL",  # a worker's end is told by the render itself
                )
            )
        yield cluster.scheduler_address, security


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back from threads and processes started within, and from us meanwhile.

    A terminal sends it to the workers too, who would fill it with their tracebacks.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    # It starts with the first process otherwise, and makes that process hear again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
