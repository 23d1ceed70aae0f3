"""What a reader said of one trial, with the truth beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from napari_histodiff.studies.reading.trials import TrialKind

__all__ = ["RATINGS", "RATING_WORDS", "Answer"]

#: Confidence in a single image, from surely drawn to surely real.
RATING_WORDS: Final = (
    *("surely drawn", "probably drawn", "perhaps drawn"),
    *("perhaps real", "probably real", "surely real"),
)
RATINGS: Final = range(1, len(RATING_WORDS) + 1)

_REAL_FROM: Final = 4  # the least rating that calls an image real


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer.

    Attributes
    ----------
    reader : str
    trial : int
    kind : "pair", "catch" or "single"
    images, synthetic, names : tuple
        Ids from left to right, whether each was drawn, and the names of the files.
    chosen : int, optional
        Which of two was called real: 0 left, 1 right.
    rating : int, optional
        Of a single image, 1 (surely drawn) to 6 (surely real).
    seconds : float
    reason : str
    organ, group, stain : str
        Strata: organ, class, and how dark the couple is.
    quality : int
        Of the JPEG; 0 is lossless.
    """

    reader: str
    trial: int
    kind: TrialKind
    images: tuple[int, ...]
    synthetic: tuple[bool, ...]
    names: tuple[str, ...]
    chosen: int | None
    rating: int | None
    seconds: float
    reason: str = ""
    organ: str = ""
    group: str = ""
    stain: str = ""
    quality: int = 0

    @property
    def called_real(self) -> tuple[bool, ...]:
        """Whether each image was called real."""
        if self.rating is not None:
            return (self.rating >= _REAL_FROM,)
        return tuple(i == self.chosen for i in range(len(self.images)))

    @property
    def right(self) -> bool | None:
        """Whether the reader told drawn from real; None of a catch trial."""
        if self.kind == "catch":
            return None
        return all(a != b for a, b in zip(self.called_real, self.synthetic, strict=True))
