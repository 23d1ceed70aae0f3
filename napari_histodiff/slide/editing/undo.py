"""Edits that a crash does or leaves, and that can be undone and redone.

A step does, undoes or redoes one edit: it is worked out, the edit and the new files are written
aside in a transaction, and then one record commits it.
What is left, moving the files into place, goes on when the slide is opened if it was cut off.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import StorageError
from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.slide.editing.pyramid import average_up, rebuild_far
from napari_histodiff.slide.state import StoreState
from napari_histodiff.slide.storage.change import Change
from napari_histodiff.slide.storage.chunks import EDITED_HERE
from napari_histodiff.slide.storage.dependencies import Dependents, below, of_border, of_layout
from napari_histodiff.slide.storage.edit_files import Edit
from napari_histodiff.slide.storage.ledger import DO, REDO, UNDO
from napari_histodiff.slide.storage.tile_table import IS_AVERAGED, TileInfo, TileState, is_drawn
from napari_histodiff.slide.storage.transactions import Transaction

__all__ = [
    "MAX_UNDO_BYTES",
    "UndoSteps",
    "dependent_lines",
    "dependents_of",
    "dependents_under",
    "plan_step",
    "stale_state",
]


#: Planes that no pixel follows from.
_PAINT: Final = ("labels", "tissue")


def dependents_of(slide: StoreState, edit: Edit) -> Dependents:
    """Return the tiles that depend on what an edit changed."""
    if edit.layout:
        return of_layout(slide.recipe, edit.boxes)
    return dependents_under(slide, edit.boxes)


def dependents_under(slide: StoreState, boxes: Iterable[Region]) -> Dependents:
    """Return the tiles finer than changed pixels that are drawn from them; a scan has none."""
    return {} if slide.base.has_pixels else below(slide.recipe, boxes)


def dependent_lines(slide: StoreState, dependents: Dependents) -> dict[TileAddress, TileInfo]:
    """Return what is known of the drawn tiles among these."""
    return {
        tile: slide.info(tile)
        for level, grid in dependents.items()
        for tile in slide.table.addresses(level, grid & is_drawn(slide.table.states[level]))
    }


def plan_step(slide: StoreState, edit: Edit, direction: int) -> Change:
    """Work out what doing, undoing or redoing an edit changes; the same whenever it is asked again.

    Tiles that depend on it become stale. Undoing gives them their earlier state back where they
    still hold the pixels they had.

    Parameters
    ----------
    slide : StoreState
        The slide; not changed.
    edit : Edit
        What was changed, in the slide's present coordinates.
    direction : int
        `ledger.DO`, `UNDO` or `REDO`.
    """
    change = slide.change()
    side = 0 if direction == UNDO else 1
    for (plane, tile), swap in edit.chunks.items():
        change.put_chunk(plane, tile, swap[side])
    change.others.update({name: swap[side] for name, swap in edit.others.items()})
    lines = edit.before if direction == UNDO else edit.after
    for tile in {tile: None for _, tile in edit.chunks}:
        known = lines[tile]
        image_is_set = ("image", tile) in edit.chunks
        change.settle(tile, known.state if image_is_set else slide.info(tile).state)
    restored = edit.dependents if direction == UNDO else {}
    dependents = dependents_of(slide, edit)
    for level, grid in dependents.items():
        drawn = grid & is_drawn(slide.table.states[level])
        for tile in slide.table.addresses(level, drawn):
            if ("image", tile) not in edit.chunks:
                _mark(slide, change, tile, restored.get(tile))
            elif direction != UNDO:
                _make_stale(change, tile)
    if edit.frame != slide.frame:
        _make_border_stale(slide, change, edit)
    coarsest = slide.recipe.coarsest
    touched = {tile for plane, tile in edit.chunks if plane not in _PAINT}
    changed = average_up(change, slide.tile_reader, coarsest, touched)
    if edit.layout:
        changed |= set(_dropped(slide, dependents[coarsest]))
    rebuild_far(change, [tile for tile in changed if tile.level == coarsest])
    return change


def _dropped(slide: StoreState, grid: NDArray[np.bool_]) -> Iterator[TileAddress]:
    """Yield the tiles that were dropped to save space, and of which only the means are left."""
    coarsest = slide.recipe.coarsest
    averaged = slide.table.flags[coarsest] & IS_AVERAGED != 0
    empty = slide.table.states[coarsest] == TileState.EMPTY
    yield from slide.table.addresses(coarsest, grid & empty & averaged)


def _make_border_stale(slide: StoreState, change: Change, edit: Edit) -> None:
    """Do not take tiles for whole that the slide's border cut when the edit was made."""
    border = of_border(slide.recipe, edit.frame)
    for tile in change.lines():
        if tile.level in border and border[tile.level][tile.row, tile.col]:
            _make_stale(change, tile)


def _mark(slide: StoreState, change: Change, tile: TileAddress, earlier: TileInfo | None) -> None:
    if (
        earlier is not None
        and slide.chunk_reader.check(slide.chunk_reader.key("image", tile)) == earlier.check
    ):
        change.mark(tile, earlier.state)
    else:
        _make_stale(change, tile)


