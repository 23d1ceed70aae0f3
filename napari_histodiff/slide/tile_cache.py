"""Tiles decoded lately, kept within a limit of memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

from numpy.typing import NDArray

__all__ = ["TileCache"]


class TileCache:
    """Arrays by key, the least recently used dropped first; safe to use from any thread.

    Parameters
    ----------
    max_bytes : int
        How much to keep.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._items: OrderedDict[Hashable, NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> NDArray[Any] | None:
        """Return what is kept under a key, or None."""
        with self._lock:
            found = self._items.get(key)
            if found is not None:
                self._items.move_to_end(key)
            return found

    def put(self, key: Hashable, array: NDArray[Any]) -> None:
        """Keep an array, which must not be written to any more."""
        with self._lock:
            self._forget(key)
            self._items[key] = array
            self._bytes += array.nbytes
            while self._bytes > self._max_bytes and self._items:
                self._forget(next(iter(self._items)))

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            self._items.clear()
            self._bytes = 0

    def _forget(self, key: Hashable) -> None:
        old = self._items.pop(key, None)
        if old is not None:
            self._bytes -= old.nbytes
