"""Files in the user's own folders: settings that may lack or be older, data written whole."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import platformdirs

from napari_histodiff.core.json_data import read_json_object

__all__ = ["config_file", "data_folder", "read_config", "write_config", "write_whole"]


def config_file(name: str) -> Path:
    """Return the path of a file in the user's configuration folder."""
    return Path(platformdirs.user_config_path("napari-histodiff", appauthor=False)) / name


def data_folder(name: str) -> Path:
    """Return a folder in the user's data folder: for what is kept, but is no setting."""
    return Path(platformdirs.user_data_path("napari-histodiff", appauthor=False)) / name


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, also when the process is killed; makes its folder.

    Raises
    ------
    OSError
        When it cannot be written; what was there stays.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with scratch.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)


def read_config(path: Path) -> dict[str, Any] | None:
    """Return the values of a file; None when there are none readable."""
    try:
        return read_json_object(path)
    except (OSError, ValueError):
        return None


def write_config(path: Path, values: dict[str, Any]) -> None:
    """Write values whole or not at all; a read-only home only means they are not remembered."""
    with suppress(OSError):
        write_whole(path, json.dumps(values, indent=1).encode())
