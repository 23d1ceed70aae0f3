"""A request whose maps are completed before it is drawn: it holds what decides the pixels."""

from __future__ import annotations

from dataclasses import replace

from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.layout.completion.by_tissue import by_tissue
from napari_histodiff.layout.completion.complete import complete_paint

__all__ = ["completed"]


def completed(request: EditRequest, tissue_names: tuple[str, ...] = TISSUE_NAMES) -> EditRequest:
    """Return a request with what is not painted suggested, see `complete_paint`.

    An inpainted place in which nothing is painted is left to the pixels around it; tiles of slides
    and what is drawn from coarser pixels have their maps.

    Parameters
    ----------
    request : EditRequest
    tissue_names : tuple of str
        Schema of the model that is to draw.
    """
    if request.kind is EditKind.ZOOM or request.target is not None:
        return request
    painted = any(
        array is not None and array.any()
        for array in (request.class_map, request.instance_map, request.tissue_map)
    )
    if request.kind is EditKind.INPAINT and not painted:
        return request
    found = complete_paint(
        request.class_map,
        request.instance_map,
        request.tissue_map,
        shape=request.shape,
        caption=request.caption,
        mpp=request.mpp,
        seed=request.seed,
        origin=(request.region.y, request.region.x),
        where=request.edit_mask,
        tissue_names=tissue_names,
    )
    if request.region_captions:
        found = by_tissue(
            found,
            request.class_map,
            request.instance_map,
            request.region_captions,
            mpp=request.mpp,
            seed=request.seed,
            origin=(request.region.y, request.region.x),
            where=request.edit_mask,
            tissue_names=tissue_names,
        )
    if "tissue" in found.suggested:
        request = replace(request, tissue_map=found.tissue_map)
    if "nuclei" in found.suggested:
        request = replace(request, class_map=found.class_map, instance_map=found.instance_map)
    return request
