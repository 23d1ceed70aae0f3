"""What an edit does to the tiles it touches, and to the coarser and finer ones at its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import PyramidSpec, Region, TileAddress
from napari_histodiff.core.recipe import TILE
from napari_histodiff.slide.averages import repeat_up
from napari_histodiff.slide.change import Change
from napari_histodiff.slide.drawing import FINER, OWN
from napari_histodiff.slide.overlays import shown
from napari_histodiff.slide.picture import Picture, full_tile
from napari_histodiff.slide.states import SETTLED, TileState
from napari_histodiff.slide.tile_table import HAS_EDITS

__all__ = ["Patch", "cut", "edit_tiles", "mask_boxes"]


@dataclass(frozen=True, slots=True)
class Patch:
    """What an edit puts into one tile.

    Attributes
    ----------
    mask : (256, 256) bool
        Where it changes something.
    pixels : (256, 256, 3) uint8
        The new pixels; those outside `mask` mean nothing.
    labels : (256, 256) int32
        The new nuclei; the same.
    """

    mask: NDArray[np.bool_]
    pixels: NDArray[np.uint8]
    labels: NDArray[np.int32]


def cut(
    spec: PyramidSpec,
    region: Region,
    mask: NDArray[np.bool_],
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int32],
) -> dict[TileAddress, Patch]:
    """Cut an edit into tiles; those without a changed pixel are left out.

    Parameters
    ----------
    spec : PyramidSpec
        The slide's; what lies beyond it is dropped.
    region : Region
        ARRAY coordinates.
    mask, pixels, labels : (h, w) bool, (h, w, 3) uint8, (h, w) int32
        Of the region.
    """
    patches = {}
    for tile in spec.tiles(region):
        piece = spec.region(tile).intersect(region)
        there, here = piece.relative_to(region).slices, piece.relative_to(full_tile(tile)).slices
        if mask[there].any():
            patch = _blank()
            patch.mask[here] = mask[there]
            patch.pixels[here] = pixels[there]
            patch.labels[here] = labels[there]
            patches[tile] = patch
    return patches


def mask_boxes(patches: dict[TileAddress, Patch]) -> tuple[Region, ...]:
    """Return the smallest rectangle around the changed pixels of each tile."""
    boxes = []
    for tile, patch in patches.items():
        rows = np.flatnonzero(patch.mask.any(axis=1))
        cols = np.flatnonzero(patch.mask.any(axis=0))
        y, x = int(rows[0]), int(cols[0])
        box = Region(tile.level, y, x, int(rows[-1]) + 1 - y, int(cols[-1]) + 1 - x)
        boxes.append(box.translate(tile.row * TILE, tile.col * TILE))
    return tuple(boxes)


def edit_tiles(change: Change, picture: Picture, patches: dict[TileAddress, Patch]) -> None:
    """Work out the tiles that an edit changes at its own level and at finer ones.

    At its own level the tiles take the new pixels; at finer ones the earlier edits under it are
    given up, so that they are drawn anew from it. Labels are put at all these levels. Coarser
    levels follow by `overlays.average_up`.

    Parameters
    ----------
    change : Change
        Where to put them.
    picture : Picture
        What shows now, for tiles without pixels of their own.
    patches : dict
        See `cut`; all of one level.
    """
    for tile, patch in patches.items():
        _put_own(change, picture, tile, patch)
    finer = patches
    for _ in range(next(iter(patches)).level):
        finer = _refined(change.spec, finer)
        for tile, patch in finer.items():
            _give_way(change, tile, patch)


def _put_own(change: Change, picture: Picture, tile: TileAddress, patch: Patch) -> None:
    info = change.info(tile)
    edits = _edits(change, tile)
    mask = patch.mask[..., None]
    before = shown(change, picture, tile)
    base = change.get("base", tile)
    edits = np.where(patch.mask, np.uint8(OWN), edits)
    change.put("image", tile, np.where(mask, patch.pixels, before))
    if base is not None:
        keeps_base = bool((edits & FINER).any())
        change.put("base", tile, np.where(mask, patch.pixels, base) if keeps_base else None)
    change.put("edits", tile, edits)
    _put_labels(change, tile, patch.mask, patch.labels)
    height, width = change.shape(tile)
    whole = bool((edits[:height, :width] & OWN).all())
    # The rest of a tile that was not drawn yet is still to come.
    edited = info.state in SETTLED or whole
    change.settle(tile, TileState.EDITED if edited else TileState.STALE)


def _give_way(change: Change, tile: TileAddress, patch: Patch) -> None:
    """Let go of the earlier edits under a coarser one; put its labels."""
    info = change.info(tile)
    _put_labels(change, tile, patch.mask, patch.labels)
    state = info.state
    if info.flags & HAS_EDITS:
        edits = np.where(patch.mask, np.uint8(0), _edits(change, tile))
        # Kept with the edit even where they stay: what is drawn later replaces them.
        change.touch("image", tile)
        change.touch("base", tile)
        change.put("edits", tile, edits if edits.any() else None)
        if not (edits & FINER).any():
            change.put("base", tile, None)
        if state == TileState.EMPTY and not edits.any():
            change.put("image", tile, None)
    change.settle(tile, state)


def _refined(spec: PyramidSpec, patches: dict[TileAddress, Patch]) -> dict[TileAddress, Patch]:
    """Return the masks and labels of an edit one level finer; its pixels mean nothing there."""
    finer = {}
    half = TILE // 2
    for tile, patch in patches.items():
        for dy, dx in np.ndindex(2, 2):
            child = TileAddress(tile.level - 1, 2 * tile.row + int(dy), 2 * tile.col + int(dx))
            part = np.s_[dy * half : (dy + 1) * half, dx * half : (dx + 1) * half]
            if (
                patch.mask[part].any()
                and not full_tile(child).intersect(spec.bounds(child.level)).is_empty
            ):
                finer[child] = Patch(
                    repeat_up(patch.mask[part], 2), patch.pixels, repeat_up(patch.labels[part], 2)
                )
    return finer


def _edits(change: Change, tile: TileAddress) -> NDArray[Any]:
    edits = change.get("edits", tile)
    return np.zeros((TILE, TILE), np.uint8) if edits is None else edits


def _put_labels(
    change: Change, tile: TileAddress, mask: NDArray[np.bool_], labels: NDArray[np.int32]
) -> None:
    kept = change.get("labels", tile)
    fresh = np.where(mask, labels, 0 if kept is None else kept).astype(np.int32)
    change.put("labels", tile, fresh if fresh.any() else None)


def _blank() -> Patch:
    return Patch(
        np.zeros((TILE, TILE), np.bool_),
        np.zeros((TILE, TILE, 3), np.uint8),
        np.zeros((TILE, TILE), np.int32),
    )
