"""An append-only file of records that a crash can only shorten.

Each record is its length and its CRC-32 (both uint32, little endian), then its bytes. Reading stops
at the first record that is cut off or altered; opening for writing cuts the file there.
"""

from __future__ import annotations

import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Final

from napari_histodiff.core.errors import StorageError
from napari_histodiff.slide.storage.transactions import storage_error

__all__ = ["Journal", "read_records"]

_MAGIC: Final = b"HDJ1"
_FRAME: Final = struct.Struct("<II")

# Longer than any record, so that a garbled length is not taken for a long one.
_MAX_RECORD: Final = 64 * 2**20


def read_records(path: Path, start: int = 0) -> tuple[list[bytes], int]:
    """Return the whole records of a journal from a position on, and where they end.

    Parameters
    ----------
    path : Path
        A missing file has no records.
    start : int
        0, or what an earlier call returned.

    Raises
    ------
    StorageError
        When the file can not be read.
    """
    try:
        with path.open("rb") as file:
            file.seek(start)
            data = file.read()
    except FileNotFoundError:
        return [], start
    except OSError as error:
        raise StorageError(
            f"expected to read {path}, got '{error.strerror or error}'; "
            "check the folder's permissions"
        ) from error
    at = 0
    if start == 0:
        if data[: len(_MAGIC)] != _MAGIC:
            return [], 0
        at = len(_MAGIC)
    records = []
    while at + _FRAME.size <= len(data):
        length, check = _FRAME.unpack_from(data, at)
        record = data[at + _FRAME.size : at + _FRAME.size + length]
        if length > _MAX_RECORD or len(record) != length or zlib.crc32(record) != check:
            break
        records.append(record)
        at += _FRAME.size + length
    return records, start + at


class Journal:
    """A journal open for writing; only one process may hold it.

    Parameters
    ----------
    path : Path
        Made when missing.
    end : int
        Where its whole records end (see `read_records`); what follows is cut off.

    Raises
    ------
    StorageError
        When the file can not be written.
    """

    def __init__(self, path: Path, end: int = 0) -> None:
        self.path = path
        self.size = end
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
            os.ftruncate(self._handle, end)
            if end == 0:
                self._write(_MAGIC)
        except OSError as error:
            raise storage_error(path, error) from error

    def append(self, record: bytes, *, sync: bool = False) -> None:
        """Add a record: the whole of it or, when that fails, nothing.

        Parameters
        ----------
        record : bytes
            At most 64 MiB.
        sync : bool
            Return only when it, and every record before it, would survive a power cut.

        Raises
        ------
        StorageError
            When the disk is full.
        """
        before = self.size
        try:
            self._write(_FRAME.pack(len(record), zlib.crc32(record)) + record)
            if sync:
                os.fsync(self._handle)
        except OSError as error:
            self.size = before
            with suppress(OSError):
                os.ftruncate(self._handle, before)
            raise storage_error(self.path, error) from error

    def close(self) -> None:
        """Let go of the file; it can not be written to any more."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _write(self, data: bytes) -> None:
        os.lseek(self._handle, self.size, os.SEEK_SET)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._handle, rest) :]
        self.size += len(data)
