"""Reads JSON value by value, in the memory of one of them: a file may hold a million cells."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, TextIO

__all__ = ["json_values"]

_PIECE: Final = 1 << 20

#: Characters of one value; a region of a million corners has 40 million.
_LARGEST: Final = 1 << 28

_SPACE: Final = re.compile(r"[ \t\n\r]*")

#: How far from the end of what was read an error can lie that more text mends: \\u1234 or a number.
_NEAR: Final = 32

#: Characters after a number that may belong to it with what follows: "1" of "1e+5".
_TAIL: Final = 3


def json_values(file: TextIO, member: str) -> Iterator[Any]:
    """Yield the items of a top-level array, or those of an object's array `member`.

    Anything else at the top is one value. Other members of an object that has `member` are dropped.

    Parameters
    ----------
    file : text file
        Open for reading.
    member : str
        As "features" of a FeatureCollection.

    Raises
    ------
    ValueError
        When it is no JSON, from the first place on that is none, or a value is too large to keep.
    RecursionError
        When values are nested too deep.
    """
    reader = _Reader(file)
    first = reader.peek()
    if first == "[":
        yield from reader.items()
    elif first == "{":
        yield from reader.members(member)
    else:
        yield reader.value()
    if reader.peek():
        raise ValueError(f"{reader.peek()!r} after the end")


class _Reader:
    """A window of text that moves along a file."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._decode = json.JSONDecoder().raw_decode
        self._text = ""
        self._at = 0
        self._is_over = False

    def peek(self) -> str:
        """Return the next character that is no space, without passing it; empty at the end."""
        while True:
            found = _SPACE.match(self._text, self._at)
            assert found is not None  # it matches nothing as well
            self._at = found.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def items(self) -> Iterator[Any]:
        """Yield the items of the array that begins here, and pass it."""
        self._pass("[")
        if self.peek() == "]":
            return self._pass("]")
        while True:
            yield self.value()
            if self.peek() == "]":
                return self._pass("]")
            self._pass(",")

    def members(self, member: str) -> Iterator[Any]:
        """Yield the items of a member of the object here; the object when it has none."""
        self._pass("{")
        kept: dict[str, Any] | None = {}
        while self.peek() != "}":
            name = self.value()
            if not isinstance(name, str):
                raise ValueError(f"{name!r} where a name in quotes belongs")
            self._pass(":")
            if name == member and self.peek() == "[":
                kept = None
                yield from self.items()
            else:
                value = self.value()
                if kept is not None:
                    kept[name] = value
            if self.peek() != "}":
                self._pass(",")
        self._pass("}")
        if kept is not None:
            yield kept

    def value(self) -> Any:
        """Return the value that begins here, and pass it."""
        self.peek()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except json.JSONDecodeError as error:
                is_cut = error.pos >= len(self._text) - _NEAR or "Unterminated" in error.msg
                if not (is_cut and self._more()):
                    raise
                continue
            if end > len(self._text) - _TAIL and self._more():  # a number may go on
                continue
            self._at = end
            return value

    def _pass(self, wanted: str) -> None:
        found = self.peek()
        if found != wanted:
            raise ValueError(f"{found or 'the end'!r} where {wanted!r} belongs")
        self._at += 1

    def _more(self) -> bool:
        """Read on, twice as much of a long value each time; return whether there was more."""
        if self._is_over:
            return False
        kept = self._text[self._at :]
        if len(kept) > _LARGEST:
            raise ValueError(f"an entry of more than {_LARGEST >> 20} million characters")
        fresh = self._file.read(max(_PIECE, len(kept)))
        self._is_over = not fresh
        if fresh:
            self._text, self._at = kept + fresh, 0
        return not self._is_over
