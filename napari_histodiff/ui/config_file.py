"""Files of the user's configuration folder: JSON that may be missing, garbled or older."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import platformdirs

__all__ = ["config_file", "known_values", "read_config", "write_config"]


def config_file(name: str) -> Path:
    """Return the path of a file in the user's configuration folder."""
    return Path(platformdirs.user_config_path("napari-histodiff", appauthor=False)) / name


def read_config(path: Path) -> dict[str, Any] | None:
    """Return the values of a file; None when there are none readable."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


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


def known_values(kind: type, data: dict[str, Any]) -> dict[str, Any]:
    """Return the values that are fields of a dataclass and of the type of their defaults.

    Whole numbers pass for real ones, but not for switches.
    """
    known: dict[str, Any] = {}
    for field in fields(kind):
        value, default = data.get(field.name), field.default
        if isinstance(default, float) and type(value) is int:
            value = float(value)
        if default is not None and type(value) is type(default):
            known[field.name] = value
    return known
