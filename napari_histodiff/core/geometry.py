"""All coordinate arithmetic: rectangles, pyramid tiles and window lattices.

Everything is in (y, x) order and in pixels of its level; level 0 is the finest and each level has
half the resolution of the one below. Rectangles are half open and may start at negative positions.
Only the noise of a place goes below level 0: there, a level keeps its number for good.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidRequest

__all__ = ["PyramidSpec", "Region", "TileAddress", "WindowGrid", "as_shape"]

#: Pixels of the largest frame: its maps alone take 6 GB. Slides are larger, and never in memory.
_MOST_PIXELS: Final = 2**30


def as_shape(shape: Any) -> tuple[int, int]:
    """Return height and width of a frame as plain whole numbers.

    Raises
    ------
    InvalidRequest
        When they are not two whole numbers, or the frame has no pixel or more than fit in memory.
    """
    try:
        height, width = map(operator.index, shape)
    except (TypeError, ValueError):
        raise InvalidRequest(
            f"expected a frame as two whole numbers, got {shape!r}; give (height, width)"
        ) from None
    if min(height, width) < 1:
        raise InvalidRequest(
            f"expected a frame with at least one pixel, got {height} x {width}; choose a larger one"
        )
    if height * width > _MOST_PIXELS:
        raise InvalidRequest(
            f"expected a frame of at most {_MOST_PIXELS:,} pixels, got {height} x {width}; choose "
            "a smaller one, or make a slide"
        )
    return height, width


@dataclass(frozen=True, slots=True, order=True)
class Region:
    """A half-open rectangle in pixels of its level; empty when a side is 0.

    Parameters
    ----------
    level : int
        Pyramid level, 0 = finest. No pyramid has a negative one; as the key of a place's noise
        (`core.noise`) it means a level that was added below level 0 of a slide.
    y, x : int
        First row and column; may be negative.
    height, width : int
        Sides in pixels, 0 or more.

    Raises
    ------
    InvalidRequest
        When a number is not whole, or a side is negative.
    """

    level: int
    y: int
    x: int
    height: int
    width: int

    def __post_init__(self) -> None:
        # Written out, since a read of one tile makes several: half of its time over decoding.
        if (
            type(self.level) is int
            and type(self.y) is int
            and type(self.x) is int
            and type(self.height) is int
            and type(self.width) is int
            and self.height >= 0 <= self.width
        ):
            return
        for name in ("level", "y", "x", "height", "width"):
            object.__setattr__(self, name, _whole(f"region {name}", getattr(self, name)))
        for name in ("height", "width"):
            _at_least(f"region {name}", getattr(self, name), 0)

    @classmethod
    def of_mask(cls, mask: NDArray[np.bool_], within: Region) -> Region:
        """Return the smallest rectangle around the True pixels of a mask.

        Parameters
        ----------
        mask : (h, w) bool
            Of `within`.
        within : Region
            Where the mask lies; the result is empty, and at its first pixel, when nothing is True.
        """
        rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not rows.size:
            return replace(within, height=0, width=0)
        y, x = int(rows[0]), int(cols[0])
        height, width = int(rows[-1]) + 1 - y, int(cols[-1]) + 1 - x
        return cls(within.level, within.y + y, within.x + x, height, width)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    @property
    def bottom(self) -> int:
        """First row after the rectangle."""
        return self.y + self.height

    @property
    def right(self) -> int:
        """First column after the rectangle."""
        return self.x + self.width

    @property
    def area(self) -> int:
        """Number of pixels."""
        return self.height * self.width

    @property
    def is_empty(self) -> bool:
        """True when there is no pixel inside."""
        return self.area == 0

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the rectangle in an array whose first pixel is (0, 0).

        Raises
        ------
        InvalidRequest
            When the rectangle starts before (0, 0), where numpy would count from the end.
        """
        if self.y < 0 or self.x < 0:
            raise InvalidRequest(
                f"expected a region that starts inside the array, got y={self.y}, x={self.x}; "
                "intersect it with the array first, or use relative_to"
            )
        return slice(self.y, self.bottom), slice(self.x, self.right)

    def intersect(self, other: Region) -> Region:
        """Return the common part; empty (but placed) when there is none."""
        self._same_level(other)
        y, x = max(self.y, other.y), max(self.x, other.x)
        height = max(0, min(self.bottom, other.bottom) - y)
        width = max(0, min(self.right, other.right) - x)
        return Region(self.level, y, x, height, width)

    def union(self, other: Region) -> Region:
        """Return the smallest rectangle that holds both; an empty one adds nothing."""
        self._same_level(other)
        if other.is_empty:
            return self
        if self.is_empty:
            return other
        y, x = min(self.y, other.y), min(self.x, other.x)
        bottom, right = max(self.bottom, other.bottom), max(self.right, other.right)
        return Region(self.level, y, x, bottom - y, right - x)

    def contains(self, other: Region) -> bool:
        """Return whether every pixel of `other` lies inside; an empty one always does."""
        self._same_level(other)
        return other.is_empty or self.intersect(other) == other

    def pad(self, n: int) -> Region:
        """Grow by `n` pixels on each side; a negative `n` shrinks, at most to nothing."""
        y, height = _padded(self.y, self.height, n)
        x, width = _padded(self.x, self.width, n)
        return Region(self.level, y, x, height, width)

    def translate(self, dy: int, dx: int) -> Region:
        """Move by whole pixels."""
        return Region(self.level, self.y + dy, self.x + dx, self.height, self.width)

    def relative_to(self, other: Region) -> Region:
        """Return the same place in coordinates whose (0, 0) is the first pixel of `other`."""
        self._same_level(other)
        return self.translate(-other.y, -other.x)

    def snap(self, multiple: int) -> Region:
        """Grow outwards until every border lies on a multiple of `multiple` pixels."""
        multiple = _at_least("multiple", _whole("multiple", multiple), 1)
        y, x = self.y // multiple * multiple, self.x // multiple * multiple
        bottom = -(-self.bottom // multiple) * multiple
        right = -(-self.right // multiple) * multiple
        return Region(self.level, y, x, bottom - y, right - x)

    def enlarged(self, factor: int) -> Region:
        """Return the same place in pixels that are `factor` times smaller, of the same level."""
        sides = (self.y, self.x, self.height, self.width)
        return Region(self.level, *(side * factor for side in sides))

    def shrunk(self, factor: int) -> Region:
        """Return the place that is this one enlarged; borders lie on multiples of `factor`."""
        sides = (self.y, self.x, self.height, self.width)
        return Region(self.level, *(side // factor for side in sides))

    def at_level(self, level: int) -> Region:
        """Return the same place in pixels of another level, rounded outwards."""
        if level <= self.level:
            scale = 1 << (self.level - level)
            y, x, bottom, right = (n * scale for n in (self.y, self.x, self.bottom, self.right))
        else:
            scale = 1 << (level - self.level)
            y, x = self.y // scale, self.x // scale
            bottom, right = -(-self.bottom // scale), -(-self.right // scale)
        return Region(level, y, x, bottom - y, right - x)

    def blocks(self, side: int) -> list[Region]:
        """Return the blocks it consists of, row by row; those at its end may be smaller."""
        return [
            Region(self.level, y, x, side, side).intersect(self)
            for y in range(self.y, self.bottom, side)
            for x in range(self.x, self.right, side)
        ]

    def _same_level(self, other: Region) -> None:
        if self.level != other.level:
            raise InvalidRequest(
                f"expected two regions of one level, got levels {self.level} and {other.level}; "
                "bring one over with PyramidSpec.at_level"
            )


@dataclass(frozen=True, slots=True, order=True)
class TileAddress:
    """A tile of a pyramid, by level, row and column."""

    level: int
    row: int
    col: int


@dataclass(frozen=True, slots=True)
class PyramidSpec:
    """The shape of a slide: what tiles it has at which level.

    Parameters
    ----------
    height, width : int
        Pixels of level 0, at least 1.
    tile : int
        Side of a tile in pixels of its level.
    levels : int
        Number of levels, at least 1. Level k has ceil(side / 2**k) pixels.
    mpp : float
        Micrometres per pixel of level 0.

    Raises
    ------
    InvalidRequest
        When a number is out of range, or a level or tile does not exist.
    """

    height: int
    width: int
    tile: int
    levels: int
    mpp: float

    def __post_init__(self) -> None:
        for name in ("height", "width", "tile", "levels"):
            object.__setattr__(self, name, _whole(f"pyramid {name}", getattr(self, name)))
            _at_least(f"pyramid {name}", getattr(self, name), 1)
        if not 0 < self.mpp < float("inf"):
            raise InvalidRequest(
                f"expected a positive number of micrometres per pixel, got {self.mpp}; "
                "give the pixel size of level 0, for example 0.5"
            )

    def bounds(self, level: int) -> Region:
        """Return the whole slide in pixels of `level`."""
        if not 0 <= level < self.levels:
            raise InvalidRequest(
                f"expected a level from 0 to {self.levels - 1}, got {level}; choose one of those"
            )
        return _bounds(self.height, self.width, level)

    def tiles(self, region: Region) -> Iterator[TileAddress]:
        """Yield the existing tiles that share a pixel with `region`, in row-major order."""
        bounds, side = self.bounds(region.level), self.tile
        top, bottom = max(region.y, 0), min(region.bottom, bounds.height)
        left, right = max(region.x, 0), min(region.right, bounds.width)
        if top >= bottom or left >= right:
            return
        for row in range(top // side, -(-bottom // side)):
            for col in range(left // side, -(-right // side)):
                yield TileAddress(region.level, row, col)

    def region(self, tile: TileAddress) -> Region:
        """Return the pixels of a tile; the last row and column are cut at the slide's border."""
        side = self.tile
        full = Region(tile.level, tile.row * side, tile.col * side, side, side)
        inside = full.intersect(self.bounds(tile.level))
        if inside.is_empty:
            raise InvalidRequest(
                f"expected a tile of this slide, got {tile}; take addresses from tiles()"
            )
        return inside

    def at_level(self, region: Region, level: int) -> Region:
        """Return the same place in pixels of another level of this pyramid, not clipped."""
        self.bounds(level)
        return region.at_level(level)


@dataclass(frozen=True, slots=True)
class WindowGrid:
    """An endless lattice of square windows, fixed to the plane and not to any region.

    Window k of an axis covers `[offset + k * stride, offset + k * stride + size)` for every whole
    k, negative ones too. Neighbours overlap by `size - stride` pixels.

    Parameters
    ----------
    size : int
        Side of a window in pixels.
    stride : int
        Distance of neighbouring windows, at most `size` so that no pixel is left out.
    offset : int
        Position of window 0 on both axes.

    Raises
    ------
    InvalidRequest
        When a number is not whole or the stride leaves gaps.
    """

    size: int
    stride: int
    offset: int = 0

    def __post_init__(self) -> None:
        for name in ("size", "stride", "offset"):
            object.__setattr__(self, name, _whole(f"window {name}", getattr(self, name)))
        _at_least("window stride", self.stride, 1)
        if self.stride > self.size:
            raise InvalidRequest(
                f"expected a stride of at most the window size {self.size}, got {self.stride}; "
                "choose a smaller stride, or pixels between windows are never drawn"
            )

    def covering(self, region: Region) -> list[Region]:
        """Return every window that shares a pixel with `region`, in row-major order."""
        if region.is_empty:
            return []
        rows = self._starts(region.y, region.bottom)
        cols = self._starts(region.x, region.right)
        return [Region(region.level, y, x, self.size, self.size) for y in rows for x in cols]

    def _starts(self, first: int, end: int) -> range:
        low = (first - self.offset - self.size) // self.stride + 1
        high = -(-(end - self.offset) // self.stride)
        return range(self.offset + low * self.stride, self.offset + high * self.stride, self.stride)


@lru_cache(1024, typed=True)
def _bounds(height: int, width: int, level: int) -> Region:
    """Return a level of a slide; asked for with every read."""
    scale = 1 << level
    return Region(level, 0, 0, -(-height // scale), -(-width // scale))


def _whole(name: str, value: object) -> int:
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise InvalidRequest(
            f"expected {name} as a whole number, got {value!r}; round it first"
        ) from None


def _at_least(name: str, value: int, low: int) -> int:
    if value < low:
        raise InvalidRequest(f"expected {name} of at least {low}, got {value}; give a larger one")
    return value


def _padded(start: int, side: int, n: int) -> tuple[int, int]:
    if side + 2 * n < 0:
        return start + side // 2, 0
    return start - n, side + 2 * n
