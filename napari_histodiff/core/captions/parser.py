"""Free text to caption slots, with a report of what became of each word.

A text is cut into clauses (commas, "with", "in", ...), a clause into groups ("and", "or", ...). In
a group a level belongs to the class after it ("low lymphocytes"), or, where the class comes first,
to the class before it ("lymphocytes: low"). A group without a level takes that of its neighbour
("many lymphocytes and plasma cells"). A class without any level is asked for at medium level.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from napari_histodiff.core.captions.numbers import NUMBER, measure_in
from napari_histodiff.core.captions.report import ABSENT, PRESENT, ParsedCaption, Reading, Statement
from napari_histodiff.core.captions.slots import level_of_share
from napari_histodiff.core.captions.vocabulary import LONGEST, PHRASES, WORDS, Kind, Meaning, fold
from napari_histodiff.core.errors import InvalidRequest

__all__ = ["parse_caption"]

_MEDIUM: Final = 2

#: Of words; what is no text at all (bytes of another encoding) is a word nobody knows.
_LETTERS: Final = r"(?:[^\W_]|[\ud800-\udfff\ufffd])+"

_TOKEN: Final = re.compile(
    rf"(?P<percent>(?P<bound>[<>≤≥]?)\s*(?P<low>{NUMBER})"
    rf"(?:\s*(?:[-\u2013]|to)\s*(?P<high>{NUMBER}))?\s*(?:%|(?:percent|per\s?cent|pct)\b))"
    rf"|(?P<word>(?![0-9]+[^\W_0-9]){NUMBER}|{_LETTERS}(?:['\u2019]{_LETTERS})*)"
    r"|(?P<join>[&/+])"
    r"|(?P<pause>[,;.|\n!?])",
    re.IGNORECASE,
)


def parse_caption(text: str) -> ParsedCaption:
    """Read free text; unknown words are reported and never change the caption.

    Raises
    ------
    InvalidRequest
        When `text` is not a string.
    """
    if not isinstance(text, str):
        raise InvalidRequest(
            f"expected a caption of text, got {type(text).__name__}; write words or leave it empty"
        )
    reading = Reading()
    for clause in _split(_items(text, reading), Kind.BREAK):
        groups = [_Group(group) for group in _split(clause, Kind.JOIN)]
        _share_levels(groups)
        for group in groups:
            group.state(reading)
    return reading.result()


@dataclass(frozen=True, slots=True)
class _Item:
    """A phrase of the text: what it means, how it was written, and its place in the text."""

    meaning: Meaning
    text: str
    place: int

    @property
    def kind(self) -> Kind:
        return self.meaning.kind


def _items(text: str, reading: Reading) -> Iterator[_Item]:
    tokens = [match for match in _TOKEN.finditer(text) if _is_known(match, reading)]
    while tokens:
        count, meaning = _longest(tokens)
        written = " ".join(token.group().strip() for token in tokens[:count])
        place = tokens[0].start()
        del tokens[:count]
        if meaning is None:
            reading.ignore(written, place)
        elif meaning.kind is not Kind.STOP:
            yield _Item(meaning, written, place)


def _is_known(token: re.Match[str], reading: Reading) -> bool:
    # Unknown words go before phrases are matched, so that they cannot change a meaning.
    if token["word"] is None or fold(token.group()) in WORDS:
        return True
    reading.ignore(token.group(), token.start())
    return False


def _longest(tokens: list[re.Match[str]]) -> tuple[int, Meaning | None]:
    first = tokens[0]
    if first["percent"] is not None:
        level = _percent_level(first)
        return 1, None if level is None else Meaning(Kind.LEVEL, level)
    words = [fold(token.group()) for token in tokens[:LONGEST]]
    for count in range(len(words), 0, -1):
        meaning = PHRASES.get(tuple(words[:count]))
        if meaning is not None:
            return count, meaning
    if first["pause"] is not None:
        return 1, Meaning(Kind.BREAK)
    return 1, Meaning(Kind.JOIN) if first["join"] is not None else None


def _percent_level(token: re.Match[str]) -> int | None:
    low = measure_in(token["low"], most=100)
    high = low if token["high"] is None else measure_in(token["high"], most=100)
    if low is None or high is None:
        return None
    # "< 20 %" lies just below the threshold it names, "> 40 %" just above.
    nudge = {"<": -1e-9, ">": 1e-9}.get(token["bound"], 0.0)
    share = (low + high) / 200 + nudge
    return level_of_share(share) if max(low, high) <= 100 else None


def _split(items: Iterable[_Item], at: Kind) -> Iterator[list[_Item]]:
    part: list[_Item] = []
    for item in items:
        if item.kind is at:
            yield part
            part = []
        else:
            part.append(item)
    yield part


class _Group:
    """Phrases between two "and", and which of their levels belongs to which target."""

    def __init__(self, items: list[_Item]) -> None:
        self.targets = [item for item in items if item.kind is not Kind.LEVEL]
        self.levels: dict[int, list[_Item]] = {target.place: [] for target in self.targets}
        self.loose: list[_Item] = []
        relevant = [item.kind for item in items if item.kind in (Kind.LEVEL, Kind.CLASS)]
        self.has_level = Kind.LEVEL in relevant
        self.level_last = self.has_level and relevant[0] is Kind.CLASS
        for item in items:
            if item.kind is Kind.LEVEL:
                self._bind(item)

    def _bind(self, level: _Item) -> None:
        before = [target for target in self.targets if target.place < level.place]
        after = [target for target in self.targets if target.place > level.place]
        if before and (self.level_last or not after):
            self.levels[before[-1].place].append(level)
        elif after:
            self.levels[after[0].place].append(level)
        else:
            self.loose.append(level)

    def take(self, level: _Item | None, *, level_last: bool) -> None:
        """Give the level of a neighbouring group to all classes and tissues of this one."""
        if level is None or self.has_level:
            return
        self.has_level, self.level_last = True, level_last
        for target in self.targets:
            if target.kind in (Kind.CLASS, Kind.TISSUE):
                self.levels[target.place].append(level)

    def level_at(self, index: int) -> _Item | None:
        """Return the level of the first (0) or last (-1) target, where it has one."""
        levels = self.levels[self.targets[index].place] if self.targets else []
        return levels[0] if levels else None

    def state(self, reading: Reading) -> None:
        """Say what this group asks for."""
        for level in self.loose:
            reading.ignore(level.text, level.place)
        for target in self.targets:
            levels = self.levels[target.place]
            if target.kind is Kind.CLASS:
                _state_class(target, levels, reading)
            else:
                _state_other(target, levels, reading)


def _share_levels(groups: list[_Group]) -> None:
    for before, group in pairwise(groups):
        if not before.level_last:
            group.take(before.level_at(-1), level_last=False)
    for after, group in pairwise(reversed(groups)):
        if after.level_last:
            group.take(after.level_at(0), level_last=True)


def _state_class(target: _Item, levels: list[_Item], reading: Reading) -> None:
    index = target.meaning.value
    if not levels:
        reading.state(Statement(Kind.CLASS, index, _MEDIUM, target.text, target.place))
    for level in levels:
        written = _written(target, [level])
        value = level.meaning.value
        reading.state(Statement(Kind.CLASS, index, value, written, target.place))


def _state_other(target: _Item, levels: list[_Item], reading: Reading) -> None:
    written = _written(target, levels)
    value = target.meaning.value
    weakest = min((level.meaning.value for level in levels), default=_MEDIUM)
    if target.kind is Kind.TISSUE:
        presence = PRESENT if weakest else ABSENT
        reading.state(Statement(Kind.TISSUE, value, presence, written, target.place))
    elif target.kind is Kind.FOREIGN or weakest < _MEDIUM:
        reading.ignore(written, target.place)
    else:
        reading.state(Statement(target.kind, 0, value, written, target.place))


def _written(target: _Item, levels: list[_Item]) -> str:
    ordered = sorted([target, *levels], key=lambda item: item.place)
    return " ".join(item.text for item in ordered)
