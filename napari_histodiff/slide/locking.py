"""One writer per slide, in any process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from napari_histodiff.core.errors import StorageError

__all__ = ["lock_for"]

_NAME: Final = "histodiff/lock"


def lock_for(path: Path, read_only: bool | None) -> FileLock | None:
    """Return the lock that makes this process the writer of a slide, None to only read it.

    The lock goes when its process ends, however it ends.

    Parameters
    ----------
    path : Path
        The slide's folder.
    read_only : bool, optional
        True asks for no lock, False insists on it, None takes it when it can be had.

    Raises
    ------
    StorageError
        When it is insisted on and another process has it or the folder can not be written.
    """
    if read_only:
        return None
    try:
        lock = _lock_slide(path)
    except StorageError:
        if read_only is None:
            return None
        raise
    if lock is None and read_only is False:
        raise StorageError(
            f"expected to be the only writer of {path}, got a slide that is open elsewhere; "
            "close it there or open it read-only"
        )
    return lock


def _lock_slide(path: Path) -> FileLock | None:
    """Return the lock that makes this process the writer, or None when another one is.

    The lock goes when its process ends, however it ends.

    Raises
    ------
    StorageError
        When the folder can not be written.
    """
    lock = FileLock(path / _NAME, blocking=False)
    try:
        if not os.access(path / _NAME, os.W_OK) and (path / _NAME).exists():
            raise PermissionError(13, "Permission denied")
        lock.acquire()
    except Timeout:
        return None
    except OSError as error:
        raise StorageError(
            f"expected a folder that can be written, got '{error.strerror or error}' for {path}; "
            "open the slide read-only or copy it to where you may write"
        ) from error
    return lock
