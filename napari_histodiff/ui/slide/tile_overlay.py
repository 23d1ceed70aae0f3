"""The layer "Tiles in work": which tiles in view are being drawn, and which could not be."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from napari_histodiff.core.geometry import PyramidSpec, Region, TileAddress
from napari_histodiff.ui.workspace.transforms import insert_above, place_on

__all__ = ["OVERLAY_NAME", "TileOverlay"]

OVERLAY_NAME: Final = "Tiles in work"

#: Pixels of the level shown that one pixel of the marks covers.
_CELL: Final = 4

# What of a layer's placing changes with its area.
_MOVING: Final = ("scale", "translate")

_Marks = tuple[frozenset[Region], frozenset[TileAddress]]
_NOTHING: Final[_Marks] = (frozenset(), frozenset())

#: RGBA of the veil and of the thin outline of tiles in work, and of the outline of failed ones.
_VEIL: Final = (255, 255, 255, 26)
_WORKING: Final = (59, 142, 234, 90)
_FAILED: Final = (255, 140, 0, 235)


class TileOverlay:
    """One small picture over the marked tiles in view.

    A picture costs less to change than shapes: about 2 ms in place, whatever it shows. It reaches
    no further than its marks, and shrinks to a pixel without any, because every frame pays for
    what it covers: over the whole view, a fifth of a frame without a graphics card.

    Parameters
    ----------
    viewer : napari ViewerModel
        Where the layer is added.
    slide : napari Image
        The slide, right below.
    """

    def __init__(self, viewer: Any, slide: Image) -> None:
        self._viewer = viewer
        self._slide = slide
        self._layer: Image | None = None
        self._frame: Region | None = None
        self._area: Region | None = None
        self._shown = _NOTHING
        self._dismissed = False

    @property
    def layer(self) -> Image | None:
        """The layer, or None while nothing was marked or prepared yet."""
        return self._layer

    def prepare(self, view: Region | None, between: Callable[[], object] | None = None) -> None:
        """Make the layer, all but empty, ahead of the first mark: that takes 0.1 s.

        `between` is called amid that, where it is given.
        """
        if view is not None and self._layer is None and not self._dismissed:
            self._add(_empty(), Region(view.level, view.y, view.x, _CELL, _CELL), between)
            self._area = None

    def show(
        self,
        spec: PyramidSpec,
        view: Region | None,
        working: Iterable[Region],
        failed: Iterable[TileAddress],
    ) -> None:
        """Mark tiles.

        Parameters
        ----------
        spec : PyramidSpec
            Of the slide.
        view : Region or None
            What is in view, in pixels of the level shown; None marks nothing.
        working : iterable of Region
            What is being drawn, of any levels.
        failed : iterable of TileAddress
            What could not be drawn, of any levels.
        """
        shown: _Marks = _NOTHING
        if view is not None:
            shown = frozenset(working), frozenset(failed)
        frame = self._frame
        if view is not None and any(shown):
            frame = _frame_around(spec, view, frame)
        if frame is None or self._dismissed or (shown == self._shown and frame == self._frame):
            return
        self._shown, self._frame = shown, frame
        area = _marked(spec, frame, shown)
        if self._layer is None:
            if area is not None:
                self._add(_picture(spec, area, shown), area)
        elif self._layer not in self._viewer.layers:
            self._dismissed = True  # the user took it away
        elif area is None:
            self._clear(self._layer)
        else:
            self._change(self._layer, _picture(spec, area, shown), area)

    def forget(self) -> None:
        """Mark nothing, and start afresh at the next call: the slide grew."""
        self.close()
        self._layer = self._frame = self._area = None
        self._shown = _NOTHING

    def close(self) -> None:
        """Remove the layer; idempotent."""
        if self._layer is not None and self._layer in self._viewer.layers:
            self._viewer.layers.remove(self._layer)

    def _add(
        self,
        picture: NDArray[np.uint8],
        area: Region,
        between: Callable[[], object] | None = None,
    ) -> None:
        self._layer = Image(
            picture,
            rgb=True,
            name=OVERLAY_NAME,
            interpolation2d="nearest",
            **_placing(self._slide, area),
        )
        self._layer.editable = False
        self._area = area
        insert_above(self._viewer, self._layer, [self._slide], between)

    def _change(self, layer: Image, picture: NDArray[np.uint8], area: Region) -> None:
        if area == self._area:
            np.copyto(layer.data, picture)
            layer.refresh(thumbnail=False, highlight=False, extent=False)
            return
        # Each of these takes napari about 6 ms, also when nothing changes.
        layer.data = picture
        for name, value in _placing(self._slide, area).items():
            if name in _MOVING and not np.array_equal(getattr(layer, name), value):
                setattr(layer, name, value)
        layer.editable = False  # new data can be edited
        self._area = area

    def _clear(self, layer: Image) -> None:
        if self._area is not None:
            layer.data = _empty()
            layer.editable = False
            self._area = None


def _empty() -> NDArray[np.uint8]:
    return np.zeros((1, 1, 4), np.uint8)


def _frame_around(spec: PyramidSpec, view: Region, last: Region | None) -> Region:
    """Return where there may be marks: as it is while it holds the view; moving costs more."""
    bounds = spec.bounds(view.level)
    needed = view.snap(spec.tile).intersect(bounds)
    if last is not None and last.level == view.level and last.contains(needed):
        return last
    return needed.pad(spec.tile).intersect(bounds)


def _marked(spec: PyramidSpec, frame: Region, marks: _Marks) -> Region | None:
    """Return the smallest rectangle in a frame that holds its marks; None without any."""
    working, failed = marks
    found: Region | None = None
    for place in (*working, *map(spec.region, failed)):
        part = spec.at_level(place, frame.level).intersect(frame)
        if not part.is_empty:
            found = part if found is None else found.union(part)
    return None if found is None else found.snap(_CELL).intersect(frame)


def _placing(slide: Image, area: Region) -> dict[str, Any]:
    scale = 1 << area.level
    placing = place_on(slide, area.y * scale - 0.5, area.x * scale - 0.5)
    cell = np.asarray(slide.scale) * scale * _CELL
    # A layer's (0, 0) is the middle of its first pixel.
    return placing | {"scale": cell, "translate": placing["translate"] + cell / 2}


def _picture(spec: PyramidSpec, area: Region, marks: _Marks) -> NDArray[np.uint8]:
    shape = (-(-area.height // _CELL), -(-area.width // _CELL), 4)
    picture = np.zeros(shape, np.uint8)
    working, failed = marks
    for block in sorted(working):
        _outline(picture, _box(spec, area, block), _WORKING, fill=_VEIL)
    for tile in sorted(failed):
        _outline(picture, _box(spec, area, spec.region(tile)), _FAILED)
    return picture


def _box(spec: PyramidSpec, area: Region, place: Region) -> tuple[slice, slice]:
    """Return the cells of a place in the picture."""
    part = spec.at_level(place, area.level).intersect(area).relative_to(area)
    return (
        slice(part.y // _CELL, -(-part.bottom // _CELL)),
        slice(part.x // _CELL, -(-part.right // _CELL)),
    )


def _outline(
    picture: NDArray[np.uint8],
    box: tuple[slice, slice],
    colour: tuple[int, int, int, int],
    fill: tuple[int, int, int, int] | None = None,
) -> None:
    part = picture[box]
    if not part.size:
        return
    inside = part[1:-1, 1:-1].copy()
    part[:] = colour
    part[1:-1, 1:-1] = inside if fill is None else fill
