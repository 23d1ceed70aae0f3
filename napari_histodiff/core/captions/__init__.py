"""Captions of a closed vocabulary: words, parser, report of how it was read, slots of the model."""

from __future__ import annotations

from napari_histodiff.core.captions.captions import (
    CAPTION_SCHEMA,
    CLASS_NOUNS,
    LEVELS,
    ORGANS,
    SLOT_SIZES,
    STAINS,
    TISSUE_WORDS,
    Caption,
    ParsedCaption,
    ParseReport,
    caption_from_maps,
    level_of_share,
    parse_caption,
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
    "level_of_share",
    "parse_caption",
]
