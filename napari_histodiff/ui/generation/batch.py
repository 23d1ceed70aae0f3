"""Edits that are drawn one after the other, and told as one."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_histodiff.core.engine import (
    Engine,
    Job,
    JobCancelled,
    JobFailed,
    JobFinished,
    JobProgress,
)
from napari_histodiff.core.errors import HistodiffError
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.ui.generation.variation import Series, Variation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_histodiff.ui.generation.history import History, HistoryEntry

__all__ = ["Batch", "MadeOn"]


@dataclass(frozen=True, slots=True, eq=False)
class MadeOn:
    """What edits were made on: key, name and file of the image, and the tissue painted for each."""

    image: Hashable
    image_name: str
    image_path: str
    tissues: tuple[NDArray[np.uint8], ...]

    def facts(self, number: int) -> dict[str, Any]:
        """Return what the history keeps with an edit, by its number."""
        tissue = self.tissues[min(number, len(self.tissues) - 1)]
        return {
            "image": self.image,
            "image_name": self.image_name,
            "image_path": self.image_path,
            "tissue": tissue if tissue.any() else None,
        }


class Batch:
    """Submits requests to an engine, all of them or none.

    Parameters
    ----------
    engine : Engine
        Draws them in their order.
    requests : mapping of str to EditRequest
        One at the least, by what each is called.
    made_on : MadeOn
    variation : Variation, optional
        What varies in them.

    Raises
    ------
    HistodiffError
        When the engine takes one of them not; those before it are cancelled.
    """

    def __init__(
        self,
        engine: Engine,
        requests: Mapping[str, EditRequest],
        made_on: MadeOn,
        variation: Variation | None = None,
    ) -> None:
        self._engine = engine
        self._labels, self._made_on, self._variation = tuple(requests), made_on, variation
        #: What is finished, in the order of the requests.
        self.entries: list[HistoryEntry] = []
        self._jobs: dict[str, Job] = {}
        self._ended: dict[str, JobFinished | JobCancelled | JobFailed] = {}
        try:
            for request in requests.values():
                job = engine.submit(request)
                self._jobs[job.id] = job
        except HistodiffError:
            self.cancel()
            raise

    def job(self, one: str) -> Job | None:
        """Return one of its jobs by its id; None for a job of somebody else."""
        return self._jobs.get(one)

    @property
    def is_over(self) -> bool:
        """Whether every job has ended."""
        return len(self._ended) == len(self._jobs)

    @property
    def is_whole(self) -> bool:
        """Whether every job has ended well."""
        return self.is_over and all(isinstance(e, JobFinished) for e in self._ended.values())

    @property
    def seconds(self) -> float:
        """How long what is finished took."""
        return sum(e.seconds for e in self._ended.values() if isinstance(e, JobFinished))

    @property
    def series(self) -> Series | None:
        """What was drawn, when something varies in it."""
        if self._variation is None:
            return None
        return Series(self._variation.what, self._labels, tuple(self.entries))

    def keep(self, history: History, event: JobFinished) -> HistoryEntry:
        """Put what is finished into a history."""
        entry = history.add(
            self._jobs[event.job].request,
            event.images,
            event.seconds,
            **self._made_on.facts(len(self.entries)),
        )
        self.entries.append(entry)
        return entry

    def end(self, event: JobFinished | JobCancelled | JobFailed) -> None:
        """Take note of an end; those that are left of a batch that failed are cancelled."""
        self._ended[event.job] = event
        if isinstance(event, JobFailed):
            self.cancel()

    def progress(self, event: JobProgress) -> tuple[int, int]:
        """Return units of work done and in all, where every job takes what the running one does."""
        return len(self._ended) * event.total + event.done, len(self._jobs) * event.total

    def cancel(self) -> None:
        """Ask what has not ended to stop."""
        for one, job in self._jobs.items():
            if one not in self._ended:
                self._engine.cancel(job)
