"""Named captions and settings: some that come with the package, the user's own as JSON files."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from napari_histodiff.core.backend import BackendInfo
from napari_histodiff.core.errors import InvalidRequest, StorageError
from napari_histodiff.core.json_data import from_json, read_json_object
from napari_histodiff.core.requests import LIMITS
from napari_histodiff.core.steering.start import Fill
from napari_histodiff.files import write_whole
from napari_histodiff.ui.generation.request import own_settings
from napari_histodiff.ui.generation.settings import Settings

__all__ = ["BUILT_IN", "Preset", "Presets", "model_key", "settings_for"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A caption with settings; None leaves a number to the model, or as it is where it has none.

    Attributes
    ----------
    name : str
        What the menu calls it; a built-in one with the organ in front of a colon.
    caption : str
        As typed.
    guidance_scale, steps, strength, variants, fill
        As in `Settings`.
    """

    name: str
    caption: str
    guidance_scale: float | None = None
    steps: int | None = None
    strength: float | None = None
    variants: int | None = None
    fill: Fill | None = None

    @classmethod
    def of(cls, name: str, settings: Settings) -> Preset:
        """Return the settings that count on the image worked on as a preset."""
        return cls(
            name=name,
            caption=settings.caption,
            guidance_scale=settings.guidance_scale,
            steps=settings.steps,
            strength=settings.strength,
            variants=settings.variants,
            fill=settings.fill,
        )

    def changes(self, info: BackendInfo | None) -> dict[str, Any]:
        """Return the settings to change, by name; the model's own numbers where none are kept."""
        found: dict[str, Any] = {"caption": self.caption}
        if info is not None:
            found |= {"steps": info.steps, "guidance_scale": info.guidance_scale}
        for name in ("guidance_scale", "steps", "strength", "variants"):
            value = getattr(self, name)
            if value is not None:
                low, high = LIMITS[name]
                found[name] = type(value)(min(max(value, low), high))
        if self.fill is not None:
            found["fill"] = self.fill
        return found


_COLON: Final = {
    "normal mucosa": "high epithelial cells, low lymphocytes, gland, stroma, lumen",
    "goblet cells": "high epithelial cells, gland, lumen, mucus",
    "inflamed": "medium epithelial cells, high lymphocytes, medium plasma cells, inflammation",
    "tumour": "high epithelial cells, low lymphocytes, tumour, gland",
    "muscle": "no epithelial cells, low connective cells, smooth muscle",
    "submucosa": "no epithelial cells, low connective cells, stroma, fat, vessel",
}
_LOOKS: Final = ("pale", "dark", "pink", "purple")
_OTHERS: Final = {
    "breast": "high epithelial cells, tumour, stroma",
    "lung": "medium epithelial cells, low lymphocytes, stroma",
    "kidney": "medium epithelial cells, stroma",
    "liver": "medium epithelial cells",
    "prostate": "high epithelial cells, gland, stroma, lumen",
    "stomach": "high epithelial cells, gland, stroma",
    "skin": "medium epithelial cells, stroma",
    "lymph node": "high lymphocytes, no epithelial cells",
}

#: Those that come with the package: the colon's tissues and stains, and one of other organs.
BUILT_IN: Final = (
    *(Preset(name=f"colon: {name}", caption=f"colon, {said}") for name, said in _COLON.items()),
    *(
        Preset(name=f"colon: {look} stain", caption=f"colon, {look} stain, gland, stroma")
        for look in _LOOKS
    ),
    *(
        Preset(name=f"{organ}: usual", caption=f"{organ}, {said}")
        for organ, said in _OTHERS.items()
    ),
)


class Presets:
    """The user's presets in a folder, one JSON file each.

    Parameters
    ----------
    folder : Path
        Made when the first is kept; files of others may be put there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def own(self) -> list[Preset]:
        """Return the user's presets by name; files that are none are passed over."""
        found = []
        for path in sorted(self.folder.glob("*.json")):
            with suppress(OSError, ValueError):
                found.append(from_json(Preset, read_json_object(path)))
        return sorted(found, key=lambda preset: preset.name.casefold())

    def keep(self, preset: Preset) -> None:
        """Write a preset, in place of the user's own of that name.

        Raises
        ------
        InvalidRequest
            When the name is empty, or that of a built-in one.
        StorageError
            When it cannot be written.
        """
        name = preset.name.strip()
        if not name or any(name.casefold() == one.name for one in BUILT_IN):
            raise InvalidRequest(
                f"expected a name of your own for the preset, got '{name}'; choose another one"
            )
        try:
            write_whole(self._path(name), json.dumps(asdict(preset), indent=1).encode())
        except OSError as error:
            raise StorageError(
                f"expected to keep the preset in {self.folder}, got '{error.strerror or error}'; "
                "free some space and keep it again"
            ) from error

    def remove(self, preset: Preset) -> None:
        """Delete one of the user's presets."""
        for path in self.folder.glob("*.json"):
            with suppress(OSError, ValueError):
                if from_json(Preset, read_json_object(path)).name == preset.name:
                    path.unlink()

    def _path(self, name: str) -> Path:
        plain = re.sub(r"[^\w\- ]", "_", name).strip() or "preset"
        return self.folder / f"{plain}.json"


def model_key(info: BackendInfo) -> str:
    """Return what tells a model from others in the settings."""
    return f"{info.name} {info.revision}"


def settings_for(
    settings: Settings, before: BackendInfo | None, info: BackendInfo
) -> dict[str, Any]:
    """Return what of the settings changes because another model draws, by name.

    What was chosen for a model stays for one that is meant for the same; where that one is not
    known any more, steps are this model's own, and where nobody knows for which model they were
    chosen, they are raised to what this one needs.
    """
    key = model_key(info)
    if settings.model == key:
        return {}
    if before is not None:
        return {"model": key, **own_settings(before, info)}
    steps = info.steps if settings.model else max(settings.steps, info.steps)
    return {"model": key, "steps": steps}
