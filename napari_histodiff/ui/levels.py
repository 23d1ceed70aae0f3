"""At which of a slide's levels the frame lies, and where it is at another one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.canvas import Target
from napari_histodiff.ui.frame import MAX_SIDE
from napari_histodiff.ui.history import HistoryEntry
from napari_histodiff.ui.slide.watcher import level_shown, view_of

__all__ = ["at_its_level", "first_frame", "level_in_view", "seen_at"]

_START_SIDE: Final = 512

#: How far two pixel sizes may be apart and still be taken for one.
_ROUNDING: Final = 0.01


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
    region = replace(request.region, level=level)
    return replace(entry, request=replace(request, region=region))


def first_frame(viewer: Any, target: Target) -> Region:
    """Return where the frame is at first: in the middle of the image, at the level in view."""
    bounds = target.spec.bounds(level_in_view(viewer, target))
    return _around_middle(bounds, _START_SIDE)


def seen_at(target: Target, region: Region, level: int) -> Region:
    """Return the same place at another level, as far around its middle as a frame may be large."""
    return _around_middle(target.spec.at_level(region, level), MAX_SIDE)


def _around_middle(region: Region, side: int) -> Region:
    height, width = (min(n, side) for n in region.shape)
    y, x = region.y + (region.height - height) // 2, region.x + (region.width - width) // 2
    return Region(region.level, y, x, height, width)
