"""An engine in this process, for tests, scripts and notebooks."""

from __future__ import annotations

import threading
from queue import SimpleQueue

from napari_histodiff.core.backend import BackendFactory
from napari_histodiff.core.engine import Job
from napari_histodiff.engine.host import BackendHost
from napari_histodiff.engine.messages import Ended, Loaded, Loading, Report
from napari_histodiff.engine.serial import SerialEngine

__all__ = ["InlineEngine"]


class InlineEngine(SerialEngine):
    """Runs jobs in one background thread of this process.

    The same contract as `LocalEngine` without a second process: it starts faster and a debugger
    reaches the model, but a crash of the model takes this process with it.

    Parameters
    ----------
    factory : callable or str
        Makes the backend, or its import path "module:function"; called in the background thread.
    """

    def __init__(self, factory: BackendFactory | str) -> None:
        super().__init__(ThreadRunner(factory))


class ThreadRunner:
    """Loads and renders in one thread, because some backends are bound to theirs."""

    def __init__(self, factory: BackendFactory | str) -> None:
        self._factory = factory
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._cancel = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, report: Report) -> None:
        """Start the thread and load the backend in it."""
        self._jobs = SimpleQueue()
        self._cancel = threading.Event()
        self._thread = threading.Thread(
            target=_serve,
            args=(self._factory, self._jobs, self._cancel, report),
            name="histodiff-backend",
            daemon=True,
        )
        self._thread.start()

    def run(self, job: Job) -> None:
        """Hand a job to the thread."""
        self._cancel.clear()
        self._jobs.put(job)

    def cancel(self, job: Job) -> None:
        """Make the next network evaluation of the running job its last."""
        self._cancel.set()

    def stop(self) -> None:
        """Cancel the running job and join the thread."""
        self._cancel.set()
        self._jobs.put(None)
        if self._thread is not None:
            self._thread.join()
            self._thread = None


def _serve(
    factory: BackendFactory | str,
    jobs: SimpleQueue[Job | None],
    cancel: threading.Event,
    report: Report,
) -> None:
    host = BackendHost()
    report(Loading())
    loaded = host.load(factory)
    report(loaded)
    if not isinstance(loaded, Loaded):
        return
    while (job := jobs.get()) is not None:
        outcome = host.render(job, is_cancelled=cancel.is_set, report=report)
        report(Ended(job.id, outcome))
