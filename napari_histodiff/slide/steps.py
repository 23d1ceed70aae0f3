"""Turning an edit into a change: doing it, undoing it, doing it again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import TileAddress
from napari_histodiff.slide.change import Change
from napari_histodiff.slide.cones import Cone, below, of_border, of_layout
from napari_histodiff.slide.drawing import OWN, rebuild_far
from napari_histodiff.slide.edit_file import Edit
from napari_histodiff.slide.ledger import UNDO
from napari_histodiff.slide.overlays import average_up
from napari_histodiff.slide.states import TileState, is_drawn
from napari_histodiff.slide.tile_table import IS_AVERAGED, TileInfo

if TYPE_CHECKING:
    from napari_histodiff.slide.parts import SlideParts

__all__ = ["cone_lines", "cone_of", "plan_step", "stale_state"]


def cone_of(slide: SlideParts, edit: Edit) -> Cone:
    """Return the tiles that depend on what an edit changed."""
    return (of_layout if edit.layout else below)(slide.recipe, edit.boxes)


def cone_lines(slide: SlideParts, cone: Cone) -> dict[TileAddress, TileInfo]:
    """Return what is known of the drawn tiles of a cone."""
    return {
        tile: slide.info(tile)
        for level, grid in cone.items()
        for tile in slide.table.addresses(level, grid & is_drawn(slide.table.states[level]))
    }


def plan_step(slide: SlideParts, edit: Edit, direction: int) -> Change:
    """Work out what doing, undoing or redoing an edit changes; the same whenever it is asked again.

    Tiles in the cone become stale. Undoing gives them their earlier state back where they still
    hold the pixels they had.

    Parameters
    ----------
    slide : SlideParts
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
    restored = edit.cone if direction == UNDO else {}
    cone = cone_of(slide, edit)
    for level, grid in cone.items():
        drawn = grid & is_drawn(slide.table.states[level])
        for tile in slide.table.addresses(level, drawn):
            if ("image", tile) not in edit.chunks:
                _mark(slide, change, tile, restored.get(tile))
            elif direction != UNDO:
                _make_stale(change, tile)
    if edit.frame != slide.frame:
        _make_border_stale(slide, change, edit)
    coarsest = slide.recipe.coarsest
    touched = {tile for plane, tile in edit.chunks if plane != "labels"}
    changed = average_up(change, slide.picture, coarsest, touched)
    if edit.layout:
        changed |= set(_dropped(slide, cone[coarsest]))
    rebuild_far(change, [tile for tile in changed if tile.level == coarsest])
    return change


def _dropped(slide: SlideParts, grid: NDArray[np.bool_]) -> Iterator[TileAddress]:
    """Yield the tiles that were dropped to save space, and of which only the averages are left."""
    coarsest = slide.recipe.coarsest
    averaged = slide.table.flags[coarsest] & IS_AVERAGED != 0
    empty = slide.table.states[coarsest] == TileState.EMPTY
    yield from slide.table.addresses(coarsest, grid & empty & averaged)


def _make_border_stale(slide: SlideParts, change: Change, edit: Edit) -> None:
    """Do not take tiles for whole that the slide's border cut when the edit was made."""
    border = of_border(slide.recipe, edit.frame)
    for tile in change.lines():
        if tile.level in border and border[tile.level][tile.row, tile.col]:
            _make_stale(change, tile)


def _mark(slide: SlideParts, change: Change, tile: TileAddress, earlier: TileInfo | None) -> None:
    if earlier is not None and slide.disk.check(slide.disk.key("image", tile)) == earlier.check:
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
        own = edits[: shape[0], : shape[1]] & OWN
        if own.all():
            return state
    return TileState.STALE
