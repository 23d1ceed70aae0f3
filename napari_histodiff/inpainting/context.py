"""What a model sees of an edit: the frame, and a margin around what changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import Region

__all__ = ["DEFAULT_CONTEXT", "with_context"]

#: Micrometres around an edit that a model sees where nobody says: a gland's wall and what borders
#: on it.
DEFAULT_CONTEXT = 32.0


def with_context(
    frame: Region,
    edit_mask: NDArray[np.bool_],
    margin: float,
    bounds: Region,
    *,
    multiple: int = 1,
    most: int = 4096,
    is_there: Callable[[Region], bool] = lambda region: True,
) -> Region:
    """Return the frame, grown where what changes lies nearer to its border than a margin.

    Parameters
    ----------
    frame : Region
        Always inside the result.
    edit_mask : (h, w) bool
        Where pixels of the frame may change; where none may, the frame is returned.
    margin : float
        In pixels.
    bounds : Region
        The image, which the result does not leave.
    multiple : int
        It grows by multiples of this many pixels, and only by whole ones.
    most : int
        Pixels a side may have at the most.
    is_there : callable
        Whether all pixels of a region exist; where they do not, the frame does not grow.
    """
    if not edit_mask.any() or margin <= 0:
        return frame
    changing = Region.of_mask(edit_mask, frame)
    room = {
        "top": (frame.y - bounds.y, changing.y - frame.y),
        "bottom": (bounds.bottom - frame.bottom, frame.bottom - changing.bottom),
        "left": (frame.x - bounds.x, changing.x - frame.x),
        "right": (bounds.right - frame.right, frame.right - changing.right),
    }
    grown = frame
    for side, (outside, inside) in room.items():
        wanted = -(-max(0.0, margin - inside) // multiple) * multiple
        length = grown.height if side in ("top", "bottom") else grown.width
        possible = min(outside, most - length) // multiple * multiple
        by = int(min(wanted, possible))
        if by <= 0:
            continue
        strip, larger = _beyond(grown, side, by)
        if is_there(strip):
            grown = larger
    return grown


def _beyond(region: Region, side: str, by: int) -> tuple[Region, Region]:
    """Return the strip beyond a side of a region, and the region with it."""
    y, x, height, width = region.y, region.x, region.height, region.width
    if side in ("top", "bottom"):
        strip = replace(region, y=y - by if side == "top" else region.bottom, height=by)
        return strip, replace(region, y=min(y, strip.y), height=height + by)
    strip = replace(region, x=x - by if side == "left" else region.right, width=by)
    return strip, replace(region, x=min(x, strip.x), width=width + by)
