"""Drawn tiles and edits, and the coarser levels that follow from them: exact 2x2 means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.box_mean import any_down, box_down
from napari_histodiff.core.errors import InvalidImage, InvalidRequest
from napari_histodiff.core.geometry import PyramidSpec, TileAddress
from napari_histodiff.core.recipe import TILE, SlideRecipe
from napari_histodiff.slide.storage.change import Change
from napari_histodiff.slide.storage.chunks import EDITED_FINER, EDITED_HERE, FILL, full
from napari_histodiff.slide.storage.tile_table import HAS_EDITS, UNTOUCHED, TileState
from napari_histodiff.slide.tile_reader import TileReader

__all__ = [
    "average_tile",
    "average_up",
    "check_tile",
    "draw",
    "rebuild_far",
    "shown",
]


def average_up(
    change: Change, reader: TileReader, coarsest: int, tiles: Iterable[TileAddress]
) -> set[TileAddress]:
    """Bring the levels that the model draws up to date over changed tiles.

    Parameters
    ----------
    change : Change
        Holds the changed tiles already; takes the others.
    reader : TileReader
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
        changed |= {tile for tile in over if average_tile(change, reader, tile)}
    return changed


def average_tile(change: Change, reader: TileReader, tile: TileAddress) -> bool:
    """Put the means of finer edits into a tile, and take out what is no longer edited.

    What the tile was drawn as, or edited to at its own level, is kept as its base.

    Returns
    -------
    bool
        Whether it changed.
    """
    edits = change.get("edits", tile)
    averaged, means = _means(change, reader, tile)
    was_averaged = edits is not None and bool((edits & EDITED_FINER).any())
    if not averaged.any() and not was_averaged:
        return False
    own = np.zeros((TILE, TILE), np.uint8) if edits is None else edits & np.uint8(EDITED_HERE)
    state = change.info(tile).state
    base = change.get("base", tile)
    if base is None and (state not in UNTOUCHED or own.any()):
        base = change.get("image", tile)
    if averaged.any():
        under = shown(change, reader, tile) if base is None else base
        change.put("image", tile, np.where(averaged[..., None], means, under))
        change.put("base", tile, base)
        change.put("edits", tile, own | (averaged * np.uint8(EDITED_FINER)))
    else:
        change.put("image", tile, base)
        change.put("base", tile, None)
        change.put("edits", tile, own if own.any() else None)
    change.settle(tile, state)
    return True


def shown(change: Change, reader: TileReader, tile: TileAddress) -> NDArray[np.uint8]:
    """Return a full tile as it shows, with what `change` holds of it."""
    image = change.get("image", tile)
    if image is not None and reader.counts_whole(change.info(tile).state):
        return image
    region = change.spec.region(tile)
    coarser = full(reader.coarser(tile, region, change.info, change.get), region.shape)
    edits = change.get("edits", tile)
    if image is None or edits is None:
        return coarser
    return full(np.where((edits != 0)[..., None], image, coarser), region.shape)


def _means(
    change: Change, reader: TileReader, tile: TileAddress
) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
    """Return where the tiles below hold edits, and the 2x2 means of those that do."""
    averaged = np.zeros((TILE, TILE), np.bool_)
    means = np.zeros((TILE, TILE, 3), np.uint8)
    half = TILE // 2
    for child in _children(change.spec, tile):
        edits, image = change.get("edits", child), change.get("image", child)
        if edits is None or image is None:
            continue
        if reader.shows_edits_only:
            image = shown(change, reader, child)
        y, x = child.row % 2 * half, child.col % 2 * half
        averaged[y : y + half, x : x + half] = any_down(edits != 0)
        means[y : y + half, x : x + half] = box_down(image)
    return averaged, means


def _children(spec: PyramidSpec, tile: TileAddress) -> Iterator[TileAddress]:
    if tile.level > 0:
        below = spec.at_level(spec.region(tile), tile.level - 1)
        yield from spec.tiles(below)


