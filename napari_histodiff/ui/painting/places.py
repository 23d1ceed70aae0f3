"""Nuclei and tissue of any place of an image, wherever the frame is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import encode_labels
from napari_histodiff.layout.completion import Maps
from napari_histodiff.ui.painting.steps import one_step
from napari_histodiff.ui.workspace.paint_layers import set_labels

if TYPE_CHECKING:
    from napari_histodiff.ui.workspace.document import Document

__all__ = ["paint_at", "put_paint"]


def paint_at(document: Document, place: Region) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Return the labels of nuclei and the tissue that are painted at a place, (h, w) each.

    Parameters
    ----------
    document : Document
        The image, open or not.
    place : Region
        In the frame, elsewhere, or partly there; of any level.

    Raises
    ------
    InvalidMap
        When a paint layer has another shape than the frame, or tissue that is none.
    """
    if document.layers and place == document.region:
        return document.nuclei.labels, document.tissue.tissue
    if document.layers:  # what lies in the frame is newer than what rests
        document.rest()
    resting = document.at_rest(place)
    return document.resting.read("nuclei", resting), document.resting.read("tissue", resting)


def put_paint(
    document: Document, place: Region, maps: Maps, *, nuclei: bool = True, tissue: bool = True
) -> None:
    """Replace what is painted at a place; in the frame, as one undo step.

    Parameters
    ----------
    document : Document
        The image, open or not.
    place : Region
        As of `paint_at`.
    maps : tuple of three (h, w) arrays
        Class map, instance map and tissue map.
    nuclei, tissue : bool
        Which of them are replaced.

    Raises
    ------
    InvalidMap
        As `paint_at`.
    """
    classes, instances, told = maps
    is_here = document.layers and place == document.region
    if document.layers and not is_here:
        document.rest()
    with one_step(document.paint_layers):
        if nuclei and is_here:
            document.paint_nuclei(classes, instances)
        elif nuclei:
            first = document.next_instance
            numbered = np.where(instances > 0, instances + np.int32(first - 1), 0)
            labels = encode_labels(numbered, np.where(instances > 0, classes, np.uint8(0)))
            document.nuclei.raise_instance(labels)
            document.next_instance = document.nuclei.next_instance
            _let_rest(document, place, "nuclei", labels)
        if tissue and is_here:
            document.paint_tissue(told)
        elif tissue:
            _let_rest(document, place, "tissue", told)
    if not is_here:
        document.painting_changed.emit()


def _let_rest(document: Document, place: Region, plane: str, painted: NDArray[Any]) -> None:
    # Also into the part of the frame that the place has, and to where the image keeps it.
    document.resting.write(plane, document.at_rest(place), painted)
    document.target.keep_paint(plane, place, painted)
    frame = document.region
    if document.layers and place.level == frame.level and not place.intersect(frame).is_empty:
        layer = {"nuclei": document.nuclei.layer, "tissue": document.tissue.layer}[plane]
        set_labels(layer, document.resting.read(plane, document.at_rest(frame)))
