"""Where a downloaded model is from, and which licence was accepted, in a file beside it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from napari_histodiff.core.json_data import from_json, read_json_object

__all__ = ["HALF", "HubRecord", "is_half_downloaded", "read_record", "write_record"]

#: Ending of a file of which only a part has arrived; the client of the hub calls them so, too.
HALF: Final = ".incomplete"

_FILE: Final = "histodiff-hub.json"


@dataclass(frozen=True, slots=True)
class HubRecord:
    """Of a model from the Hugging Face Hub.

    Attributes
    ----------
    name : str
        `owner/name`, with `@revision` where one was asked for.
    commit : str
        What was downloaded.
    licence : str
        What the user accepted.
    accepted : str
        When, ISO 8601 in UTC.
    """

    name: str
    commit: str
    licence: str
    accepted: str


def write_record(folder: Path, record: HubRecord) -> None:
    """Write it beside a model."""
    (folder / _FILE).write_text(json.dumps(asdict(record), indent=1), "utf-8")


def read_record(folder: Path) -> HubRecord | None:
    """Return where a model is from; None when nobody says, or not in a way that can be read."""
    path = folder / _FILE
    try:
        return from_json(HubRecord, read_json_object(path), strict=True)
    except (OSError, ValueError):
        return None


def is_half_downloaded(folder: Path) -> bool:
    """Tell whether a download into a folder was not finished, by us or by the hub's own client."""
    return any(folder.rglob(f"*{HALF}"))
