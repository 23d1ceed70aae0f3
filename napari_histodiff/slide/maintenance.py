"""Care of the stored tiles: verify them all, repair a damaged chunk, evict what can be redrawn."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.box_mean import box_down
from napari_histodiff.core.errors import StorageError
from napari_histodiff.core.geometry import TileAddress
from napari_histodiff.core.recipe import TILE
from napari_histodiff.slide.editing.pyramid import average_tile, rebuild_far
from napari_histodiff.slide.state import SlideState, StoreState
from napari_histodiff.slide.storage.change import Change
from napari_histodiff.slide.storage.chunks import EDITED_HERE, DamagedChunk, checksum_of, decode
from napari_histodiff.slide.storage.tile_table import (
    HAS_BASE,
    HAS_EDITS,
    IS_AVERAGED,
    PLANE_FLAGS,
    SETTLED,
    UNTOUCHED,
    TileState,
)
from napari_histodiff.slide.storage.transactions import write_file

__all__ = ["VerifyReport", "evict", "repair", "verify"]

#: How far a pixel may be from the mean of the four below it.
_TOLERANCE = 1

# More tiles than this are counted, not listed.
_LISTED = 20


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What reading every tile of a slide showed.

    Attributes
    ----------
    counts : dict of str to int
        Tiles of the levels that the model draws, by `TileState`.
    damaged : tuple of TileAddress
        Tiles with a chunk that fails its checksum.
    missing : tuple of TileAddress
        Tiles with a chunk that is gone.
    unequal : tuple of TileAddress
        Tiles that are farther than 1/255 from the means of the level below.
    compared : int
        How many tiles were compared with the level below.
    """

    counts: dict[str, int]
    damaged: tuple[TileAddress, ...]
    missing: tuple[TileAddress, ...]
    unequal: tuple[TileAddress, ...]
    compared: int

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.damaged or self.missing or self.unequal)

    def __str__(self) -> str:
        lines = [f"{count:8d} tiles {name.lower()}" for name, count in self.counts.items()]
        lines.append(f"{self.compared:8d} tiles compared with the level below")
        advice = {
            "damaged": "open the slide for writing and look there: they are restored or drawn anew",
            "missing": "open the slide for writing and look there: they are restored or drawn anew",
            "not the mean of the level below": "drop drawn tiles with evict, and draw them again",
        }
        found = (self.damaged, self.missing, self.unequal)
        for (name, what), tiles in zip(advice.items(), found, strict=True):
            if tiles:
                lines.append(f"{len(tiles):8d} tiles {name}; {what}")
                lines += [f"         {tile}" for tile in tiles[:_LISTED]]
        if self.is_whole:
            lines.append("nothing is damaged")
        return "\n".join(lines)


def verify(slide: StoreState) -> VerifyReport:
    """Read every tile that a slide knows of; see `SlideStore.verify`."""
    states = slide.table.states[: slide.recipe.coarsest + 1]
    counts = {
        state.name: sum(int(np.count_nonzero(level == state)) for level in states)
        for state in TileState
    }
    damaged, missing = [], []
    for tile in _stored(slide):
        found = [_condition(slide, plane, tile) for plane in _planes(slide, tile)]
        if "damaged" in found:
            damaged.append(tile)
        elif "missing" in found:
            missing.append(tile)
    bad = {*damaged, *missing}
    compared, unequal = 0, []
    for tile in _stored(slide):
        # Edited pixels of a scan are means of what shows below, not of what is stored there.
        if tile.level == 0 or tile in bad or slide.untouched == TileState.SOURCE:
            continue
        difference = _difference(slide, tile, bad)
        compared += difference is not None
        if difference is not None and difference > _tolerance(slide, tile):
            unequal.append(tile)
    return VerifyReport(counts, tuple(damaged), tuple(missing), tuple(unequal), compared)


def _stored(slide: StoreState) -> Iterator[TileAddress]:
    for level in range(slide.spec.levels):
        yield from slide.table.addresses(level, slide.table.checks[level] != 0)


def _planes(slide: StoreState, tile: TileAddress) -> list[str]:
    info = slide.info(tile)
    return ["image", *(plane for plane in PLANE_FLAGS if info.has(plane))]


