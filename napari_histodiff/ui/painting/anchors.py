"""Layers of ours stay where they are, and napari's status bar tells what our tools do with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_histodiff.ui.workspace.transforms import insert_above

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = ["Anchors"]

#: What may move a layer.
_EVENTS: Final = ("scale", "translate", "rotate", "shear", "affine")

#: What a layer's tool does, for the status bar; napari's hints there name keys that are ours.
_HINTS: Final = {
    "brush": "Drag to paint; [ and ] change the brush, Ctrl+Z takes a stroke back",
    "polygon": "Click corner by corner; Enter or a double-click closes, Escape starts again",
    "lasso": "Drag around a nucleus or an area; releasing the mouse fills it",
    "fill": "Click a nucleus or an area to fill it",
    "erase": "Click deletes a nucleus, dragging erases; [ and ] change the eraser",
    "select": "Click or . and , select; drag or arrows move, 1-6 change the class, Delete removes",
    "stamp": "Click to place a nucleus",
    "scatter": "Drag to place nuclei; [ and ] change how far it reaches",
    "frame": "Drag the frame or its corners",
    "pan": "Drag to move the view",
}


class Anchors:
    """Puts layers back that anyone but us moved or removed, and ends napari's mode that moves them.

    Parameters
    ----------
    viewer : napari ViewerModel
        Where the layers are.
    place_of : callable
        Returns the layer arguments that say where a layer belongs.
    take_tool : callable
        Takes the tool in hand again, after napari's mode was ended or layers were put back.
    """

    def __init__(
        self,
        viewer: Any,
        place_of: Callable[[Layer], dict[str, Any]],
        take_tool: Callable[[], None],
    ) -> None:
        self._viewer = viewer
        self._place_of = place_of
        self._take_tool = take_tool
        self._is_moving = False
        self._hint = ""
        self._held: list[Layer] = []
        # Held layers that were removed, in that order, each with the layer it lay on then.
        self._lay_on: dict[Layer, Layer | None] = {}
        viewer.layers.events.removed.connect(self._on_removed)

    def hold(self, layer: Layer) -> None:
        """Hold a layer where it is; call it once the layer is in the viewer."""
        for name in _EVENTS:
            getattr(layer.events, name).connect(lambda _: self._on_moved(layer))
        # After the viewer's own listener, which writes napari's hints.
        layer.events.mode.connect(lambda _: self._on_mode(layer), position="last")
        self._held.append(layer)

    def let_go(self) -> None:
        """Hold no layer any more; call it before they are taken away."""
        self._held.clear()
        self._lay_on.clear()

    def put_back(self, floor: Iterable[Layer]) -> None:
        """Put back the very layers that were removed, with their contours and all they can undo.

        Each comes to lie on what it lay on, or over `floor` where that is gone. The tool in hand
        is taken again: napari's choice of a layer in place of the one removed is none that it
        works on.
        """
        while self._lay_on:
            layer, below = self._lay_on.popitem()  # the last one first, which the others lay below
            if layer not in self._viewer.layers:
                lower = self._held[: self._held.index(layer)]
                there = [below] if below in self._viewer.layers else [*floor, *lower]
                insert_above(self._viewer, layer, there)
        self._take_tool()

    def tell(self, layer: Layer, tool: str) -> None:
        """Say in the status bar what a tool does on a layer."""
        self._hint = _HINTS.get(tool, "")
        layer.help = self._hint

    @contextmanager
    def moving(self) -> Iterator[None]:
        """Let layers be moved: by us, to where they belong now."""
        before, self._is_moving = self._is_moving, True
        try:
            yield
        finally:
            self._is_moving = before

    def _on_removed(self, event: Any) -> None:
        if event.value in self._held:
            below = self._viewer.layers[event.index - 1] if event.index else None
            self._lay_on[event.value] = below

    def _on_moved(self, layer: Layer) -> None:
        if self._is_moving:
            return
        with self.moving():
            for name, value in self._place_of(layer).items():
                if not np.array_equal(_plain(getattr(layer, name)), _plain(value)):
                    setattr(layer, name, value)

    def _on_mode(self, layer: Layer) -> None:
        if str(getattr(layer, "mode", "")) == "transform":
            layer.mode = "pan_zoom"
            self._take_tool()
        layer.help = self._hint


def _plain(value: Any) -> Any:
    return getattr(value, "affine_matrix", value)
