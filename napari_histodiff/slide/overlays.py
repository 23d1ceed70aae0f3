"""Edits of finer levels in the coarser ones: exact 2x2 means over what was drawn there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import PyramidSpec, TileAddress
from napari_histodiff.core.recipe import TILE
from napari_histodiff.slide.averages import any_down, box_down
from napari_histodiff.slide.change import Change
from napari_histodiff.slide.chunks import full
from napari_histodiff.slide.drawing import FINER, OWN
from napari_histodiff.slide.picture import Picture
from napari_histodiff.slide.states import TileState

__all__ = ["average_tile", "average_up", "shown"]


def average_up(
    change: Change, picture: Picture, coarsest: int, tiles: Iterable[TileAddress]
) -> set[TileAddress]:
    """Bring the levels that the model draws up to date over changed tiles.

    Parameters
    ----------
    change : Change
        Holds the changed tiles already; takes the others.
    picture : Picture
        What shows now, for tiles without pixels of their own.
    coarsest : int
        The coarsest level that the model draws.
    tiles : iterable of TileAddress
        Whose pixels or edits changed; of any levels.

    Returns
    -------
    set of TileAddress
        These tiles, and those over them that follow.
    """
    changed = set(tiles)
    for level in range(coarsest):
        over = {
            TileAddress(level + 1, tile.row // 2, tile.col // 2)
            for tile in changed
            if tile.level == level
        }
        changed |= {tile for tile in over if average_tile(change, picture, tile)}
    return changed


def average_tile(change: Change, picture: Picture, tile: TileAddress) -> bool:
    """Put the means of finer edits into a tile, and take out what is no longer edited.

    What the tile was drawn as, or edited to at its own level, is kept as its base.

    Returns
    -------
    bool
        Whether it changed.
    """
    edits = change.get("edits", tile)
    averaged, means = _means(change, tile)
    was_averaged = edits is not None and bool((edits & FINER).any())
    if not averaged.any() and not was_averaged:
        return False
    own = np.zeros((TILE, TILE), np.uint8) if edits is None else edits & np.uint8(OWN)
    state = change.info(tile).state
    base = change.get("base", tile)
    if base is None and (state != TileState.EMPTY or own.any()):
        base = change.get("image", tile)
    if averaged.any():
        under = shown(change, picture, tile) if base is None else base
        change.put("image", tile, np.where(averaged[..., None], means, under))
        change.put("base", tile, base)
        change.put("edits", tile, own | (averaged * np.uint8(FINER)))
    else:
        change.put("image", tile, base)
        change.put("base", tile, None)
        change.put("edits", tile, own if own.any() else None)
    change.settle(tile, state)
    return True


def shown(change: Change, picture: Picture, tile: TileAddress) -> NDArray[np.uint8]:
    """Return a full tile as it shows, with what `change` holds of it."""
    image = change.get("image", tile)
    if image is not None and change.info(tile).state != TileState.EMPTY:
        return image
    region = change.spec.region(tile)
    coarser = full(picture.coarser(tile, region), region.shape)
    edits = change.get("edits", tile)
    if image is None or edits is None:
        return coarser
    return np.where((edits != 0)[..., None], image, coarser)


def _means(change: Change, tile: TileAddress) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
    """Return where the tiles below hold edits, and the 2x2 means of those that do."""
    averaged = np.zeros((TILE, TILE), np.bool_)
    means = np.zeros((TILE, TILE, 3), np.uint8)
    half = TILE // 2
    for child in _children(change.spec, tile):
        edits, image = change.get("edits", child), change.get("image", child)
        if edits is None or image is None:
            continue
        y, x = child.row % 2 * half, child.col % 2 * half
        averaged[y : y + half, x : x + half] = any_down(edits != 0)
        means[y : y + half, x : x + half] = box_down(image)
    return averaged, means


def _children(spec: PyramidSpec, tile: TileAddress) -> Iterator[TileAddress]:
    if tile.level > 0:
        below = spec.at_level(spec.region(tile), tile.level - 1)
        yield from spec.tiles(below)
