"""Choices in napari's preferences; below napari 0.9, which has none for plugins, in a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from napari_histodiff.core.json_data import fields_from_json
from napari_histodiff.files import config_file, data_folder, read_config
from napari_histodiff.ui.text import PLUGIN

__all__ = ["Preferences", "preferences"]

#: The file of these choices where napari keeps none.
_FILE: Final = "preferences.json"


@dataclass(frozen=True, slots=True)
class Preferences:
    """What is chosen; the names are those of the manifest's `configurations`.

    Attributes
    ----------
    device : str
        "auto", "cpu", "cuda:0" ...; counts from the next start of the engine on.
    precision : str
        Number format of the network; as `device`.
    spare_memory : bool
        Whether models of other makers draw with as little memory as they can; as `device`.
    cache_mb : int
        Megabytes of tiles kept in memory for each slide.
    history_mb : int
        Megabytes of edits that the history keeps on the disk, favourites aside.
    folder : str
        Where history, sessions, samples and copied requests lie; empty = the user's data folder.
    """

    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    spare_memory: bool = False
    cache_mb: int = 128
    history_mb: int = 1024
    folder: str = ""

    def place(self, name: str) -> Path:
        """Return the folder of something that is kept."""
        return Path(self.folder).expanduser() / name if self.folder else data_folder(name)

    @property
    def environment(self) -> dict[str, str]:
        """What the worker process is told of them."""
        return {
            "HISTODIFF_DEVICE": self.device,
            "HISTODIFF_PRECISION": self.precision,
            "HISTODIFF_SPARE_MEMORY": str(int(self.spare_memory)),
        }


def preferences(file: Path | None = None) -> Preferences:
    """Return what is chosen now; what is garbled counts as not chosen.

    Parameters
    ----------
    file : Path, optional
        Another file than `preferences.json` in the user's configuration folder, for napari
        below 0.9.
    """
    chosen = _of_napari()
    if chosen is None:
        chosen = read_config(file or config_file(_FILE))
    return Preferences(**fields_from_json(Preferences, chosen))


def _of_napari() -> dict[str, Any] | None:
    try:
        from napari.settings import get_plugin_settings
    except ImportError:
        return None
    try:
        found = get_plugin_settings(PLUGIN)
    except KeyError:  # the plugin is not installed, as in a test
        return None
    values: dict[str, Any] = {}
    for group in ("drawing", "files"):
        values |= getattr(found, group).model_dump()
    return values
