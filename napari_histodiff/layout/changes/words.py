"""The closed language of changes: what is to become of the paint, said in words.

A sentence is one or more changes, "grow the tumour by 40 um, then more lymphocytes at its border".
Each has a verb, what it acts on, maybe how much, and maybe where. A word that is not in the
language is refused with those that are; nothing is guessed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from napari_histodiff.core.captions.vocabulary import fold
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.layout.changes.items import Item, clauses_of, number_of
from napari_histodiff.layout.changes.vocabulary import (
    EXAMPLES,
    KNOWN,
    Role,
    Verb,
    Word,
)

__all__ = ["Change", "Place", "parse_changes"]

_GLAND: Final = TISSUE_NAMES.index("gland")


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
        By how many um, how many nuclei or areas of tissue, and which share or how many times as
        many. Of tissue that grows or shrinks it is by how much of its size.
    exact : bool
        Whether `factor` is of what is there, rather than of what is usual.
    share : float, optional
        Of tissue that grows or shrinks, which share of its areas does.
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
    share: float | None = None
    place: Place = field(default_factory=Place)
    said: str = ""


def parse_changes(text: str) -> tuple[Change, ...]:
    """Read what is to change.

    Raises
    ------
    InvalidRequest
        When it is empty, holds a word that is not in the language, or says no change.
    """
    if not isinstance(text, str):
        raise _not_said(repr(text))
    if not text.strip():
        raise _not_said("nothing")
    clauses = [_Clause(items) for items in clauses_of(text)]
    for earlier, later in pairwise(clauses):
        later.goes_on(earlier)
    return tuple(clause.change() for clause in clauses)


def _not_said(got: str) -> InvalidRequest:
    return InvalidRequest(f'expected a change in words, got {got}; say for example "{EXAMPLES[0]}"')


class _Clause:
    """The items of one change, sorted by what they say."""

    def __init__(self, items: list[Item]) -> None:
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
        self.size: float | None = None  # "2 glands by 20 %": of how much of their size
        self.ones = 0  # how many things have "a" before them: "remove a gland"
        self.of_areas = False  # a count or share stands before the tissue: "half of the glands"
        self._read([item for item in items if item.kind is not Role.STOP])

    def _read(self, items: list[Item]) -> None:
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
                case Role.ONE if not where and not becomes:
                    # Of "a 12 um gland" or "a large gland" the first word tells nothing.
                    self.ones += after is not None and after.counted
                case Role.PLACE:
                    assert isinstance(value, str)
                    self.place, where = value, where or value
                case Role.SIDE:
                    assert isinstance(value, str)
                    self.sides.append(value)
                case Role.AMOUNT:
                    before = fold(items[at - 1].text) if at else ""
                    if before == "to":
                        raise self._no_amount("by how much, not to how much", 'write "by"')
                    self._amount(value, after, first=self.tissue is None and before != "by")
                case Role.CLASS | Role.TISSUE:
                    borders = after is not None and after.word.value == "border"
                    self._thing(item, where or ("border" if borders else ""), becomes=becomes)

    def _amount(self, value: object, after: Item | None, *, first: bool) -> None:
        assert isinstance(value, tuple)
        kind, number = value
        if kind == "number":
            unit = None if after is None or after.kind is not Role.UNIT else after.word
            length = None if unit is None else unit.value
            kind = "count" if unit is None else "share" if length is None else "microns"
            number = number_of(kind, number, length if isinstance(length, float) else 1.0)
        if kind == "share" and self.of_areas and not first:
            kind = "size"
        if kind != "about" and getattr(self, kind) not in (None, number):
            raise self._refusal("one amount")
        setattr(self, kind, number)
        if kind in ("count", "share"):
            self.of_areas = first
        if sum(said is not None for said in (self.count, self.share, self.times)) > 1:
            raise self._refusal("one amount")

    def _thing(self, item: Item, where: str, *, becomes: bool) -> None:
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
        self._take_one(verb)
        self._check_amounts(verb)
        becomes = self._becomes() if verb is Verb.TURN else None
        areas = self.share if self.tissue is not None and self.of_areas and _moves(verb) else None
        # What is said exactly counts more: "half of all", "slightly fewer by 30 %".
        exact = self.size if areas is not None or self.size is not None else self.share
        exact = exact if self.times is None else self.times - 1
        return Change(
            verb,
            tuple(self.classes),
            self.tissue,
            becomes,
            self.microns,
            self.count,
            self.about if exact is None else exact,
            exact is not None,
            areas,
            self._place(),
            self.said,
        )

    def _take_one(self, verb: Verb) -> None:
        """Take "a" for one where no other amount is said: "a gland here" is a place, no count."""
        if self.ones > 1:
            raise self._refusal("one thing")
        of_size = self.tissue is not None and _moves(verb) and not self.of_areas
        amounts = (self.count,) if of_size else (self.count, self.share, self.times, self.about)
        is_new = self.tissue is not None and (verb is Verb.PUT or self.verb is Verb.MORE)
        if not self.ones or is_new or amounts != (None,) * len(amounts):
            return
        self.count, self.of_areas = 1, True
        if of_size:
            self.size, self.share = self.share, None

    def _check_amounts(self, verb: Verb) -> None:
        """Refuse amounts that mean nothing for such a change; none is passed over.

        Raises
        ------
        InvalidRequest
            When there is one.
        """
        if self.size is not None and (self.tissue is None or not _moves(verb)):
            raise self._refusal("one amount")
        grows, puts = verb in (Verb.MORE, Verb.GROW), verb is Verb.PUT
        if (
            not grows
            and not puts
            and (self.times is not None or max(self.share or 0, self.size or 0) > 1)
        ):
            raise self._no_amount("a share of what is there", "write half of it, or 30 %")
        is_wide = self.place in ("border", "around") or bool(self.sides)
        if self.microns is not None and (self.tissue is None or puts) and not is_wide:
            like = '"muscle at the top by 60 um"' if puts else '"cells around the gland by 40 um"'
            raise self._no_amount("a place that has a width", f"say for example {like}")
        if self.tissue is None:
            return
        numbers = [self.count, self.share, self.times]
        if (puts or (self.verb is Verb.MORE and self.of_areas)) and numbers != [None] * 3:
            raise self._no_amount(
                "new tissue to be told by its place", 'say "gland here" or "gland at the top"'
            )
        if _moves(verb):
            if self.count is not None and not self.of_areas:
                unit = f"write {self.count} um, or {self.count} %"
                raise self._no_amount("a unit of how far or how much", unit)
            size = self.share if self.size is None and not self.of_areas else self.size
            if self.microns is not None and size is not None:
                raise self._refusal("one amount")
        elif self.microns is not None and not puts:
            raise self._no_amount(
                "no length", 'write how many areas, as "2 glands", or "shrink the gland by 40 um"'
            )

    def _no_amount(self, expected: str, instead: str) -> InvalidRequest:
        return InvalidRequest(f'expected {expected}, got "{self.said}"; {instead}')

    def _verb(self) -> Verb:
        on_nuclei = bool(self.classes)
        if self.verb is None:
            says = (self.makes, on_nuclei and self.count, self.place, self.sides, self.times)
            if not any(says):
                raise InvalidRequest(
                    f'expected a change, got "{self.said}"; begin with a verb, as "more" or '
                    f'"grow", or say a place, as in "{EXAMPLES[2]}"'
                )
            bare = Verb.PUT if self.makes or self.place or self.sides else Verb.GROW
            return Verb.MORE if on_nuclei else bare  # "twice the stroma"
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


def _moves(verb: Verb) -> bool:
    return verb in (Verb.GROW, Verb.SHRINK)
