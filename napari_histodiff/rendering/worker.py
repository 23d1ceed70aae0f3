"""What runs in a dask worker, or in this process: draw blocks of a slide on a loaded backend."""

from __future__ import annotations

import asyncio
import json
import pickle
import platform
import threading
import time
import traceback
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.backend import Backend, BackendFactory, BackendInfo
from napari_histodiff.core.digest import digest_of
from napari_histodiff.core.engine import Job
from napari_histodiff.core.errors import (
    Cancelled,
    HistodiffError,
    InvalidRequest,
    ModelInvalid,
    StorageError,
)
from napari_histodiff.core.geometry import Region
from napari_histodiff.engine.host import BackendHost, resolve_factory
from napari_histodiff.engine.messages import Failed, Loaded, Problem, Rendered
from napari_histodiff.slide.store import SlideStore
from napari_histodiff.slide.streaming.tile_requests import (
    block_labels,
    block_pixels,
    block_request,
    glass_labels,
    glass_pixels,
    keeps_labels,
)

__all__ = [
    "BlockDrawer",
    "BlockJob",
    "Drawing",
    "Drawings",
    "ModelFactory",
    "WorkerProblem",
    "WorkerReady",
    "content_of",
    "draw_block",
    "load_and_check",
    "pack_factory",
    "package_version",
    "raised",
]


@dataclass(frozen=True, slots=True)
class ModelFactory:
    """Makes the backend of a model folder and device without importing it, and torch, here.

    Parameters
    ----------
    path : str
        "module:function"; the function takes model folder and device.
    model : str, optional
        Model folder as the workers find it; the bundled model by default.
    device : str
        "auto", "cpu", "cuda:0" ...
    """

    path: str
    model: str | None = None
    device: str = "auto"

    def __call__(self) -> Backend:
        """Load the model."""
        make: Callable[..., Backend] = resolve_factory(self.path)
        return make(self.model, self.device)


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """A drawn block: of its whole tiles (h, w, 3) uint8 pixels and, at level 0, int32 labels.

    `blank` is bare glass, drawn without the model.
    """

    block: Region
    pixels: NDArray[np.uint8]
    labels: NDArray[np.int32] | None
    blank: bool


#: Closed when no more are wanted.
Drawings = Generator[Drawing, None, None]


class BlockDrawer:
    """Keeps one backend loaded; threads may prepare blocks side by side but draw in turn.

    Parameters
    ----------
    factory : str or bytes
        As `pack_factory` returns it.

    Raises
    ------
    HistodiffError
        When the model cannot be loaded.
    """

    def __init__(self, factory: str | bytes) -> None:
        self._host = BackendHost()
        self._lock = threading.Lock()
        # Unpickled under the host's care, which gives its errors advice.
        loaded = self._host.load(factory if isinstance(factory, str) else partial(_make, factory))
        if not isinstance(loaded, Loaded):
            raise raised(loaded.problem)
        self.info: BackendInfo = loaded.info

    def check(self, store: SlideStore) -> None:
        """Refuse a slide of another model.

        Raises
        ------
        ModelInvalid
            When the weights are not those the slide's recipe names.
        """
        recipe = store.recipe
        if self.info.revision != recipe.revision:
            raise ModelInvalid(
                f"expected the model {recipe.model}, revision {recipe.revision}, that this slide "
                f"is drawn with, got {self.info.name}, revision {self.info.revision}; give the "
                "slide's model, or make a new slide for this one"
            )

    def draw(self, store: SlideStore, block: Region) -> Drawing:
        """Draw a block of at most 2 x 2 tiles.

        Raises
        ------
        StorageError
            When the coarser level is not drawn there, or damaged.
        HistodiffError
            Whatever the model raises.
        """
        request = block_request(store, block)
        if request is None:
            pixels = glass_pixels(store, block)
            return Drawing(block, pixels, glass_labels(store, block), blank=True)
        with self._lock:
            job = Job(str(block), request)
            outcome = self._host.render(job, is_cancelled=lambda: False, report=lambda step: None)
        if isinstance(outcome, Failed):
            raise raised(outcome.problem)
        if not isinstance(outcome, Rendered):
            raise Cancelled("expected the model to draw a block, got a cancel; render again")
        stored = keeps_labels(store.recipe, block.level)
        labels = block_labels(request, block) if stored else None
        pixels = block_pixels(request, block, outcome.images[0])
        return Drawing(block, pixels, labels, blank=False)


def pack_factory(backend: BackendFactory | str) -> str | bytes:
    """Return a factory in a form that any worker takes: its import path, or pickled.

    Raises
    ------
    InvalidRequest
        When it cannot be pickled.
    """
    if isinstance(backend, str):
        return backend
    try:
        return pickle.dumps(backend)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InvalidRequest(
            f"expected a backend that can be sent to workers, got {backend!r} ({error}); give the "
            'import path of a function, "module:function"'
        ) from error


