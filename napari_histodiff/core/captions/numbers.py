"""Numbers as people write them: "1,000", "1 000", "12,5" or "0.5".

A point or a comma stands before decimals in one country and between thousands in another. What can
be meant in two ways, or in none, is no number here; whoever reads it says so.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["NUMBER", "count_in", "in_digits", "measure_in"]

_SPACES: Final = " \u00a0\u2009\u202f"
#: A pattern of all that is written as one number, whether it is one or not; spaces only before
#: thousands.
NUMBER: Final = (
    rf"(?:[0-9]{{1,3}}(?:[{_SPACES}][0-9]{{3}})+(?![0-9])|[0-9]+|(?<!\S)[.][0-9]+)(?:[.,][0-9]+)*"
)

_PLAIN: Final = re.compile(r"[0-9]+")
_THOUSANDS: Final = re.compile(rf"[1-9][0-9]{{0,2}}([.,{_SPACES}])[0-9]{{3}}(?:\1[0-9]{{3}})*")
_DECIMALS: Final = re.compile(rf"(?P<whole>[0-9{_SPACES}.,]*)(?P<mark>[.,])(?P<rest>[0-9]+)")

#: Digits that a number has at the most.
_MOST: Final = 9

_SMALL: Final = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
)
_TENS: Final = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ROUND: Final = {"a dozen": 12, "half a dozen": 6, "a hundred": 100, "a thousand": 1000}
#: "Three times" is no count.
_SPELLED: Final = re.compile(
    rf"\b(?:(?P<tens>{'|'.join(_TENS)})(?:[-\s\u2010\u2011]+(?P<ones>{'|'.join(_SMALL[1:10])}))?"
    rf"|(?P<small>{'|'.join(_SMALL)})|(?P<round>{'|'.join(_ROUND)}))\b(?![-\s]+times\b)",
    re.IGNORECASE,
)


def in_digits(text: str) -> str:
    """Return a text with the counts of up to 99, dozens, a hundred and a thousand in digits.

    >>> in_digits("remove two glands, add twenty-five lymphocytes, three times the plasma cells")
    'remove 2 glands, add 25 lymphocytes, three times the plasma cells'
    """
    return _SPELLED.sub(_digits, text)


def _digits(found: re.Match[str]) -> str:
    said = {name: word.casefold() for name, word in found.groupdict("").items()}
    if said["round"]:
        return str(_ROUND[said["round"]])
    if said["tens"]:
        ones = _SMALL.index(said["ones"]) if said["ones"] else 0
        return str(20 + 10 * _TENS.index(said["tens"]) + ones)
    return str(_SMALL.index(said["small"]))


def count_in(text: str) -> int | None:
    """Return how many are meant; None where that is no count, or one of ten digits and more.

    >>> count_in("20"), count_in("1,000"), count_in("1.000"), count_in("1 000"), count_in("1.5")
    (20, 1000, 1000, 1000, None)
    """
    text = text.strip()
    if not (_PLAIN.fullmatch(text) or _THOUSANDS.fullmatch(text)):
        return None
    digits = re.sub("[^0-9]", "", text).lstrip("0")
    return int(digits or 0) if len(digits) <= _MOST else None


def measure_in(text: str, most: float | None = None) -> float | None:
    """Return how much is meant; None where that is no number, or may be two.

    Of two numbers, of which one is larger than `most`, the other is meant.

    >>> measure_in("12,5"), measure_in(".5"), measure_in("1,234.5"), measure_in("1 000")
    (12.5, 0.5, 1234.5, 1000.0)
    >>> measure_in("1,500"), measure_in("33.333", most=100)
    (None, 33.333)
    """
    text = text.strip()
    count = count_in(text)
    if count is not None:
        if len(marks := re.findall("[.,]", text)) != 1:
            return float(count)
        return None if most is None or count <= most else float(text.replace(marks[0], "."))
    found = _DECIMALS.fullmatch(text)
    whole = 0 if found is None or not found["whole"] else count_in(found["whole"])
    if found is None or whole is None or found["mark"] in found["whole"]:
        return None
    return float(f"{whole}.{found['rest']}")
