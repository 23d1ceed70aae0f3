"""Undo and redo of pixel writes: what a journal does, and one bounded in memory.

Its plane of pixels is endless and holds only the tiles somebody wrote to.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import PyramidSpec, Region, WindowGrid
from napari_histodiff.core.maps import as_rgb
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.slide.exporting.provenance import EditMark
from napari_histodiff.ui.workspace.pending import PendingStep

__all__ = ["EditJournal", "JournalStep", "MemoryJournal", "RawPixels", "SparsePlane", "writable"]

_LIMIT_BYTES: Final = 512 * 2**20


class EditJournal(Protocol):
    """Writes pixels to one image so that writes can be taken back, in memory or on disk.

    A step may go on after the call that began it; steps are carried out in the order of the calls.
    """

    @property
    def can_undo(self) -> bool:
        """Whether a write can be taken back."""

    @property
    def can_redo(self) -> bool:
        """Whether a write taken back can be repeated."""

    def write(
        self,
        region: Region,
        pixels: NDArray[np.uint8],
        mask: NDArray[np.bool_] | None = None,
        request: EditRequest | None = None,
    ) -> PendingStep:
        """Store (h, w, 3) RGB, where `mask` says; the step's region is what changed.

        `request` is the edit that made the pixels, for journals that keep provenance.
        """

    def undo(self) -> PendingStep:
        """Take the last write back; a step without a region when there is none."""

    def redo(self) -> PendingStep:
        """Repeat the write taken back last; a step without a region when there is none."""


class RawPixels(Protocol):
    """Where pixels are kept, with alpha telling which were written (255) and which not (0)."""

    @property
    def source(self) -> object:
        """What holds the pixels now; another object is another image."""

    def read_raw(self, region: Region) -> NDArray[np.uint8]:
        """Return a copy of the stored (h, w, 4) RGBA."""

    def write_raw(self, region: Region, pixels: NDArray[np.uint8]) -> None:
        """Store (h, w, 4) RGBA exactly."""


@dataclass(frozen=True, slots=True, eq=False)
class JournalStep:
    """One write that can be taken back or repeated.

    Attributes
    ----------
    number : int
        Its own in the journal; later writes have larger ones.
    region : Region
        What changed.
    before, after : (h, w, 4) uint8
        As `RawPixels` has them.
    mark : EditMark, optional
        How it was made.
    """

    number: int
    region: Region
    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    mark: EditMark | None

    @property
    def nbytes(self) -> int:
        """Bytes of its pixels."""
        return self.before.nbytes + self.after.nbytes


class MemoryJournal:
    """Writes pixels so that each write can be undone and redone byte for byte, at once.

    Only the rectangle that changed is kept; the oldest writes are forgotten first.

    Parameters
    ----------
    target : RawPixels
        Where pixels are kept.
    limit : int
        Most bytes kept for undo and redo together; the newest write is kept whatever its size.
    """

    def __init__(self, target: RawPixels, limit: int = _LIMIT_BYTES) -> None:
        self._target = target
        self._limit = limit
        self._done: deque[JournalStep] = deque()
        self._undone: deque[JournalStep] = deque()
        self._sources: dict[int, weakref.ref[object]] = {}
        self._next = 1
        self._lasting: list[EditMark] = []

    @property
    def marks(self) -> tuple[EditMark, ...]:
        """The edits that the image shows, oldest first, also those that cannot be undone more."""
        return (*self._lasting, *(change.mark for change in self._done if change.mark is not None))

    @property
    def done(self) -> tuple[JournalStep, ...]:
        """What can be taken back, oldest first."""
        return tuple(self._done)

    @property
    def undone(self) -> tuple[JournalStep, ...]:
        """What can be repeated; the last one is repeated first."""
        return tuple(self._undone)

    def begin_with(
        self,
        marks: Iterable[EditMark],
        done: Iterable[JournalStep] = (),
        undone: Iterable[JournalStep] = (),
    ) -> None:
        """Say what was done to the image in an earlier window: it shows `marks` and `done` already.

        Parameters
        ----------
        marks : iterable of EditMark
            Of edits that cannot be taken back, oldest first.
        done, undone : iterable of JournalStep
            As the properties have them.
        """
        self._lasting = list(marks)
        self._done, self._undone = deque(done), deque(undone)
        steps = (*self._done, *self._undone)
        for step in steps[:1]:  # whoever copies at the first write shall do it now
            self._target.write_raw(step.region, self._target.read_raw(step.region))
        self._sources = {step.number: weakref.ref(self._target.source) for step in steps}
        self._next = 1 + max((step.number for step in steps), default=0)

    @property
    def can_undo(self) -> bool:
        """Whether a write can be taken back."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether a write taken back can be repeated."""
        return bool(self._undone)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(change.nbytes for change in (*self._done, *self._undone))

    def write(
        self,
        region: Region,
        pixels: NDArray[np.uint8],
        mask: NDArray[np.bool_] | None = None,
        request: EditRequest | None = None,
    ) -> PendingStep:
        """Store (h, w, 3) RGB as written pixels; the step's region is the rectangle that changed.

        Only the pixels of `mask`, (h, w) bool, are stored; all of them when it is None. Of the
        request a mark is kept, for exports.
        """
        target = self._target
        before = target.read_raw(region)
        after = np.dstack((pixels, np.full(region.shape, 255, np.uint8)))
        if mask is not None:
            after[~mask] = before[~mask]
        changed = Region.of_mask((before != after).any(axis=2), region)
        if changed.is_empty:
            return PendingStep.carried_out(changed)
        part = changed.relative_to(region).slices
        target.write_raw(changed, after[part])
        mark = None if request is None else EditMark.of(request, "", "")
        change = JournalStep(self._next, changed, before[part].copy(), after[part].copy(), mark)
        self._sources[self._next] = weakref.ref(target.source)
        self._next += 1
        self._undone.clear()
        self._done.append(change)
        while self.nbytes > self._limit and len(self._done) > 1:
            oldest = self._done.popleft()
            if oldest.mark is not None:
                self._lasting.append(oldest.mark)
        return PendingStep.carried_out(changed)

    def undo(self) -> PendingStep:
        """Take the last write back; a step without a region when there is none.

        Raises
        ------
        InvalidRequest
            When the pixels it was made on were exchanged for others.
        """
        return self._travel(self._done, self._undone, lambda change: change.before)

    def redo(self) -> PendingStep:
        """Repeat the write taken back last; a step without a region when there is none.

        Raises
        ------
        InvalidRequest
            When the pixels it was made on were exchanged for others.
        """
        return self._travel(self._undone, self._done, lambda change: change.after)

    def _travel(
        self,
        start: deque[JournalStep],
        end: deque[JournalStep],
        pixels_of: Callable[[JournalStep], NDArray[np.uint8]],
    ) -> PendingStep:
        if not start:
            return PendingStep.carried_out(None)
        self._check(start[-1])
        change = start.pop()
        self._target.write_raw(change.region, pixels_of(change))
        end.append(change)
        return PendingStep.carried_out(change.region)

    def _check(self, change: JournalStep) -> None:
        if self._sources[change.number]() is not self._target.source:
            raise InvalidRequest(
                "expected the pixels that this edit was made on, got others: the layer's data was "
                "exchanged; put the former array back, or go on without undo"
            )


