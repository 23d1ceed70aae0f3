"""The paint follows the variant in view, where each variant has a structure of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_histodiff.core.errors import HistodiffError
from napari_histodiff.layout.completion import Maps
from napari_histodiff.ui.painting.places import paint_at, put_paint
from napari_histodiff.ui.workspace.runs import nuclei_maps

if TYPE_CHECKING:
    from napari_histodiff.core.geometry import Region
    from napari_histodiff.ui.generation.history import HistoryEntry
    from napari_histodiff.ui.generation.states import Staging
    from napari_histodiff.ui.workspace.document import Document
    from napari_histodiff.ui.workspace.workspace import Workspace

__all__ = ["StructureInView", "paint_of", "painted_on"]


class StructureInView:
    """Shows the nuclei and the tissue that the variant in view was drawn from.

    What somebody has changed since is left as it is.

    Parameters
    ----------
    workspace : Workspace
        The frame and its paint.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._before: Staging | None = None

    def follow(self, staging: Staging | None) -> None:
        """Paint what another variant than before was drawn from; nothing where that is the same.

        It is painted where the variants were asked for, also while the frame is elsewhere.
        """
        before = self._before
        if staging is None:  # the next one is compared with what was in view last
            return
        if before is not None and staging.frame is None and staging.region == before.region:
            staging = replace(staging, frame=before.frame)
        self._before = staging
        if before is None or self._workspace.target is None:
            return
        if before.entry is staging.entry and not staging.entry.request.structures:
            return
        if before.entry is not staging.entry and staging.beside:  # the same paint, told to another
            return
        try:
            self._change(self._workspace.document, before, staging)
        except HistodiffError:  # the frame is being drawn, or has another image below
            return

    def _change(self, document: Document, before: Staging, now: Staging) -> None:
        place = now.frame or now.region
        shown, wanted = paint_of(before, place), paint_of(now, place)
        if shown is None or wanted is None or _same(shown, wanted):
            return
        labels, tissue = paint_at(document, place)
        if _same(shown, (*nuclei_maps(labels), tissue)):
            put_paint(document, place, wanted)


def paint_of(staging: Staging, region: Region) -> Maps | None:
    """Return the paint that a variant was drawn from, in a part of its place; None elsewhere."""
    seen = staging.region
    if seen.level != region.level or not seen.contains(region):
        return None
    return painted_on(staging.entry, region, staging.index)


def painted_on(entry: HistoryEntry, region: Region, index: int = 0) -> Maps:
    """Return the paint that a variant of an edit was drawn from, in a part of its place."""
    request = entry.request.alone(index)
    inside = region.relative_to(request.region).slices
    empty = np.zeros(region.shape, np.int32)
    classes = request.class_map
    instances, tissue = request.instance_map, request.tissue_map
    told = empty.astype(np.uint8) if tissue is None else tissue[inside]
    if entry.tissue is not None and entry.tissue.shape == request.shape:
        own = entry.tissue[inside]  # also what the model does not know
        told = own if index == 0 else np.where(told > 0, told, own)
    return (
        empty.astype(np.uint8) if classes is None else classes[inside],
        empty if instances is None else instances[inside],
        told,
    )


def _same(one: Maps, other: Maps) -> bool:
    """Whether two paints show the same; numbers of nuclei may differ."""
    return np.array_equal(one[0], other[0]) and np.array_equal(one[2], other[2])
