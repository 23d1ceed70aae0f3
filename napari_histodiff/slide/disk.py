"""Reading the chunks of a slide's folder."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from napari_histodiff.core.geometry import TileAddress
from napari_histodiff.slide.chunks import checksum_of, chunk_key, decode
from napari_histodiff.slide.tile_cache import TileCache

__all__ = ["CACHE_BYTES", "SlideDisk"]

#: How many bytes of decoded tiles are kept, unless told otherwise.
CACHE_BYTES: Final = 256 * 2**20

_CHECK_BYTES: Final = 4


class SlideDisk:
    """The chunk files of a slide.

    Parameters
    ----------
    path : Path
        The slide's folder.
    cache_bytes : int
        Limit of decoded tiles kept in memory.
    refined : int
        How many levels were added below the first ones, which tells the folder of each.
    """

    def __init__(self, path: Path, cache_bytes: int = CACHE_BYTES, refined: int = 0) -> None:
        self.path = path
        self.refined = refined
        self.cache = TileCache(cache_bytes)
        # Chunks of an edit that is committed but not yet in place, by key; None = removed.
        self._waiting: Mapping[str, bytes | None] = {}
        self._waiting_lock = threading.Lock()

    def key(self, plane: str, tile: TileAddress) -> str:
        """Return the path of a tile's chunk, relative to the slide, with forward slashes."""
        return chunk_key(plane, tile, self.refined)

    def raw(self, key: str) -> bytes | None:
        """Return the contents of a file of the slide, None where there is none."""
        with self._waiting_lock:
            if key in self._waiting:
                return self._waiting[key]
        try:
            return (self.path / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def load(self, plane: str, tile: TileAddress, check: int = 0) -> NDArray[Any] | None:
        """Return a stored tile, full and not writable; None where there is none.

        Parameters
        ----------
        plane : str
            A key of `chunks.PLANES`.
        tile : TileAddress
            Which.
        check : int
            The checksum it is known to carry, for finding it in memory; 0 = unknown.

        Raises
        ------
        DamagedChunk
            When the file is torn or altered.
        """
        key = self.key(plane, tile)
        if check:
            found = self.cache.get((key, check))
            if found is not None:
                return found
        data = self.raw(key)
        if data is None:
            return None
        pixels = decode(plane, data)
        self.cache.put((key, checksum_of(data)), pixels)
        return pixels

    def check(self, key: str) -> int:
        """Return the checksum that a chunk file carries now, 0 where there is none."""
        try:
            with (self.path / key).open("rb") as file:
                file.seek(-_CHECK_BYTES, 2)
                return checksum_of(file.read())
        except OSError:
            return 0

    def size(self, key: str) -> int:
        """Return the bytes of a file of the slide, 0 where there is none."""
        try:
            return (self.path / key).stat().st_size
        except OSError:
            return 0

    def overlay(self, files: Mapping[str, bytes | None]) -> None:
        """Answer with these contents instead of the files' own, until told otherwise."""
        with self._waiting_lock:
            self._waiting = dict(files)