def _condition(slide: StoreState, plane: str, tile: TileAddress) -> str:
    data = slide.chunk_reader.raw(slide.chunk_reader.key(plane, tile))
    if data is None:
        return "missing"
    try:
        decode(plane, data)
    except DamagedChunk:
        return "damaged"
    return "whole"


def _tolerance(slide: StoreState, tile: TileAddress) -> int:
    # Levels that are never drawn are exact means.
    return _TOLERANCE if tile.level <= slide.recipe.coarsest else 0


def _difference(slide: StoreState, tile: TileAddress, bad: set[TileAddress]) -> int | None:
    """Return how far a tile is from the means of what is below; None when nothing comparable is."""
    image = slide.chunk_reader.load("image", tile, slide.info(tile).check)
    if image is None or (tile.level <= slide.recipe.coarsest and not _settled(slide, tile)):
        return None
    half = TILE // 2
    largest = None
    for child in slide.spec.tiles(slide.spec.at_level(slide.spec.region(tile), tile.level - 1)):
        if child in bad or not _comparable(slide, child):
            continue
        pixels = slide.chunk_reader.load("image", child, slide.info(child).check)
        if pixels is None:
            continue
        height, width = slide.spec.region(child).shape
        means = box_down(pixels[:height, :width]).astype(np.int16)
        y, x = child.row % 2 * half, child.col % 2 * half
        there = image[y : y + means.shape[0], x : x + means.shape[1]]
        apart = _weighed(slide, child, np.abs(there - means))
        largest = max(largest or 0, int(apart.max(initial=0)))
    return largest


