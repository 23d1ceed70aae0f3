"""The words of a sentence as phrases of the language of changes, and the numbers among them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from string import digits
from typing import Final

from napari_histodiff.core.captions.numbers import NUMBER, count_in, in_digits, measure_in
from napari_histodiff.core.captions.vocabulary import fold
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.layout.changes.vocabulary import (
    COUNTED,
    KNOWN,
    LONGEST,
    SAID,
    WORDS,
    Role,
    Word,
)

__all__ = ["Item", "clauses_of", "number_of"]

#: Everything that is typed is a token, and refused where it means nothing: a sign as well.
_TOKEN: Final = re.compile(rf"[-+\u2212\u2013]?{NUMBER}|[^\W0-9_]+|%|[,;.&]|\S")
#: Quotes, brackets, ends of sentences but full stops, and hyphens within words say nothing.
_SILENT: Final = re.compile(
    r"[\"'`\u2018-\u201f\u00ab\u00bb()\[\]{}:!?]|(?<=[^\W\d_])[-\u2010\u2011](?=[^\W\d_])"
)
_ONE: Final = rf"(?<![\w.,]){NUMBER}"
#: Words that leave a number as it is: it is the one that is meant.
_ABOUT: Final = re.compile(
    r"(?:\b(?:about|around|roughly|approximately|approx\.?|circa|ca\.?|some|nearly|almost)\s*"
    rf"|[~\u2248]\s*)(?={_ONE})",
    re.IGNORECASE,
)
#: Two numbers for one, or one that is a bound.
_RANGE: Final = re.compile(
    rf"\bbetween\s+{_ONE}\s+and\s+{_ONE}"
    rf"|{_ONE}\s*(?:[-\u2010-\u2015\u2212]|\bto\b|\bor\b)\s*{_ONE}"
    r"|(?:\bat\s+(?:least|most)|\b(?:no\s+)?(?:more|less|fewer)\s+than|\bup\s+to|\bover|\bunder"
    rf"|\bmin(?:imum)?\.?|\bmax(?:imum)?\.?|[<>\u2264\u2265]=?)\s*{_ONE}"
    rf"|{_ONE}\s*(?:\+|or\s+(?:more|less|fewer)\b)",
    re.IGNORECASE,
)
_ARTICLES: Final = (Role.STOP, Role.ONE)
_MARKS: Final = str.maketrans("\u3002\u3001", ".,")
_ECHO: Final = 20  # characters of a number that are said again
_ALIKE: Final = 0.7  # how alike a word is to the one that was perhaps meant


@dataclass(frozen=True, slots=True)
class Item:
    """A phrase of the language, and how it was written."""

    word: Word
    text: str

    @property
    def kind(self) -> Role:
        """What part it plays."""
        return self.word.kind

    @property
    def counted(self) -> bool:
        """Whether there can be one of it, or two, as of a gland, but not of stroma."""
        return fold(self.text.split()[-1]) in COUNTED


def _items(text: str) -> list[Item]:
    # Keyboards of Chinese and Japanese have digits and commas of their own.
    text = unicodedata.normalize("NFKC", text).translate(_MARKS)
    text = _ABOUT.sub("", _SILENT.sub(" ", in_digits(text)))
    if found := _RANGE.search(text):
        raise InvalidRequest(
            f'expected one number, got "{_echo(" ".join(found.group().split()))}"; write the one '
            'that is meant, as in "20 lymphocytes here"'
        )
    tokens = _TOKEN.findall(text)
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
            items.append(Item(Word(Role.JOIN), tokens[at]))
            at += 1
            continue
        if _is_number(tokens[at]):
            items.append(Item(Word(Role.AMOUNT, ("number", tokens[at])), tokens[at]))
            at += 1
            continue
        for length in range(min(LONGEST, len(tokens) - at), 0, -1):
            word = SAID.get(tuple(folded[at : at + length]))
            if word is not None:
                items.append(Item(word, " ".join(tokens[at : at + length])))
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


def number_of(kind: str, text: str, unit: float) -> float | None:
    """Return how many nuclei, um or shares a number says.

    Raises
    ------
    InvalidRequest
        When it is none, or may be two.
    """
    number = count_in(text) if kind == "count" else measure_in(text)
    if number is not None:
        return number / 100 if kind == "share" else number * unit if kind == "microns" else number
    said = _echo(text)
    if kind == "count":
        raise InvalidRequest(
            f'expected a whole number, got "{said}"; write one of at most nine digits, as 12 or '
            "1000"
        )
    raise InvalidRequest(
        f'expected a number that is one only, got "{said}"; write at most nine digits without a '
        "mark between thousands, as 1000, and decimals as 12.5"
    )


def _echo(text: str) -> str:
    return f"{text[:_ECHO]}..." if len(text) > _ECHO else text


def clauses_of(text: str) -> Iterator[list[Item]]:
    """Yield the items of one change after the other.

    Raises
    ------
    InvalidRequest
        When a word is not in the language, or there are two numbers where one is needed.
    """
    items = _items(text)
    # "then" begins a new change; a comma or "and" where a verb or a number follows.
    part: list[Item] = []
    for at, item in enumerate(items):
        if item.kind is not Role.JOIN:
            part.append(item)
            continue
        ahead = next((i for i in items[at + 1 :] if i.kind not in _ARTICLES), None)
        begins = ahead is not None and ahead.kind in (Role.VERB, Role.MAKE, Role.AMOUNT)
        if part and ahead is not None and (begins or item.text.casefold() in ("then", ";", ".")):
            yield part
            part = []
    if part:
        yield part
