"""What a viewer shows of a layer, and when that changed: by camera and canvas size only.

Neither `corner_pixels` (widened to chunks, in pixels of some level, late) nor `data_level` (absent
without a window) tell; napari's own rule for the level is repeated in `viewport` and tested
against it.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import PyramidSpec, Region
from napari_histodiff.slide.reader import TileStates
from napari_histodiff.slide.storage.tile_table import TileState
from napari_histodiff.slide.streaming.planning import AT_REST, Motion, centre_of
from napari_histodiff.ui.viewport import level_shown, view_of

__all__ = ["ViewWatcher", "coverage_of", "tile_counts"]

#: Seconds that a view must rest before it is told.
_QUIET: Final = 0.1

# A view in flight is told at least so often, so that a long pan shows tissue on its way.
_LONGEST_WAIT: Final = 0.2

# Seconds over which motion is averaged: frames come unevenly.
_SPAN: Final = 0.4


class ViewWatcher:
    """Tells what is in view of one slide layer, once it rests.

    Parameters
    ----------
    viewer : napari ViewerModel
        Whose camera and canvas are looked at.
    layer : napari Image
        The slide.
    """

    def __init__(self, viewer: Any, layer: Any) -> None:
        self._viewer = viewer
        self._layer = layer
        self._seen: Region | None = None
        self._told: Region | None = None
        self._since = self._moving_since = float("-inf")
        self._motion = AT_REST
        self._track: deque[tuple[float, Region]] = deque()

    @property
    def told(self) -> Region | None:
        """The view told last; None when nothing is in view."""
        return self._told

    @property
    def motion(self) -> Motion:
        """How it moved when it was told, (y, x) in pixels of level 0 a second."""
        return self._motion

    def region(self, spec: PyramidSpec) -> Region | None:
        """Return the part of the slide in view, in pixels of the level shown; None when hidden."""
        if not self._layer.visible or self._layer not in self._viewer.layers:
            return None
        view = view_of(self._viewer, self._layer)
        if view is None:
            return None
        level = min(level_shown(self._viewer, self._layer, view), spec.levels - 1)
        inside = _whole(level, view / (1 << level)).intersect(spec.bounds(level))
        return None if inside.is_empty else inside

    def box(self, spec: PyramidSpec) -> Region:
        """Return the part of the slide the canvas covers, in pixels of level 0; may be empty."""
        view = view_of(self._viewer, self._layer)
        bounds = spec.bounds(0)
        return bounds if view is None else _whole(0, view).intersect(bounds)

    def poll(self, spec: PyramidSpec, now: float) -> bool:
        """Look; True when there is a view to tell that was not told yet.

        Parameters
        ----------
        spec : PyramidSpec
            The slide as it is now.
        now : float
            Seconds of a steady clock.
        """
        region = self.region(spec)
        if region != self._seen:
            if self._seen == self._told:
                self._moving_since = now
            self._seen, self._since = region, now
        resting = region is None or now - self._since >= _QUIET
        self._follow(region, now, resting=resting)
        if region == self._told and not (resting and self._motion != AT_REST):
            return False
        if resting or now - self._moving_since >= _LONGEST_WAIT:
            self._told, self._moving_since = region, now
            self._motion = AT_REST if resting else self._speed()
            return True
        return False

    def forget(self) -> None:
        """Tell the view again at the next look."""
        self._seen = self._told = None
        self._track.clear()

    def _follow(self, region: Region | None, now: float, *, resting: bool) -> None:
        """Keep where the view was since it began to move, or lately; a leap is no motion."""
        if resting or (region and self._track and _leaps(self._track[-1][1], region)):
            self._track.clear()
        if region is not None:
            self._track.append((now, region))
        while self._track and self._track[0][0] < now - _SPAN:
            self._track.popleft()

    def _speed(self) -> Motion:
        (start, first), (end, last) = self._track[0], self._track[-1]
        if end <= start:
            return AT_REST
        (top, left), (bottom, right) = centre_of(first), centre_of(last)
        return (bottom - top) / (end - start), (right - left) / (end - start)


def _leaps(before: Region, region: Region) -> bool:
    """Whether nothing is in view that was in view at the last look, or another level is shown."""
    return before.level != region.level or before.intersect(region).is_empty


def _whole(level: int, view: NDArray[np.float64]) -> Region:
    (top, left), (bottom, right) = np.floor(view[0]), np.ceil(view[1])
    return Region(level, int(top), int(left), int(bottom - top), int(right - left))


#: Longest side of a coverage map.
_COVERAGE_SIDE: Final = 256


def coverage_of(slide: TileStates) -> NDArray[np.uint8]:
    """Return what is drawn where, (h, w) uint8 of `TileState`, at most 256 a side.

    Each value is the largest state of the tiles of all drawn levels at a place: on the grid of the
    tiles of level 0, or of squares of so many of them that the map stays small.
    """
    finest = slide.state(0)
    shown = finest.copy()
    for level in range(1, slide.recipe.coarsest + 1):
        scale = 1 << level
        spread = slide.state(level).repeat(scale, axis=0).repeat(scale, axis=1)
        np.maximum(shown, spread[: finest.shape[0], : finest.shape[1]], out=shown)
    side = -(-max(shown.shape) // _COVERAGE_SIDE)
    if side == 1:
        return shown
    rows, cols = (-(-n // side) for n in shown.shape)
    padded = np.zeros((rows * side, cols * side), np.uint8)
    padded[: shown.shape[0], : shown.shape[1]] = shown
    largest: NDArray[np.uint8] = padded.reshape(rows, side, cols, side).max(axis=(1, 3))
    return largest


def tile_counts(slide: TileStates) -> dict[TileState, int]:
    """Return how many tiles of the levels the model draws are in each state."""
    counts = np.zeros(len(TileState), np.int64)
    for level in range(slide.recipe.coarsest + 1):
        counts += np.bincount(slide.state(level).ravel(), minlength=len(counts))
    return {state: int(counts[state]) for state in TileState}
