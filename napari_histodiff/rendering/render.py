"""Draws a slide or a part of it, coarse to fine, on many workers; this process alone writes.

It says how far it is while it runs, and reports when it is done.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from napari_histodiff.core.backend import BackendFactory
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.rendering.pool import BlockBatches
from napari_histodiff.rendering.worker import (
    BlockDrawer,
    BlockJob,
    Drawings,
    content_of,
    pack_factory,
)
from napari_histodiff.slide.store import SlideStore
from napari_histodiff.slide.streaming.planning import dependencies, missing
from napari_histodiff.slide.streaming.tile_requests import put_block

if TYPE_CHECKING:
    from distributed import Security

__all__ = ["DEFAULT_BACKEND", "OnProgress", "RenderProgress", "RenderReport", "render_slide"]

#: Import path of the backend factory; only where tiles are drawn is it imported, and torch with it.
DEFAULT_BACKEND = "napari_histodiff.backends:default_backend"

#: Network file systems hide a new file from other machines for up to a minute.
_SHARED_PATIENCE, _LOCAL_PATIENCE = 90.0, 1.0


def render_slide(
    path: str | Path,
    *,
    region: Region | None = None,
    levels: Iterable[int] | None = None,
    scheduler: str | None = None,
    workers: int = 1,
    backend: BackendFactory | str = DEFAULT_BACKEND,
    security: Security | None = None,
    wait: float = 60.0,
    on_progress: OnProgress | None = None,
) -> RenderReport:
    """Draw what is not drawn yet of a slide, and keep it after every block.

    Workers read the slide and send pixels back; this process alone writes. A block is a keyed dask
    task, so asking twice computes once and a dead worker's blocks go to another. What is drawn,
    edited, or was drawn by a run that was interrupted, is never drawn again, and the pixels do not
    depend on the number of workers.

    Parameters
    ----------
    path : path
        A slide folder; all workers must find it under the same path.
    region : Region, optional
        Part to draw, ARRAY coordinates of any level; by default the whole slide.
    levels : iterable of int, optional
        Levels to draw, by default all; the coarser ones that these are drawn from are added.
    scheduler : str, optional
        Address of a dask scheduler, for example "tls://node7:8786"; by default processes of this
        machine are started.
    workers : int
        How many, where there is no scheduler; they share the cores. 0 draws in this process.
    backend : str or callable
        Import path "module:function" of what loads the model, or a picklable function.
    security : distributed.Security, optional
        Certificates of the scheduler; by default those that dask's configuration names.
    wait : float
        Seconds without any worker of the scheduler after which the run gives up.
    on_progress : callable, optional
        Called in this thread with a `RenderProgress`.

    Returns
    -------
    RenderReport
        What was drawn.

    Raises
    ------
    InvalidRequest
        When the region lies beyond the slide, there is no such level or a number is out of range;
        nothing is started.
    ModelInvalid
        When a worker has another model than the slide's; nothing is drawn.
    WorkerDied, EngineUnavailable
        When workers die again and again, or the scheduler is gone; what is drawn is kept.
    StorageError
        When the slide cannot be read or written, here or on a worker.
    """
    if workers < 0:
        raise InvalidRequest(
            f"expected 0 workers or more, got {workers}; give 0 to draw in this process"
        )
    with SlideStore.open(path, read_only=False) as store:
        plan = _plan(store, region, levels)
        absent = {level: _absent(store, part) for level, part in plan.items()}
        tally = _Tally(sum(map(len, plan.values())), sum(map(len, absent.values())), on_progress)
        if not tally.total:
            return tally.report(_InProcess.devices, 0)
        job = BlockJob(
            path=str(Path(path).absolute()),
            factory=pack_factory(backend),
            content=content_of(store),
            epoch=uuid.uuid4().hex,
            patience=_LOCAL_PATIENCE if scheduler is None else _SHARED_PATIENCE,
        )
        with _workers(store, scheduler, workers, security, wait) as pool:
            pool.check(job)
            tally.begin(max(absent))
            for level in sorted(absent, reverse=True):
                of_level = replace(job, epoch=f"{job.epoch}-{level}")
                with closing(pool.draw(of_level, absent[level])) as drawings:
                    for drawing in drawings:
                        tiles = put_block(store, drawing.block, drawing.pixels, drawing.labels)
                        tally.add(level, len(tiles), drawing.blank)
            return tally.report(pool.devices, pool.deaths)


class _Workers(Protocol):
    @property
    def devices(self) -> tuple[str, ...]: ...

    @property
    def deaths(self) -> int: ...

    def check(self, job: BlockJob) -> None: ...

    def draw(self, job: BlockJob, tiles: Sequence[TileAddress]) -> Drawings: ...


class _InProcess:
    """Draws here, one block after another."""

    devices: tuple[str, ...] = ()
    deaths = 0

    def __init__(self, store: SlideStore) -> None:
        self._store = store
        self._drawer: BlockDrawer | None = None

    def check(self, job: BlockJob) -> None:
        self._drawer = BlockDrawer(job.factory)
        self._drawer.check(self._store)
        self.devices = (self._drawer.info.device,)

    def draw(self, job: BlockJob, tiles: Sequence[TileAddress]) -> Drawings:
        batches = BlockBatches(tiles)
        while (block := batches.take("")) is not None and self._drawer is not None:
            yield self._drawer.draw(self._store, block)


class _Tally:
    """Counts tiles and publishes how many there are."""

    def __init__(self, asked: int, total: int, on_progress: OnProgress | None) -> None:
        self.total = total
        self._kept = asked - total
        self._on_progress = on_progress
        self._done = self._blank = 0
        self._start = time.perf_counter()

    def begin(self, level: int) -> None:
        self._start = time.perf_counter()
        self._publish(level)

    def add(self, level: int, tiles: int, blank: bool) -> None:
        self._done += tiles
        self._blank += tiles if blank else 0
        self._publish(level)

    def report(self, devices: tuple[str, ...], deaths: int) -> RenderReport:
        seconds = time.perf_counter() - self._start
        return RenderReport(self._done, self._kept, self._blank, seconds, devices, deaths)

    def _publish(self, level: int) -> None:
        if self._on_progress is not None:
            self._on_progress(RenderProgress(self._done, self.total, level))


@contextmanager
def _workers(
    store: SlideStore,
    scheduler: str | None,
    workers: int,
    security: Security | None,
    wait: float,
) -> Iterator[_Workers]:
    if scheduler is None and workers == 0:
        yield _InProcess(store)
        return
    from napari_histodiff.rendering.cluster import connected
    from napari_histodiff.rendering.pool import WorkerPool

    with connected(scheduler, workers, security) as client:
        yield WorkerPool(client, wait)


def _plan(
    store: SlideStore, region: Region | None, levels: Iterable[int] | None
) -> dict[int, list[TileAddress]]:
    """Return the tiles asked for and those they are drawn from, by level."""
    spec, coarsest = store.spec, store.recipe.coarsest
    region = spec.bounds(0) if region is None else region
    if region.intersect(spec.bounds(region.level)).is_empty:
        raise InvalidRequest(
            f"expected a region on the slide of {spec.height} x {spec.width} pixels, got {region}; "
            "choose one that shares a pixel with it"
        )
    plan: dict[int, dict[TileAddress, None]] = {level: {} for level in range(coarsest + 1)}
    for level in range(coarsest + 1) if levels is None else sorted(set(levels)):
        if level not in plan:
            raise InvalidRequest(
                f"expected levels from 0 to {coarsest}, which the model draws, got {level}; "
                "coarser ones follow from these by themselves"
            )
        for part in dependencies(store, spec.at_level(region, level)):
            plan[part.level].update(dict.fromkeys(spec.tiles(part)))
    return {level: list(tiles) for level, tiles in plan.items()}


def _absent(store: SlideStore, tiles: Sequence[TileAddress]) -> list[TileAddress]:
    if not tiles:
        return []
    absent = missing(store.state(tiles[0].level))
    return [tile for tile in tiles if absent[tile.row, tile.col]]


@dataclass(frozen=True, slots=True)
class RenderProgress:
    """Where a render stands: `done` of `total` tiles are stored, the last one of `level`."""

    done: int
    total: int
    level: int


#: Called in the caller's thread after every block, and once before the first one.
OnProgress = Callable[[RenderProgress], None]


@dataclass(frozen=True, slots=True)
class RenderReport:
    """What a render did.

    Attributes
    ----------
    tiles : int
        Tiles stored by this run.
    kept : int
        Tiles asked for that were drawn or edited before.
    blank : int
        Of `tiles`, those of bare glass, which need no model.
    seconds : float
        From the first block to the last, model loading excluded.
    devices : tuple of str
        Where the model ran, each once. Tiles of different kinds of devices agree up to rounding
        only, not byte for byte.
    deaths : int
        Workers that went away before the end.
    """

    tiles: int
    kept: int
    blank: int
    seconds: float
    devices: tuple[str, ...]
    deaths: int
