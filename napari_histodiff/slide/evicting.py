"""Making room: dropping tiles that can be drawn again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.slide.parts import SlideParts
from napari_histodiff.slide.states import TileState
from napari_histodiff.slide.tile_table import HAS_BASE, HAS_EDITS

__all__ = ["evict"]

# Tiles whose dropping is recorded at once.
_BATCH = 4096


def evict(slide: SlideParts, max_bytes: int) -> int:
    """Drop drawn tiles until at most `max_bytes` are left; see `SlideStore.evict`."""
    before = slide.table.total
    for level in range(slide.recipe.coarsest + 1):
        excess = slide.table.total - max_bytes
        if excess <= 0:
            break
        _drop(slide, level, excess)
    return before - slide.table.total


def _drop(slide: SlideParts, level: int, excess: int) -> None:
    states, flags = slide.table.states[level], slide.table.flags[level]
    free = (states == TileState.GENERATED) & (flags & (HAS_EDITS | HAS_BASE) == 0)
    rows, cols = free.nonzero()
    order = np.argsort(slide.picture.last_read(level)[rows, cols], kind="stable")
    sizes = slide.table.sizes[level][rows, cols][order]
    count = int(np.searchsorted(np.cumsum(sizes, dtype=np.int64), excess)) + 1
    chosen = order[:count]
    for start in range(0, len(chosen), _BATCH):
        part = chosen[start : start + _BATCH]
        _drop_tiles(slide, level, rows[part], cols[part])


def _drop_tiles(
    slide: SlideParts, level: int, rows: NDArray[np.intp], cols: NDArray[np.intp]
) -> None:
    change = slide.change()
    chosen = np.zeros(slide.table.shape(level), np.bool_)
    chosen[rows, cols] = True
    for tile in slide.table.addresses(level, chosen):
        for plane in ("image", "labels"):
            change.put_chunk(plane, tile, None)
        change.settle(tile, TileState.EMPTY)
    slide.save(change)
