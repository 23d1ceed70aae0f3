"""What of a slide is drawn: where, and how much."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.slide.storage.tile_table import TileState
from napari_histodiff.slide.store import SlideStore

__all__ = ["coverage_of", "tile_counts"]

#: Longest side of a coverage map.
_COVERAGE_SIDE: Final = 256


def coverage_of(store: SlideStore) -> NDArray[np.uint8]:
    """Return what is drawn where, (h, w) uint8 of `TileState`, at most 256 a side.

    Each value is the largest state of the tiles of all drawn levels at a place: on the grid of the
    tiles of level 0, or of squares of so many of them that the map stays small.
    """
    finest = store.state(0)
    shown = finest.copy()
    for level in range(1, store.recipe.coarsest + 1):
        scale = 1 << level
        spread = store.state(level).repeat(scale, axis=0).repeat(scale, axis=1)
        np.maximum(shown, spread[: finest.shape[0], : finest.shape[1]], out=shown)
    side = -(-max(shown.shape) // _COVERAGE_SIDE)
    if side == 1:
        return shown
    rows, cols = (-(-n // side) for n in shown.shape)
    padded = np.zeros((rows * side, cols * side), np.uint8)
    padded[: shown.shape[0], : shown.shape[1]] = shown
    largest: NDArray[np.uint8] = padded.reshape(rows, side, cols, side).max(axis=(1, 3))
    return largest


def tile_counts(store: SlideStore) -> dict[TileState, int]:
    """Return how many tiles of the levels the model draws are in each state."""
    counts = np.zeros(len(TileState), np.int64)
    for level in range(store.recipe.coarsest + 1):
        counts += np.bincount(store.state(level).ravel(), minlength=len(counts))
    return {state: int(counts[state]) for state in TileState}
