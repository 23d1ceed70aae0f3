"""The worker pool: has dask workers load the model, and keeps each busy with blocks.

Batching is pure, without dask: neighbours together, nobody idle.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Any

from distributed import Client, Future, KilledWorker

from napari_histodiff.core.errors import EngineUnavailable, HistodiffError, WorkerDied
from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.core.recipe import TILE
from napari_histodiff.rendering.worker import (
    BlockJob,
    Drawings,
    WorkerProblem,
    WorkerReady,
    draw_block,
    load_and_check,
    package_version,
    raised,
)
from napari_histodiff.slide.streaming.planning import blocks

__all__ = ["BATCH", "BlockBatches", "WorkerPool", "block_key"]

#: How often workers that came and went are looked for.
_LOOK_SECONDS = 0.5

#: Blocks a worker has beyond those its threads draw, so that it never waits for us.
_SPARE = 1


class WorkerPool:
    """The workers of one scheduler, drawing blocks for one run.

    Parameters
    ----------
    client : Client
        Connected.
    wait : float
        Seconds without any worker after which the run gives up.
    """

    def __init__(self, client: Client, wait: float) -> None:
        self._client = client
        self._wait = wait
        self._threads: dict[str, int] = {}
        self._looked = self._seen = 0.0
        self._deaths = 0
        self._devices: dict[str, None] = {}

    @property
    def deaths(self) -> int:
        """Workers that went away before the end."""
        return self._deaths

    @property
    def devices(self) -> tuple[str, ...]:
        """Devices of the workers that were ready, each once."""
        return tuple(self._devices)

    def check(self, job: BlockJob) -> None:
        """Have every worker load model and slide, and refuse what does not fit together.

        Raises
        ------
        EngineUnavailable
            When there is no worker, or one of another release of this package.
        HistodiffError
            What a worker found wrong: the model, or the slide.
        """
        with _losses():
            self._await_workers()
            answers: dict[str, Any] = self._client.run(load_and_check, job, on_error="return")
        ready = [answer for answer in answers.values() if isinstance(answer, WorkerReady)]
        for address, answer in answers.items():
            if isinstance(answer, WorkerProblem):
                raise raised(answer.problem)
            if isinstance(answer, ImportError | AttributeError):
                raise EngineUnavailable(
                    f"expected napari-histodiff on {address}, got {answer!r}; install this release "
                    "where the workers run"
                )
            if isinstance(answer, WorkerReady) and answer.version != package_version():
                raise EngineUnavailable(
                    f"expected napari-histodiff {package_version()} on every worker, got "
                    f"{answer.version} on {address}; install the same release everywhere"
                )
        if not ready:
            raise WorkerDied(
                f"expected a worker to load the model, got {next(iter(answers.values()))!r}; it "
                "may lack memory: start fewer, and read what they wrote"
            )
        self._devices.update(dict.fromkeys(answer.device for answer in ready))

    def draw(self, job: BlockJob, tiles: Sequence[TileAddress]) -> Drawings:
        """Yield the tiles of one level as blocks, as they come; few per worker are on their way.

        Raises
        ------
        WorkerDied
            When several workers died of one block.
        EngineUnavailable
            When the scheduler or all workers are gone.
        HistodiffError
            What went wrong in a worker.
        """
        batches = BlockBatches(tiles)
        under_way: dict[Future[Any], str] = {}
        done: SimpleQueue[Future[Any]] = SimpleQueue()
        try:
            with _losses():
                while True:
                    if not self._threads or time.monotonic() > self._looked + _LOOK_SECONDS:
                        self._look(batches)
                    for future, worker in self._submit(job, batches, under_way):
                        under_way[future] = worker
                        future.add_done_callback(done.put)
                    if not under_way and batches.is_empty:
                        self._look(batches)
                        return
                    with suppress(Empty):
                        future = done.get(timeout=_LOOK_SECONDS)
                        result = future.result()
                        del under_way[future]
                        if isinstance(result, WorkerProblem):
                            raise raised(result.problem)
                        yield result
        finally:
            with suppress(Exception):  # the run ends either way; the scheduler may be gone
                if under_way:
                    self._client.cancel(list(under_way), force=True)

    def _submit(
        self, job: BlockJob, batches: BlockBatches, under_way: dict[Future[Any], str]
    ) -> Iterator[tuple[Future[Any], str]]:
        load = Counter(under_way.values())
        for worker, threads in self._threads.items():
            for _ in range(threads + _SPARE - load[worker]):
                block = batches.take(worker)
                if block is None:
                    return
                future = self._client.submit(
                    draw_block,
                    job,
                    block,
                    key=block_key(job, block),
                    workers=[worker],
                    allow_other_workers=True,  # when this one dies
                )
                yield future, worker

    def _look(self, batches: BlockBatches) -> None:
        """See which workers there are; what those gone had is given to others."""
        now = time.monotonic()
        if self._client.status != "running":
            raise CancelledError("the connection to the scheduler is lost")
        found: dict[str, int] = dict(self._client.nthreads())
        self._deaths += len(self._threads.keys() - found.keys())
        self._threads, self._looked = found, now
        batches.keep(found.keys())
        if found or not self._seen:
            self._seen = now
        elif now > self._seen + self._wait:
            raise self._nobody()

    def _await_workers(self) -> None:
        try:
            self._client.wait_for_workers(1, timeout=self._wait)
        except TimeoutError:
            raise self._nobody() from None

    def _nobody(self) -> EngineUnavailable:
        return EngineUnavailable(
            f"expected a worker of the scheduler, got none for {self._wait:g} s; start workers and "
            "render again: what is drawn is kept"
        )


def block_key(job: BlockJob, block: Region) -> str:
    """Return the name of a task: what it computes, so that asking twice computes once."""
    place = f"{block.level}-{block.y}-{block.x}-{block.height}x{block.width}"
    return f"draw_block-{job.content}-{job.epoch}-{place}"


@contextmanager
def _losses() -> Iterator[None]:
    """Turn dask's ways of saying that a process is gone into ours."""
    try:
        yield
    except HistodiffError:
        raise
    except KilledWorker as error:
        raise WorkerDied(
            f"expected workers to draw a block, got the end of every one that tried ({error}); "
            "they may lack memory: start fewer, and render again to go on"
        ) from error
    except Exception as error:  # whatever dask raises, or unpickling in a worker
        raise EngineUnavailable(
            f"expected the scheduler to answer, got {type(error).__name__}: {error}; start it "
            "again, then render again to go on: what is drawn is kept"
        ) from error


