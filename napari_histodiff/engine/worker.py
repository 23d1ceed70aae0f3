"""What runs in the worker process: a dask worker that keeps one backend loaded."""

from __future__ import annotations

import asyncio
import os
import pickle
from functools import partial
from typing import Any, ClassVar

import numpy as np
from distributed import Security, Worker, WorkerPlugin, get_worker

from napari_histodiff.core.backend import Backend
from napari_histodiff.core.engine import Job, JobPreview, JobProgress, JobStep
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.engine.host import BackendHost
from napari_histodiff.engine.messages import Loaded, LoadFailed, Outcome
from napari_histodiff.engine.process import lower_priority

__all__ = ["HELLO", "HostPlugin", "cancel", "decode_step", "load", "main", "render"]

#: First event of a worker: it is connected and takes jobs.
HELLO = "hello"


class HostPlugin(WorkerPlugin):
    """Keeps the backend and the cancel flags on a worker and sends steps as worker events."""

    name: ClassVar[str] = "napari-histodiff"

    def __init__(self, topic: str) -> None:
        self.host = BackendHost()
        self.cancelled: set[str] = set()
        self._topic = topic
        self._worker: Worker | None = None

    def setup(self, worker: Worker) -> None:
        """Remember the worker; called by it once."""
        self._worker = worker

    def send(self, message: dict[str, Any]) -> None:
        """Send an event; everything in it must suit msgpack."""
        if self._worker is not None:
            self._worker.log_event(self._topic, message)

    def send_step(self, step: JobStep) -> None:
        """Send one step; `decode_step` is its other end."""
        if isinstance(step, JobProgress):
            self.send({"job": step.job, "done": step.done, "total": step.total})
        else:
            pixels = np.ascontiguousarray(step.image).tobytes()
            self.send({"job": step.job, "preview": pixels, "shape": list(step.image.shape)})


def decode_step(message: dict[str, Any]) -> JobStep:
    """Rebuild a step from its event."""
    if "preview" in message:
        pixels = np.frombuffer(message["preview"], np.uint8)
        return JobPreview(message["job"], pixels.reshape(message["shape"]))
    return JobProgress(message["job"], message["done"], message["total"])


def load(factory: bytes | str) -> Loaded | LoadFailed:
    """Load the backend of an import path or a pickled factory; a task."""
    host = _plugin(get_worker()).host
    return host.load(factory if isinstance(factory, str) else partial(_make, factory))


def render(job: str, request: EditRequest) -> Outcome:
    """Render one job; a task."""
    plugin = _plugin(get_worker())
    try:
        return plugin.host.render(
            Job(job, request),
            is_cancelled=lambda: job in plugin.cancelled,
            report=plugin.send_step,
        )
    finally:
        plugin.cancelled.discard(job)


def cancel(job: str, dask_worker: Worker) -> None:
    """Raise a job's cancel flag; runs in the worker's event loop, beside the task."""
    _plugin(dask_worker).cancelled.add(job)


def main(settings: dict[str, Any]) -> None:
    """Serve until the scheduler goes away; started by `process.WorkerProcess`."""
    lower_priority(settings["niceness"])
    asyncio.run(_serve(settings))
    os._exit(1)  # cut off from its scheduler; a render may still hold a thread


async def _serve(settings: dict[str, Any]) -> None:
    plugin = HostPlugin(settings["topic"])
    worker = await Worker(
        settings["scheduler"],
        nthreads=1,
        host="127.0.0.1",
        security=Security(require_encryption=True, **settings["security"]),
        plugins=(plugin,),
        memory_limit=0,
        dashboard=False,
        local_directory=settings["directory"],
    )
    plugin.send({HELLO: worker.address})
    await worker.finished()


def _make(factory: bytes) -> Backend:
    backend: Backend = pickle.loads(factory)()
    return backend


def _plugin(worker: Worker) -> HostPlugin:
    plugin = worker.plugins[HostPlugin.name]
    if not isinstance(plugin, HostPlugin):
        raise TypeError(f"expected a HostPlugin on the worker, got {plugin!r}; restart the engine")
    return plugin
