"""How far the canvas of a scan shall go beyond its border, asked in micrometres."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from magicgui import magicgui

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.slide.scans.padded import Margins
from napari_histodiff.ui.command import studio

if TYPE_CHECKING:
    from magicgui.widgets import FunctionGui

__all__ = ["make_room", "room_form"]

#: Most um asked for at a side.
_MOST: Final = 20_000


def make_room(viewer: Any, left: int = 0, right: int = 0, top: int = 0, bottom: int = 0) -> None:
    """Make room beyond the border of the scan that the viewer's dock works on, to outpaint there.

    Parameters
    ----------
    viewer : napari Viewer
        With the scan in its dock.
    left, right, top, bottom : int
        How far, in um; rounded up to a pixel of the coarsest level.

    Raises
    ------
    InvalidRequest
        When no scan is worked on, a length is below 0, or all are 0.
    StorageError
        When it cannot be written.
    """
    dock = studio(viewer)
    if dock.workspace.target is None:
        raise InvalidRequest("expected a scan to make room around, got none; open one first")
    spec = dock.workspace.document.target.spec
    step = 1 << (spec.levels - 1)
    pixels = (math.ceil(side / spec.mpp / step) * step for side in (top, left, bottom, right))
    dock.slide.scans.make_room(Margins(*pixels))


def room_form(viewer: Any) -> FunctionGui[None]:
    """Return the form of `make_room`."""
    side = {"min": 0, "max": _MOST, "step": 50}
    form: FunctionGui[None] = magicgui(
        make_room,
        call_button=False,
        viewer={"bind": viewer},
        left={**side, "label": "Left (µm)"},
        right={**side, "label": "Right (µm)"},
        top={**side, "label": "Top (µm)"},
        bottom={**side, "label": "Bottom (µm)"},
    )
    return form
