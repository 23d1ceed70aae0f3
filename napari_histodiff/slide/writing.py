"""From a request and its pixels to an edit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidImage, InvalidMap, InvalidRequest
from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.core.maps import as_edit_mask, encode_labels
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.layout.sketch import Sketch
from napari_histodiff.slide.change import Change
from napari_histodiff.slide.cones import below, of_layout
from napari_histodiff.slide.edit_file import Edit, Swap
from napari_histodiff.slide.editing import cut, edit_tiles, mask_boxes
from napari_histodiff.slide.parts import SKETCH_FILE, SlideParts, pack_sketch
from napari_histodiff.slide.sketch_changes import changed_boxes
from napari_histodiff.slide.steps import cone_lines

__all__ = ["edit_of_request", "edit_of_sketch"]


def edit_of_request(
    slide: SlideParts,
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
    patches = cut(slide.spec, region, mask, pixels, _labels(request))
    if not patches:
        raise InvalidRequest(
            f"expected an edit that changes pixels of the slide, got none in {region}; "
            "paint a mask within the slide"
        )
    change = slide.change()
    edit_tiles(change, slide.picture, patches)
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
        cone=cone_lines(slide, below(slide.recipe, boxes)),
        request=request.to_dict(),
    )


def edit_of_sketch(slide: SlideParts, sketch: Sketch | None) -> Edit:
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
        cone=cone_lines(slide, of_layout(slide.recipe, boxes)),
    )


def _swaps(slide: SlideParts, change: Change) -> dict[tuple[str, TileAddress], Swap]:
    return {
        (plane, tile): (_known(slide, plane, tile), data) for plane, tile, data in change.chunks()
    }


def _known(slide: SlideParts, plane: str, tile: TileAddress) -> bytes | None:
    """Return a chunk that the table knows of; what a crash left behind counts as nothing."""
    info = slide.info(tile)
    known = info.check if plane == "image" else info.has(plane)
    return slide.disk.raw(slide.disk.key(plane, tile)) if known else None


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