def check_tile(recipe: SlideRecipe, tile: TileAddress, pixels: NDArray[np.uint8]) -> None:
    """Check that pixels are those of a tile that the model draws.

    Raises
    ------
    InvalidRequest
        When it is no tile of a slide of this recipe, or of a level that is never drawn.
    InvalidImage
        When the pixels have another shape or dtype.
    """
    region = recipe.spec.region(tile)
    if tile.level > recipe.coarsest:
        raise InvalidRequest(
            f"expected a tile of a level from 0 to {recipe.coarsest}, got {tile}; "
            "coarser levels follow from these by themselves"
        )
    if pixels.shape != (*region.shape, 3) or pixels.dtype != np.uint8:
        raise InvalidImage(
            f"expected pixels of shape {(*region.shape, 3)} and dtype uint8 for {tile}, got "
            f"{pixels.shape} of {pixels.dtype}; cut the tile at the slide's border"
        )


def draw(
    change: Change,
    tile: TileAddress,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int32] | None,
) -> None:
    """Put a tile that the model drew; pixels the user changed stay as they are.

    Parameters
    ----------
    change : Change
        Where to put it.
    tile : TileAddress
        Of a level that the model draws.
    pixels : (h, w, 3) uint8
        The tile, cut at the slide's border.
    labels : (h, w) int32, optional
        Its nuclei.
    """
    edits = change.get("edits", tile)
    image = change.get("image", tile)
    state = TileState.GENERATED
    if labels is not None:
        _put_labels(change, tile, labels, edits)
    if edits is None or image is None:
        change.put("image", tile, pixels)
        change.put("base", tile, None)
    else:
        own, finer = (edits & EDITED_HERE != 0)[..., None], (edits & EDITED_FINER != 0)[..., None]
        base = change.get("base", tile)
        fresh = np.where(own, image if base is None else base, full(pixels))
        change.put("image", tile, np.where(finer, image, fresh))
        change.put("base", tile, fresh if finer.any() else None)
        state = TileState.EDITED if own.any() else TileState.GENERATED
    change.settle(tile, state)


def rebuild_far(change: Change, tiles: Iterable[TileAddress]) -> None:
    """Bring the levels that are never drawn up to date under changed tiles of the one below.

    Every one of their pixels lies over one tile only, so each tile is averaged on its own.

    Parameters
    ----------
    change : Change
        Holds the changed tiles already.
    tiles : iterable of TileAddress
        Tiles of the coarsest level that the model draws.
    """
    pieces: dict[TileAddress, NDArray[np.uint8]] = {}
    for tile in tiles:
        height, width = change.shape(tile)
        info = change.info(tile)
        shown = info.state != TileState.EMPTY or info.flags & HAS_EDITS
        image = change.get("image", tile) if shown else None
        change.settle(tile, info.state, averaged=image is not None)
        if image is None:
            image = np.full((TILE, TILE, 3), FILL, np.uint8)
        pieces[tile] = image[:height, :width]
    if not pieces:
        return
    coarsest = next(iter(pieces)).level
    for level in range(coarsest + 1, change.spec.levels):
        pieces = {tile: box_down(pixels) for tile, pixels in pieces.items()}
        _paste(change, level, level - coarsest, pieces)


def _paste(
    change: Change, level: int, steps: int, pieces: dict[TileAddress, NDArray[np.uint8]]
) -> None:
    under: dict[TileAddress, list[TileAddress]] = {}
    for tile in pieces:
        under.setdefault(TileAddress(level, tile.row >> steps, tile.col >> steps), []).append(tile)
    for target, tiles in under.items():
        image = change.get("image", target)
        pixels = np.full((TILE, TILE, 3), FILL, np.uint8) if image is None else image.copy()
        for tile in tiles:
            piece = pieces[tile]
            y = (tile.row * TILE >> steps) - target.row * TILE
            x = (tile.col * TILE >> steps) - target.col * TILE
            pixels[y : y + piece.shape[0], x : x + piece.shape[1]] = piece
        change.put("image", target, pixels)
        change.settle(target, TileState.EMPTY)


def _put_labels(
    change: Change,
    tile: TileAddress,
    labels: NDArray[np.int32],
    edits: NDArray[np.uint8] | None,
) -> None:
    labels = full(labels)
    if edits is not None:
        kept = change.get("labels", tile)
        labels = np.where(edits & EDITED_HERE != 0, 0 if kept is None else kept, labels)
    change.put("labels", tile, labels if labels.any() else None)
