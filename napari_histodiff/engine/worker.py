"""What runs in the worker process: a dask worker that keeps one backend loaded."""

from __future__ import annotations

import asyncio
import os
import pickle
from functools import partial
from importlib.metadata import version
from typing import Any, ClassVar

import numpy as np
from distributed import Security, Worker, WorkerPlugin, get_worker

from napari_histodiff.core.backend import Backend, BackendFactory
from napari_histodiff.core.engine import Job, JobPreview, JobProgress, JobStep
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.engine.host import BackendHost
from napari_histodiff.engine.messages import Greeting, Loaded, LoadFailed, Outcome
from napari_histodiff.engine.process import lower_priority

__all__ = ["HELLO", "HostPlugin", "cancel", "decode_step", "greet", "load", "main", "render"]

#: First event of a worker: it is connected and takes jobs.
HELLO = "hello"


class HostPlugin(WorkerPlugin):
    """Keeps the backend and the cancel flags on a worker and sends steps as worker events."""

    name: ClassVar[str] = "napari-histodiff"

    def __init__(self, topic: str) -> None:
        self.host = BackendHost()
        self.cancelled: set[str] = set()
        self._ended = False
        self._topic = topic
        self._worker: Worker | None = None
        self._loaded: Loaded | LoadFailed | None = None

    def setup(self, worker: Worker) -> None:
        """Remember the worker; called by it once."""
        self._worker = worker

    def send(self, message: dict[str, Any], topic: str = "") -> None:
        """Send an event, by default to the window that started this; it must suit msgpack."""
        if self._worker is not None:
            self._worker.log_event(topic or self._topic, message)

    def send_step(self, topic: str, step: JobStep) -> None:
        """Send one step; `decode_step` is its other end."""
        if isinstance(step, JobProgress):
            self.send({"job": step.job, "done": step.done, "total": step.total}, topic)
        else:
            pixels = np.ascontiguousarray(step.image).tobytes()
            preview = {"job": step.job, "preview": pixels, "shape": list(step.image.shape)}
            self.send(preview, topic)

    def end(self) -> None:
        """Have what is being drawn end at its next step: nobody is there to take it."""
        self._ended = True

    def is_cancelled(self, job: str) -> bool:
        """Return whether a job is to end."""
        return self._ended or job in self.cancelled

    def load_once(self, factory: BackendFactory | str) -> Loaded | LoadFailed:
        """Load the backend, unless it is loaded for another window already."""
        if not isinstance(self._loaded, Loaded):
            self._loaded = self.host.load(factory)
        return self._loaded


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


def greet(factory: BackendFactory | str) -> Greeting:
    """Say which release this is, and load the backend where that is not done; a task."""
    dask_worker = get_worker()
    plugin: Any = dask_worker.plugins.get(HostPlugin.name)
    if plugin is None:  # a worker that somebody started for anything
        plugin = HostPlugin("")
        plugin.setup(dask_worker)
        dask_worker.plugins[HostPlugin.name] = plugin
    return Greeting(version("napari-histodiff"), plugin.load_once(factory))


def render(job: str, request: EditRequest, topic: str) -> Outcome:
    """Render one job and tell its steps to a topic; a task."""
    plugin = _plugin(get_worker())
    try:
        return plugin.host.render(
            Job(job, request),
            is_cancelled=lambda: plugin.is_cancelled(job),
            report=partial(plugin.send_step, topic),
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
