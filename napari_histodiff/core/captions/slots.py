"""The slots of a caption and their values; `captions` is the door to everything about captions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.maps import CLASS_NAMES, N_CLASSES

__all__ = [
    "CAPTION_SCHEMA",
    "CLASS_NOUNS",
    "LEVELS",
    "ORGANS",
    "SLOT_SIZES",
    "STAINS",
    "TISSUE_WORDS",
    "Caption",
    "level_of_share",
]

#: Version of the slots below; a trained caption encoder belongs to one version.
CAPTION_SCHEMA: Final = 1

ORGANS: Final = (
    "colon",
    "breast",
    "lung",
    "kidney",
    "liver",
    "prostate",
    "bladder",
    "stomach",
    "brain",
    "lymph node",
    "skin",
    "head and neck",
)

#: Stain look.
STAINS: Final = ("pale", "balanced", "dark", "pink", "purple")

TISSUE_WORDS: Final = (
    "gland",
    "stroma",
    "lumen",
    "tumour",
    "inflammation",
    "smooth muscle",
    "mucus",
    "fat",
    "vessel",
    "necrosis",
)

#: Levels of a class as `to_text` writes them; the number of a level is its position.
LEVELS: Final = ("no", "low", "medium", "high")

#: How `to_text` names the classes, in the order of `CLASS_NAMES`.
CLASS_NOUNS: Final = (
    "neutrophils",
    "epithelial cells",
    "lymphocytes",
    "plasma cells",
    "eosinophils",
    "connective cells",
)

#: Number of values of each slot: organ, stain, the six classes, one per tissue word.
SLOT_SIZES: Final = (
    len(ORGANS) + 1,
    len(STAINS) + 1,
    *(len(LEVELS) + 1,) * N_CLASSES,
    *(2,) * len(TISSUE_WORDS),
)


@dataclass(frozen=True, slots=True)
class Caption:
    """A caption resolved to its slots; everything left out is unspecified, not absent.

    Parameters
    ----------
    organ : str, optional
        One of `ORGANS`.
    stain : str, optional
        One of `STAINS`.
    levels : tuple of (int or None)
        One per class in the order of `CLASS_NAMES`: None unspecified, 0 none, 1 low, 2 medium,
        3 high.
    tissue : tuple of str
        Words of `TISSUE_WORDS`, kept in that order and without repeats.

    Raises
    ------
    InvalidRequest
        When a value is not one of those.
    """

    organ: str | None = None
    stain: str | None = None
    levels: tuple[int | None, ...] = (None,) * N_CLASSES
    tissue: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_words("organ", [] if self.organ is None else [self.organ], ORGANS)
        _check_words("stain look", [] if self.stain is None else [self.stain], STAINS)
        _check_words("tissue word", self.tissue, TISSUE_WORDS)
        allowed = (None, *range(len(LEVELS)))
        if len(self.levels) != N_CLASSES or any(level not in allowed for level in self.levels):
            raise InvalidRequest(
                f"expected {N_CLASSES} class levels of None or 0-3, got {self.levels!r}; "
                "give one for each of " + ", ".join(CLASS_NAMES)
            )
        object.__setattr__(self, "levels", tuple(self.levels))
        ordered = tuple(word for word in TISSUE_WORDS if word in self.tissue)
        object.__setattr__(self, "tissue", ordered)

    def to_text(self) -> str:
        """Return the caption in plain words; `parse_caption` reads it back unchanged."""
        parts = [] if self.organ is None else [self.organ]
        if self.stain is not None:
            parts.append(f"{self.stain} stain")
        for level, noun in zip(self.levels, CLASS_NOUNS, strict=True):
            if level is not None:
                parts.append(f"{LEVELS[level]} {noun}")
        return ", ".join([*parts, *self.tissue])

    def to_slots(self) -> tuple[int, ...]:
        """Return one number per slot, each below its entry of `SLOT_SIZES`; 0 = unspecified."""
        return (
            0 if self.organ is None else ORGANS.index(self.organ) + 1,
            0 if self.stain is None else STAINS.index(self.stain) + 1,
            *(0 if level is None else level + 1 for level in self.levels),
            *(int(word in self.tissue) for word in TISSUE_WORDS),
        )


_MEDIUM_SHARE: Final = 0.2
_HIGH_SHARE: Final = 0.4


def level_of_share(share: float) -> int:
    """Return the level of a class from its share of nuclear pixels in 0-1.

    0 none when absent, 1 low below 20 %, 2 medium up to 40 %, 3 high above.
    """
    if share <= 0:
        return 0
    if share < _MEDIUM_SHARE:
        return 1
    return 2 if share <= _HIGH_SHARE else 3


def _check_words(what: str, words: Iterable[str], allowed: tuple[str, ...]) -> None:
    for word in words:
        if word not in allowed:
            raise InvalidRequest(
                f"expected a known {what}, got {word!r}; use one of " + ", ".join(allowed)
            )
