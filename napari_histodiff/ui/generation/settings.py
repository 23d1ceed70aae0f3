"""What the user chose in the dock, kept as JSON in the user's configuration folder."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self

from napari_histodiff.core.json_data import fields_from_json
from napari_histodiff.core.requests import DEFAULT_GUIDANCE, DEFAULT_STEPS, LIMITS
from napari_histodiff.core.steering.guides import GUIDE_STRENGTH, GUIDES
from napari_histodiff.core.steering.start import Fill
from napari_histodiff.core.steering.steering import (
    DEFAULT_REFERENCE,
    REFERENCE_STRENGTH,
    STEERING_LIMITS,
)
from napari_histodiff.files import config_file, read_config, write_config
from napari_histodiff.inpainting.context import DEFAULT_CONTEXT
from napari_histodiff.ui.starting.preferences import preferences

__all__ = ["WINDOW_LIMITS", "SeedMode", "Settings", "SettingsStore"]

#: Inclusive limits of what only the window knows: lengths in um, and a share in percent.
WINDOW_LIMITS: Final[dict[str, tuple[float, float]]] = {
    "mask_step": (0.5, 50.0),
    "mask_around": (0.0, 20.0),
    "context": (0.0, 250.0),
    "mask_strength": (5.0, 100.0),
}


class SeedMode(StrEnum):
    """Where the seed of the next run comes from."""

    FIXED = "fixed"
    RANDOM = "random"
    NEXT = "next"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything in the dock that is not paint; ranges as in `core.requests.LIMITS`.

    `engine_address` and `engine_certificate` are of the engine on another machine that was used
    last. `folded` names the sections that are folded away, None = nobody chose yet.

    With `suggest`, what is not painted is suggested before it is drawn; with `live`, the frame is
    drawn roughly after each stroke.

    `guidance_scale` is meant for canvases and images, `slide_guidance` for slides; None, as a slide
    was drawn, so that an edit looks like what lies around it. `mask_step` is how far the edge of an
    edit mask is moved at once, `mask_around` how far around nuclei it reaches, `feather` how far
    inside it old and new fade into each other, and `context` how far around it the model sees; um.
    `mask_strength` is the share of `strength` that a mask is painted with, in percent, and `fill`
    what an edit of less than the whole strength starts from.

    `guide` names what there is to be more of, `guide_strength` how much, and
    `reference_strength` how near a drawing comes to its reference; see `core.steering`.
    """

    caption: str = ""
    guidance_scale: float = DEFAULT_GUIDANCE
    slide_guidance: float | None = None
    steps: int = DEFAULT_STEPS
    strength: float = 1.0
    seed: int = 0
    seed_mode: SeedMode = SeedMode.RANDOM
    variants: int = 2
    suggest: bool = True
    live: bool = False
    export_folder: str = ""
    folded: tuple[str, ...] | None = None
    class_id: int = 2
    tissue_id: int = 1
    density: float = 1.0
    model: str = ""
    engine_address: str = ""
    engine_certificate: str = ""
    mask_step: float = 2.0
    mask_around: float = 2.0
    feather: float = 2.0
    context: float = DEFAULT_CONTEXT
    mask_strength: float = 100.0
    fill: Fill = Fill.ORIGINAL
    region_captions: tuple[tuple[str, str], ...] = ()
    repaint: int = 1
    jump_length: int = 5
    guide: str = ""
    guide_strength: float = 2.0
    reference_strength: float = DEFAULT_REFERENCE

    def clipped(self) -> Settings:
        """Return the same settings with every number inside its limits."""
        numbers: dict[str, Any] = {
            name: _clip(name, getattr(self, name)) for name in _LIMITS if name in _NAMES
        }
        if self.slide_guidance is not None:
            numbers["slide_guidance"] = _clip("guidance_scale", self.slide_guidance)
        if self.guide not in _GUIDES:
            numbers["guide"] = ""
        return replace(self, **numbers)

    def at(self, drawn_at: float | None) -> Settings:
        """Return the settings that count on an image, with its guidance as `guidance_scale`.

        Parameters
        ----------
        drawn_at : float or None
            The guidance scale that a slide was drawn at; None for anything but a slide.
        """
        if drawn_at is None:
            return self
        chosen = self.slide_guidance
        return replace(self, guidance_scale=drawn_at if chosen is None else chosen)

    def changed(self, drawn_at: float | None, **changes: Any) -> Settings:
        """Return the settings after changes by name on an image, the way back from `at`.

        A slide's own guidance is taken for no choice: another slide is then edited at its own.

        Parameters
        ----------
        drawn_at : float or None
            As for `at`.
        **changes
            New values; `guidance_scale` is the image's, a slide's where that is a slide.
        """
        if drawn_at is not None and "guidance_scale" in changes:
            chosen = changes.pop("guidance_scale")
            changes["slide_guidance"] = None if chosen == drawn_at else chosen
        return replace(self, **changes)

    @property
    def drawn_strength(self) -> float:
        """The strength that an inpainting is drawn with: the whole where it starts from noise."""
        return 1.0 if self.fill is Fill.NOISE else self.strength

    @property
    def hand(self) -> dict[str, Any]:
        """What was in the hand last, by the names of `PaintSettings.recall`."""
        return {name: getattr(self, name) for name in ("class_id", "tissue_id", "density")}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Rebuild settings, ignoring unknown names and values of another type."""
        return cls(**fields_from_json(cls, data))


_NAMES = frozenset(field.name for field in fields(Settings))


_LIMITS: Final[dict[str, tuple[float, float]]] = {
    **LIMITS,
    **WINDOW_LIMITS,
    **STEERING_LIMITS,
    "guide_strength": GUIDE_STRENGTH,
    "reference_strength": REFERENCE_STRENGTH,
}

_GUIDES: Final = frozenset(guide.name for guide in GUIDES)


def _clip(name: str, value: float) -> float:
    low, high = _LIMITS[name]
    return type(value)(min(max(value, low), high))


class SettingsStore:
    """Settings in a JSON file of the user's configuration folder.

    Parameters
    ----------
    path : Path, optional
        Another file than the user's own.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._is_own = path is None
        self.path = path or config_file("studio.json")

    @property
    def speeds(self) -> Path:
        """The file beside them of how fast models draw on this machine."""
        return self.path.with_name("speeds.json")

    def folder(self, name: str) -> Path:
        """Return a folder for what is kept beside the settings: the user's data folder, or theirs.

        Settings in another file than the user's own have such folders beside it.
        """
        return preferences().place(name) if self._is_own else self.path.parent / name

    def load(self) -> Settings:
        """Return the remembered settings, or the defaults when there are none readable."""
        return Settings.from_dict(read_config(self.path)).clipped()

    def save(self, settings: Settings) -> None:
        """Write the settings; a read-only home only means that they are not remembered."""
        write_config(self.path, asdict(settings))
