"""Files of the user's configuration folder: JSON that may be missing, garbled or older."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import platformdirs

from napari_histodiff.core.json_data import read_json_object

__all__ = ["config_file", "read_config", "write_config"]


def config_file(name: str) -> Path:
    """Return the path of a file in the user's configuration folder."""
    return Path(platformdirs.user_config_path("napari-histodiff", appauthor=False)) / name


def read_config(path: Path) -> dict[str, Any] | None:
    """Return the values of a file; None when there are none readable."""
    try:
        return read_json_object(path)
    except (OSError, ValueError):
        return None


def write_config(path: Path, values: dict[str, Any]) -> None:
    """Write values whole or not at all; a read-only home only means they are not remembered."""
    scratch = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(json.dumps(values, indent=1), encoding="utf-8")
        scratch.replace(path)
    except OSError:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
