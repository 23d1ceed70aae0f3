"""What the user chose in the dock, and where it is remembered between sessions."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from napari_histodiff.core.requests import DEFAULT_GUIDANCE, DEFAULT_STEPS, LIMITS
from napari_histodiff.ui.remembered import config_file, read_remembered, remember

__all__ = ["SeedMode", "Settings", "SettingsStore"]


class SeedMode(StrEnum):
    """Where the seed of the next run comes from."""

    FIXED = "fixed"
    RANDOM = "random"
    NEXT = "next"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything in the dock that is not paint; ranges as in `core.requests.LIMITS`."""

    caption: str = ""
    guidance_scale: float = DEFAULT_GUIDANCE
    steps: int = DEFAULT_STEPS
    strength: float = 1.0
    seed: int = 0
    seed_mode: SeedMode = SeedMode.RANDOM
    variants: int = 2
    export_folder: str = ""

    def clipped(self) -> Settings:
        """Return the same settings with every number inside its limits."""
        numbers = {}
        for name, (low, high) in LIMITS.items():
            if name in _NAMES:
                value = getattr(self, name)
                numbers[name] = type(value)(min(max(value, low), high))
        return replace(self, **numbers)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Rebuild settings, ignoring unknown names and values of another type."""
        known: dict[str, Any] = {}
        for field in fields(cls):
            value, default = data.get(field.name), field.default
            if field.name == "seed_mode":
                if value in tuple(SeedMode):
                    known[field.name] = SeedMode(value)
            elif isinstance(default, float) and isinstance(value, int | float):
                known[field.name] = float(value)
            elif type(value) is type(default):
                known[field.name] = value
        return cls(**known)


_NAMES = frozenset(field.name for field in fields(Settings))


class SettingsStore:
    """Settings in a JSON file of the user's configuration folder.

    Parameters
    ----------
    path : Path, optional
        Another file than the user's own.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or config_file("studio.json")

    def load(self) -> Settings:
        """Return the remembered settings, or the defaults when there are none readable."""
        data = read_remembered(self.path)
        return Settings() if data is None else Settings.from_dict(data).clipped()

    def save(self, settings: Settings) -> None:
        """Write the settings; a read-only home only means that they are not remembered."""
        remember(self.path, asdict(settings))
