"""The closed caption language: a caption is a fixed row of slots, never free text for the model.

Slots: organ, stain look, one level per nucleus class (none, low, medium, high), tissue words. Text
is parsed into slots with a report of what became of each word; painted maps are described in slots.
"""

from __future__ import annotations

from napari_histodiff.core.captions.captions import caption_from_maps, captions_by_tissue
from napari_histodiff.core.captions.parser import parse_caption
from napari_histodiff.core.captions.report import ParsedCaption, ParseReport
from napari_histodiff.core.captions.slots import (
    CAPTION_SCHEMA,
    CLASS_NOUNS,
    LEVELS,
    ORGANS,
    SLOT_SIZES,
    STAINS,
    TISSUE_WORDS,
    Caption,
    level_of_share,
)

__all__ = [
    "CAPTION_SCHEMA",
    "CLASS_NOUNS",
    "LEVELS",
    "ORGANS",
    "SLOT_SIZES",
    "STAINS",
    "TISSUE_WORDS",
    "Caption",
    "ParseReport",
    "ParsedCaption",
    "caption_from_maps",
    "captions_by_tissue",
    "level_of_share",
    "parse_caption",
]
