"""The closed language of changes: what is to become of the paint, said in words.

A sentence is one or more changes, "grow the tumour by 40 um, then more lymphocytes at its border".
Each has a verb, what it acts on, maybe how much, and maybe where. A word that is not in the
language is refused with those that are; nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import pairwise
from string import digits
from typing import Final

from napari_histodiff.core.captions.numbers import NUMBER, count_in, measure_in
from napari_histodiff.core.captions.vocabulary import fold
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.layout.changes.vocabulary import (
    EXAMPLES,
    KNOWN,
    LONGEST,
    SAID,
    WORDS,
    Role,
    Verb,
    Word,
)

__all__ = ["Change", "Place", "parse_changes"]

_GLAND: Final = TISSUE_NAMES.index("gland")
#: Everything that is typed is a token, and refused where it means nothing: a sign as well.
_TOKEN: Final = re.compile(rf"[-+\u2212\u2013]?{NUMBER}|[^\W0-9_]+|%|[,;.&]|\S")
#: Quotes, brackets, ends of sentences but full stops, and hyphens within words say nothing.
_SILENT: Final = re.compile(
    r"[\"'`\u2018-\u201f\u00ab\u00bb()\[\]{}:!?]|(?<=[^\W\d_])[-\u2010\u2011](?=[^\W\d_])"
)
_ECHO: Final = 20  # characters of a number that are said again
_ALIKE: Final = 0.7  # how alike a word is to the one that was perhaps meant


@dataclass(frozen=True, slots=True)
class Place:
    """Where.

    Attributes
    ----------
    kind : str
        "everywhere", "here", "border", "in", "around", "between", or a side of the frame: "top",
        "bottom", "left", "right", "middle", or two of them, as "top left".
    tissue : int, optional
        Whose border, or in or around what.
    """

    kind: str = "everywhere"
    tissue: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One change.

    Attributes
    ----------
    verb : Verb
    classes : tuple of int
        Nuclei that it acts on, 1-6.
    tissue : int, optional
        Tissue that it acts on.
    becomes : int, optional
        Of `Verb.TURN`: class or tissue that it becomes.
    microns, count, factor : float, optional
        By how many um, how many nuclei, and which share or how many times as many.
    exact : bool
        Whether `factor` is of what is there, rather than of what is usual.
    place : Place
    said : str
        The words.
    """

    verb: Verb
    classes: tuple[int, ...] = ()
    tissue: int | None = None
    becomes: int | None = None
    microns: float | None = None
    count: int | None = None
    factor: float | None = None
    exact: bool = False
    place: Place = field(default_factory=Place)
    said: str = ""


def parse_changes(text: str) -> tuple[Change, ...]:
    """Read what is to change.

    Raises
    ------
    InvalidRequest
        When it is empty, holds a word that is not in the language, or says no change.
    """
    if not text.strip():
        raise InvalidRequest(
            f'expected a change in words, got nothing; say for example "{EXAMPLES[0]}"'
        )
    clauses = [_Clause(items) for items in _clauses(_items(text))]
    for earlier, later in pairwise(clauses):
        later.goes_on(earlier)
    return tuple(clause.change() for clause in clauses)


@dataclass(frozen=True, slots=True)
class _Item:
    word: Word
    text: str

    @property
    def kind(self) -> Role:
        return self.word.kind


def _items(text: str) -> list[_Item]:
    tokens = _TOKEN.findall(_SILENT.sub(" ", text))
    folded = [fold(token) for token in tokens]
    unknown = [
        token
        for token, word in zip(tokens, folded, strict=True)
        if word not in WORDS and word not in ",;." and not _is_number(word)
    ]
    if unknown:
        raise _not_known(unknown)
    items, at = [], 0
    while at < len(tokens):
        if folded[at] in ",;.":
            items.append(_Item(Word(Role.JOIN), tokens[at]))
            at += 1
            continue
        if _is_number(tokens[at]):
            items.append(_Item(Word(Role.AMOUNT, ("number", tokens[at])), tokens[at]))
            at += 1
            continue
        for length in range(min(LONGEST, len(tokens) - at), 0, -1):
            word = SAID.get(tuple(folded[at : at + length]))
            if word is not None:
                items.append(_Item(word, " ".join(tokens[at : at + length])))
                at += length
                break
        else:
            raise _not_known([tokens[at]])
    return items


