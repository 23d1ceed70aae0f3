"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

from napari_histodiff.core.errors import StorageError

__all__ = [
    "move_into_place",
    "remove_file",
    "storage_error",
    "sync_all",
    "sync_folder",
    "write_aside",
    "write_file",
]

# A reader that has the file open keeps Windows from replacing it for a moment.
_ATTEMPTS: Final = 20 if sys.platform == "win32" else 1
_PAUSE: Final = 0.02

_SYNCING: Final = 16


def storage_error(path: Path, error: OSError) -> StorageError:
    """Return the error to raise when `path` could not be written."""
    return StorageError(
        f"expected to write {path.name} into {path.parent}, got '{error.strerror or error}'; "
        "free some space or check the folder's permissions, then try again"
    )


def write_file(path: Path, data: bytes, *, sync: bool = False) -> None:
    """Write a file by way of a temporary one, so that readers see the old or the new one whole.

    Parameters
    ----------
    path : Path
        Replaced when it exists; its folder is made when missing.
    data : bytes
        The contents.
    sync : bool
        Return only when it would survive a power cut.

    Raises
    ------
    StorageError
        When the disk is full or the folder can not be written; `path` is then as it was.
    """
    temporary = path.parent / f".{path.name}.{os.getpid()}.{time.monotonic_ns()}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        move_into_place(temporary, path)
        if sync:
            sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise storage_error(path, error) from error


def write_aside(path: Path, data: bytes) -> None:
    """Write a new file to be moved into place later.

    Raises
    ------
    StorageError
        When the disk is full; nothing is left of it then.
    """
    try:
        with path.open("wb") as file:
            file.write(data)
    except OSError as error:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise storage_error(path, error) from error


def move_into_place(temporary: Path, path: Path) -> None:
    """Replace `path` by a file of the same disk in one step."""
    for attempt in range(_ATTEMPTS):
        try:
            os.replace(temporary, path)
        except PermissionError:
            if attempt + 1 == _ATTEMPTS:
                raise
            time.sleep(_PAUSE)
        else:
            return


def remove_file(path: Path) -> None:
    """Remove a file where there is one.

    Raises
    ------
    StorageError
        When it can not be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(path, error) from error


def sync_folder(folder: Path) -> None:
    """Make new names in a folder survive a power cut, where the system can."""
    if sys.platform != "win32":
        _sync(folder, os.O_RDONLY)


def sync_all(files: Iterable[Path], folders: Iterable[Path] = ()) -> None:
    """Make written files, and new names in folders, survive a power cut.

    Raises
    ------
    StorageError
        When the disk can not take them.
    """
    # At the same time: a disk takes many such orders in hardly more time than one.
    with ThreadPoolExecutor(_SYNCING) as pool:
        work = [(path, pool.submit(_sync, path, os.O_RDWR)) for path in files]
        work += [(path, pool.submit(sync_folder, path)) for path in folders]
        for path, done in work:
            try:
                done.result()
            except OSError as error:
                raise storage_error(path, error) from error


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags | getattr(os, "O_BINARY", 0))
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
