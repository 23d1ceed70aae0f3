"""A slide whose tile states the window never waits for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.slide.store import SlideStore
from napari_histodiff.ui.step_worker import StepWorker

__all__ = ["StatesAtHand"]


class StatesAtHand:
    """A slide that can be asked for the states of its tiles while a thread writes an edit to it.

    An edit keeps the slide to itself for as long as it is written. What is asked meanwhile is
    answered as it was before; everything else is the slide's own.

    Parameters
    ----------
    store : SlideStore
        The slide.
    worker : StepWorker
        Who writes to it.
    """

    def __init__(self, store: SlideStore, worker: StepWorker) -> None:
        self._store = store
        self._kept: list[NDArray[np.uint8]] | None = None
        worker.busy_changed.connect(self._keep)

    def state(self, level: int) -> NDArray[np.uint8]:
        """Return a copy of the `TileState` of each tile of a level; see `SlideStore.state`."""
        kept = self._kept
        if kept is None or level >= len(kept):
            return self._store.state(level)
        return kept[level].copy()

    def __getattr__(self, name: str) -> Any:
        """Whatever else the slide has."""
        return getattr(self._store, name)

    def _keep(self, busy: bool) -> None:
        levels = range(self._store.recipe.coarsest + 1)
        self._kept = [self._store.state(level) for level in levels] if busy else None
