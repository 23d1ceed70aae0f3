"""Makes the levels that a scan's file lacks beside the window, what is looked at first."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import HistodiffError
from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.slide.scans.pyramid_scan import PyramidScan
from napari_histodiff.slide.scans.scan import ScanError

__all__ = ["LevelBuilder"]

#: Tiles of the file that are decoded for one piece of work, at most.
_PIECE: Final = 16

#: Most threads; the window needs cores too.
_THREADS: Final = 4


class LevelBuilder:
    """Threads that make tiles of a scan; what was wanted last comes first.

    Parameters
    ----------
    scan : PyramidScan
        The scan.
    on_made : callable
        Called from a thread with each region that was made and its pixels.
    on_damage : callable
        Called from a thread with each `ScanError` on the way; the tile is striped.
    """

    def __init__(
        self,
        scan: PyramidScan,
        on_made: Callable[[Region, NDArray[np.uint8]], object],
        on_damage: Callable[[ScanError], object],
    ) -> None:
        self._scan = scan
        self._on_made = on_made
        self._on_damage = on_damage
        self._changed = threading.Condition()
        self._stack: list[TileAddress] = []
        self._working: set[TileAddress] = set()
        self._made: set[TileAddress] = set()
        self._is_open = True
        count = max(1, min(_THREADS, (os.cpu_count() or 2) // 2))
        self._threads = [
            threading.Thread(target=self._run, name="scan levels", daemon=True)
            for _ in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def want(self, tiles: Iterable[TileAddress]) -> None:
        """Make these tiles before all others that wait."""
        with self._changed:
            wanted = [tile for tile in tiles if tile not in self._working]
            again = set(wanted)
            self._stack = [tile for tile in self._stack if tile not in again] + wanted[::-1]
            self._changed.notify_all()

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits to be made."""
        with self._changed:
            return not self._stack and not self._working

    def close(self) -> None:
        """End the threads, after the piece each is at."""
        with self._changed:
            self._is_open = False
            self._stack.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (tile := self._next()) is not None:
            region = self._scan.spec.region(tile)
            try:
                pixels = self._scan.show(region, self._on_damage)
            except (HistodiffError, OSError):  # the scan was closed, or its file is gone
                pixels = None
            if pixels is not None and self._is_open:
                self._on_made(region, pixels)
            with self._changed:
                self._working.discard(tile)
                self._made.add(tile)
                self._changed.notify_all()

    def _next(self) -> TileAddress | None:
        """Wait for a tile that is one piece of work; None when it is over."""
        with self._changed:
            while self._is_open:
                for at in range(len(self._stack) - 1, -1, -1):
                    tile = self._stack[at]
                    below = self._below(tile)
                    if not below:
                        del self._stack[at]
                        self._working.add(tile)
                        return tile
                    fresh = [part for part in below if part not in self._working]
                    if fresh:
                        # Its parts first, and then it itself.
                        waiting = set(fresh)
                        self._stack = [part for part in self._stack if part not in waiting]
                        self._stack.extend(fresh[::-1])
                        break
                else:
                    self._changed.wait()
            return None

    def _below(self, tile: TileAddress) -> list[TileAddress]:
        """Return what has to be made before a tile can be made in one piece."""
        spec = self._scan.spec
        region = spec.region(tile)
        if self._scan.cost(region) <= _PIECE:
            return []
        finer = spec.at_level(region, tile.level - 1).intersect(spec.bounds(tile.level - 1))
        return [
            part
            for part in spec.tiles(finer)
            if part not in self._made and self._scan.cost(spec.region(part))
        ]