def _is_number(token: str) -> bool:
    return token.lstrip(".")[:1] in tuple(digits)


def _not_known(unknown: list[str]) -> InvalidRequest:
    near = []
    for token in unknown:
        near += get_close_matches(fold(token), WORDS, n=1, cutoff=_ALIKE)
    meant = f'did you mean "{" ".join(near)}"? ' if near else ""
    words = ", ".join(f'"{token}"' for token in unknown)
    return InvalidRequest(f"expected words of a change, got {words}; {meant}Known are {KNOWN}")


def _number(kind: str, text: str) -> float | None:
    """Return what a number of nuclei, um or percent says; one that may be two is refused."""
    number = count_in(text) if kind == "count" else measure_in(text)
    if number is not None:
        return number / 100 if kind == "share" else number
    said = f"{text[:_ECHO]}..." if len(text) > _ECHO else text
    if kind == "count":
        raise InvalidRequest(
            f'expected a whole number, got "{said}"; write one of at most nine digits, as 12 or '
            "1000"
        )
    raise InvalidRequest(
        f'expected a number that is one only, got "{said}"; write at most nine digits without a '
        "mark between thousands, as 1000, and decimals as 12.5"
    )


def _clauses(items: list[_Item]) -> Iterator[list[_Item]]:
    # "then" begins a new change; a comma or "and" where a verb or a number follows.
    part: list[_Item] = []
    for at, item in enumerate(items):
        if item.kind is not Role.JOIN:
            part.append(item)
            continue
        ahead = next((i for i in items[at + 1 :] if i.kind is not Role.STOP), None)
        begins = ahead is not None and ahead.kind in (Role.VERB, Role.MAKE, Role.AMOUNT)
        if part and ahead is not None and (begins or item.text.casefold() in ("then", ";", ".")):
            yield part
            part = []
    if part:
        yield part


