"""The wall of a hollow organ: how deep below its surface a place lies, and where along it.

Walls lie side by side over the plane, two and two with their surfaces facing each other across a
gap, bent and rippled by noise. On a large slide each is a section of its own, which ends somewhere
in the fat and has glass on both sides. Their coordinates are known at nodes of a coarse lattice and
linear between them, so that they cost little at any pixel. Walls that close around ovals have the
depth of those instead.

The direction of the stroma's fibres, and the streaks they make.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.layout.fields import Pixels, ValueNoise, key_of, uniform, whole
from napari_histodiff.layout.layers import WallPlan
from napari_histodiff.layout.outline import SMALL, TissueOutline
from napari_histodiff.layout.tissues.ovals import Ovals

__all__ = ["CRYPTS", "Fibres", "Wall", "WallPatch"]

#: Crypts along a wall before they repeat.
CRYPTS: Final = 1024

_NODE: Final = 32.0  # um between nodes
_WARP: Final = ((5200.0, 420.0), (1900.0, 150.0), (700.0, 48.0))  # um: length, height
_RIPPLE: Final = ((290.0, 15.0), (140.0, 6.0))
#: By layout; waves of the middle length are what crypts sway by.
_SPACING: Final = MappingProxyType(
    {1: ((900.0, 120.0), (170.0, 10.0)), 2: ((900.0, 120.0), (420.0, 48.0), (170.0, 13.0))}
)
_FACING: Final = 0.1  # of the side of a new slide, from its border to the first surface
_LEAST_GAP: Final = 0.3
_ROOMY: Final = 3000.0  # um; the gap is narrower in smaller slides
_BEND: Final = 0.1
_SECTION: Final = 7000.0  # um, about what a section of a large slide takes
_SECTIONS: Final = 6
_SPAN: Final = 0.82  # of the side of a new slide, from the first surface on
_BETWEEN: Final = 0.17, 0.05  # of what a section takes: glass above its surface, and behind it
_WHOLE: Final = 0.9  # of a wall has to find a place, or there is one section less
_ENDS: Final = ((5200.0, 0.34), (1700.0, 0.24), (520.0, 0.12), (160.0, 0.05), (50.0, 0.02))
_TILT: Final = 0.24
_GOLDEN: Final = 0.6180339887
_MARGIN: Final = 34  # nodes around what is asked for
_CHUNK: Final = 40_000  # nodes evaluated at once; more leave the processor's cache
_FADING: Final = 8.0  # per unit of the zones' field

Coordinates = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


class Wall:
    """Coordinates of walls.

    Parameters
    ----------
    seed : int
    plan : WallPlan
    mpp : float
        Micrometres per pixel of level 0.
    home : tuple of int
        Height and width of the slide when it was new; the first wall runs along its longer side.
    zones : ValueNoise
        Where it is above a number, something else takes the place of the wall's epithelium.
    above : float
        That number.
    outline : TissueOutline
        Where there is tissue, which walls that close lie within; its layout is theirs.
    """

    def __init__(
        self,
        seed: int,
        plan: WallPlan,
        mpp: float,
        home: tuple[int, int],
        zones: ValueNoise,
        above: float,
        outline: TissueOutline,
    ) -> None:
        self.plan, um = plan, 1 / mpp
        self._zones, self._above = zones, np.float32(above)
        self._last: WallPatch | None = None
        self._ovals = Ovals(seed, mpp, home, outline) if plan.closed else None
        self.node = 1 << max(0, int(np.log2(_NODE * um)))
        self.pitch = plan.pitch * um
        #: Depth at which each layer starts, in pixels of level 0.
        self.edges = (np.cumsum([0.0, *(la.thickness for la in plan.layers)])[:-1] * um).astype(
            np.float32
        )
        self._held = {
            what: np.array([getattr(layer, what) for layer in plan.layers])
            for what in ("fat", "vessels", "glands", "aggregates")
        }
        self._length = self.pitch * CRYPTS
        # Folds of a mucosa lie closer in small slides, which are to show tissue.
        close = 0.4 if plan.crypt > 0 else 1.0
        self._gap = 0.5 * plan.gap * um * float(np.clip(min(home) * mpp / _ROOMY, close, 1))
        # Large slides are bent over their whole length, too.
        longest = 0.3 * min(home) * mpp
        warp = ((longest, _BEND * longest), *_WARP) if longest > 2 * _WARP[0][0] else _WARP
        self._warp, self._ripple, self._spacing = (
            _field(seed, 70 + index, waves, um)
            for index, waves in enumerate((warp, _RIPPLE, _SPACING[outline.layout]))
        )
        # What turns the surface; its smallest waves do not.
        self._bent = replace(
            self._warp, cells=self._warp.cells[:-1], amplitudes=self._warp.amplitudes[:-1]
        )
        self._thick = ValueNoise(seed, 73, _cells((1900.0,), um), (0.25,))
        self._open = ValueNoise(seed, 74, _cells((1200.0,), um), (0.6,))
        self._far = max(1, round(60 * um))
        thickness = sum(layer.thickness for layer in plan.layers) * um
        chance = uniform(key_of(seed, 75), np.arange(2), np.zeros(2, np.int64))
        self._wide = home[1] >= home[0]
        across, along = home if self._wide else home[::-1]
        #: Whether walls are sections with glass around them.
        self.sections = plan.ends and min(home) >= SMALL
        self._end: tuple[float, float] | None = None
        self._count, self._across = 0, across
        if self.sections:
            self._apart(across, thickness, um)
        else:
            # A large slide shows a few walls, not dozens.
            fat = float(np.clip(0.06 * min(home) - 0.3 * thickness, 0, 0.4 * thickness))
            self._period = 2 * (thickness + fat * (0.7 + 0.6 * float(chance[0])) + self._gap)
        self._ends = _field(seed, 79, tuple((length, high / um) for length, high in _ENDS), um)
        tilt = (_TILT / 3 if self.sections else _TILT) * (float(chance[1]) - 0.5)
        self._cosine, self._sine = (1 - tilt * tilt) ** 0.5, tilt
        first = np.array([[round(_FACING * across)]]), np.array([[along // 2]])
        y, x = first if self._wide else first[::-1]
        at = self._axes(y, x)[0] + self._warp.at(y, x)
        self._first = float(at[0, 0]) - self._gap * (1 + float(self._open.at(y, x)[0, 0]))

    def _apart(self, across: int, thickness: float, um: float) -> None:
        # Sections beside each other that fill the slide.
        count = min(_SECTIONS, max(1, round(_SPAN * across / (_SECTION * um))))
        above, behind = _BETWEEN
        while True:
            each = _SPAN * across / (count - above)
            most = each * (1 - above - behind)
            if count == 1 or most >= _WHOLE * thickness:
                break
            count -= 1
        self._gap, self._period = above * each, 2 * each
        self._count, self._across = count, across
        self._end = min(0.5 * most, float(self.edges[-1])), most

    def end(self, pixels: Pixels) -> NDArray[np.float32] | None:
        """Return the depth at which a wall ends on a lattice, (h, w) float32; None: nowhere."""
        if self._end is None:
            return None
        least, most = (np.float32(end) for end in self._end)
        share = np.clip(np.float32(0.5) + self._ends.on(pixels), 0, 1)
        return np.asarray(least + (most - least) * share, np.float32)

    @property
    def whole_until(self) -> float:
        """No wall ends less deep, in pixels of level 0."""
        return float("inf") if self._end is None else self._end[0]

    def over(self, box: tuple[int, int, int, int]) -> WallPatch:
        """Return what is known of a box of level 0."""
        row, col = box[0] // self.node, box[2] // self.node
        height, width = box[1] // self.node + 2 - row, box[3] // self.node + 2 - col
        # The same place is asked for by glands, fat, vessels and nuclei.
        last = self._last
        if last is None or not last.holds(row, col, height, width):
            row_, col_ = row - _MARGIN, col - _MARGIN
            more = height + 2 * _MARGIN, width + 2 * _MARGIN
            nodes = Pixels(row_ * self.node, col_ * self.node, self.node, *more)
            last = self._last = WallPatch(self.node, row_, col_, *self._on(nodes))
        return last.part(row, col, height, width)

    def on(self, pixels: Pixels) -> Coordinates:
        """Return depth below the surface, place along it and fade on a lattice, each (h, w).

        float32; depth and place in pixels of level 0, the depth negative in the gap between
        surfaces; the fade is 1 where the wall is whole down to 0 where its epithelium is gone.
        """
        if pixels.step > self.node:
            return self._on(pixels)
        return self.over(pixels.box).on(pixels)

    def direct(self, y: NDArray[Any], x: NDArray[Any]) -> Coordinates:
        """Return the same at single points of level 0, not interpolated between nodes."""
        return self._coordinates(y, x, lambda field, dy, dx: field.at(y + dy, x + dx))

    def near(self, y: NDArray[Any], x: NDArray[Any]) -> Coordinates:
        """Return the same at points of level 0 that lie close together, as a lattice's cells do."""
        box = int(y.min()), int(y.max()), int(x.min()), int(x.max())
        return self.over(box).at(y, x)

    def layer(self, depth: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return which layer each depth lies in, 0 also above the surface, int64."""
        layer = np.zeros(depth.shape, np.int64)
        for edge in self.edges[1:]:
            layer += depth >= edge
        return layer

    def holds(self, what: str, depth: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return where layers have a property of `Layer` that is true or false, bool."""
        held: NDArray[np.bool_] = self._held[what][self.layer(depth)]
        return held

    def _on(self, pixels: Pixels) -> Coordinates:
        rows = max(1, _CHUNK // max(1, pixels.width))
        if pixels.height <= rows:
            return self._few(pixels)
        found = tuple(np.empty(pixels.shape, np.float32) for _ in range(3))
        for row in range(0, pixels.height, rows):
            part = self._few(pixels.part(row, 0, rows, pixels.width))
            for whole_, some in zip(found, part, strict=True):
                whole_[row : row + rows] = some
        return found[0], found[1], found[2]

    def _few(self, pixels: Pixels) -> Coordinates:
        def value(field: ValueNoise, dy: int, dx: int) -> NDArray[np.float32]:
            moved = Pixels(pixels.y + dy, pixels.x + dx, pixels.step, *pixels.shape)
            return field.on(moved)

        return self._coordinates(pixels.ys[:, None], pixels.xs[None, :], value)

    def _axes(self, y: NDArray[Any], x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        across, along = (y, x) if self._wide else (x, y)
        return (
            across * self._cosine - along * self._sine,
            across * self._sine + along * self._cosine,
        )

    def _sides(self, way: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        # Number of a wall, whether it is seen from behind, and the way from the middle of the gap.
        count, period = self._count, self._period
        if count == 0:
            number = np.floor(way / period)
            way = way - number * period
            beyond = way > period / 2
            return 2 * number + beyond, beyond, np.where(beyond, period - way, way)
        # All of a slide's sections, and some glass, then the same seen in a mirror; without a jump,
        # because coordinates are linear between nodes.
        glass = _FACING * self._across
        side = 0.5 * period * count + 2 * glass
        lot = np.floor((way + glass) / side)
        way = way + glass - lot * side
        way = np.where(lot % 2 == 0, way, side - way) - glass
        pair = np.clip(np.floor(way / period), 0, (count - 1) // 2)
        way = way - pair * period
        beyond = (way > period / 2) & (2 * pair + 1 < count)
        number = count * lot + 2 * pair + beyond
        return number, beyond ^ (lot % 2 != 0), np.where(beyond, period - way, way)

    def _coordinates(
        self,
        y: NDArray[Any],
        x: NDArray[Any],
        value: Callable[[ValueNoise, int, int], NDArray[np.float32]],
    ) -> Coordinates:
        if self._ovals is not None:
            deep = self._ovals.deep(y, x, value) + self.edges[1]
            return deep, np.zeros_like(deep), np.ones_like(deep)
        across, along = self._axes(y, x)
        far = self._far
        dy, dx = (0, far) if self._wide else (far, 0)
        steep = (value(self._bent, dy, dx) - value(self._bent, -dy, -dx)) * np.float32(0.5 / far)
        way = across - self._first + value(self._warp, 0, 0) + value(self._ripple, 0, 0)
        number, beyond, way = self._sides(way)
        gap = self._gap * np.maximum(1 + value(self._open, 0, 0), np.float32(_LEAST_GAP))
        deep = (way - gap) / (1 + value(self._thick, 0, 0))
        # Back along the normal to the point of the surface that a place lies below.
        foot = np.where(beyond, -steep, steep) * np.clip(deep, 0, 2 * self.edges[1:2].max())
        place = along - foot + value(self._spacing, 0, 0)
        place = place + number * (_GOLDEN * self._length)
        place = place - np.floor(place / self._length) * self._length
        fade = np.ones(deep.shape, np.float32)
        if np.isfinite(self._above):
            fade = np.clip((self._above - value(self._zones, 0, 0)) * np.float32(_FADING), 0, 1)
        return deep.astype(np.float32), place.astype(np.float32), fade


@dataclass(frozen=True, slots=True)
class WallPatch:
    """Coordinates of walls in a part of the plane.

    Attributes
    ----------
    node : int
        Distance of nodes in pixels of level 0.
    row, col : int
        The first node.
    depth, place, fade : (h, w) float32
        See `Wall.on`.
    """

    node: int
    row: int
    col: int
    depth: NDArray[np.float32]
    place: NDArray[np.float32]
    fade: NDArray[np.float32]

    def holds(self, row: int, col: int, height: int, width: int) -> bool:
        """Return whether all of some nodes are known."""
        row, col = row - self.row, col - self.col
        return min(row, col) >= 0 and (
            row + height <= self.depth.shape[0] and col + width <= self.depth.shape[1]
        )

    def part(self, row: int, col: int, height: int, width: int) -> WallPatch:
        """Return some of the nodes."""
        y, x = row - self.row, col - self.col
        where = np.s_[y : y + height, x : x + width]
        return WallPatch(
            self.node, row, col, self.depth[where], self.place[where], self.fade[where]
        )

    def on(self, pixels: Pixels) -> Coordinates:
        """Return depth, place and fade on a lattice within the box, each (h, w) float32."""
        (rows, fy), (cols, fx) = self._split(pixels.ys, self.row), self._split(pixels.xs, self.col)

        def between(nodes: NDArray[np.float32]) -> NDArray[np.float32]:
            left = nodes[:, cols]
            across = left + (nodes[:, cols + 1] - left) * fx
            top = across[rows]
            top += (across[rows + 1] - top) * fy[:, None]
            return top

        fade = between(self.fade) if self.fade.min() < 1 else np.ones(pixels.shape, np.float32)
        return between(self.depth), between(self.place), fade

    def at(self, y: NDArray[Any], x: NDArray[Any]) -> Coordinates:
        """Return depth, place and fade at single points within the box, float32."""
        (rows, fy), (cols, fx) = self._split(y, self.row), self._split(x, self.col)

        def between(nodes: NDArray[np.float32]) -> NDArray[np.float32]:
            left, below = nodes[rows, cols], nodes[rows + 1, cols]
            top = left + (nodes[rows, cols + 1] - left) * fx
            bottom = below + (nodes[rows + 1, cols + 1] - below) * fx
            value: NDArray[np.float32] = top + (bottom - top) * fy
            return value

        return between(self.depth), between(self.place), between(self.fade)

    def axes(
        self, y: NDArray[Any], x: NDArray[Any]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the steps (y, x) that make depth and place one pixel larger, each (2, n)."""
        (rows, _), (cols, _) = self._split(y, self.row), self._split(x, self.col)

        def slope(nodes: NDArray[np.float32]) -> NDArray[np.float32]:
            a, b = nodes[rows, cols], nodes[rows + 1, cols + 1]
            c, d = nodes[rows, cols + 1], nodes[rows + 1, cols]
            both = np.stack([(d - a) + (b - c), (c - a) + (b - d)])
            return both * np.float32(0.5 / self.node)

        down, right = slope(self.depth)
        length = np.maximum(np.sqrt(down * down + right * right), np.float32(1e-3))
        inwards = np.stack([down / length, right / length])
        aside = np.stack([-inwards[1], inwards[0]])
        more = (slope(self.place) * aside).sum(axis=0)
        aside *= np.where(more < 0, np.float32(-1), np.float32(1))
        # The place starts anew here and there, where its slope means nothing.
        steep = np.clip(np.abs(more), np.float32(0.5), np.float32(1.8))
        return inwards / np.clip(length, np.float32(0.5), np.float32(1.8)), aside / steep

    def _split(self, at: NDArray[Any], first: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        nodes = whole(at) // self.node
        part = (at - nodes * self.node).astype(np.float32) / np.float32(self.node)
        return nodes - first, part


def _cells(lengths: tuple[float, ...], um: float) -> tuple[int, ...]:
    return tuple(max(2, round(length * um)) for length in lengths)


def _field(
    seed: int, channel: int, waves: tuple[tuple[float, float], ...], um: float
) -> ValueNoise:
    lengths, heights = zip(*waves, strict=True)
    return ValueNoise(seed, channel, _cells(lengths, um), tuple(height * um for height in heights))


_STRANDS: Final = 1024  # shades before they repeat
_WIDTH: Final = 4.0  # um of the height between neighbouring strands


@dataclass(frozen=True, slots=True)
class Fibres:
    """Contour lines of a smooth landscape: wavy, never crossing, their direction slowly varying.

    Parameters
    ----------
    seed : int
    mpp : float
        Micrometres per pixel of level 0.
    """

    seed: int
    mpp: float
    _height: ValueNoise = field(init=False)
    _shades: NDArray[np.float32] = field(init=False)

    def __post_init__(self) -> None:
        cells = tuple(max(2, round(um / self.mpp)) for um in (640, 230, 80))
        heights = ValueNoise(self.seed, 40, cells, (170.0, 42.0, 8.0))
        strands = np.arange(_STRANDS + 1) % _STRANDS
        shades = 2 * uniform(key_of(self.seed, 41), strands, np.zeros_like(strands)) - 1
        object.__setattr__(self, "_height", heights)
        object.__setattr__(self, "_shades", shades)

    def across(self, y: NDArray[Any], x: NDArray[Any]) -> NDArray[np.float32]:
        """Return vectors (y, x) across the fibres at points of level 0, (2, n) float32."""
        far = max(1, round(5 / self.mpp))
        up = self._height.at(y + far, x) - self._height.at(y - far, x)
        right = self._height.at(y, x + far) - self._height.at(y, x - far)
        return np.stack([up, right])

    def streaks(
        self,
        pixels: Pixels,
        along: NDArray[np.bool_] | None = None,
        depth: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Return lighter and darker strands on a lattice of points, (h, w) float32 in -1..1.

        Where `along`, they follow the lines of equal `depth`, in pixels of level 0.
        """
        height = self._height.on(pixels)
        if along is not None and depth is not None and along.any():
            height = np.where(along, depth * np.float32(self.mpp), height)
        strand = height * np.float32(1 / _WIDTH)
        whole = np.floor(strand)
        part = strand - whole
        index = whole.astype(np.int32) & (_STRANDS - 1)
        low = np.take(self._shades, index)
        part *= part * (np.float32(3) - np.float32(2) * part)
        streaks: NDArray[np.float32] = low + (np.take(self._shades, index + 1) - low) * part
        return streaks
