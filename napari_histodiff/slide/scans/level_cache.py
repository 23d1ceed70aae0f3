"""Tiles of levels that a scan's file lacks: in memory, and the coarse ones on disk, both bounded.

Nothing here is needed to be right: what is lost, damaged or cannot be written is made again.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

import google_crc32c
import numpy as np
import platformdirs
from numcodecs.zstd import Zstd  # type: ignore[import-untyped]
from numpy.typing import NDArray
from zict import LRU

from napari_histodiff.core.geometry import TileAddress
from napari_histodiff.files import write_whole

__all__ = ["LevelCache", "cache_folder"]

#: Bytes in memory, of each scan.
_MEMORY: Final = 64 * 2**20

#: Bytes on disk, of all scans together; the longest unused go first, down to this share.
_DISK: Final = 2 * 2**30
_SHARE: Final = 0.9

#: Bytes that are written between two looks at how much there is.
_LOOK: Final = 2**26

_CHECK: Final = 4  # bytes of the checksum before the pixels
_ENDING: Final = ".zst"


def cache_folder() -> Path:
    """Return the folder of all scans' tiles: HISTODIFF_CACHE, or one of the user's cache."""
    own = os.environ.get("HISTODIFF_CACHE")
    base = Path(own) if own else platformdirs.user_cache_path("napari-histodiff", appauthor=False)
    return base / "scans"


class LevelCache:
    """Tiles of one scan; from any thread.

    Parameters
    ----------
    name : str
        Of the scan and of all that decides its pixels.
    folder : Path, optional
        Another folder than the user's.
    limit : int
        Bytes on disk of all scans in the folder together.
    """

    def __init__(self, name: str, folder: Path | None = None, limit: int = _DISK) -> None:
        self._all = folder or cache_folder()
        self._folder = self._all / name
        self._limit = limit
        self._unseen = _LOOK  # bytes written since the last look: look at the first write
        self._lock = threading.Lock()
        self._memory: LRU[TileAddress, NDArray[np.uint8]] = LRU(
            _MEMORY, {}, weight=lambda _, pixels: pixels.nbytes
        )

    def __contains__(self, tile: TileAddress) -> bool:
        return tile in self._memory or self._file(tile).is_file()

    def get(self, tile: TileAddress, shape: tuple[int, int]) -> NDArray[np.uint8] | None:
        """Return a tile, not to be written to; None where it has to be made."""
        found = self._memory.get(tile)
        if found is not None:
            return found
        file = self._file(tile)
        try:
            data = file.read_bytes()
            packed = data[_CHECK:]
            if google_crc32c.value(packed) != int.from_bytes(data[:_CHECK], "little"):
                return None
            pixels = np.frombuffer(Zstd().decode(packed), np.uint8).reshape(*shape, 3)
            os.utime(file)  # used just now
        except (OSError, ValueError, RuntimeError):
            return None
        self._memory[tile] = pixels
        return pixels

    def put(self, tile: TileAddress, pixels: NDArray[np.uint8], *, on_disk: bool) -> None:
        """Keep a tile; a disk that is full or cannot be written to only means it is made again."""
        self._memory[tile] = pixels
        if not on_disk:
            return
        packed = Zstd(level=1).encode(np.ascontiguousarray(pixels))
        file = self._file(tile)
        check = google_crc32c.value(packed).to_bytes(_CHECK, "little")
        try:
            write_whole(file, check + packed, sync=False)
        except OSError:
            return
        with self._lock:
            self._unseen += len(packed)
            if self._unseen >= min(_LOOK, self._limit // 8):
                self._unseen = 0
                self._evict()

    def _file(self, tile: TileAddress) -> Path:
        return Path(f"{self._folder}/{tile.level}/{tile.row}-{tile.col}{_ENDING}")

    def _evict(self) -> None:
        """Drop what was not used for longest, of any scan, until the limit is kept."""
        found = []
        for folder, _, names in os.walk(self._all):
            for name in names:
                with suppress(OSError):
                    file = Path(folder) / name
                    status = file.stat()
                    found.append((status.st_mtime, status.st_size, file))
        total = sum(size for _, size, _ in found)
        if total <= self._limit:
            return
        for _, size, file in sorted(found):
            if total <= self._limit * _SHARE:
                return
            with suppress(OSError):
                file.unlink()
            total -= size
