"""Levels of a slide as arrays that are read where they are looked at, and never draw anything."""

from __future__ import annotations

import operator
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.recipe import TILE
from napari_histodiff.slide.reader import SlideReader

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["MOST_PIXELS", "LazyLevel", "LevelArray", "pyramid"]

#: The largest rectangle that is read at once: 192 MiB.
MOST_PIXELS: Final = 2**26

# One axis of an index: where to read, and what to take of it.
_Span = tuple[int, int, int | slice]


class LevelArray(ABC):
    """One level of a pyramid as an array of (h, w, 3) uint8; napari takes it as a layer's level.

    The coarsest level can be had as a whole by `numpy.asarray`: always the same array, because
    napari reads that level once and keeps it.

    Parameters
    ----------
    shape : (height, width)
        Of the level.
    is_last : bool
        Whether it is the coarsest one.
    """

    def __init__(self, shape: tuple[int, int], is_last: bool) -> None:
        self._shape = shape
        self._is_last = is_last
        self._whole: NDArray[np.uint8] | None = None

    @property
    @abstractmethod
    def level(self) -> int:
        """Which level it is."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What tells this level from others, in this and every other program."""

    @abstractmethod
    def _read(self, region: Region) -> NDArray[np.uint8]:
        """Return the pixels of a rectangle of the level, at most `MOST_PIXELS`."""

    @abstractmethod
    def _load(self) -> NDArray[np.uint8]:
        """Return all pixels of the coarsest level, an array to keep."""

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        """Always uint8."""
        return np.dtype(np.uint8)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and the three colours."""
        return (*self._shape, 3)

    @property
    def ndim(self) -> int:
        """Always 3."""
        return 3

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return self._shape[0] * self._shape[1] * 3

    @property
    def nbytes(self) -> int:
        """How many bytes it would take in memory."""
        return self.size

    @property
    def chunks(self) -> tuple[int, int, int]:
        """Shape of what is stored as one piece."""
        return (TILE, TILE, 3)

    @property
    def chunksize(self) -> tuple[int, int, int]:
        """The same as `chunks`, by dask's name."""
        return self.chunks

    def __len__(self) -> int:
        return self._shape[0]

    def __getitem__(self, key: Any) -> NDArray[np.uint8]:
        """Return a part of the level, uint8.

        Parameters
        ----------
        key
            Whole numbers, slices with any step, and an ellipsis.

        Raises
        ------
        IndexError
            When the key is of another kind or leaves the array.
        InvalidRequest
            When more than `MOST_PIXELS` would be read.
        """
        rows, cols, colours = self._spans(key)
        region = Region(self.level, rows[0], cols[0], rows[1], cols[1])
        if region.area > MOST_PIXELS:
            raise InvalidRequest(
                f"expected a rectangle of at most {MOST_PIXELS} pixels of level {self.level}, got "
                f"{region.height} x {region.width}; take a smaller one, a coarser level, or to_dask"
            )
        empty = np.empty((*region.shape, 3), np.uint8)
        pixels = empty if region.is_empty else self._read(region)
        first, count, taken = colours
        return pixels[..., first : first + count][rows[2], cols[2], taken]

    def __array__(self, dtype: Any = None, *, copy: bool | None = None) -> NDArray[Any]:
        """Return the whole coarsest level; the same array each time, kept up to date.

        Raises
        ------
        InvalidRequest
            For every other level.
        """
        if not self._is_last:
            raise InvalidRequest(
                f"expected a rectangle of level {self.level}, got all its {self._shape[0]} x "
                f"{self._shape[1]} pixels; index it, for example level[:1024, :1024], or use "
                "to_dask"
            )
        whole = self._load() if self._whole is None else self._whole
        if copy:
            return np.array(whole, dtype=dtype)
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def to_dask(self) -> da.Array:
        """Return the level as a dask array of 256-pixel chunks; the same slide, the same names."""
        import dask.array as da

        array: da.Array = da.from_array(
            self,
            chunks=self.chunks,
            name=self.name,
            fancy=False,
            meta=np.empty((0, 0, 0), np.uint8),
        )
        return array

    def _spans(self, key: Any) -> list[_Span]:
        keys = key if isinstance(key, tuple) else (key,)
        dots = [at for at, part in enumerate(keys) if part is Ellipsis]
        if len(dots) > 1 or len(keys) - len(dots) > 3:
            raise IndexError(f"expected at most 3 indices and one ellipsis, got {key!r}; drop some")
        at = dots[0] if dots else len(keys)
        before, after = keys[:at], keys[at + 1 :]
        filled = (*before, *[slice(None)] * (3 - len(before) - len(after)), *after)
        return [_span(part, side) for part, side in zip(filled, self.shape, strict=True)]

    def _bounds(self) -> Region:
        return Region(self.level, 0, 0, *self._shape)


