"""Nuclei of any place: proposed, thinned until none overlap, and stamped at the level's pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.layout.anatomy import Anatomy
from napari_histodiff.layout.candidates import Candidates, NucleusProposals
from napari_histodiff.layout.fields import Pixels
from napari_histodiff.layout.nucleus_templates import AXES, REACH, TURNS, VARIANTS, templates_of

__all__ = ["LayoutNuclei"]

_BLOCK: Final = 2304  # pixels of level 0 worked on at once
_HOPS: Final = 3  # whether a nucleus stays depends on neighbours this many steps away
_CLOSE: Final = 0.94  # outlines are ellipses only roughly


class LayoutNuclei:
    """Class and instance maps as a function of the place."""

    def __init__(self, anatomy: Anatomy) -> None:
        self._proposals, self._mpp = NucleusProposals(anatomy), anatomy.mpp
        self._templates = templates_of(anatomy.mpp)
        self._reach = int(np.ceil(REACH / anatomy.mpp)) + 1
        self._gap = np.float32(0.5 / anatomy.mpp)

    @property
    def reach(self) -> int:
        """How many pixels of level 0 beyond a changed nucleus others may change."""
        return (2 * _HOPS + 1) * self._reach

    def maps(self, pixels: Pixels) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Return the class map (h, w) uint8 and the instance map (h, w) int32 at some points."""
        classes, instances = np.zeros(pixels.shape, np.uint8), np.zeros(pixels.shape, np.int32)
        for part, where in _blocks(pixels):
            self._stamp(part, classes[where], instances[where])
        return classes, instances

    def _stamp(
        self, pixels: Pixels, classes: NDArray[np.uint8], instances: NDArray[np.int32]
    ) -> None:
        found, index, y, x = self._covered(pixels)
        step = max(1, int(pixels.step))
        shown = ((y | x) & (step - 1)) == 0
        shown &= (y >= 0) & (y < pixels.height * step) & (x >= 0) & (x < pixels.width * step)
        index, y, x = index[shown], y[shown] // step, x[shown] // step
        classes[y, x] = (found.shape // VARIANTS + 1).astype(np.uint8)[index]
        instances[y, x] = found.number.astype(np.int32)[index]

    def coverage(self, pixels: Pixels) -> NDArray[np.float32]:
        """Return which share of the pixels at some points nuclei cover, (h, w) float32 in 0-1."""
        covered = np.zeros(pixels.shape, np.float32)
        for part, where in _blocks(pixels):
            covered[where] = self._share(part)
        return covered

    def _share(self, pixels: Pixels) -> NDArray[np.float32]:
        _, _, y, x = self._covered(pixels)
        step = max(1, int(pixels.step))
        y, x = y // step, x // step
        inside = (y >= 0) & (y < pixels.height) & (x >= 0) & (x < pixels.width)
        place = y[inside] * pixels.width + x[inside]
        counts = np.bincount(place, minlength=pixels.height * pixels.width).reshape(pixels.shape)
        # Outlines that touch share a few pixels.
        full = step * step
        return np.minimum(counts, full).astype(np.float32) / np.float32(full)

    def _covered(
        self, pixels: Pixels
    ) -> tuple[Candidates, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        # Nuclei of a box, and for each pixel of level 0, or part of one where the points lie
        # closer, that they cover: which nucleus, and where from the first point on.
        top, bottom, left, right = pixels.box
        reach, parts = self._reach, max(1, round(1 / pixels.step))
        found = self.within((top - reach, bottom + reach, left - reach, right + reach))
        index, y, x = self.pixels(found, parts)
        return found, index, y - round(pixels.y * parts), x - round(pixels.x * parts)

    def within(self, box: tuple[int, int, int, int]) -> Candidates:
        """Return the nuclei whose middle lies in a box of level 0, lowest rank first."""
        halo = _HOPS * 2 * self._reach
        wide = box[0] - halo, box[1] + halo, box[2] - halo, box[3] + halo
        found = self._proposals.within(wide)
        found = found[self._stay(found)]
        inside = (found.y >= box[0]) & (found.y <= box[1])
        inside &= (found.x >= box[2]) & (found.x <= box[3])
        found = found[inside]
        return found[np.argsort(found.rank, kind="stable")]

    def pixels(
        self, found: Candidates, parts: int = 1
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return for each covered pixel of level 0 the index of its nucleus, its row and column.

        Rows and columns count parts of a pixel where `parts` is above 1. Where outlines touch after
        all, the one of the higher rank comes last.
        """
        templates = templates_of(self._mpp, parts)
        outline = found.shape * TURNS + found.turn
        first = templates.starts[outline]
        lengths = templates.starts[outline + 1] - first
        index = np.repeat(np.arange(len(found)), lengths)
        ends = np.cumsum(lengths)
        at = np.arange(len(index)) + np.repeat(first - (ends - lengths), lengths)
        y, x = found.y * parts, found.x * parts
        return index, y[index] + templates.dy[at], x[index] + templates.dx[at]

    def _stay(self, found: Candidates) -> NDArray[np.bool_]:
        # Who has no touching neighbour of higher rank stays; among those who touch none of them,
        # the same once more.
        a, b = self._touching(found)
        higher = found.rank[a] > found.rank[b]
        winner, loser = np.where(higher, a, b), np.where(higher, b, a)
        first = np.ones(len(found), np.bool_)
        first[loser] = False
        left = ~first
        left[a[first[b]]] = False
        left[b[first[a]]] = False
        second = left.copy()
        second[loser[left[winner] & left[loser]]] = False
        return first | second

    def _touching(self, found: Candidates) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        a, b = _near(found.y, found.x, 2 * self._reach)
        dy = (found.y[b] - found.y[a]).astype(np.float32)
        dx = (found.x[b] - found.x[a]).astype(np.float32)
        close = dy * dy + dx * dx < np.float32((2 * self._reach) ** 2)
        a, b, dy, dx = a[close], b[close], dy[close], dx[close]
        both = self._extent(found, a, dy, dx)
        both += self._extent(found, b, dy, dx)
        touch = np.sqrt(dy * dy + dx * dx) < both * np.float32(_CLOSE) + self._gap
        return a[touch], b[touch]

    def _extent(
        self,
        found: Candidates,
        index: NDArray[np.int64],
        dy: NDArray[np.float32],
        dx: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        # Radius of the ellipse of a nucleus in a direction.
        uy, ux = AXES[:, found.turn[index]]
        shape = found.shape[index]
        along = (dy * uy + dx * ux) / self._templates.major[shape]
        across = (dy * ux - dx * uy) / self._templates.minor[shape]
        length = np.sqrt(dy * dy + dx * dx)
        size = np.sqrt(along * along + across * across)
        extent: NDArray[np.float32] = length / np.maximum(size, np.float32(1e-6))
        return extent


def _blocks(pixels: Pixels) -> Iterator[tuple[Pixels, tuple[slice, slice]]]:
    side = max(1, int(_BLOCK / pixels.step))
    for row in range(0, pixels.height, side):
        for col in range(0, pixels.width, side):
            where = slice(row, row + side), slice(col, col + side)
            yield pixels.part(row, col, side, side), where


def _near(
    y: NDArray[np.int64], x: NDArray[np.int64], side: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    # Every pair of points in the same or neighbouring squares, each once.
    if len(y) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    rows, cols = y // side, x // side
    rows, cols = rows - rows.min(), cols - cols.min() + 1
    width = int(cols.max()) + 2
    square = rows * width + cols
    order = np.argsort(square, kind="stable")
    square = square[order]
    here = np.arange(len(square))
    last = np.searchsorted(square, square + 1, side="right")
    below = np.searchsorted(square, square + width - 1, side="left")
    end = np.searchsorted(square, square + width + 1, side="right")
    a1, b1 = _ranges(here, here + 1, last)
    a2, b2 = _ranges(here, below, end)
    return order[np.concatenate([a1, a2])], order[np.concatenate([b1, b2])]


def _ranges(
    here: NDArray[np.int64], first: NDArray[np.int64], end: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    lengths = end - first
    ends = np.cumsum(lengths)
    offset = np.repeat(first - (ends - lengths), lengths)
    return np.repeat(here, lengths), np.arange(len(offset)) + offset