class _Clause:
    """The items of one change, sorted by what they say."""

    def __init__(self, items: list[_Item]) -> None:
        self.said = " ".join(item.text for item in items)
        self.verb: Verb | None = None
        self.makes = False
        self.classes: list[int] = []
        self.tissue: int | None = None
        self.later: list[Word] = []  # things after "into"
        self.place: str | None = None
        self.sides: list[str] = []
        self.place_tissue: int | None = None
        self.microns: float | None = None
        self.count: int | None = None
        self.about: float | None = None
        self.share: float | None = None
        self.times: float | None = None
        self._read([item for item in items if item.kind is not Role.STOP])

    def _read(self, items: list[_Item]) -> None:
        where, becomes = "", False
        for at, item in enumerate(items):
            value = item.word.value
            after = items[at + 1] if at + 1 < len(items) else None
            match item.kind:
                case Role.VERB:
                    assert isinstance(value, Verb)
                    if self.verb not in (None, value):
                        raise self._refusal("one verb")
                    self.verb = value
                case Role.MAKE:
                    self.makes = True
                case Role.IN | Role.AROUND:
                    where = "in" if item.kind is Role.IN else "around"
                case Role.BECOMES:
                    becomes = True
                case Role.PLACE:
                    assert isinstance(value, str)
                    self.place, where = value, where or value
                case Role.SIDE:
                    assert isinstance(value, str)
                    self.sides.append(value)
                case Role.AMOUNT:
                    self._amount(value, after)
                case Role.CLASS | Role.TISSUE:
                    borders = after is not None and after.word.value == "border"
                    self._thing(item, where or ("border" if borders else ""), becomes=becomes)

    def _amount(self, value: object, after: _Item | None) -> None:
        assert isinstance(value, tuple)
        kind, number = value
        if kind == "number":
            has_unit = after is not None and after.kind is Role.UNIT
            is_length = after is not None and after.word.value == "um"
            kind = "microns" if is_length else "share" if has_unit else "count"
            number = _number(kind, number)
        if kind != "about" and getattr(self, kind) not in (None, number):
            raise self._refusal("one amount")
        setattr(self, kind, number)
        if sum(said is not None for said in (self.count, self.share, self.times)) > 1:
            raise self._refusal("one amount")

    def _thing(self, item: _Item, where: str, *, becomes: bool) -> None:
        value = item.word.value
        if becomes and self.verb is Verb.TURN:
            self.later.append(item.word)
        elif item.kind is Role.CLASS:
            assert isinstance(value, tuple)
            self.classes += [c for c in value if c not in self.classes]
        elif where and (self.classes or self.tissue is not None or self.verb is not None):
            assert isinstance(value, int)
            self.place_tissue = value
            self.place = self.place if self.place in ("border", "between") else where
        elif self.tissue is None:
            assert isinstance(value, int)
            self.tissue = value
        else:
            raise self._refusal("one tissue")

    def _refusal(self, what: str) -> InvalidRequest:
        return InvalidRequest(
            f'expected {what} in a change, got more in "{self.said}"; say one change after the '
            'other, joined by "then"'
        )

    def goes_on(self, earlier: _Clause) -> None:
        """Take from the change before what this one leaves open: "... and shrink it"."""
        if self.tissue is None and not self.classes:
            self.tissue, self.classes = earlier.tissue, list(earlier.classes)
        if self.place == "border" and self.place_tissue is None:
            self.place_tissue = earlier.tissue

    def change(self) -> Change:
        """Return what the clause says.

        Raises
        ------
        InvalidRequest
            When it says no change.
        """
        verb = self._verb()
        if not self.classes and self.tissue is None:
            raise InvalidRequest(
                f'expected what to change, got "{self.said}"; name nuclei or tissue. Known are '
                f"{KNOWN}"
            )
        if self.classes and self.tissue is not None:
            raise self._refusal("nuclei or tissue")
        becomes = self._becomes() if verb is Verb.TURN else None
        # What is said exactly counts more: "half of all", "slightly fewer by 30 %".
        exact = self.share if self.times is None else self.times - 1
        return Change(
            verb,
            tuple(self.classes),
            self.tissue,
            becomes,
            self.microns,
            self.count,
            self.about if exact is None else exact,
            exact is not None,
            self._place(),
            self.said,
        )

    def _verb(self) -> Verb:
        on_nuclei = bool(self.classes)
        if self.verb is None:
            says = (self.makes, on_nuclei and self.count, self.place, self.sides, self.times)
            if not any(says):
                raise InvalidRequest(
                    f'expected a change, got "{self.said}"; begin with a verb, as "more" or '
                    f'"grow", or say a place, as in "{EXAMPLES[2]}"'
                )
            return Verb.MORE if on_nuclei else Verb.PUT
        if on_nuclei:
            return {Verb.GROW: Verb.MORE, Verb.SHRINK: Verb.FEWER}.get(self.verb, self.verb)
        if self.verb is Verb.MORE:
            return Verb.PUT if self.sides or self.place == "here" else Verb.GROW
        return self.verb

    def _becomes(self) -> int:
        wanted = Role.CLASS if self.classes else Role.TISSUE
        found = [word for word in self.later if word.kind is wanted]
        if len(found) != 1:
            what = "nuclei" if self.classes else "tissue"
            raise InvalidRequest(
                f'expected one kind of {what} that it becomes, got "{self.said}"; say for example '
                f'"{EXAMPLES[-1]}"'
            )
        value = found[0].value
        if isinstance(value, tuple):
            return int(value[0])
        assert isinstance(value, int)
        return value

    def _place(self) -> Place:
        if self.sides:
            order = ("top", "bottom", "left", "right", "middle")
            return Place(" ".join(side for side in order if side in self.sides), self.place_tissue)
        if self.place in ("border", "between", "around", "in"):
            tissue = self.place_tissue
            if tissue is None:
                tissue = self.tissue if self.tissue is not None else _GLAND
            return Place(self.place, tissue)
        return Place(self.place or "everywhere")