Scalar = TypeVar("Scalar", bound=np.generic)


class SparsePlane(Generic[Scalar]):
    """Pixels of a level, zero where nothing was written; memory follows what was written.

    Parameters
    ----------
    dtype : DTypeLike
        Type of a value.
    channels : tuple of int
        Shape of one pixel; () for a plane of numbers.
    tile : int
        Side of a stored square in pixels.
    """

    def __init__(
        self, dtype: DTypeLike, channels: tuple[int, ...] = (), *, tile: int = 256
    ) -> None:
        self._dtype = np.dtype(dtype)
        self._channels = channels
        self._grid = WindowGrid(tile, tile)
        self._tiles: dict[Region, NDArray[Scalar]] = {}
        #: Tiles written to; whoever keeps them elsewhere takes them out.
        self.touched: set[Region] = set()

    def __len__(self) -> int:
        return len(self._tiles)

    def read(self, region: Region) -> NDArray[Scalar]:
        """Return a copy of the pixels of `region`, (h, w, *channels)."""
        result: NDArray[Scalar] = np.zeros((*region.shape, *self._channels), self._dtype)
        for tile, part in self._parts(region):
            stored = self._tiles.get(tile)
            if stored is not None:
                here, there = part.relative_to(region).slices, part.relative_to(tile).slices
                result[here] = stored[there]
        return result

    def write(self, region: Region, pixels: NDArray[Scalar]) -> list[Region]:
        """Set the pixels of `region` and return the tiles touched; tiles left zero are dropped."""
        touched = []
        for tile, part in self._parts(region):
            block = pixels[part.relative_to(region).slices]
            stored = self._tiles.get(tile)
            if stored is None:
                if not block.any():
                    continue
                stored = np.zeros((*tile.shape, *self._channels), self._dtype)
                self._tiles[tile] = stored
            stored[part.relative_to(tile).slices] = block
            if not stored.any():
                del self._tiles[tile]
            touched.append(tile)
        self.touched.update(touched)
        return touched

    def tiles_of(self, region: Region) -> list[Region]:
        """Return the squares that a region lies in, stored or not."""
        return [tile for tile, _ in self._parts(region)]

    def tile(self, tile: Region) -> NDArray[Scalar] | None:
        """Return the live array of a tile that `write` named, None when it was dropped."""
        return self._tiles.get(tile)

    def _parts(self, region: Region) -> Iterator[tuple[Region, Region]]:
        for tile in self._grid.covering(region):
            yield tile, tile.intersect(region)


def writable(
    spec: PyramidSpec, region: Region, pixels: ArrayLike, edit_mask: NDArray[np.bool_] | None
) -> NDArray[np.uint8]:
    """Return pixels as (h, w, 3) uint8 when they and their edit mask fit into an image.

    Raises
    ------
    InvalidRequest
        When the region leaves the image or shapes differ.
    """
    rgb, bounds = as_rgb(pixels), spec.bounds(region.level)
    if not bounds.contains(region):
        raise InvalidRequest(
            f"expected a region inside the image of {bounds.height} x {bounds.width} px, got "
            f"{region}; the image has changed, generate again"
        )
    for name, array in (("pixels", rgb), ("an edit mask", edit_mask)):
        if array is not None and array.shape[:2] != region.shape:
            raise InvalidRequest(
                f"expected {name} of {region.height} x {region.width} px, got "
                f"{array.shape[:2]}; give the region's shape"
            )
    return rgb