def content_of(store: SlideStore) -> str:
    """Return a hash of what a slide's tissue is a function of: recipe and sketch."""
    sketch = store.sketch
    drawn = () if sketch is None else (sketch.pixel, sketch.origin, sketch.classes)
    return digest_of(json.dumps(store.recipe.to_dict(), sort_keys=True), *drawn).hex()


def raised(problem: Problem) -> HistodiffError:
    """Return the error a problem was, its traceback as a note."""
    error = problem.error
    error.add_note(problem.details)
    return error


def _make(factory: bytes) -> Backend:
    backend: Backend = pickle.loads(factory)()
    return backend


_T = TypeVar("_T")

_FIRST_WAIT, _LONGEST_WAIT = 0.2, 10.0


@dataclass(frozen=True, slots=True)
class BlockJob:
    """What all blocks of one level of one run share; small and picklable.

    Attributes
    ----------
    path : str
        The slide, as every worker finds it.
    factory : str or bytes
        See `pack_factory`.
    content : str
        See `content_of`.
    epoch : str
        Run and level; a worker reads the slide's state anew for each.
    patience : float
        Seconds to wait for what the coordinator wrote to show on this machine: network file
        systems remember for up to a minute that a file was missing.
    """

    path: str
    factory: str | bytes
    content: str
    epoch: str
    patience: float


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """A worker that is ready: release of this package and device of its model."""

    version: str
    device: str


@dataclass(frozen=True, slots=True)
class WorkerProblem:
    """What a worker could not do, and why; exceptions do not survive every pickle."""

    problem: Problem


async def load_and_check(job: BlockJob) -> WorkerReady | WorkerProblem:
    """Load model and slide, and check that they belong together; beside the worker's loop."""
    return await asyncio.to_thread(_or_problem, lambda: _load_and_check(job))


def draw_block(job: BlockJob, block: Region) -> Drawing | WorkerProblem:
    """Draw one block; a task."""
    return _or_problem(lambda: _draw(job, block))


def package_version() -> str:
    """Return the release of this package."""
    return version("napari-histodiff")


class _WorkerMemory:
    """What a worker process keeps between tasks: one drawer, one slide."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._drawer: tuple[str | bytes, BlockDrawer] | None = None
        self._slide: tuple[BlockJob, SlideStore] | None = None

    def drawer(self, factory: str | bytes) -> BlockDrawer:
        with self._lock:
            if self._drawer is None or self._drawer[0] != factory:
                self._drawer = None  # two models may not fit
                self._drawer = (factory, BlockDrawer(factory))
            return self._drawer[1]

    def slide(self, job: BlockJob) -> SlideStore:
        with self._lock:
            if self._slide is None or self._slide[0] != job:
                self._slide = (job, _opened(job))
            return self._slide[1]

    def forget_slide(self) -> None:
        with self._lock:
            self._slide = None


_MEMORY = _WorkerMemory()


def _load_and_check(job: BlockJob) -> WorkerReady:
    drawer = _MEMORY.drawer(job.factory)
    _patiently(job, drawer.check)
    return WorkerReady(package_version(), drawer.info.device)


def _draw(job: BlockJob, block: Region) -> Drawing:
    drawer = _MEMORY.drawer(job.factory)

    def draw(store: SlideStore) -> Drawing:
        drawer.check(store)
        return drawer.draw(store, block)

    return _patiently(job, draw)


def _patiently(job: BlockJob, work: Callable[[SlideStore], _T]) -> _T:
    deadline, wait = time.monotonic() + job.patience, _FIRST_WAIT
    while True:
        try:
            return work(_MEMORY.slide(job))
        except StorageError:
            if time.monotonic() + wait > deadline:
                raise
        _MEMORY.forget_slide()
        time.sleep(wait)
        wait = min(2 * wait, _LONGEST_WAIT)


def _opened(job: BlockJob) -> SlideStore:
    try:
        store = SlideStore.open(job.path, read_only=True)
    except HistodiffError as error:
        raise StorageError(
            f"expected the slide {job.path} on the worker {platform.node()}, got '{error}'; "
            "keep the slide in a folder that all machines share under the same path"
        ) from error
    if content_of(store) != job.content:
        raise StorageError(
            f"expected one slide {job.path} on all machines, got another one on "
            f"{platform.node()}; keep the slide in a folder that all machines share"
        )
    return store


def _or_problem(work: Callable[[], _T]) -> _T | WorkerProblem:
    try:
        return work()
    except HistodiffError as error:
        return WorkerProblem(Problem.of(error, traceback.format_exc()))
    except Exception as error:  # noqa: BLE001 - one bad block must tell what is wrong
        message = (
            f"expected the worker {platform.node()} to draw, got {type(error).__name__}: {error}; "
            "read the details, or report it as a bug"
        )
        return WorkerProblem(Problem.of(HistodiffError(message), traceback.format_exc()))
