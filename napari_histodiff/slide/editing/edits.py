"""From a request and its pixels to an edit.

An edit says what becomes of the tiles it touches, and of the coarser and finer ones at its place.
Changing the sketch is an edit of wherever the two sketches differ.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_histodiff.core.box_mean import repeat_up
from napari_histodiff.core.errors import InvalidImage, InvalidMap, InvalidRequest
from napari_histodiff.core.geometry import PyramidSpec, Region, TileAddress
from napari_histodiff.core.maps import as_edit_mask, encode_labels
from napari_histodiff.core.recipe import TILE
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.layout.sketch import Sketch
from napari_histodiff.slide.editing.pyramid import shown
from napari_histodiff.slide.editing.undo import dependent_lines, dependents_under
from napari_histodiff.slide.state import SKETCH_FILE, SlideState, StoreState, pack_sketch
from napari_histodiff.slide.storage.change import Change
from napari_histodiff.slide.storage.chunks import EDITED_FINER, EDITED_HERE
from napari_histodiff.slide.storage.dependencies import of_layout
from napari_histodiff.slide.storage.edit_files import Edit, Swap
from napari_histodiff.slide.storage.tile_table import (
    HAS_EDITS,
    SETTLED,
    UNTOUCHED,
    TileState,
)
from napari_histodiff.slide.tile_reader import TileReader, full_tile

__all__ = [
    "Patch",
    "changed_boxes",
    "cut",
    "edit_of_request",
    "edit_of_sketch",
    "edit_tiles",
    "known_chunk",
    "mask_boxes",
]


def edit_of_request(
    slide: StoreState,
    request: EditRequest,
    pixels: NDArray[np.uint8],
    mask: NDArray[np.bool_] | None,
) -> Edit:
    """Return the edit that puts drawn pixels into a slide; see `SlideStore.write`.

    Raises
    ------
    InvalidRequest
        When the request is of a level that is never drawn or changes nothing of the slide, or
        pixels or mask have another shape.
    """
    region = request.drawn
    if region.level > slide.recipe.coarsest:
        raise InvalidRequest(
            f"expected an edit of a level from 0 to {slide.recipe.coarsest}, got level "
            f"{region.level}; zoom in until the model can draw there"
        )
    mask = _mask(request, pixels, mask)
    patches = cut(slide.spec, region, mask, pixels, _labels(request), slide.tissue_of(request))
    if not patches:
        raise InvalidRequest(
            f"expected an edit that changes pixels of the slide, got none in {region}; "
            "paint a mask within the slide"
        )
    change = slide.change()
    if slide.base.has_pixels:
        edit_scan_tiles(change, slide.tile_reader, patches)
    else:
        edit_tiles(change, slide.tile_reader, patches)
    boxes = mask_boxes(patches)
    where = boxes[0]
    for box in boxes[1:]:
        where = where.union(box)
    tiles = change.lines()
    return Edit(
        region=where,
        boxes=boxes,
        layout=False,
        frame=slide.frame,
        seen_from=slide.frame,
        chunks=_swaps(slide, change),
        others={},
        before={tile: slide.info(tile) for tile in tiles},
        after=tiles,
        dependents=dependent_lines(slide, dependents_under(slide, boxes)),
        request=request.to_dict(),
    )


def edit_of_sketch(slide: SlideState, sketch: Sketch | None) -> Edit:
    """Return the edit that gives a slide another sketch."""
    y, x, height, width, refined = slide.frame
    on_plane = Region(0, y, x, height, width)
    reach = max(slide.layout.sketch_reach, slide.layout_with(sketch).sketch_reach)
    boxes = tuple(
        box.translate(-y, -x) for box in changed_boxes(slide.sketch, sketch, reach, on_plane)
    )
    swap = (pack_sketch(slide.sketch, refined), pack_sketch(sketch, refined))
    return Edit(
        region=slide.spec.bounds(0),
        boxes=boxes,
        layout=True,
        frame=slide.frame,
        seen_from=slide.frame,
        chunks={},
        others={SKETCH_FILE: swap},
        before={},
        after={},
        dependents=dependent_lines(slide, of_layout(slide.recipe, boxes)),
    )


def _swaps(slide: StoreState, change: Change) -> dict[tuple[str, TileAddress], Swap]:
    return {
        (plane, tile): (known_chunk(slide, plane, tile), data)
        for plane, tile, data in change.chunks()
    }


def known_chunk(slide: StoreState, plane: str, tile: TileAddress) -> bytes | None:
    """Return a chunk that the table knows of; what a crash left behind counts as nothing."""
    info = slide.info(tile)
    known = info.check if plane == "image" else info.has(plane)
    return slide.chunk_reader.raw(slide.chunk_reader.key(plane, tile)) if known else None


def _mask(
    request: EditRequest, pixels: NDArray[np.uint8], mask: NDArray[np.bool_] | None
) -> NDArray[np.bool_]:
    shape = request.drawn.shape
    if pixels.shape != (*shape, 3) or pixels.dtype != np.uint8:
        raise InvalidImage(
            f"expected pixels of shape {(*shape, 3)} and dtype uint8 as the request draws, got "
            f"{pixels.shape} of {pixels.dtype}; give one variant of what it drew"
        )
    if mask is None:
        part = request.drawn.relative_to(request.region).slices
        given = request.edit_mask
        return np.ones(shape, np.bool_) if given is None else given[part]
    checked = as_edit_mask(mask)
    if checked.shape != shape:
        raise InvalidMap(
            f"expected a mask of shape {shape} as the request draws, got {checked.shape}; "
            "crop it to the frame"
        )
    return checked


def _labels(request: EditRequest) -> NDArray[np.int32]:
    classes, instances = request.class_map, request.instance_map
    if classes is None:
        classes = np.zeros(request.shape, np.uint8)
    if instances is None:
        instances = np.zeros(request.shape, np.int32)
    part = request.drawn.relative_to(request.region).slices
    return encode_labels(instances[part], classes[part])


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
    tissue : (256, 256) uint8
        The new tissue, 0 where nobody said; the same.
    """

    mask: NDArray[np.bool_]
    pixels: NDArray[np.uint8]
    labels: NDArray[np.int32]
    tissue: NDArray[np.uint8]


