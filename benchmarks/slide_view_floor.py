"""What napari and OpenGL take by themselves: a plain array in the same window as the slide."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np
from napari.layers import Image

from benchmarks.slide_view import SlideWindow, turn
from napari_histodiff.ui.viewport import camera_of

__all__ = ["plain_picture"]

_SIDE: Final = 2048
_LEVELS: Final = 3


@contextmanager
def plain_picture(window: SlideWindow) -> Iterator[Callable[[int], object]]:
    """Show a pyramid of arrays in memory in place of the slide, as large on the screen.

    Yields what moves the view to so many pixels right of the middle.
    """
    slide, camera = window.session.layer, camera_of(window.viewer)
    before = tuple(camera.center)
    pixel = 0.8 / camera.zoom  # as `SlideWindow.look` shows a level
    noise = np.random.default_rng(0).integers(0, 256, (_SIDE, _SIDE, 3), dtype=np.uint8)
    levels = [np.ascontiguousarray(noise[:: 1 << n, :: 1 << n]) for n in range(_LEVELS)]
    layer = Image(
        levels, multiscale=True, rgb=True, name="plain", scale=(pixel, pixel), units=slide.units
    )
    slide.visible = False
    window.viewer.add_layer(layer)
    middle = _SIDE / 2 * pixel

    def show(aside: int) -> None:
        camera.center = (middle, middle + aside * pixel)

    show(0)
    turn(1000)
    try:
        yield show
    finally:
        window.viewer.layers.remove(layer)
        slide.visible = True
        camera.center = before
