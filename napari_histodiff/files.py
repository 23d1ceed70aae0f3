"""Files that are there whole or not at all, and small ones in the user's own folders.

Of settings, and of what was answered or chosen once, what cannot be read counts as never written,
and what cannot be written is asked for again.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import platformdirs

from napari_histodiff.core.json_data import read_json_object

__all__ = [
    "config_file",
    "data_folder",
    "move_into_place",
    "read_config",
    "sync_file",
    "sync_folder",
    "write_config",
    "write_whole",
]

_APP: Final = "napari-histodiff"

# A reader that has the file open keeps Windows from replacing it for a moment.
_ATTEMPTS: Final = 20 if sys.platform == "win32" else 1
_PAUSE: Final = 0.02


# ------------------------------------------------------------ the user's own
def config_file(name: str) -> Path:
    """Return the path of a file in the user's configuration folder."""
    return Path(platformdirs.user_config_path(_APP, appauthor=False)) / name


def data_folder(name: str) -> Path:
    """Return a folder in the user's data folder: for what is kept, but is no setting."""
    return Path(platformdirs.user_data_path(_APP, appauthor=False)) / name


def read_config(path: Path) -> dict[str, Any]:
    """Return the values of a file; none when there are none readable."""
    try:
        return read_json_object(path)
    except (OSError, ValueError):
        return {}


def write_config(path: Path, values: dict[str, Any]) -> None:
    """Write values whole or not at all; a read-only home only means they are not remembered."""
    with suppress(OSError):
        write_whole(path, json.dumps(values, indent=1).encode())


# ---------------------------------------------------------------- whole files
def write_whole(path: Path, data: bytes, *, sync: bool = True) -> None:
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
    OSError
        When it cannot be written; what was there stays.
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
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def move_into_place(temporary: Path, path: Path) -> None:
    """Replace a file by another one of the same disk in one step; also a folder, by a new name."""
    for attempt in range(_ATTEMPTS):
        try:
            os.replace(temporary, path)
        except PermissionError:
            if attempt + 1 == _ATTEMPTS:
                raise
            time.sleep(_PAUSE)
        else:
            return


def sync_file(path: Path) -> None:
    """Make a written file survive a power cut."""
    _sync(path, os.O_RDWR)


def sync_folder(folder: Path) -> None:
    """Make new names in a folder survive a power cut, where the system can."""
    if sys.platform != "win32":
        _sync(folder, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags | getattr(os, "O_BINARY", 0))
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