def cut(
    spec: PyramidSpec,
    region: Region,
    mask: NDArray[np.bool_],
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int32],
    tissue: NDArray[np.uint8] | None = None,
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
    tissue : (h, w) uint8, optional
        The same; without it nobody said what is there.
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
            if tissue is not None:
                patch.tissue[here] = tissue[there]
            patches[tile] = patch
    return patches


def mask_boxes(patches: dict[TileAddress, Patch]) -> tuple[Region, ...]:
    """Return the smallest rectangle around the changed pixels of each tile."""
    return tuple(Region.of_mask(patch.mask, full_tile(tile)) for tile, patch in patches.items())


def edit_tiles(change: Change, reader: TileReader, patches: dict[TileAddress, Patch]) -> None:
    """Work out the tiles that an edit changes at its own level and at finer ones.

    At its own level the tiles take the new pixels; at finer ones the earlier edits under it are
    given up, so that they are drawn anew from it. Labels are put at all these levels, tissue at
    its own: finer ones are told that, and only give up their own. Coarser levels follow by
    `pyramid.average_up`.

    Parameters
    ----------
    change : Change
        Where to put them.
    reader : TileReader
        What shows now, for tiles without pixels of their own.
    patches : dict
        See `cut`; all of one level.
    """
    for tile, patch in patches.items():
        _put_own(change, reader, tile, patch)
        _put_numbers(change, "labels", tile, patch.mask, patch.labels)
        _put_numbers(change, "tissue", tile, patch.mask, patch.tissue)
    finer = patches
    for _ in range(next(iter(patches)).level):
        finer = _refined(change.spec, finer)
        for tile, patch in finer.items():
            _put_numbers(change, "labels", tile, patch.mask, patch.labels)
            _put_numbers(change, "tissue", tile, patch.mask, patch.tissue)
            _give_way(change, tile, patch.mask)


