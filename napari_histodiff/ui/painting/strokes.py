"""Strokes of the mouse on a paint layer: the eraser that takes whole nuclei, and the lasso.

Tools of ours work in napari's pan mode with panning off, so that napari's own stay untouched.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from skimage.draw import line

from napari_histodiff.ui.painting.pieces import inside, nearest_painted, piece_at, remnants
from napari_histodiff.ui.viewport import to_data
from napari_histodiff.ui.workspace.paint_layers import NucleiLayer, PaintSettings

if TYPE_CHECKING:
    from napari.layers import Labels

__all__ = ["Eraser", "Lasso", "hold_still", "let_go", "pan_while_held"]

_LEFT: Final = 1

#: Share of the brush's width that a click may wander.
_CLICK: Final = 0.25


def hold_still(layer: Labels, cursor: str, size: float = 1.0) -> None:
    """Stop panning on a layer, for a tool of ours with a cursor as wide as it reaches."""
    layer.mode = "pan_zoom"
    layer.mouse_pan = False
    layer.cursor_size = size
    layer.cursor = cursor


def let_go(layer: Labels) -> None:
    """Give panning and the cursor back to napari, unless one of its own tools has them."""
    if layer.mode == "pan_zoom":
        layer.cursor = "standard"
        layer.mouse_pan = True


def pan_while_held(layer: Labels) -> Generator[None, None, None]:
    """Move the view for as long as a key is held; napari's own forgets that panning was off."""
    mode, panning, cursor = layer.mode, layer.mouse_pan, layer.cursor
    layer.mode = "pan_zoom"
    layer.mouse_pan = True
    layer.cursor = "standard"
    yield
    layer.mode = mode
    if mode == "pan_zoom":
        layer.mouse_pan = panning
        layer.cursor = cursor


class Eraser:
    """Adds to napari's eraser on the Nuclei layer what a nucleus is.

    A click deletes the nucleus under it, or the nearest one under the brush, and no other pixel. A
    drag erases pixels; pieces it leaves that are no nuclei any more go with them.

    Parameters
    ----------
    nuclei : NucleiLayer
        What is erased.
    viewer : napari ViewerModel
        In whose world the mouse moves.
    """

    def __init__(self, nuclei: NucleiLayer, viewer: Any) -> None:
        self._viewer = viewer
        # First in the list: napari's own callback erases at the press already.
        nuclei.layer.mouse_drag_callbacks.insert(0, self._on_press)

    def _on_press(self, layer: Labels, event: Any) -> Generator[None, None, None]:
        if layer.mode != "erase" or event.button != _LEFT:
            return
        before, start = np.array(layer.data), self._position(layer, event)
        is_click = True
        yield
        while event.type == "mouse_move":
            away = np.hypot(*np.subtract(self._position(layer, event), start))
            is_click &= bool(away <= max(1.5, _CLICK * layer.brush_size))
            yield
        # napari's stroke is open until it is told of the release, after this: one undo step.
        if not is_click:
            layer.data_setitem(remnants(before, layer.data), layer.colormap.background_value)
            return
        after = before.copy()
        there = nearest_painted(before, start, max(0.5, layer.brush_size / 2))
        if there is not None:
            after[piece_at(before, *there)] = 0
        rows, cols = np.nonzero(layer.data != after)
        layer.data_setitem((rows, cols), after[rows, cols])

    def _position(self, layer: Labels, event: Any) -> tuple[float, float]:
        y, x = to_data(self._viewer, layer, event.position)
        return float(y), float(x)


class Lasso:
    """Drag around a nucleus or an area: releasing the mouse closes and fills it.

    Parameters
    ----------
    nuclei : NucleiLayer or None
        Painted on with a label of their own each.
    others : sequence of Labels
        Painted on with the label that is selected on them: tissue and edit mask, or a sketch.
    settings : PaintSettings
        The tool in hand; read at each press.
    viewer : napari ViewerModel
        In whose world the mouse moves.
    """

    def __init__(
        self,
        nuclei: NucleiLayer | None,
        others: Sequence[Labels],
        settings: PaintSettings,
        viewer: Any,
    ) -> None:
        self._nuclei = nuclei
        self._settings = settings
        self._viewer = viewer
        for layer in others if nuclei is None else (nuclei.layer, *others):
            layer.mouse_drag_callbacks.append(self._on_press)

    def _on_press(self, layer: Labels, event: Any) -> Generator[None, None, None]:
        mine = self._settings.tool == "lasso" and layer.mode == "pan_zoom" and not layer.mouse_pan
        if not mine or event.button != _LEFT:
            return
        label = int(layer.selected_label)
        if self._nuclei is not None and layer is self._nuclei.layer:
            label = self._nuclei.new_label()
        points = [self._pixel(layer, event)]
        with layer.block_history():
            yield
            while event.type == "mouse_move":
                points.append(self._pixel(layer, event))
                rows, cols = line(*points[-2], *points[-1])
                seen = inside(rows, cols, layer.data.shape)
                layer.data_setitem((rows[seen], cols[seen]), label)
                yield
            if len(points) > 2:
                layer.paint_polygon(points, label)

    def _pixel(self, layer: Labels, event: Any) -> tuple[int, int]:
        y, x = np.floor(to_data(self._viewer, layer, event.position) + 0.5)
        return int(y), int(x)
