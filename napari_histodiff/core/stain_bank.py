"""Stains of the training slides, to choose one where none is given. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from napari_histodiff.core.captions import Caption
from napari_histodiff.core.colours import GLASS_COLOUR
from napari_histodiff.core.requests import STAIN_NUMBERS

__all__ = ["StainEntry", "choose_glass", "choose_stain", "stains_of_levels", "write_stains"]

_DIGITS: Final = 3


@dataclass(frozen=True, slots=True)
class StainEntry:
    """The stain of one training slide at one scale.

    Attributes
    ----------
    organ, look : str, optional
        Words of captions that it suits.
    mpp : float
        Micrometres per pixel.
    vector : tuple of float
        As `inpainting.stains.stain_vector` returns it.
    glass : (int, int, int), optional
        Red, green and blue of glass where the model draws it in that stain; unknown of slides
        without any.
    """

    organ: str | None
    look: str | None
    mpp: float
    vector: tuple[float, ...]
    glass: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        if len(self.vector) not in STAIN_NUMBERS:
            raise ValueError(
                f"a stain of {len(self.vector)} numbers, which has {STAIN_NUMBERS[0]} or "
                f"{STAIN_NUMBERS[1]}"
            )


def choose_stain(
    bank: Sequence[StainEntry], caption: Caption, mpp: float, seed: int
) -> tuple[float, ...] | None:
    """Return a stain for a caption, the same for the same seed; None when the bank is empty.

    The caption's stain word decides first, then its organ; what no slide has is passed over.
    """
    return _chosen(bank, caption, mpp, seed).vector if bank else None


def choose_glass(
    bank: Sequence[StainEntry], caption: Caption, mpp: float, seed: int
) -> tuple[int, int, int]:
    """Return the colour of glass in the stain that `choose_stain` returns; the usual if unknown."""
    return (_chosen(bank, caption, mpp, seed).glass if bank else None) or GLASS_COLOUR


def _chosen(bank: Sequence[StainEntry], caption: Caption, mpp: float, seed: int) -> StainEntry:
    nearest = min(abs(math.log(entry.mpp / mpp)) for entry in bank)
    found = [e for e in bank if abs(math.log(e.mpp / mpp)) < nearest + 0.3]
    for name, value in (("look", caption.stain), ("organ", caption.organ)):
        fitting = [entry for entry in found if getattr(entry, name) == value]
        if value is not None and fitting:
            found = fitting
    # Neighbouring seeds shall not share a slide, and 2654435761 (Knuth) is odd: it spreads them.
    return found[seed * 2654435761 % 2**32 * len(found) >> 32]


def stains_of_levels(
    bank: Sequence[StainEntry], caption: Caption, mpps: Sequence[float], seed: int
) -> tuple[tuple[float, ...], ...]:
    """Return one stain for each resolution that all look like the same slide.

    The colour is that of the first; how much it spreads, how sharp and how fine it is, follows the
    mean of the bank at each resolution, because averaging pixels takes contrast away. Empty when
    the bank is.
    """
    first = choose_stain(bank, caption, mpps[0], seed) if mpps else None
    if first is None:
        return ()
    means = [_mean_at(bank, mpp) for mpp in mpps]
    return tuple(
        (
            *first[:3],
            *(value * there / here for value, there, here in _triples(first, mean, means[0])),
            *(
                value + there - here
                for value, there, here in zip(first[6:], mean[6:], means[0][6:], strict=False)
            ),
        )
        for mean in means
    )


def _triples(*vectors: tuple[float, ...]) -> zip[tuple[float, ...]]:
    return zip(*(vector[3:6] for vector in vectors), strict=True)


def _mean_at(bank: Sequence[StainEntry], mpp: float) -> tuple[float, ...]:
    nearest = min(abs(math.log(entry.mpp / mpp)) for entry in bank)
    rows = [e.vector for e in bank if abs(math.log(e.mpp / mpp)) < nearest + 0.3]
    # What not every slide of the bank knows, how fine its detail is, none tells.
    return tuple(sum(column) / len(rows) for column in zip(*rows, strict=False))


def write_stains(bank: Sequence[StainEntry]) -> list[dict[str, Any]]:
    """Return the bank as JSON-ready rows."""
    return [
        {
            "organ": entry.organ,
            "look": entry.look,
            "mpp": entry.mpp,
            "vector": [round(value, _DIGITS) for value in entry.vector],
        }
        | ({} if entry.glass is None else {"glass": list(entry.glass)})
        for entry in bank
    ]
