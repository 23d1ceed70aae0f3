"""What runs in a dask worker: greet the coordinator, draw a block."""

from __future__ import annotations

import asyncio
import platform
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import TypeVar

from napari_histodiff.core.errors import HistodiffError, StorageError
from napari_histodiff.core.geometry import Region
from napari_histodiff.engine.messages import Problem
from napari_histodiff.rendering.drawer import Drawer, Drawing, content_of
from napari_histodiff.slide.store import SlideStore

__all__ = ["Hello", "Order", "Unable", "draw_block", "greet", "package_version"]

_T = TypeVar("_T")

_FIRST_WAIT, _LONGEST_WAIT = 0.2, 10.0


@dataclass(frozen=True, slots=True)
class Order:
    """What all blocks of one level of one run share; small and picklable.

    Attributes
    ----------
    path : str
        The slide, as every worker finds it.
    factory : str or bytes
        See `drawer.pack_factory`.
    content : str
        See `drawer.content_of`.
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
class Hello:
    """A worker that is ready: release of this package and device of its model."""

    version: str
    device: str


@dataclass(frozen=True, slots=True)
class Unable:
    """What a worker could not do, and why; exceptions do not survive every pickle."""

    problem: Problem


async def greet(order: Order) -> Hello | Unable:
    """Load model and slide, and check that they belong together; beside the worker's loop."""
    return await asyncio.to_thread(_able, lambda: _greet(order))


def draw_block(order: Order, block: Region) -> Drawing | Unable:
    """Draw one block; a task."""
    return _able(lambda: _draw(order, block))


def package_version() -> str:
    """Return the release of this package."""
    return version("napari-histodiff")


class _Desk:
    """What a worker process keeps between tasks: one drawer, one slide."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._drawer: tuple[str | bytes, Drawer] | None = None
        self._slide: tuple[Order, SlideStore] | None = None

    def drawer(self, factory: str | bytes) -> Drawer:
        with self._lock:
            if self._drawer is None or self._drawer[0] != factory:
                self._drawer = None  # two models may not fit
                self._drawer = (factory, Drawer(factory))
            return self._drawer[1]

    def slide(self, order: Order) -> SlideStore:
        with self._lock:
            if self._slide is None or self._slide[0] != order:
                self._slide = (order, _opened(order))
            return self._slide[1]

    def forget_slide(self) -> None:
        with self._lock:
            self._slide = None


_DESK = _Desk()


def _greet(order: Order) -> Hello:
    drawer = _DESK.drawer(order.factory)
    _patiently(order, drawer.check)
    return Hello(package_version(), drawer.info.device)


def _draw(order: Order, block: Region) -> Drawing:
    drawer = _DESK.drawer(order.factory)

    def draw(store: SlideStore) -> Drawing:
        drawer.check(store)
        return drawer.draw(store, block)

    return _patiently(order, draw)


def _patiently(order: Order, work: Callable[[SlideStore], _T]) -> _T:
    deadline, wait = time.monotonic() + order.patience, _FIRST_WAIT
    while True:
        try:
            return work(_DESK.slide(order))
        except StorageError:
            if time.monotonic() + wait > deadline:
                raise
        _DESK.forget_slide()
        time.sleep(wait)
        wait = min(2 * wait, _LONGEST_WAIT)


def _opened(order: Order) -> SlideStore:
    try:
        store = SlideStore.open(order.path, read_only=True)
    except HistodiffError as error:
        raise StorageError(
            f"expected the slide {order.path} on the worker {platform.node()}, got '{error}'; "
            "keep the slide in a folder that all machines share under the same path"
        ) from error
    if content_of(store) != order.content:
        raise StorageError(
            f"expected one slide {order.path} on all machines, got another one on "
            f"{platform.node()}; keep the slide in a folder that all machines share"
        )
    return store


def _able(work: Callable[[], _T]) -> _T | Unable:
    try:
        return work()
    except HistodiffError as error:
        return Unable(Problem.of(error, traceback.format_exc()))
    except Exception as error:  # noqa: BLE001 - one bad block must tell what is wrong
        message = (
            f"expected the worker {platform.node()} to draw, got {type(error).__name__}: {error}; "
            "read the details, or report it as a bug"
        )
        return Unable(Problem.of(HistodiffError(message), traceback.format_exc()))
