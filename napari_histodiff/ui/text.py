"""Texts for people: durations, bytes, counts, lengths; and the plugin's names."""

from __future__ import annotations

import re
from typing import Final

__all__ = [
    "PLUGIN",
    "SHOWN",
    "WIDGET",
    "bytes_text",
    "count_text",
    "duration_text",
    "for_people",
    "microns_text",
    "short_count",
]

PLUGIN: Final = "napari-histodiff"
WIDGET: Final = "Histodiff Studio"

#: In the metadata of layers of the dock that show something and are no labels to import.
SHOWN: Final = "shown by napari-histodiff"


def duration_text(seconds: float) -> str:
    """Return a duration rounded as people say it: "0.4 s", "40 s", "12 min", "2 h 5 min"."""
    if seconds < 1:
        return f"{max(seconds, 0.1):.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def bytes_text(count: float) -> str:
    """Return bytes as people say them: "640 kB", "1.2 GB", "69 GB"."""
    units = ["bytes", "kB", "MB", "GB", "TB"]
    while count >= 999.5 and len(units) > 1:
        count /= 1000
        del units[0]
    short = f"{count:.1f}" if count < 9.95 and units[0] != "bytes" else f"{count:.0f}"
    return f"{short} {units[0]}"


def count_text(count: int, noun: str) -> str:
    """Return a count with its noun: "1 tile", "12,345 tiles", "2 nuclei"."""
    several = noun.removesuffix("us") + "i" if noun.endswith("us") else noun + "s"
    return f"{count:,} {noun if count == 1 else several}"


def short_count(count: float) -> str:
    """Return a count in three digits where there is little room: "713", "12.4k", "1.5M"."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if count >= 0.9995 * size:
            return f"{count / size:.3g}{letter}"
    return f"{count:.0f}"


def microns_text(microns: float) -> str:
    """Return a length in the unit that reads best: "64 µm", "8.19 mm"."""
    return f"{microns:.0f} µm" if microns < 1000 else f"{microns / 1000:.2f} mm"


#: "expected A, got B; do C", as errors of the library say it.
_EXPECTED: Final = re.compile(
    r"expected (?P<wanted>.+?),? (?:but )?got (?P<found>.+?)(?:; (?P<todo>.+))?", re.DOTALL
)

#: Words of programmers that are in such errors, and what a pathologist says.
_WORDS: Final = (
    (r"\bu?int(8|16|32|64)\b", r"\1-bit"),
    (r"\bum\b", "µm"),
    (r"(?<=\d) x (?=\d)", " × "),
    (r"\bdtype\b", "kind of number"),
    (r"\bthe judge\b", "the program that finds nuclei"),
    (
        r"^Needed: the drawing to go on\. Found: the end of its process by",
        "The drawing stopped: its process was ended by",
    ),
)


def for_people(message: str) -> str:
    """Return a message of the library as the window says it: what is needed, found, and to do.

    >>> for_people("expected a frame of 64 x 64 px, got none; draw one")
    'Needed: a frame of 64 × 64 px, but there is none. Draw one.'
    """
    told = _EXPECTED.fullmatch(message.strip())
    if told is not None:
        wanted, found, todo = told["wanted"], told["found"], told["todo"] or ""
        nothing = found in ("none", "nothing", "neither")
        lacks = ", but there is none." if nothing else f". Found: {found.rstrip('.')}."
        message = f"Needed: {wanted}{lacks} {_sentence(todo)}".strip()
    for word, better in _WORDS:
        message = re.sub(word, better, message)
    return message


def _sentence(text: str) -> str:
    text = text.strip()
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")