def edit_scan_tiles(change: Change, reader: TileReader, patches: dict[TileAddress, Patch]) -> None:
    """Work out the tiles that an edit of a scan changes at its own level and at finer ones.

    As `edit_tiles`, but nuclei are kept as they were painted and not with the edit, and no finer
    tile is drawn anew: there the new pixels show enlarged.

    Parameters
    ----------
    change, reader, patches
        As `edit_tiles` has them.
    """
    for tile, patch in patches.items():
        _put_own(change, reader, tile, patch)
        for level in range(tile.level):
            steps = tile.level - level
            side = max(1, TILE >> steps)
            for finer in change.under(tile, level, HAS_EDITS):
                y, x = ((place * TILE >> steps) % TILE for place in (finer.row, finer.col))
                mask = repeat_up(patch.mask[y : y + side, x : x + side], TILE // side)
                if not (_edits(change, finer)[~mask] & EDITED_HERE).any():
                    change.mark(finer, TileState.SOURCE)
                _give_way(change, finer, mask)


def _put_own(change: Change, reader: TileReader, tile: TileAddress, patch: Patch) -> None:
    info = change.info(tile)
    edits = _edits(change, tile)
    mask = patch.mask[..., None]
    before = shown(change, reader, tile)
    base = change.get("base", tile)
    edits = np.where(patch.mask, np.uint8(EDITED_HERE), edits)
    change.put("image", tile, np.where(mask, patch.pixels, before))
    if base is not None:
        keeps_base = bool((edits & EDITED_FINER).any())
        change.put("base", tile, np.where(mask, patch.pixels, base) if keeps_base else None)
    change.put("edits", tile, edits)
    height, width = change.shape(tile)
    whole = bool((edits[:height, :width] & EDITED_HERE).all())
    # The rest of a tile that was not drawn yet is still to come.
    edited = info.state in SETTLED or whole
    change.settle(tile, TileState.EDITED if edited else TileState.STALE)


def _give_way(change: Change, tile: TileAddress, mask: NDArray[np.bool_]) -> None:
    """Let go of the earlier edits of a tile under a coarser one."""
    info = change.info(tile)
    state = info.state
    if info.flags & HAS_EDITS:
        edits = np.where(mask, np.uint8(0), _edits(change, tile))
        # Kept with the edit even where they stay: what is drawn later replaces them.
        change.touch("image", tile)
        change.touch("base", tile)
        change.put("edits", tile, edits if edits.any() else None)
        if not (edits & EDITED_FINER).any():
            change.put("base", tile, None)
        if state in UNTOUCHED and not edits.any():
            change.put("image", tile, None)
    change.settle(tile, state)


def _refined(spec: PyramidSpec, patches: dict[TileAddress, Patch]) -> dict[TileAddress, Patch]:
    """Return the masks and labels of an edit one level finer; without its pixels and tissue."""
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
                finer[child] = replace(
                    _blank(),
                    mask=repeat_up(patch.mask[part], 2),
                    labels=repeat_up(patch.labels[part], 2),
                )
    return finer


def _edits(change: Change, tile: TileAddress) -> NDArray[Any]:
    edits = change.get("edits", tile)
    return np.zeros((TILE, TILE), np.uint8) if edits is None else edits


def _put_numbers(
    change: Change, plane: str, tile: TileAddress, mask: NDArray[np.bool_], numbers: NDArray[Any]
) -> None:
    kept = change.get(plane, tile)
    fresh = np.where(mask, numbers, 0 if kept is None else kept).astype(numbers.dtype)
    change.put(plane, tile, fresh if fresh.any() else None)


def _blank() -> Patch:
    return Patch(
        np.zeros((TILE, TILE), np.bool_),
        np.zeros((TILE, TILE, 3), np.uint8),
        np.zeros((TILE, TILE), np.int32),
        np.zeros((TILE, TILE), np.uint8),
    )


def changed_boxes(
    before: Sketch | None, after: Sketch | None, reach: int, within: Region
) -> list[Region]:
    """Return rectangles that hold every place where the two may lead to another layout.

    Parameters
    ----------
    before, after : Sketch, optional
        None leaves everything to the layout.
    reach : int
        How far beyond a changed sketch pixel the layout may change, in pixels of level 0.
    within : Region
        The slide, level 0, PLANE coordinates; so are the results.
    """
    boxes = []
    for one, other in ((before, after), (after, before)):
        if one is None:
            continue
        differs = _differs(one, other)
        labels, _ = ndimage.label(differs, np.ones((3, 3)))
        for rows, cols in ndimage.find_objects(labels):
            box = Region(
                0,
                one.origin[0] + rows.start * one.pixel,
                one.origin[1] + cols.start * one.pixel,
                (rows.stop - rows.start) * one.pixel,
                (cols.stop - cols.start) * one.pixel,
            )
            boxes.append(box.pad(reach).intersect(within))
    return [box for box in dict.fromkeys(boxes) if not box.is_empty]


def _differs(one: Sketch, other: Sketch | None) -> NDArray[np.bool_]:
    """Return which pixels of a sketch another one does not have the same."""
    painted: NDArray[np.bool_] = one.classes != 0
    if other is None or other.pixel != one.pixel:
        return painted
    shift = [b - a for a, b in zip(one.origin, other.origin, strict=True)]
    if any(step % one.pixel for step in shift):
        return painted
    same = np.zeros_like(one.classes)
    y, x = (step // one.pixel for step in shift)
    rows = slice(max(0, y), max(0, min(one.classes.shape[0], y + other.classes.shape[0])))
    cols = slice(max(0, x), max(0, min(one.classes.shape[1], x + other.classes.shape[1])))
    same[rows, cols] = other.classes[rows.start - y : rows.stop - y, cols.start - x : cols.stop - x]
    differs: NDArray[np.bool_] = same != one.classes
    return differs