#: Side in tiles of the squares that one worker draws. Neighbouring blocks share windows of the
#: model's first phase, which a worker computes once: a block alone costs half as much again.
BATCH = 8


class BlockBatches:
    """The tiles of one level as blocks for workers, a batch of neighbours at a time.

    Parameters
    ----------
    tiles : iterable of TileAddress
        Of one level; each is in exactly one of the blocks that `take` returns.
    """

    def __init__(self, tiles: Iterable[TileAddress]) -> None:
        batches: dict[tuple[int, int], list[TileAddress]] = {}
        for tile in tiles:
            batches.setdefault((tile.row // BATCH, tile.col // BATCH), []).append(tile)
        self._batches = deque(batches.values())
        self._returned: deque[deque[Region]] = deque()
        self._taken: dict[str, deque[Region]] = {}

    @property
    def is_empty(self) -> bool:
        """Whether everything was taken."""
        return not (self._batches or self._returned or any(self._taken.values()))

    def take(self, worker: str) -> Region | None:
        """Return the next block for a worker, None when none is left.

        It comes from the worker's batch, then from one that another worker left behind, then from
        a new one, then from the far end of the fullest of the others.
        """
        left = self._taken.get(worker)
        if not left:
            left = self._taken[worker] = self._next_batch()
        if left:
            return left.popleft()
        fullest = max(self._taken.values(), key=len)
        return fullest.pop() if fullest else None

    def keep(self, workers: Collection[str]) -> None:
        """Take back the batches of workers that are not among these."""
        for worker in [name for name in self._taken if name not in workers]:
            left = self._taken.pop(worker)
            if left:
                self._returned.append(left)

    def _next_batch(self) -> deque[Region]:
        if self._returned:
            return self._returned.popleft()
        if not self._batches:
            return deque()
        batch = self._batches.popleft()
        # Seen from its first corner a batch falls into blocks without left-over tiles.
        scale = TILE << batch[0].level
        row, col = batch[0].row // BATCH * BATCH, batch[0].col // BATCH * BATCH
        return deque(blocks(batch, (row * scale, col * scale)))
