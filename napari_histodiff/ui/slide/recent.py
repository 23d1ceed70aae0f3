"""Where slides are kept: the folder new ones go into, and those opened lately."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import platformdirs

from napari_histodiff.ui.remembered import config_file, read_remembered, remember

__all__ = ["SUFFIX", "SlidePlaces"]

#: How the folder of a slide ends.
SUFFIX: Final = ".ome.zarr"

_MOST: Final = 12


class SlidePlaces:
    """Remembered in a JSON file of the user's configuration folder.

    Parameters
    ----------
    path : Path, optional
        Another file than the user's own.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or config_file("slides.json")

    @property
    def folder(self) -> Path:
        """The folder a new slide goes into: the last one used, else one of the user's data."""
        kept = self._read().get("folder")
        if isinstance(kept, str) and kept:
            return Path(kept)
        return Path(platformdirs.user_data_path("napari-histodiff", appauthor=False)) / "slides"

    def recent(self) -> list[Path]:
        """Return the slides opened lately that are still there, newest first."""
        kept = self._read().get("recent")
        if not isinstance(kept, list):
            return []
        listed = (Path(item) for item in kept if isinstance(item, str))
        return [path for path in listed if path.is_dir()]

    def add(self, slide: Path) -> None:
        """Remember a slide as the newest."""
        slide = slide.absolute()
        others = [path for path in self.recent() if path != slide]
        self._write(recent=[str(path) for path in (slide, *others)][:_MOST])

    def use_folder(self, folder: Path) -> None:
        """Remember the folder that new slides go into."""
        self._write(folder=str(folder.absolute()))

    def free_name(self, folder: Path) -> str:
        """Return a name, without the ending, that no slide in a folder has."""
        number = 1
        while (folder / f"slide-{number}{SUFFIX}").exists():
            number += 1
        return f"slide-{number}"

    def _read(self) -> dict[str, object]:
        return read_remembered(self._path) or {}

    def _write(self, **values: object) -> None:
        remember(self._path, {**self._read(), **values})
