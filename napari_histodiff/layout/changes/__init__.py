"""What is asked in words changes the paint, by rules one can see and undo before it is drawn."""

from __future__ import annotations

from napari_histodiff.layout.changes.apply import Changed, change_paint
from napari_histodiff.layout.changes.vocabulary import EXAMPLES, PHRASES_TO_TYPE, Verb
from napari_histodiff.layout.changes.words import Change, Place, parse_changes

__all__ = [
    "EXAMPLES",
    "PHRASES_TO_TYPE",
    "Change",
    "Changed",
    "Place",
    "Verb",
    "change_paint",
    "parse_changes",
]
