"""What a study draws and measures, checked before any work starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.requests import DEFAULT_GUIDANCE, DEFAULT_STEPS, LIMITS

__all__ = ["Part", "StudyOptions"]

#: "choice" tiles are for choosing settings, "final" ones for figures that are published.
Part = Literal["all", "final", "choice"]

_UNIT = 128  # tiles are halved for mosaics, quartered for crops, and crops compared as 32 px


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyOptions:
    """Size and settings of a study.

    Parameters
    ----------
    tiles : int
        Tiles drawn at the default settings, 4 or more; time is about linear in it.
    size : int
        Side of a tile in pixels, a multiple of 128; crops have a quarter and half of it.
    part : "all", "final" or "choice"
        Which share of the test images is used, see `tiles.study_tiles`.
    guidance, default_steps : float, int
        Settings of the main figures.
    guidances, steps : tuple
        Settings of the two sweeps, each on the first `sweep_tiles` tiles.
    sweep_tiles : int
        2 or more.
    frames, frame_size : int
        Large frames drawn to look for seams, and their side in pixels; 0 frames leaves them out.
    stain : "reference" or "sampled"
        Give the model the measured stain of each tile, or let it sample one.
    tissue : "none", "given" or "suggested"
        Whether the model is told the tissue map of each tile, which the packed file has to hold
        then, or one that was suggested for its nuclei.
    inception_weights : Path, optional
        Weights of the FID Inception network; without them those figures are left out.
    draws : int
        Bootstrap resamples.
    seed : int
        Decides noise, splits and resamples.

    Raises
    ------
    InvalidRequest
        When a number is out of range or a word is unknown.
    """

    tiles: int = 48
    size: int = 256
    part: Part = "final"
    guidance: float = DEFAULT_GUIDANCE
    default_steps: int = DEFAULT_STEPS
    guidances: tuple[float, ...] = (1.0, 1.5, 2.0, 3.0, 4.0)
    steps: tuple[int, ...] = (2, 4, 8)
    sweep_tiles: int = 12
    frames: int = 2
    frame_size: int = 768
    stain: Literal["reference", "sampled"] = "reference"
    tissue: Literal["none", "given", "suggested"] = "none"
    inception_weights: Path | None = None
    draws: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("tiles", 4), ("sweep_tiles", 2), ("frames", 0), ("draws", 1)):
            if getattr(self, name) < least:
                raise InvalidRequest(
                    f"expected {name} of at least {least}, got {getattr(self, name)}; ask for more"
                )
        if self.size < _UNIT or self.size % _UNIT:
            raise InvalidRequest(
                f"expected tiles of a multiple of {_UNIT} px, got {self.size}; choose 256"
            )
        if self.frame_size < self.size:
            raise InvalidRequest(
                f"expected frames of at least {self.size} px, got {self.frame_size}; choose 768"
            )
        self._check_word("part", ("all", "final", "choice"))
        self._check_word("stain", ("reference", "sampled"))
        self._check_word("tissue", ("none", "given", "suggested"))
        self._check_settings()

    def _check_word(self, name: str, words: tuple[str, ...]) -> None:
        if getattr(self, name) not in words:
            raise InvalidRequest(
                f"expected {name} of {', '.join(words)}, got {getattr(self, name)!r}; choose one"
            )

    def _check_settings(self) -> None:
        wanted = {
            "guidance_scale": (self.guidance, *self.guidances),
            "steps": (self.default_steps, *self.steps),
            "seed": (self.seed,),
        }
        for name, values in wanted.items():
            low, high = LIMITS[name]
            for value in values:
                if not low <= value <= high:
                    raise InvalidRequest(
                        f"expected {name} of {low:g} to {high:g}, got {value}; change the options"
                    )
        if len(set(self.steps)) < 2 or not self.guidances:
            raise InvalidRequest(
                f"expected one guidance scale and two numbers of steps to compare, got "
                f"{self.guidances} and {self.steps}; give more"
            )