class LazyLevel(LevelArray):
    """One level of a slide as an array.

    Reading asks the slide and nothing else, so it starts no model. It stays the same part of the
    slide when finer levels are added. The whole of the coarsest level follows the slide.

    Parameters
    ----------
    reader : SlideReader
        The slide.
    level : int
        Which level.

    Raises
    ------
    InvalidRequest
        When the slide has no such level.
    """

    def __init__(self, reader: SlideReader, level: int) -> None:
        super().__init__(reader.spec.bounds(level).shape, level == reader.spec.levels - 1)
        self._reader = reader
        self._number = level - reader.recipe.refined
        self._changes = 0
        self._lock = threading.Lock()  # what was read first must not be written last

    @property
    def level(self) -> int:
        """Which level it is; a finer one may have been added since this one was made."""
        return self._number + self._reader.recipe.refined

    @property
    def name(self) -> str:
        """What tells this level from others: the slide's place, its recipe and the level."""
        from dask.base import tokenize

        token = tokenize(str(self._reader.path), self._reader.recipe.to_dict(), self.level)
        return f"slide-{token}"

    def __repr__(self) -> str:
        return f"<LazyLevel {self.level} of {self._reader.path}: {self.shape} uint8>"

    def _read(self, region: Region) -> NDArray[np.uint8]:
        return self._reader.read(region)

    def _load(self) -> NDArray[np.uint8]:
        """Read the whole level, and go on writing into it what changes in the slide."""
        unsubscribe = self._reader.subscribe(_follower(weakref.ref(self)))
        weakref.finalize(self, unsubscribe).atexit = False
        while True:
            seen = self._changes
            self._whole = whole = np.array(self._reader.read(self._bounds()))
            if seen == self._changes:
                return whole

    def _update(self, region: Region) -> None:
        """Read again what changed; called from any thread."""
        self._changes += 1
        part = self._reader.spec.at_level(region, self.level).intersect(self._bounds())
        if self._whole is not None and not part.is_empty:
            with self._lock:
                self._whole[part.slices] = self._reader.read(part)


def pyramid(reader: SlideReader) -> list[LazyLevel]:
    """Return all levels of a slide, the finest first; the last one is at most 512 pixels a side.

    Make it anew, and give it to the layer, after the slide grew.
    """
    return [LazyLevel(reader, level) for level in range(reader.spec.levels)]


def _follower(level: weakref.ref[LazyLevel]) -> Callable[[Region], None]:
    # The slide must not keep a level alive that no layer has any more.
    def follow(region: Region) -> None:
        found = level()
        if found is not None:
            found._update(region)

    return follow


def _span(key: Any, side: int) -> _Span:
    """Return first pixel, number of pixels, and what to take of them, for one axis."""
    if isinstance(key, slice):
        places = range(*key.indices(side))
        if not places:
            return 0, 0, slice(None)
        first, last = sorted((places[0], places[-1]))
        return first, last - first + 1, slice(None, None, places.step)
    try:
        place = operator.index(key)
    except TypeError:
        raise IndexError(
            f"expected whole numbers, slices or an ellipsis, got {key!r}; "
            "read a rectangle first and index the array that comes back"
        ) from None
    if not -side <= place < side:
        raise IndexError(f"expected an index below {side}, got {place}; stay inside the level")
    return place % side, 1, 0
