"""Mouse drags on a layer, as napari's canvas would send them."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from napari.utils._proxies import ReadOnlyWrapper
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)

Point = tuple[float, float]


def drag(layer: Any, points: Sequence[Point], *, button: int = 1, world: float = 1.0) -> None:
    """Press at the first point, move over the others, release at the last; data coordinates.

    `world` is how many of the viewer's units one unit of the layer is.
    """
    mouse_press_callbacks(layer, _event("mouse_press", layer, points[0], button, world))
    for point in points[1:]:
        mouse_move_callbacks(layer, _event("mouse_move", layer, point, button, world))
    mouse_release_callbacks(layer, _event("mouse_release", layer, points[-1], button, world))


def click(layer: Any, point: Point, *, button: int = 1, world: float = 1.0) -> None:
    drag(layer, [point], button=button, world=world)


def _event(kind: str, layer: Any, point: Point, button: int, world: float) -> Any:
    event = SimpleNamespace(
        type=kind,
        position=tuple(world * np.asarray(layer.data_to_world(point))),
        pos=np.zeros(2),
        button=button,
        modifiers=[],
        view_direction=None,
        up_direction=None,
        dims_displayed=[0, 1],
        is_dragging=kind == "mouse_move",
        handled=False,
    )
    return ReadOnlyWrapper(event, exceptions=("handled",))