def _make_stale(change: Change, tile: TileAddress) -> None:
    edits = change.get("edits", tile)
    change.mark(tile, stale_state(change.info(tile).state, edits, change.shape(tile)))


def stale_state(
    state: TileState, edits: NDArray[np.uint8] | None, shape: tuple[int, int]
) -> TileState:
    """Return the state of a tile whose surroundings changed.

    Parameters
    ----------
    state : TileState
        Its state so far.
    edits : (256, 256) uint8, optional
        Its pixels that the user changed; they stay.
    shape : tuple of int
        Height and width of the part that the slide has.
    """
    if state in (TileState.EMPTY, TileState.SOURCE):
        return state
    if state == TileState.EDITED and edits is not None:
        own = edits[: shape[0], : shape[1]] & EDITED_HERE
        if own.all():
            return state
    return TileState.STALE


#: Files of edits beyond this are dropped, the oldest first; the newest is always kept.
MAX_UNDO_BYTES: Final = 2 * 2**30


class UndoSteps:
    """Does, undoes and redoes edits of an open slide; the caller holds its lock.

    Parameters
    ----------
    slide : StoreState
        The slide.
    max_undo_bytes : int
        How much of the history to keep.
    on_stale : callable
        Told what may have changed, before it does.
    """

    def __init__(
        self, slide: StoreState, max_undo_bytes: int, on_stale: Callable[[Dependents], None]
    ) -> None:
        self._slide = slide
        self._max_undo_bytes = max_undo_bytes
        self._on_stale = on_stale
        self._folder = slide.path / "histodiff" / "step"

    def do(self, edit: Edit) -> None:
        """Carry out a new edit; what could be redone no longer can.

        Raises
        ------
        StorageError
            When it can not be written; the slide is as it was.
        """
        ledger = self._slide.ledger
        number = ledger.edits.last + 1
        change = plan_step(self._slide, edit, DO)
        self._slide.edit_files.put(number, edit)
        try:
            self._carry_out(number, DO, edit, change)
        except StorageError:
            self._slide.edit_files.keep_only(ledger.edits.kept)
            raise
        self._drop_oldest()

    def undo(self) -> Region | None:
        """Take back the last edit; return where, None when there is none.

        Raises
        ------
        StorageError
            When its file is damaged or nothing can be written; the slide is as it was.
        """
        done = self._slide.ledger.edits.done
        return self._again(done[-1], UNDO) if done else None

    def redo(self) -> Region | None:
        """Do the edit that was undone last again; return where, None when there is none.

        Raises
        ------
        StorageError
            As `undo`.
        """
        undone = self._slide.ledger.edits.undone
        return self._again(undone[-1], REDO) if undone else None

    def resume(self) -> None:
        """Finish the step that was cut off after it was committed, where there is one.

        A slide open for reading only shows what it will be.

        Raises
        ------
        StorageError
            When it can not be finished now.
        """
        slide = self._slide
        if slide.ledger.edits.pending is None:
            return
        try:
            transaction = Transaction.read(slide.path, self._folder)
        except StorageError:
            if slide.writable:
                raise
            return  # the writer is about to be done with it
        if slide.writable:
            self._finish(transaction, transaction.contents())
        else:
            slide.chunk_reader.overlay(transaction.contents())
            slide.table.apply(transaction.entries)
        slide.set_recipe(slide.recipe)

    def tidy(self) -> None:
        """Remove what no step needs any more."""
        if self._slide.ledger.edits.pending is None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._slide.edit_files.keep_only(self._slide.ledger.edits.kept)

    def _again(self, number: int, direction: int) -> Region:
        edit = self._edit(number)
        change = plan_step(self._slide, edit, direction)
        self._carry_out(number, direction, edit, change)
        return edit.region

    def _edit(self, number: int) -> Edit:
        return self._slide.edit_files.get(number).moved_to(self._slide.frame)

    def _carry_out(self, number: int, direction: int, edit: Edit, change: Change) -> None:
        slide = self._slide
        files = change.files()
        transaction = Transaction.write(
            slide.path, self._folder, files, change.entries(), sync=True
        )
        try:
            slide.ledger.commit(number, direction)
        except StorageError:
            transaction.discard()
            raise
        self._on_stale(dependents_of(slide, edit))
        self._finish(transaction, files)
        if change.others:
            slide.set_recipe(slide.recipe)

    def _finish(self, transaction: Transaction, files: Mapping[str, bytes | None]) -> None:
        """Put the files of a committed step in place; when that fails, go on as if they were."""
        slide = self._slide
        try:
            transaction.place(sync=True)
            slide.ledger.applied(transaction.entries)
        except StorageError:
            slide.chunk_reader.overlay(files)
            slide.table.apply(transaction.entries)
        else:
            slide.chunk_reader.overlay({})
            transaction.discard()

    def _drop_oldest(self) -> None:
        slide = self._slide
        edits = slide.ledger.edits
        with suppress(StorageError):
            while len(edits.done) > 1 and self._kept_bytes() > self._max_undo_bytes:
                slide.ledger.drop(edits.done[0])
        slide.edit_files.keep_only(edits.kept)

    def _kept_bytes(self) -> int:
        return sum(map(self._slide.edit_files.size, self._slide.ledger.edits.kept))
