"""What a caption text asks for, statement by statement, and what is told about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from napari_histodiff.core.captions.slots import (
    CLASS_NOUNS,
    LEVELS,
    ORGANS,
    STAINS,
    TISSUE_WORDS,
    Caption,
)
from napari_histodiff.core.captions.vocabulary import Kind, fold
from napari_histodiff.core.maps import N_CLASSES

__all__ = ["ABSENT", "PRESENT", "ParseReport", "ParsedCaption", "Reading", "Statement"]

_T = TypeVar("_T")

#: Values of a statement about a tissue word; the slots can only express presence.
ABSENT, PRESENT = 0, 1


@dataclass(frozen=True, slots=True)
class ParseReport:
    """What became of each word of a caption, for the user to see.

    Attributes
    ----------
    used : tuple of str
        What the model sees exactly as it was written.
    mapped : tuple of (str, str)
        (written, meaning) of what was understood as something else.
    ignored : tuple of str
        What had no effect: unknown words, and wishes that the slots cannot express.
    contradictory : tuple of (str, str)
        Pairs that exclude each other; neither of a pair has an effect.
    """

    used: tuple[str, ...] = ()
    mapped: tuple[tuple[str, str], ...] = ()
    ignored: tuple[str, ...] = ()
    contradictory: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ParsedCaption:
    """A caption and the report of how its text was read."""

    caption: Caption
    report: ParseReport


@dataclass(frozen=True, slots=True)
class Statement:
    """One wish: `value` for the slot (kind, index), as it was written at `place` of the text."""

    kind: Kind
    index: int
    value: int
    written: str
    place: int

    @property
    def meaning(self) -> str:
        """The wish in the words of `Caption.to_text`."""
        if self.kind is Kind.CLASS:
            return f"{LEVELS[self.value]} {CLASS_NOUNS[self.index]}"
        if self.kind is Kind.ORGAN:
            return ORGANS[self.value]
        if self.kind is Kind.STAIN:
            return f"{STAINS[self.value]} stain"
        return TISSUE_WORDS[self.index]

    @property
    def is_literal(self) -> bool:
        """Whether it was written as it is meant, but for case, number and spelling."""
        written, meaning = _folded(self.written), _folded(self.meaning)
        return written == meaning or (self.kind is Kind.STAIN and written == meaning[:1])


@dataclass(slots=True)
class Reading:
    """Collects statements and ignored words, then settles them into a caption and a report."""

    statements: list[Statement] = field(default_factory=list)
    ignored: list[tuple[int, str]] = field(default_factory=list)

    def state(self, statement: Statement) -> None:
        """Note a wish."""
        self.statements.append(statement)

    def ignore(self, text: str, place: int) -> None:
        """Note words without effect."""
        self.ignored.append((place, text))

    def result(self) -> ParsedCaption:
        """Return the caption of all statements that agree, and the report."""
        slots: dict[tuple[Kind, int], list[Statement]] = {}
        for statement in self.statements:
            slots.setdefault((statement.kind, statement.index), []).append(statement)
        accepted: list[Statement] = []
        contradictory: list[tuple[str, str]] = []
        for group in slots.values():
            first, others = group[0], [s for s in group if s.value != group[0].value]
            if others:
                contradictory.extend((first.written, other.written) for other in others)
            elif first.kind is Kind.TISSUE and first.value == ABSENT:
                self.ignored.extend((s.place, s.written) for s in group)
            else:
                accepted.extend(group)
        accepted.sort(key=lambda statement: statement.place)
        report = ParseReport(
            used=_unique(s.written for s in accepted if s.is_literal),
            mapped=_unique((s.written, s.meaning) for s in accepted if not s.is_literal),
            ignored=_unique(text for _, text in sorted(self.ignored)),
            contradictory=_unique(contradictory),
        )
        return ParsedCaption(_caption(accepted), report)


def _caption(statements: list[Statement]) -> Caption:
    organ: str | None = None
    stain: str | None = None
    levels: list[int | None] = [None] * N_CLASSES
    tissue: list[str] = []
    for statement in statements:
        if statement.kind is Kind.ORGAN:
            organ = ORGANS[statement.value]
        elif statement.kind is Kind.STAIN:
            stain = STAINS[statement.value]
        elif statement.kind is Kind.CLASS:
            levels[statement.index] = statement.value
        else:
            tissue.append(TISSUE_WORDS[statement.index])
    return Caption(organ, stain, tuple(levels), tuple(tissue))


def _folded(text: str) -> list[str]:
    return [fold(word) for word in text.replace("-", " ").split()]


def _unique(values: Iterable[_T]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(values))
