"""Closed ovals that lie apart over the plane, as lymph nodes do in fat, each with a hilum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.layout.fields import Pixels, ValueNoise, key_of, uniforms, whole
from napari_histodiff.layout.outline import TissueOutline

__all__ = ["Ovals"]

_APART: Final = (4500.0, 9000.0)  # um between the middles of neighbours on small and large slides
_ONE: Final = 10_000.0  # um; smaller slides show one
_ALONE: Final = 0.8  # of the side of such a slide, in place of that distance
_OF_SLIDE: Final = 0.42  # of a large slide's side
_RADII: Final = (0.3, 0.42)  # of that distance
_STRETCH: Final = 0.45  # the longest is so much longer than round
_JITTER: Final = 0.1
_FARTHEST: Final = 0.9  # of that distance: how far outside is told
_HILUM: Final = 0.72  # cosine of the angle from the hilum's middle, where it begins
_NOTCH: Final = 0.3  # of the radius, that the hilum reaches inwards
_THINNER: Final = 2.2  # times thinner are layers there
_WAVES: Final = ((1700.0, 150.0), (640.0, 40.0), (260.0, 12.0))  # um: length, height
_AROUND: Final = 1.1  # of its radius, where tissue has to be around an oval
_LOOKED_AT: Final = 24  # points along that radius
_LEAST: Final = 0.35  # of it; what would be smaller is not there
_CIRCLE: Final = np.stack(
    [np.sin(np.arange(512) * np.pi / 256), np.cos(np.arange(512) * np.pi / 256)], axis=1
).astype(np.float32)
_FIRST: Final = 0.1  # of a small slide's side, from its border to the first border of an oval


@dataclass(frozen=True, slots=True)
class Ovals:
    """How deep within an oval places lie; lengths in pixels of level 0.

    Parameters
    ----------
    seed : int
    mpp : float
        Micrometres per pixel of level 0.
    home : tuple of int
        Height and width of the slide when it was new.
    outline : TissueOutline
        Ovals lie within it, smaller where they have to. A small slide, filled with tissue, shows
        the border of one.
    """

    seed: int
    mpp: float
    home: tuple[int, int]
    outline: TissueOutline
    _side: int = field(init=False)
    _origin: tuple[int, int] = field(init=False)
    _waves: ValueNoise = field(init=False)
    _sizes: dict[tuple[int, int], float] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        um = 1 / self.mpp
        height, width = self.home
        span = min(self.home) * self.mpp
        one = not self.outline.small and span < _ONE
        low, high = _APART
        wide = _ALONE * span if one else float(np.clip(_OF_SLIDE * span, low, high))
        side = round(wide * um)
        object.__setattr__(self, "_side", side)
        lengths, heights = zip(*_WAVES, strict=True)
        cells = tuple(max(2, round(length * um)) for length in lengths)
        waves = ValueNoise(self.seed, 87, cells, tuple(height * um for height in heights))
        object.__setattr__(self, "_waves", waves)
        # Four around the middle of a large slide, one in that of a smaller one.
        middle = side // 2 if one else 0
        origin = height // 2 - middle, width // 2 - middle
        if self.outline.small:
            object.__setattr__(self, "_origin", (0, 0))
            cy, cx, *_ = self._shape(np.array([0]), np.array([0]))
            top, col = int(cy[0]) - side, int(cx[0])
            rows = np.arange(top, int(cy[0]), max(2, side // 400))
            bent = self._signed(rows[:, None], np.array([[col]]), waves.at)[:, 0]
            border = int(rows[np.flatnonzero(bent <= 0)[-1]])
            origin = round(_FIRST * height) - border, width // 2 - col
        object.__setattr__(self, "_origin", origin)

    def deep(
        self,
        y: NDArray[Any],
        x: NDArray[Any],
        value: Callable[[ValueNoise, int, int], NDArray[np.float32]],
    ) -> NDArray[np.float32]:
        """Return the distance from the border at points of level 0, negative outside, float32.

        Layers of equal depth are thinner at the hilum. `value` tells a field at the points moved
        by a number of pixels in y and x.
        """
        dy, dx = self._origin
        return self._signed(y - dy, x - dx, lambda _y, _x: value(self._waves, -dy, -dx))

    def _signed(
        self,
        y: NDArray[Any],
        x: NDArray[Any],
        waves: Callable[[NDArray[Any], NDArray[Any]], NDArray[np.float32]],
    ) -> NDArray[np.float32]:
        row, col = whole(y) // self._side, whole(x) // self._side
        top, left = int(row.min()) - 1, int(col.min()) - 1
        cells = np.ogrid[top : int(row.max()) + 2, left : int(col.max()) + 2]
        size = np.array([[self._size(int(r), int(c)) for c in cells[1][0]] for r in cells[0][:, 0]])
        size = size.astype(np.float32)
        shape = np.broadcast_shapes(y.shape, x.shape)
        farthest = np.float32(_FARTHEST * self._side)
        deep = np.full(shape, -farthest, np.float32)
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                held = size[row + (down - top), col + (right - left)]
                one = self._one(y, x, row + down, col + right, held)
                np.maximum(deep, one, out=deep)
        # Not where others begin to matter.
        fade = np.clip(1 + deep / farthest, 0, 1)
        bent: NDArray[np.float32] = deep + waves(y, x) * np.minimum(fade * 2, 1)
        return bent.astype(np.float32)

    def _size(self, row: int, col: int) -> float:
        # How much smaller an oval is, for whole ones to lie in tissue.
        if self.outline.small:
            return 1.0
        found = self._sizes.get((row, col))
        if found is None:
            cy, cx, radius, root, *_ = self._shape(np.array([row]), np.array([col]))
            reach = float(radius[0] * root[0]) * _AROUND
            step = 1 << max(0, int(np.log2(reach / _LOOKED_AT)))
            top, left = (
                (int(middle[0] + moved - reach) // step) * step
                for middle, moved in zip((cy, cx), self._origin, strict=True)
            )
            count = int(2 * reach) // step + 2
            pixels = Pixels(top, left, step, count, count)
            bare = ~self.outline.tissue(pixels)
            dy = (pixels.ys - self._origin[0] - cy[0])[:, None]
            dx = (pixels.xs - self._origin[1] - cx[0])[None, :]
            free = float(np.sqrt((dy * dy + dx * dx)[bare]).min(initial=reach))
            found = free / reach if free > _LEAST * reach else 0.0
            self._sizes[row, col] = found
        return found

    def _one(self, y: Any, x: Any, row: Any, col: Any, size: Any) -> NDArray[np.float32]:
        cy, cx, radius, root, axis, hilum = self._shape(row, col)
        radius = np.maximum(radius * size, 1)
        dy, dx = (y - cy).astype(np.float32), (x - cx).astype(np.float32)
        u = (dx * axis[1] + dy * axis[0]) / (radius * root)
        v = (dy * axis[1] - dx * axis[0]) * root / radius
        away = np.sqrt(u * u + v * v)
        toward = (u * hilum[1] + v * hilum[0]) / np.maximum(away, np.float32(1e-3))
        bump = np.clip((toward - np.float32(_HILUM)) * np.float32(1 / (1 - _HILUM)), 0, 1)
        bump = bump * bump * (3 - 2 * bump) * np.clip(away * 2, 0, 1)
        inside = (1 - away * (1 + np.float32(_NOTCH) * bump)) * radius
        deep: NDArray[np.float32] = np.where(
            inside > 0, inside * (1 + np.float32(_THINNER) * bump), inside
        )
        return deep

    def _shape(self, row: Any, col: Any) -> tuple[Any, ...]:
        # Middle, mean radius, root of the ratio of axes, and the directions (y, x) of the long
        # axis and, from that one, of the hilum, which lies on a long side.
        dy, dx, size = uniforms(key_of(self.seed, 88), row, col)
        stretch, turn, side = uniforms(key_of(self.seed, 89), row, col)
        low, high = _RADII
        return (
            row * self._side + (self._side * (0.5 + 2 * _JITTER * (dy - 0.5))).astype(np.int64),
            col * self._side + (self._side * (0.5 + 2 * _JITTER * (dx - 0.5))).astype(np.int64),
            np.float32(self._side) * (np.float32(low) + np.float32(high - low) * size),
            np.sqrt(1 + np.float32(_STRETCH) * stretch),
            _turned(turn),
            _turned(np.float32(0.15) + np.float32(0.2) * side),
        )


def _turned(share: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    # A table, so that equal places get equal bits; of shares of a whole turn.
    index = (share * len(_CIRCLE)).astype(np.int64) % len(_CIRCLE)
    return _CIRCLE[index, 0], _CIRCLE[index, 1]
