"""Edits in which one thing varies: they wait like others, and are shown as one when drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_histodiff.core.errors import HistodiffError
from napari_histodiff.ui.generation.variation import Series, Varied
from napari_histodiff.ui.queue.edits import EditState, Place, QueuedEdit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_histodiff.core.requests import EditRequest
    from napari_histodiff.ui.generation.estimates import Estimate
    from napari_histodiff.ui.generation.history import HistoryEntry
    from napari_histodiff.ui.queue.drawing import Drawing
    from napari_histodiff.ui.queue.results import Results

__all__ = ["SeriesDrawing", "edits_of"]


def edits_of(
    title: str,
    requests: Mapping[str, EditRequest],
    place: Place,
    *,
    tissues: Sequence[NDArray[np.uint8]],
    estimate: Estimate | None,
) -> dict[str, QueuedEdit]:
    """Return the edits that draw requests, by what each is called.

    Parameters
    ----------
    title : str
        What they do, "Generate".
    requests : mapping of str to EditRequest
        "" calls the only one.
    place : Place
        Of all of them.
    tissues : sequence of (h, w) uint8
        What was painted for each; one for all where there is one.
    estimate : Estimate or None
        What each takes.
    """
    return {
        label: QueuedEdit(
            f"{title}, {label.lower()}" if label else title,
            request,
            place,
            tissue=tissue if tissue.any() else None,
            estimate=estimate,
        )
        for (label, request), tissue in zip(requests.items(), cycle(tissues), strict=False)
    }


@dataclass(frozen=True, slots=True, eq=False)
class _OpenSeries:
    """What is drawn of a series so far, by the ids of its edits."""

    what: Varied
    labels: Mapping[str, str]
    entries: dict[str, HistoryEntry] = field(default_factory=dict)

    @property
    def first(self) -> str:
        return next(iter(self.labels))


class SeriesDrawing:
    """Which edits of the queue belong together.

    Parameters
    ----------
    drawing : Drawing
        The edits.
    results : Results
        Shows the first one when all are drawn.
    """

    #: All of a series is drawn, and its first edit in view.
    drawn = Signal(Series)

    def __init__(self, drawing: Drawing, results: Results) -> None:
        self._drawing = drawing
        self._results = results
        self._open: dict[str, _OpenSeries] = {}
        drawing.queue_changed.connect(self._look)

    def ask_for(self, what: Varied, edits: Mapping[str, QueuedEdit]) -> None:
        """Draw edits in which one thing varies, all of them or none, by what each is called.

        Raises
        ------
        EngineUnavailable, InvalidRequest
            As of `Drawing.ask_for`.
        """
        asked: list[QueuedEdit] = []
        try:
            for edit in edits.values():
                self._drawing.ask_for(edit)
                asked.append(edit)
        except HistodiffError:
            for edit in asked:
                self._drawing.remove(edit.id)
            raise
        series = _OpenSeries(what, {edit.id: label for label, edit in edits.items()})
        self._open.update(dict.fromkeys(series.labels, series))

    def take(self, edit_id: str, entry: HistoryEntry) -> bool:
        """Keep what was drawn of a series; returns whether the edit belongs to one."""
        series = self._open.get(edit_id)
        if series is None:
            return False
        series.entries[edit_id] = entry
        self._drawing.set_ready(edit_id, entry)
        if edit_id != series.first:
            self._drawing.remove(edit_id)  # the history has it, and the series is seen as one
        if len(series.entries) == len(series.labels):
            self._close(series)
            self._results.offer(series.first)
            if self._results.shown == series.first:
                entries = tuple(series.entries[one] for one in series.labels)
                self.drawn.emit(Series(series.what, tuple(series.labels.values()), entries))
        return True

    def _look(self) -> None:
        """Leave a series of which one edit failed or was taken away, with those that wait."""
        for series in {id(series): series for series in self._open.values()}.values():
            left = [self._drawing.queue.find(one) for one in self._left(series)]
            if any(edit is None or edit.state is EditState.FAILED for edit in left):
                self._close(series)
                for edit in left:
                    if edit is not None and edit.state is EditState.WAITING:
                        self._drawing.remove(edit.id)

    def _left(self, series: _OpenSeries) -> list[str]:
        return [one for one in series.labels if one not in series.entries]

    def _close(self, series: _OpenSeries) -> None:
        for one in series.labels:
            self._open.pop(one, None)