def _weighed(slide: StoreState, child: TileAddress, apart: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return the differences where the level above really follows from this tile."""
    coarsest = slide.recipe.coarsest
    if child.level < coarsest:
        return apart
    steps = child.level - coarsest
    side = TILE >> steps
    flags = slide.table.flags[coarsest]
    rows = ((child.row * TILE + 2 * np.arange(apart.shape[0])) // side).clip(0, flags.shape[0] - 1)
    cols = ((child.col * TILE + 2 * np.arange(apart.shape[1])) // side).clip(0, flags.shape[1] - 1)
    averaged = flags[rows[:, None], cols[None, :]] & IS_AVERAGED != 0
    there: NDArray[np.int16] = apart[averaged]
    return there


def _comparable(slide: StoreState, tile: TileAddress) -> bool:
    if tile.level > slide.recipe.coarsest:
        return slide.info(tile).check != 0
    return _settled(slide, tile)


def _settled(slide: StoreState, tile: TileAddress) -> bool:
    return slide.info(tile).state in SETTLED


_LOG = logging.getLogger(__name__)


def repair(slide: StoreState, plane: str, tile: TileAddress) -> None:
    """Restore a chunk from a kept edit, or change what is known of its tile so that it is redone.

    Does nothing when the chunk is whole after all. A slide open for reading only changes what it
    knows and no file.

    Raises
    ------
    StorageError
        When pixels that the user edited are lost.
    """
    if _whole(slide, plane, tile):
        return
    data = _from_edits(slide, plane, tile)
    if data is not None and slide.writable:
        write_file(slide.path / slide.chunk_reader.key(plane, tile), data, sync=True)
        _LOG.warning("%s of %s in %s was damaged; restored", plane, tile, slide.path)
        return
    change = slide.change()
    if plane == "image" and tile.level > slide.recipe.coarsest:
        _redo_far(slide, change, tile)
    elif plane == "image":
        _give_up(slide, change, tile)
    elif plane == "edits" and slide.info(tile).state in UNTOUCHED:
        # None of them was made at this level: the finer ones tell where there are some.
        change.put_chunk("edits", tile, None)
        change.settle(tile, slide.info(tile).state)
        average_tile(change, slide.tile_reader, tile)
    elif plane == "edits":
        # Rather keep too much than draw over the user's work.
        change.put("edits", tile, np.full((TILE, TILE), EDITED_HERE, np.uint8))
        change.settle(tile, slide.info(tile).state)
    else:
        change.put_chunk(plane, tile, None)
        state = slide.info(tile).state
        again = plane == "base" and state not in (TileState.EMPTY, TileState.SOURCE)
        change.settle(tile, TileState.STALE if again else state)
    _LOG.warning("%s of %s in %s was damaged; it is made again", plane, tile, slide.path)
    if slide.writable:
        slide.save(change)
    else:
        slide.table.apply(change.entries())


def _whole(slide: StoreState, plane: str, tile: TileAddress) -> bool:
    data = slide.chunk_reader.raw(slide.chunk_reader.key(plane, tile))
    if data is None:
        is_far = tile.level > slide.recipe.coarsest
        return plane == "image" and not is_far and slide.info(tile).check == 0
    try:
        decode(plane, data)
    except DamagedChunk:
        return False
    return True


def _from_edits(slide: StoreState, plane: str, tile: TileAddress) -> bytes | None:
    """Return the chunk as the last edit that changed it left it."""
    edits = slide.ledger.edits
    kept = [(number, 1) for number in reversed(edits.done)]
    kept += [(number, 0) for number in reversed(edits.undone)]
    for number, side in kept:
        try:
            edit = slide.edit_files.get(number)
        except StorageError:
            continue
        found = edit.moved_to(slide.frame).chunks.get((plane, tile))
        data = None if found is None else found[side]
        if data is None:
            continue
        if plane != "image" or checksum_of(data) == slide.info(tile).check:
            return data
    return None


def _redo_far(slide: StoreState, change: Change, tile: TileAddress) -> None:
    """Average a tile of the levels that are never drawn once more."""
    coarsest = slide.recipe.coarsest
    steps = tile.level - coarsest
    flags = slide.table.flags[coarsest]
    rows = slice(tile.row << steps, (tile.row + 1) << steps)
    cols = slice(tile.col << steps, (tile.col + 1) << steps)
    there = np.zeros(flags.shape, np.bool_)
    there[rows, cols] = flags[rows, cols] & IS_AVERAGED != 0
    change.put_chunk("image", tile, None)
    change.settle(tile, TileState.EMPTY)
    rebuild_far(change, slide.table.addresses(coarsest, there))


def _give_up(slide: StoreState, change: Change, tile: TileAddress) -> None:
    info = slide.info(tile)
    edits = change.get("edits", tile)
    own = edits is not None and bool((edits & EDITED_HERE).any())
    if own or info.state == TileState.EDITED:
        raise StorageError(
            f"expected whole pixels of {tile}, which holds edits, in {slide.path}, got a damaged "
            "file; restore it from a backup, or draw the place again with an edit"
        )
    for plane in ("image", "base", "edits"):
        change.put_chunk(plane, tile, None)
    change.settle(tile, slide.untouched)
    average_tile(change, slide.tile_reader, tile)


# Tiles whose dropping is recorded at once.
_BATCH = 4096


def evict(slide: SlideState, max_bytes: int) -> int:
    """Drop drawn tiles until at most `max_bytes` are left; see `SlideStore.evict`."""
    before = slide.table.total
    # What is out of date is drawn anew anyway.
    for state in (TileState.STALE, TileState.GENERATED):
        for level in range(slide.recipe.coarsest + 1):
            excess = slide.table.total - max_bytes
            if excess <= 0:
                return before - slide.table.total
            _drop(slide, level, state, excess)
    return before - slide.table.total


def _drop(slide: SlideState, level: int, state: TileState, excess: int) -> None:
    states, flags = slide.table.states[level], slide.table.flags[level]
    free = (states == state) & (flags & (HAS_EDITS | HAS_BASE) == 0)
    rows, cols = free.nonzero()
    order = np.argsort(slide.tile_reader.last_read(level)[rows, cols], kind="stable")
    sizes = slide.table.sizes[level][rows, cols][order]
    count = int(np.searchsorted(np.cumsum(sizes, dtype=np.int64), excess)) + 1
    chosen = order[:count]
    for start in range(0, len(chosen), _BATCH):
        part = chosen[start : start + _BATCH]
        _drop_tiles(slide, level, rows[part], cols[part])


def _drop_tiles(
    slide: SlideState, level: int, rows: NDArray[np.intp], cols: NDArray[np.intp]
) -> None:
    change = slide.change()
    chosen = np.zeros(slide.table.shape(level), np.bool_)
    chosen[rows, cols] = True
    for tile in slide.table.addresses(level, chosen):
        for plane in ("image", "labels"):
            change.put_chunk(plane, tile, None)
        change.settle(tile, TileState.EMPTY)
    slide.save(change)
