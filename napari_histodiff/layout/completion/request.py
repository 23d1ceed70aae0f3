"""A request whose maps are completed before it is drawn: it holds what decides the pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.core.requests import EditKind, EditRequest, Structure, checked_number
from napari_histodiff.layout.completion.by_tissue import by_tissue
from napari_histodiff.layout.completion.complete import complete_paint

__all__ = ["completed", "joined", "structure_seed"]


def structure_seed(seed: int, variant: int) -> int:
    """Return the seed of what is suggested for a variant; that of the first is the request's.

    Raises
    ------
    InvalidRequest
        When one of them is out of range.
    """
    seed = int(checked_number("seed", seed))
    variant = int(checked_number("variant", variant, limits_of="first_variant"))
    if variant == 0:
        return seed
    return int(np.random.SeedSequence((seed, variant)).generate_state(1)[0]) >> 1


def completed(request: EditRequest, tissue_names: tuple[str, ...] = TISSUE_NAMES) -> EditRequest:
    """Return a request with what is not painted suggested, see `complete_paint`.

    Every variant has a suggestion of its own, so that variants differ in structure; a variant alone
    (`EditRequest.alone`) is suggested the same. An inpainted place in which nothing is painted is
    left to the pixels around it; tiles of slides and what is drawn from coarser pixels have their
    maps.

    Parameters
    ----------
    request : EditRequest
        Whose variants share their maps.
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
    whole = [
        _completed(request.alone(variant), tissue_names) for variant in range(request.variants)
    ]
    return joined(whole)


def joined(requests: Sequence[EditRequest]) -> EditRequest:
    """Return one request of all variants, from those of each alone, in their order."""
    first = requests[0]
    maps = [(one.class_map, one.instance_map, one.tissue_map) for one in requests]
    own = any(not _same(other, maps[0]) for other in maps[1:])
    return replace(first, variants=len(requests), structures=tuple(maps[1:]) if own else ())


def _completed(request: EditRequest, tissue_names: tuple[str, ...]) -> EditRequest:
    seed = structure_seed(request.seed, request.first_variant)
    found = complete_paint(
        request.class_map,
        request.instance_map,
        request.tissue_map,
        shape=request.shape,
        caption=request.caption,
        mpp=request.mpp,
        seed=seed,
        origin=(request.region.y, request.region.x),
        where=request.edit_mask,
        tissue_names=tissue_names,
    )
    if request.region_captions:
        found = by_tissue(
            found,
            request.region_captions,
            mpp=request.mpp,
            seed=seed,
            origin=(request.region.y, request.region.x),
            tissue_names=tissue_names,
        )
    if "tissue" in found.suggested:
        request = replace(request, tissue_map=found.tissue_map)
    if "nuclei" in found.suggested:
        request = replace(request, class_map=found.class_map, instance_map=found.instance_map)
    return request


def _same(one: Structure, other: Structure) -> bool:
    return all(
        a is b or (a is not None and b is not None and np.array_equal(a, b))
        for a, b in zip(one, other, strict=True)
    )
