"""The language of captions for who types it: its phrases, and the one that was meant."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final

from napari_histodiff.core.captions.slots import CLASS_NOUNS, LEVELS, ORGANS, STAINS, TISSUE_WORDS
from napari_histodiff.core.captions.vocabulary import PHRASES, Kind, fold

__all__ = ["PHRASES_TO_TYPE", "TEMPLATES", "hint_for", "is_number", "meant_by"]

#: Every phrase of the language in its own words, the organs first.
PHRASES_TO_TYPE: Final[tuple[str, ...]] = (
    *ORGANS,
    *TISSUE_WORDS,
    *(f"{level} {noun}" for noun in CLASS_NOUNS for level in LEVELS),
    *(f"{stain} stain" for stain in STAINS),
)

#: Captions to start from, by what they are of.
TEMPLATES: Final[dict[str, str]] = {
    "Normal colon": "colon, high epithelial cells, low lymphocytes, gland, stroma, lumen",
    "Inflamed colon": "colon, medium epithelial cells, high lymphocytes, medium plasma cells, "
    "gland, inflammation",
    "Tumour of the colon": "colon, high epithelial cells, low lymphocytes, tumour, gland, purple "
    "stain",
    "Stroma": "colon, high connective cells, low lymphocytes, stroma",
    "Lymphoid tissue": "colon, high lymphocytes, low connective cells, inflammation",
    "Mucinous": "colon, medium epithelial cells, mucus, gland, pale stain",
}

#: How alike a word is to the one it is taken for.
_ALIKE: Final = 0.72

#: Phrases with a meaning of their own, as they are looked up; levels alone mean nothing.
_MEANT: Final = tuple(
    " ".join(words)
    for words, meaning in PHRASES.items()
    if meaning.kind in (Kind.ORGAN, Kind.STAIN, Kind.CLASS, Kind.TISSUE)
)


def meant_by(word: str) -> str:
    """Return the phrase that a misspelt one is nearest to; empty when none is near.

    >>> meant_by("glnd"), meant_by("lymphocites"), meant_by("zebra")
    ('gland', 'lymphocyte', '')
    """
    folded = " ".join(fold(part) for part in word.split())
    found = get_close_matches(folded, _MEANT, n=1, cutoff=_ALIKE)
    return found[0] if found else ""


def is_number(word: str) -> bool:
    """Return whether a word is a number, which captions do not read."""
    return word[:1].isdecimal()


def hint_for(word: str) -> str:
    """Return what follows a word without effect: what may have been meant, or nothing.

    >>> hint_for("glnd"), hint_for("zebra"), hint_for("12")
    (' (did you mean "gland"?)', '', ' (a caption has levels, no numbers: "high lymphocytes")')
    """
    if is_number(word):
        return f' (a caption has levels, no numbers: "high {CLASS_NOUNS[2]}")'
    meant = meant_by(word)
    return f' (did you mean "{meant}"?)' if meant else ""
