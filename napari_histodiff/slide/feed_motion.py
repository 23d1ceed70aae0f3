"""Where a view that moves will be when something begun now is drawn; pure functions."""

from __future__ import annotations

from typing import Final

from napari_histodiff.core.geometry import PyramidSpec, Region
from napari_histodiff.slide.planning import centre_of

__all__ = ["AT_REST", "Motion", "is_worth_detail", "leading_edge", "moved_on"]

#: Velocity (y, x) of a view in pixels of level 0 a second.
Motion = tuple[float, float]

AT_REST: Final[Motion] = (0.0, 0.0)

# A hand changes its mind: further ahead than this nothing is foreseen.
_SECONDS: Final = 3.0
_VIEWS: Final = 8


def moved_on(spec: PyramidSpec, view: Region, motion: Motion, seconds: float) -> Region:
    """Return where a view will be after some time, as far as that can be foreseen.

    Parameters
    ----------
    spec : PyramidSpec
        The slide; a view that lies on it stays on it.
    view : Region
        ARRAY coordinates.
    motion : tuple of float
        Pixels of level 0 a second, (y, x).
    seconds : float
        From now; more than 3 s or 8 views count as that much.
    """
    time, bounds = min(seconds, _SECONDS), spec.bounds(view.level)
    y = _shifted(view.y, view.height, _steps(motion[0], view.level, time), bounds.height)
    x = _shifted(view.x, view.width, _steps(motion[1], view.level, time), bounds.width)
    return view.translate(y - view.y, x - view.x)


def leading_edge(view: Region, motion: Motion) -> tuple[float, float]:
    """Return where on the border of a view its centre is heading, (y, x) in pixels of level 0."""
    y, x = centre_of(view)
    scale = 1 << view.level
    sides = max(abs(motion[0]) / view.height, abs(motion[1]) / view.width)
    if sides == 0:
        return y, x
    return y + motion[0] / sides * scale / 2, x + motion[1] / sides * scale / 2


def is_worth_detail(view: Region, motion: Motion, seconds: float) -> bool:
    """Return whether a place stays in a moving view at least for so many seconds."""
    speeds = zip(motion, view.shape, strict=True)
    return all(abs(speed) * seconds <= side << view.level for speed, side in speeds)


def _steps(speed: float, level: int, seconds: float) -> float:
    return speed * seconds / (1 << level)


def _shifted(first: int, side: int, step: float, limit: int) -> int:
    """Return where a side begins after a step that leaves it inside, or as it lies now."""
    step = max(-_VIEWS * side, min(_VIEWS * side, step))
    low, high = min(0, first), max(limit - side, first)
    return max(low, min(high, round(first + step)))
