"""The frame: one rectangle, on whole pixels, in sizes the model takes, inside the image.

It lies at one of a slide's levels, and has its place at every other one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

import numpy as np
from napari.layers import Layer, Shapes
from napari.utils.notifications import show_warning
from numpy.typing import NDArray

from napari_histodiff.core.errors import HistodiffError, InvalidImage, InvalidRequest
from napari_histodiff.core.geometry import PyramidSpec, Region
from napari_histodiff.ui.colormaps import FRAME_COLOUR
from napari_histodiff.ui.generation.history import HistoryEntry
from napari_histodiff.ui.text import for_people
from napari_histodiff.ui.viewport import level_shown, view_of
from napari_histodiff.ui.workspace.targets import Target
from napari_histodiff.ui.workspace.transforms import place_on

__all__ = [
    "FRAME_NAME",
    "MAX_SIDE",
    "MIN_SIDE",
    "FrameLayer",
    "at_its_level",
    "brought_inside",
    "first_frame",
    "fit_frame",
    "level_in_view",
    "seen_at",
]

FRAME_NAME: Final = "Frame"
MIN_SIDE: Final = 64
MAX_SIDE: Final = 4096


def fit_frame(region: Region, bounds: Region, multiple: int) -> Region:
    """Return the frame nearest to a rectangle: sides in multiples, moved inside the image.

    Parameters
    ----------
    region : Region
        What was asked for.
    bounds : Region
        The image.
    multiple : int
        Sides become multiples of this many pixels, at least 64, at most what the image holds.

    Raises
    ------
    InvalidRequest
        When the rectangle lies outside the image or a side is above 4096 pixels.
    InvalidImage
        When the image is too small for any frame.
    """
    if region.intersect(bounds).is_empty:
        raise InvalidRequest(
            f"expected a frame on the image of {bounds.height} x {bounds.width} px, got one at "
            f"y={region.y}, x={region.x}; move it onto the image"
        )
    if max(region.shape) > MAX_SIDE:
        raise InvalidRequest(
            f"expected a frame of at most {MAX_SIDE} x {MAX_SIDE} px, got {region.height} x "
            f"{region.width}; make it smaller and work in several steps"
        )
    y, height = _fit_side(region.y, region.height, bounds.height, multiple)
    x, width = _fit_side(region.x, region.width, bounds.width, multiple)
    return Region(region.level, y, x, height, width)


def _fit_side(start: int, side: int, limit: int, multiple: int) -> tuple[int, int]:
    smallest = -(-MIN_SIDE // multiple) * multiple
    largest = min(limit, MAX_SIDE) // multiple * multiple
    if largest < smallest:
        raise InvalidImage(
            f"expected an image of at least {smallest} px on each side, got {limit}; "
            "use a larger one"
        )
    side = min(max(round(side / multiple) * multiple, smallest), largest)
    return min(max(start, 0), limit - side), side


class FrameLayer:
    """The Shapes layer that shows the frame and lets the mouse move and resize it.

    Parameters
    ----------
    target : Layer
        The image the frame lies on.
    region : Region
        Where it starts.
    accept : callable
        Takes the rectangle the mouse made and returns the frame it becomes; raises to refuse.

    The shape is in pixels of the finest level, whatever level the frame is of.
    """

    def __init__(self, target: Layer, region: Region, accept: Callable[[Region], Region]) -> None:
        self._accept = accept
        self._region = region
        self._updating = False
        self.layer = Shapes(
            [_corners(region)],
            shape_type="rectangle",
            name=FRAME_NAME,
            face_color="transparent",
            edge_color=FRAME_COLOUR,
            edge_width=_edge_width(region),
            **place_on(target, 0, 0),
        )
        self.layer.events.data.connect(self._on_data)

    def show(self, region: Region) -> None:
        """Draw the frame at `region`, as the only shape."""
        self._region = region
        self._updating = True
        try:
            selected = bool(self.layer.selected_data)
            self.layer.data = [(_corners(region), "rectangle")]
            self.layer.edge_width = _edge_width(region)
            self.layer.selected_data = {0} if selected else set()
        finally:
            self._updating = False

    def _on_data(self, event: Any) -> None:
        # napari tells before ("adding", "changing", "removing") and after; only the end counts.
        if self._updating or not str(event.action).lower().endswith("ed"):
            return
        region = self._region
        if len(self.layer.data):
            try:
                region = self._accept(_rectangle(np.asarray(self.layer.data[-1]), region.level))
            except HistodiffError as error:
                show_warning(for_people(str(error)))
        self.show(region)


def _corners(region: Region) -> NDArray[np.float64]:
    # Pixel (0, 0) covers -0.5 to 0.5 in napari's data coordinates.
    sides = (region.y, region.x, region.bottom, region.right)
    top, left, bottom, right = ((n << region.level) - 0.5 for n in sides)
    return np.array([[top, left], [top, right], [bottom, right], [bottom, left]])


def _rectangle(vertices: NDArray[np.float64], level: int) -> Region:
    corners = (vertices.min(axis=0) + 0.5, vertices.max(axis=0) + 0.5)
    (y, x), (bottom, right) = (np.round(corner / (1 << level)).astype(int) for corner in corners)
    return Region(level, y, x, bottom - y, right - x)


def _edge_width(region: Region) -> float:
    return max(1.0, (max(region.shape) << region.level) / 200)


_START_SIDE: Final = 512

#: How far two pixel sizes may be apart and still be taken for one.
_ROUNDING: Final = 0.01


def brought_inside(region: Region, dy: int, dx: int, spec: PyramidSpec) -> Region:
    """Return where a rectangle is after the image moved below it, as far as that is on the image.

    Parameters
    ----------
    region : Region
        Where it was.
    dy, dx : int
        How far the image's first pixel moved, in pixels of level 0.
    spec : PyramidSpec
        The image, which may be smaller now.
    """
    bounds = spec.bounds(region.level)
    y, x = region.y + (dy >> region.level), region.x + (dx >> region.level)
    y = min(max(y, bounds.y), max(bounds.y, bounds.bottom - region.height))
    x = min(max(x, bounds.x), max(bounds.x, bounds.right - region.width))
    return replace(region, y=y, x=x)


def level_in_view(viewer: Any, target: Target) -> int:
    """Return the level that the viewer shows of an image, or the nearest that can be edited."""
    if target.levels == 1:
        return 0
    view = view_of(viewer, target.layer)
    shown = 0 if view is None else level_shown(viewer, target.layer, view)
    return min(shown, target.levels - 1)


def at_its_level(entry: HistoryEntry, mpps: Iterable[float]) -> HistoryEntry:
    """Return an edit at the level that has its pixel size now, of which `mpps` tells each level's.

    A slide's levels get other numbers when a finer one is added. The edit is returned as it is when
    no level has its pixel size.
    """
    request, sizes = entry.request, enumerate(mpps)
    known = (level for level, n in sizes if math.isclose(n, request.mpp, rel_tol=_ROUNDING))
    level = next(known, request.region.level)
    if level == request.region.level:
        return entry
    return entry.at(replace(request.region, level=level))


def first_frame(viewer: Any, target: Target) -> Region:
    """Return where the frame is at first: in the middle of the image.

    It is of the level in view, or of the finest level of a scan: a coarser edit is a blur below.
    """
    level = 0 if target.starts_fine else level_in_view(viewer, target)
    bounds = target.spec.bounds(level)
    return _around_middle(bounds, _START_SIDE)


def seen_at(target: Target, region: Region, level: int) -> Region:
    """Return the same place at another level, as far around its middle as a frame may be large."""
    return _around_middle(target.spec.at_level(region, level), MAX_SIDE)


def _around_middle(region: Region, side: int) -> Region:
    height, width = (min(n, side) for n in region.shape)
    y, x = region.y + (region.height - height) // 2, region.x + (region.width - width) // 2
    return Region(region.level, y, x, height, width)
