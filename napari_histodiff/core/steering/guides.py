"""What a drawing can be guided towards by the gradient of a score; names and words, no network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.maps import CLASS_NAMES

__all__ = ["CLIMBS", "GUIDES", "GUIDE_STRENGTH", "PYTHON_GUIDE", "Guide", "as_guides", "guide_text"]

#: Inclusive limits of a guide's strength; below 0 it draws less of it.
GUIDE_STRENGTH: Final = (-10.0, 10.0)

#: How often the gradient of each score is taken at a step: after each the estimate has moved.
CLIMBS: Final = 3

#: Stands in a request for a function that was given in Python, which no request can hold.
PYTHON_GUIDE: Final = "python"

#: Most guides of one drawing: each costs as much as the first.
_MOST: Final = 4


@dataclass(frozen=True, slots=True)
class Guide:
    """One thing that there can be more or less of.

    Attributes
    ----------
    name : str
        What requests and the command line call it.
    more, fewer : str
        What strengths above and below 0 draw, as the window says it.
    explanation : str
        What is scored.
    """

    name: str
    more: str
    fewer: str
    explanation: str


GUIDES: Final = (
    *(
        Guide(
            name,
            f"more {name} nuclei",
            f"fewer {name} nuclei",
            f"The area that the segmenter takes for {name} nuclei",
        )
        for name in CLASS_NAMES
    ),
    Guide("nuclei", "more nuclei", "fewer nuclei", "The area of nuclei of any class"),
    Guide(
        "size",
        "larger nuclei",
        "smaller nuclei",
        "The area of nuclei beside the length of their outlines: how large they are, whatever "
        "their number. Large nuclei are one sign of atypia among many, and no grade",
    ),
)

_NAMES: Final = tuple(guide.name for guide in GUIDES)


def as_guides(given: Any) -> tuple[tuple[str, float], ...]:
    """Return names with their strengths, in the order of `GUIDES`.

    Parameters
    ----------
    given : str, mapping of str to float, or iterable of either a str or a (str, float)
        "lymphocyte" alone has strength 1, "lymphocyte:2" has 2.

    Raises
    ------
    InvalidRequest
        When a name is not known or given twice, or a strength is no number in `GUIDE_STRENGTH`.
    """
    if given is None:
        return ()
    entries: Iterable[Any] = [given] if isinstance(given, str) else given
    if isinstance(given, Mapping):
        entries = given.items()
    try:
        pairs = [_pair(entry) for entry in entries]
    except TypeError:
        pairs = [_pair(given)]
    found: dict[str, float] = {}
    for name, strength in pairs:
        if name in found:
            raise InvalidRequest(f"expected each guide once, got {name} twice; leave one out")
        found[name] = strength
    if len(found) > _MOST:
        raise InvalidRequest(f"expected at most {_MOST} guides, got {len(found)}; leave some out")
    return tuple((name, found[name]) for name in (*_NAMES, PYTHON_GUIDE) if found.get(name))


def guide_text(guides: Iterable[tuple[str, float]]) -> str:
    """Return guides as the command line takes them, "lymphocyte:2, size:-1"."""
    return ", ".join(f"{name}:{strength:g}" for name, strength in guides)


def _pair(entry: Any) -> tuple[str, float]:
    name: Any
    strength: Any
    if isinstance(entry, str):
        name, colon, said = entry.partition(":")
        strength = said if colon else 1.0
    else:
        try:
            name, strength = entry
        except (TypeError, ValueError):
            name, strength = entry, 1.0
    name = name.strip() if isinstance(name, str) else name
    if name not in (*_NAMES, PYTHON_GUIDE):
        raise InvalidRequest(
            f"expected a guide of {', '.join(_NAMES)}, got {name!r}; write for example "
            '"lymphocyte:2"'
        )
    try:
        number = math.nan if isinstance(strength, bool) else float(strength)
    except (TypeError, ValueError):
        number = math.nan
    low, high = GUIDE_STRENGTH
    if not low <= number <= high:
        raise InvalidRequest(
            f"expected a strength of {name} between {low:g} and {high:g}, got {strength!r}; "
            "choose a number in that range"
        )
    return name, number
