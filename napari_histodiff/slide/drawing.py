"""Putting drawn tiles into a slide, and the levels that follow from them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidImage, InvalidRequest
from napari_histodiff.core.geometry import TileAddress
from napari_histodiff.core.recipe import TILE, SlideRecipe
from napari_histodiff.slide.averages import box_down
from napari_histodiff.slide.change import Change
from napari_histodiff.slide.chunks import FILL, full
from napari_histodiff.slide.states import TileState
from napari_histodiff.slide.tile_table import HAS_EDITS

__all__ = ["FINER", "OWN", "check_tile", "draw", "rebuild_far"]

#: Bits of the plane "edits": changed by an edit at this level, or at a finer one.
OWN = 1
FINER = 2


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
        own, finer = (edits & OWN != 0)[..., None], (edits & FINER != 0)[..., None]
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
        labels = np.where(edits & OWN != 0, 0 if kept is None else kept, labels)
    change.put("labels", tile, labels if labels.any() else None)
