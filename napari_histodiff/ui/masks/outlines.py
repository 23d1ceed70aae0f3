"""What is drawn on a Shapes layer of napari, as pixels of the frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.inpainting.masks import inside_outline
from napari_histodiff.ui.viewport import to_data, to_world

if TYPE_CHECKING:
    from napari.layers import Labels, Shapes

__all__ = ["area_of_shapes", "chosen_shapes"]

#: Corners that an ellipse is drawn with.
_CORNERS: Final = 72


def chosen_shapes(layer: Shapes) -> list[tuple[NDArray[np.float64], str]]:
    """Return vertices and kind of the selected shapes, or of all where none is selected."""
    chosen = sorted(layer.selected_data) or range(len(layer.data))
    return [(np.asarray(layer.data[i], np.float64), str(layer.shape_type[i])) for i in chosen]


def area_of_shapes(viewer: Any, source: Shapes, frame: Labels) -> NDArray[np.bool_]:
    """Return the pixels of a layer over the frame that lie inside chosen shapes, (h, w) bool.

    Lines and paths count as outlines, closed from their end to their start; what two corners or
    fewer make has no inside.
    """
    area = np.zeros(frame.data.shape, np.bool_)
    for vertices, kind in chosen_shapes(source):
        corners = _ellipse(vertices) if kind == "ellipse" else vertices
        if len(corners) < 3:
            continue
        there = [to_data(viewer, frame, to_world(viewer, source, corner)) for corner in corners]
        area |= inside_outline(np.array(there), area.shape)
    return area


def _ellipse(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points on the ellipse in a rectangle of four corners, which may be turned."""
    middle = box.mean(axis=0)
    first, second = (box[1] - box[0]) / 2, (box[3] - box[0]) / 2
    angles = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)[:, None]
    points: NDArray[np.float64] = middle + np.cos(angles) * first + np.sin(angles) * second
    return points
