"""Every phrase of the language of changes, and what it means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from napari_histodiff.core.captions.slots import CLASS_NOUNS
from napari_histodiff.core.captions.vocabulary import PHRASES, Kind, fold
from napari_histodiff.core.maps import CLASS_NAMES, N_CLASSES, TISSUE_NAMES

__all__ = [
    "COUNTED",
    "EXAMPLES",
    "KNOWN",
    "LONGEST",
    "PHRASES_TO_TYPE",
    "SAID",
    "WORDS",
    "Role",
    "Verb",
    "Word",
]

#: What people ask for first, to show and to complete from.
EXAMPLES: Final = (
    "grow the tumour by 40 um",
    "more lymphocytes at the border of the tumour",
    "necrosis here",
    "fewer plasma cells in the stroma",
    "remove the neutrophils",
    "shrink the gland by 15 um",
    "muscle at the bottom",
    "turn half of the lymphocytes into plasma cells",
)


class Verb(Enum):
    """What is done."""

    GROW = "grow"
    SHRINK = "shrink"
    MORE = "more"
    FEWER = "fewer"
    REMOVE = "remove"
    PUT = "put"
    TURN = "turn into"


class Role(Enum):
    """What part a phrase plays in a change."""

    VERB = auto()
    MAKE = auto()  # a verb that says nothing where another one stands beside it
    CLASS = auto()
    TISSUE = auto()
    AMOUNT = auto()
    SIDE = auto()
    PLACE = auto()
    IN = auto()
    AROUND = auto()
    BECOMES = auto()
    UNIT = auto()
    ONE = auto()  # "a" before what is changed: one of it
    JOIN = auto()
    STOP = auto()


@dataclass(frozen=True, slots=True)
class Word:
    """A part, and what it stands for."""

    kind: Role
    value: object = None


_ALL: Final = tuple(range(1, N_CLASSES + 1))
_IMMUNE: Final = tuple(
    CLASS_NAMES.index(name) + 1 for name in ("lymphocyte", "plasma", "neutrophil")
)

_VERBS: Final = {
    Verb.GROW: "grow, enlarge, expand, widen, thicken, bigger, larger, wider, thicker, extend",
    Verb.SHRINK: "shrink, reduce, narrow, smaller, narrower, thinner, thin, less",
    Verb.MORE: "more, increase, add more, additional",
    Verb.FEWER: "fewer, thin out, decrease",
    Verb.REMOVE: "remove, delete, erase, clear, no, without, take away",
    Verb.TURN: "turn, replace, convert, change",
}
_MAKE: Final = "make, put, add, paint, place, draw, insert"
_TISSUES: Final = {
    "gland": "gland, crypt, acinus, duct, tubule, epithelium, tumor, cancer, carcinoma, "
    "adenocarcinoma, nest",
    "stroma": "stroma, connective tissue, fibrosis, lamina propria",
    "lumen": "lumen, hole",
    "glass": "glass, background",
    "muscle": "muscle, smooth muscle, muscularis",
    "fat": "fat, adipose tissue",
    "blood": "blood, bleeding, hemorrhage",
    "mucus": "mucus, mucin",
    "lymphoid": "lymphoid tissue, lymphoid follicle, follicle, lymphoid aggregate",
    "necrosis": "necrosis, necrotic tissue, debris",
    "vessel": "vessel, blood vessel, capillary",
}
_GROUPS: Final = {
    _ALL: "nucleus, cell",
    _IMMUNE: "immune cell, inflammatory cell, inflammation, infiltrate",
}
_SIDES: Final = {
    "top": "top, upper",
    "bottom": "bottom, lower",
    "left": "left",
    "right": "right",
    "middle": "middle, center, centre",
}
_AMOUNTS: Final = {
    "a little, slightly, a bit, a few, few, some": 0.5,
    "much, many, a lot, strongly, a lot of, lot of": 2.0,
    "all, every": 1.0,
}
#: Shares that are said exactly.
_SHARES: Final = {"half, half of": 0.5, "a third of, third of": 1 / 3, "a quarter of": 0.25}
_TIMES: Final = {"twice, double, twice as many, two times": 2.0, "three times, triple": 3.0}
_PLAIN: Final = {
    Role.IN: "in, inside, within, from, among, on",
    Role.AROUND: "around, near, beside, next to",
    Role.BECOMES: "into, with, by, to",
    Role.UNIT: "um, μm, micron, micrometer, micrometre, mm, millimeter, millimetre, %, percent",
    Role.ONE: "a, an",
    Role.JOIN: "and, then, &",
    Role.STOP: "the, of, its, their, this, that, as, please, tissue, area, s, side, "
    "corner, frame, at, along, it, them",
}
#: Units of length, and how many um each has.
_LENGTHS: Final = {
    "um, μm, micron, micrometer, micrometre": 1.0,
    "mm, millimeter, millimetre": 1000.0,
}
#: "A" before these means one; "a tumour" and "an infiltrate" are as much as there is.
_COUNTED: Final = (
    "gland, crypt, acinus, duct, tubule, nest, lumen, hole, follicle, aggregate, vessel, "
    "capillary, nucleus, cell, neutrophil, granulocyte, pmn, polymorph, leukocyte, enterocyte, "
    "colonocyte, keratinocyte, hepatocyte, epitheliocyte, lymphocyte, til, plasmacyte, "
    "eosinophil, fibroblast, myofibroblast, fibrocyte"
)
_PLACES: Final = {
    "border": "border, edge, margin, rim, front, invasive front, boundary, outline",
    "here": "here, edit mask, mask, selection",
    "everywhere": "everywhere",
    "between": "between",
}


def _entries() -> Iterator[tuple[str, Word]]:
    for words, meaning in PHRASES.items():  # the classes are those of captions
        if meaning.kind is Kind.CLASS:
            yield " ".join(words), Word(Role.CLASS, (meaning.value + 1,))
    for kind, phrases in _PLAIN.items():
        yield from ((phrase, Word(kind)) for phrase in phrases.split(", "))
    for phrases, microns in _LENGTHS.items():
        yield from ((phrase, Word(Role.UNIT, microns)) for phrase in phrases.split(", "))
    for table, kind in ((_PLACES, Role.PLACE), (_SIDES, Role.SIDE)):
        for value, phrases in table.items():
            yield from ((phrase, Word(kind, value)) for phrase in phrases.split(", "))
    for amounts, kind_of in ((_AMOUNTS, "about"), (_SHARES, "share"), (_TIMES, "times")):
        for phrases, number in amounts.items():
            for phrase in phrases.split(", "):
                yield phrase, Word(Role.AMOUNT, (kind_of, number))
    for name, phrases in _TISSUES.items():
        tissue = TISSUE_NAMES.index(name)
        yield from ((phrase, Word(Role.TISSUE, tissue)) for phrase in phrases.split(", "))
    for classes, phrases in _GROUPS.items():
        yield from ((phrase, Word(Role.CLASS, classes)) for phrase in phrases.split(", "))
    yield from ((phrase, Word(Role.MAKE)) for phrase in _MAKE.split(", "))
    for verb, phrases in _VERBS.items():
        yield from ((phrase, Word(Role.VERB, verb)) for phrase in phrases.split(", "))


SAID: Final = {tuple(fold(part) for part in phrase.split()): word for phrase, word in _entries()}
WORDS: Final = frozenset(part for phrase in SAID for part in phrase)
LONGEST: Final = max(map(len, SAID))
COUNTED: Final = frozenset(_COUNTED.split(", "))

_TYPED: Final = tuple("lymphoid tissue" if name == "lymphoid" else name for name in _TISSUES)

#: What can be typed, for completion.
PHRASES_TO_TYPE: Final = (
    *EXAMPLES,
    *(f"{verb} the {name}" for verb in ("grow", "shrink", "remove") for name in _TYPED),
    *(f"{verb} {nouns}" for verb in ("more", "fewer", "remove") for nouns in CLASS_NOUNS),
    *(f"{name} {place}" for name in _TYPED for place in ("here", "at the top", "at the bottom")),
)

#: What can be said, for who said something else.
KNOWN: Final = (
    "verbs (grow, shrink, more, fewer, remove, put, turn ... into), "
    f"nuclei ({', '.join(CLASS_NAMES)}), tissue ({', '.join(_TISSUES)}, tumour), places (here, "
    "at the border of, in, around, between, at the top / bottom / left / right / middle) and "
    "amounts (by 40 um, 20, half, twice)"
)
