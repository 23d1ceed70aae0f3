"""Names of models on the hub, and where those that were downloaded lie."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from napari_histodiff.files import data_folder

__all__ = ["HubName", "downloaded", "hub_name", "models_folder"]

#: Letters, digits, dashes, dots: `owner/name` or `owner/name@revision`.
_NAME: Final = re.compile(r"([\w-][\w.-]*/[\w-][\w.-]*)(?:@([\w./-]+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class HubName:
    """The name of a model.

    Attributes
    ----------
    repository : str
        `owner/name`.
    revision : str or None
        A branch, tag or commit; None: the newest.
    """

    repository: str
    revision: str | None = None

    @property
    def folder(self) -> Path:
        """Its folder among the models."""
        owner, name = self.repository.split("/")
        kept = "" if self.revision is None else "@" + self.revision.replace("/", "-")
        return Path(owner) / f"{name}{kept}"

    def __str__(self) -> str:
        return self.repository + ("" if self.revision is None else f"@{self.revision}")


def hub_name(text: str | Path) -> HubName | None:
    """Return the name of a model that a text is; None where it is a folder, or reads as a path.

    A path of two parts that is not there reads as a name unless its first part is a folder here.
    """
    written = text.as_posix() if isinstance(text, Path) else text
    found = _NAME.fullmatch(written)
    if found is None or Path(written).exists() or Path(written).parent.exists():
        return None
    return HubName(found[1], found[2])


def models_folder() -> Path:
    """Return where downloaded models lie: HISTODIFF_MODELS, or a folder of the user's data."""
    own = os.environ.get("HISTODIFF_MODELS")
    if own:
        return Path(own).expanduser()
    return data_folder("models")


def downloaded(name: HubName) -> Path | None:
    """Return the folder of a model that was downloaded before, all of it; else None."""
    folder = models_folder() / name.folder
    return folder if folder.is_dir() else None
