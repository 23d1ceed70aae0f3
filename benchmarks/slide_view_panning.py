"""Panning without pause over a slide of tissue, and how much of it is drawn when it is seen."""

from __future__ import annotations

import time
from typing import Final

import numpy as np

from benchmarks.slide_view import SlideWindow, turn
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.core.recipe import SlideRecipe
from napari_histodiff.layout.sketch import Sketch
from napari_histodiff.slide.storage.tile_table import TileState

__all__ = ["pan", "tissue_everywhere"]

_CELLS: Final = 4
_BEAT: Final = 30  # milliseconds between two moves of the camera
_PROBES: Final = 24  # places a side of the screen that are looked at


def tissue_everywhere(recipe: SlideRecipe) -> Sketch:
    """Return a sketch that leaves no glass: all of it the first tissue there is."""
    classes = np.full((_CELLS, _CELLS), TISSUE_NAMES.index("stroma"), np.uint8)
    return Sketch(classes, -(-max(recipe.height, recipe.width) // _CELLS))


def pan(window: SlideWindow, level: int, y: int, speed: float, seconds: float) -> float:
    """Pan to the right, by widths of the screen a second; return the share that shows tissue.

    From the left border on, and back when the other one is reached.
    """
    window.look(y, 0, level)
    turn(200)
    width = 2 * window.session.view_box().width  # half of the first view lies beyond the border
    far = window.session.store.recipe.width - width
    shares = []
    start = time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        turns, along = divmod(speed * width * passed, far)
        window.session.go_to(y, width / 2 + (along if turns % 2 == 0 else far - along))
        turn(_BEAT)
        shares.append(_share(window, window.session.view_box()))
    return float(np.mean(shares))


def _share(window: SlideWindow, view: Region) -> float:
    """Return the share of a view of level 0 that lies on tiles drawn at whatever level."""
    store = window.session.store
    ys, xs = (
        np.linspace(first, first + side - 1, _PROBES).astype(np.int64)
        for first, side in ((view.y, view.height), (view.x, view.width))
    )
    drawn = np.zeros((_PROBES, _PROBES), np.bool_)
    for level in range(store.recipe.coarsest + 1):
        tile = store.spec.tile << level
        states = store.state(level)[np.ix_(ys // tile, xs // tile)]
        drawn |= states >= TileState.GENERATED
    return float(drawn.mean())
