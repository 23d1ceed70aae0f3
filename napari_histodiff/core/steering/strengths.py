"""How strongly each part of an edit mask is drawn anew, where that is not the same everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_histodiff.core.errors import InvalidMap, InvalidRequest
from napari_histodiff.core.maps import as_array
from napari_histodiff.core.steering.start import Started, start_text
from napari_histodiff.core.steering.steering import Steering

__all__ = [
    "STRENGTHS",
    "as_strength_map",
    "levels_of",
    "settle_strengths",
    "steering_text",
    "with_levels",
]

#: How many strengths there are; others count as the nearest of them.
STRENGTHS: Final = 20


def as_strength_map(a: ArrayLike) -> NDArray[np.float32]:
    """Return a strength map: (h, w) float32 of 0, 0.05 ... 1, each number at the nearest of these.

    Parameters
    ----------
    a : (h, w) float in 0-1, or bool
        0 = nothing changes, 1 = drawn from noise alone. Above 0, the least is 0.05.

    Raises
    ------
    InvalidMap
        When it is not two-dimensional, or of other numbers.
    """
    array = as_array(a, "a strength map", InvalidMap)
    if array.ndim != 2 or array.dtype.kind not in "fb":
        raise InvalidMap(
            f"expected a strength map of shape (height, width) and floats in 0-1, got shape "
            f"{array.shape} of {array.dtype}; divide gray values by 255 first"
        )
    # Also refuses NaN.
    if array.size and not (array.min() >= 0 and array.max() <= 1):
        raise InvalidMap(
            f"expected strengths in 0-1, got {array.min():g} to {array.max():g}; divide by the "
            "largest"
        )
    steps = np.rint(array.astype(np.float64) * STRENGTHS)
    steps[(array > 0) & (steps == 0)] = 1
    return (steps / STRENGTHS).astype(np.float32)


def levels_of(strength_map: NDArray[np.float32] | None) -> tuple[float, ...]:
    """Return the strengths of a map, the largest first; none where there is no map."""
    if strength_map is None:
        return ()
    counts = np.bincount(np.rint(strength_map * STRENGTHS).astype(np.uint8).ravel(), minlength=1)
    return tuple(int(k) / STRENGTHS for k in np.flatnonzero(counts[1:])[::-1] + 1)


#: How near a step may lie to where a part begins that it begins there instead.
_NEAR: Final = 0.05


def with_levels(times: Sequence[float], levels: Sequence[float]) -> tuple[float, ...]:
    """Return a schedule that stops at each of some times, where weaker parts of an edit begin.

    Such a stop takes the place of the nearest one in between that is no more than 0.05 away; else
    it is one more.
    """
    start, *between, end = times
    stops = sorted({level for level in levels if end < level < start}, reverse=True)
    for stop in stops:
        near = min(between, key=lambda t: abs(t - stop), default=start)
        if near in between and abs(near - stop) <= _NEAR:
            between.remove(near)
    return (start, *sorted({*between, *stops}, reverse=True), end)


class Strengthened(Started, Protocol):
    """What of an `EditRequest` is looked at, beside what it starts from."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the frame."""

    @property
    def steering(self) -> Steering:
        """What steers it."""


def steering_text(request: Strengthened) -> str:
    """Return what steered an edit beside paint and caption, in words.

    Strengths of parts and what it started from are told, too.
    """
    levels = levels_of(request.strength_map)
    parts = f"parts of strength {levels[-1]:g} to {levels[0]:g}" if levels else ""
    return ", ".join(filter(None, (request.steering.text, parts, start_text(request.fill))))


def settle_strengths(request: Strengthened) -> None:
    """Check the strength map of a request that is being made, and settle what it says twice.

    Outside the edit mask it is 0, and where it is 0 pixels may not change; `strength` is its
    largest. One that is the same everywhere is left out, as is that of anything but inpainting.

    Raises
    ------
    InvalidMap, InvalidRequest
        When it is none, has another shape than the frame, or cannot be followed.
    """
    if request.strength_map is None:
        return
    found = as_strength_map(request.strength_map)
    if found.shape != request.shape:
        raise InvalidRequest(
            f"expected strength_map of shape {request.shape} like the frame, got {found.shape}; "
            "paint or crop it to the frame"
        )
    changes: dict[str, Any] = {"strength_map": None}
    if request.edit_mask is not None and str(request.kind) == "inpaint":
        found[~request.edit_mask] = 0
        levels = levels_of(found)
        changes["edit_mask"] = found > 0
        if len(levels) > 1:
            changes["strength_map"] = found
        if levels:
            changes["strength"] = levels[0]
    for name, value in changes.items():
        if isinstance(value, np.ndarray):
            value.setflags(write=False)
        object.__setattr__(request, name, value)
    if changes["strength_map"] is not None and request.inverted:
        raise InvalidRequest(
            "expected one strength to start from the image's own noise, got several; leave "
            "inverted or the strength map out"
        )
