"""Traces label maps: the outlines of what they show, exactly along the edges of pixels."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Corners", "trace"]

#: Corners (x, y) of a ring in pixels from the upper left corner, (n, 2) int64; not closed.
Corners = NDArray[np.int64]

#: Start of each side of a pixel and its course, clockwise as seen: top, right, bottom, left.
_STARTS: Final = ((0, 0), (0, 1), (1, 1), (1, 0))
_COURSES: Final = ((0, 1), (1, 0), (0, -1), (-1, 0))


def trace(components: NDArray[np.int32]) -> list[list[Corners]]:
    """Return the outlines of numbered components.

    Rings are simple: none crosses or touches itself, as GeoJSON, QuPath and shapely ask for. A hole
    may touch its outer ring, or another hole, in single corners.

    Parameters
    ----------
    components : (h, w) int32
        0 = background; each number from 1 on is one piece whose pixels touch by their sides, as
        `skimage.measure.label(..., connectivity=1)` gives them.

    Returns
    -------
    list of list of (n, 2) int64
        By component, the first is number 1: its outer ring, then those of its holes.
    """
    owner, start, end, course = _sides(components)
    count = int(components.max(initial=0))
    found: list[list[Corners]] = [[] for _ in range(count)]
    if not len(owner):
        return found
    following = _following(owner, start, end, course)
    turns = course[following] != course
    # The corner at which each side ends is one of the ring where the next one turns.
    width = components.shape[1] + 1
    corners = np.stack([end % width, end // width], 1)
    chain, is_turn = following.tolist(), turns.tolist()
    seen = bytearray(len(chain))
    for first in range(len(chain)):
        if seen[first]:
            continue
        ring = []
        at = first
        while not seen[at]:
            seen[at] = 1
            if is_turn[at]:
                ring.append(at)
            at = chain[at]
        found[int(owner[first]) - 1].append(corners[ring])
    return found


def _sides(components: NDArray[np.int32]) -> tuple[NDArray[np.int64], ...]:
    """Every side of a pixel that borders on another component: owner, start, end and course.

    Sorted by owner and place, so that the first of each component lies on its outer ring.
    """
    width = components.shape[1] + 1
    padded = np.pad(components, 1)
    middle = padded[1:-1, 1:-1]
    beside = (padded[:-2, 1:-1], padded[1:-1, 2:], padded[2:, 1:-1], padded[1:-1, :-2])
    parts = []
    for course, across in enumerate(beside):
        (dy, dx), (step_y, step_x) = _STARTS[course], _COURSES[course]
        y, x = np.nonzero((middle > 0) & (across != middle))
        start = (y + dy) * width + x + dx
        end = start + step_y * width + step_x
        parts.append((middle[y, x].astype(np.int64), start, end, np.full(len(y), course)))
    owner, start, end, courses = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.lexsort((courses, start, owner))
    return owner[order], start[order], end[order], courses[order]


def _following(
    owner: NDArray[np.int64],
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    course: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Which side comes after each one.

    Where two of a component begin in one corner it touches itself there; turning left joins it,
    which keeps the ring from visiting the corner twice.
    """
    places = int(max(start.max(), end.max())) + 1
    keys = owner * places + start
    wanted = owner * places + end
    first = np.searchsorted(keys, wanted)
    second = np.minimum(first + 1, len(keys) - 1)
    both = (second > first) & (keys[second] == wanted)
    left = course[second] == (course + 3) % 4
    following: NDArray[np.int64] = np.where(both & left, second, first)
    return following
