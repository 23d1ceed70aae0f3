"""What to do about a chunk that is torn, altered or gone."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from napari_histodiff.core.errors import StorageError
from napari_histodiff.core.geometry import TileAddress
from napari_histodiff.core.recipe import TILE
from napari_histodiff.slide.change import Change
from napari_histodiff.slide.chunks import DamagedChunk, checksum_of, decode
from napari_histodiff.slide.drawing import OWN, rebuild_far
from napari_histodiff.slide.files import write_file
from napari_histodiff.slide.overlays import average_tile
from napari_histodiff.slide.states import TileState
from napari_histodiff.slide.tile_table import IS_AVERAGED

if TYPE_CHECKING:
    from napari_histodiff.slide.parts import SlideParts

__all__ = ["mend"]

_LOG = logging.getLogger(__name__)


def mend(slide: SlideParts, plane: str, tile: TileAddress) -> None:
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
        write_file(slide.path / slide.disk.key(plane, tile), data, sync=True)
        _LOG.warning("%s of %s in %s was damaged; restored", plane, tile, slide.path)
        return
    change = slide.change()
    if plane == "image" and tile.level > slide.recipe.coarsest:
        _redo_far(slide, change, tile)
    elif plane == "image":
        _give_up(slide, change, tile)
    elif plane == "edits":
        # Rather keep too much than draw over the user's work.
        change.put("edits", tile, np.full((TILE, TILE), OWN, np.uint8))
        change.settle(tile, slide.info(tile).state)
    else:
        change.put_chunk(plane, tile, None)
        state = slide.info(tile).state
        again = plane == "base" and state != TileState.EMPTY
        change.settle(tile, TileState.STALE if again else state)
    _LOG.warning("%s of %s in %s was damaged; it is made again", plane, tile, slide.path)
    if slide.writable:
        slide.save(change)
    else:
        slide.table.apply(change.entries())


def _whole(slide: SlideParts, plane: str, tile: TileAddress) -> bool:
    data = slide.disk.raw(slide.disk.key(plane, tile))
    if data is None:
        is_far = tile.level > slide.recipe.coarsest
        return plane == "image" and not is_far and slide.info(tile).check == 0
    try:
        decode(plane, data)
    except DamagedChunk:
        return False
    return True


def _from_edits(slide: SlideParts, plane: str, tile: TileAddress) -> bytes | None:
    """Return the chunk as the last edit that changed it left it."""
    history = slide.ledger.history
    kept = [(number, 1) for number in reversed(history.done)]
    kept += [(number, 0) for number in reversed(history.undone)]
    for number, side in kept:
        try:
            edit = slide.shelf.get(number)
        except StorageError:
            continue
        found = edit.moved_to(slide.frame).chunks.get((plane, tile))
        data = None if found is None else found[side]
        if data is None:
            continue
        if plane != "image" or checksum_of(data) == slide.info(tile).check:
            return data
    return None


def _redo_far(slide: SlideParts, change: Change, tile: TileAddress) -> None:
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


def _give_up(slide: SlideParts, change: Change, tile: TileAddress) -> None:
    info = slide.info(tile)
    edits = change.get("edits", tile)
    own = edits is not None and bool((edits & OWN).any())
    if own or info.state in (TileState.EDITED, TileState.SOURCE):
        raise StorageError(
            f"expected whole pixels of {tile}, which holds edits, in {slide.path}, got a damaged "
            "file; restore it from a backup, or draw the place again with an edit"
        )
    for plane in ("image", "base", "edits"):
        change.put_chunk(plane, tile, None)
    change.settle(tile, TileState.EMPTY)
    average_tile(change, slide.picture, tile)
