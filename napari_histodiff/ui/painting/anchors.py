"""Layers of ours stay on their image, and napari's status bar tells what our tools do with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np

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
    """Puts layers back that were moved by anyone but us, and ends napari's mode that moves them.

    Parameters
    ----------
    place_of : callable
        Returns the layer arguments that say where a layer belongs.
    take_tool : callable
        Takes the tool in hand again, after napari's mode was ended.
    """

    def __init__(
        self, place_of: Callable[[Layer], dict[str, Any]], take_tool: Callable[[], None]
    ) -> None:
        self._place_of = place_of
        self._take_tool = take_tool
        self._is_moving = False
        self._hint = ""

    def hold(self, layer: Layer) -> None:
        """Hold a layer where it is; call it once the layer is in the viewer."""
        for name in _EVENTS:
            getattr(layer.events, name).connect(lambda _: self._on_moved(layer))
        # After the viewer's own listener, which writes napari's hints.
        layer.events.mode.connect(lambda _: self._on_mode(layer), position="last")

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
