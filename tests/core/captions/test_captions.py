from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

from napari_histodiff.core.captions import (
    CAPTION_SCHEMA,
    CLASS_NOUNS,
    ORGANS,
    SLOT_SIZES,
    STAINS,
    TISSUE_WORDS,
    Caption,
    caption_from_maps,
    level_of_share,
)
from napari_histodiff.core.errors import InvalidMap, InvalidRequest
from napari_histodiff.core.maps import CLASS_NAMES, TISSUE_NAMES, as_class_map
from tests.core.refusals import refused
from tests.strategies import captions, planes


def test_the_slots_of_schema_one_are_fixed() -> None:
    assert CAPTION_SCHEMA == 1
    assert list(SLOT_SIZES) == [13, 6, *[5] * 6, *[2] * 10]
    assert len(CLASS_NOUNS) == len(CLASS_NAMES) == 6
    assert ORGANS.index("head and neck") == 11
    assert STAINS.index("purple") == 4
    assert TISSUE_WORDS.index("necrosis") == 9
    wordless = {"unspecified", "glass", "blood", "lymphoid"}
    said = {"smooth muscle" if name == "muscle" else name for name in TISSUE_NAMES}
    assert said - wordless <= set(TISSUE_WORDS)


@given(captions())
def test_slots_fit_their_sizes(caption: Caption) -> None:
    slots = caption.to_slots()
    assert len(slots) == len(SLOT_SIZES)
    assert all(0 <= slot < size for slot, size in zip(slots, SLOT_SIZES, strict=True))


@given(captions(), captions())
def test_other_captions_have_other_slots_and_texts(a: Caption, b: Caption) -> None:
    assert (a.to_slots() == b.to_slots()) == (a == b)
    assert (a.to_text() == b.to_text()) == (a == b)


def test_an_empty_caption_is_all_zero() -> None:
    assert Caption().to_slots() == (0,) * len(SLOT_SIZES)
    assert Caption().to_text() == ""


def test_a_caption_in_words_and_in_slots() -> None:
    caption = Caption("colon", "pink", (0, 3, None, 1, 2, None), ("stroma", "gland", "gland"))
    assert caption.to_text() == (
        "colon, pink stain, no neutrophils, high epithelial cells, low plasma cells, "
        "medium eosinophils, gland, stroma"
    )
    assert caption.to_slots() == (1, 4, 1, 4, 0, 2, 3, 0, 1, 1, *(0,) * 8)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"organ": "thumb"}, "organ"),
        ({"stain": "green"}, "stain"),
        ({"tissue": ("bone",)}, "tissue"),
        ({"levels": (1, 2)}, "levels"),
        ({"levels": (4, 0, 0, 0, 0, 0)}, "levels"),
    ],
    ids=["organ", "stain", "tissue", "too few", "too high"],
)
def test_a_caption_of_unknown_values_is_refused(values: dict[str, Any], word: str) -> None:
    with refused(InvalidRequest, word):
        Caption(**values)


@pytest.mark.parametrize(
    ("share", "level"),
    [(0, 0), (1e-6, 1), (0.1999, 1), (0.2, 2), (0.4, 2), (0.4001, 3), (1, 3)],
)
def test_levels_change_at_20_and_40_percent(share: float, level: int) -> None:
    assert level_of_share(share) == level


def test_levels_are_shares_of_classified_nuclear_pixels() -> None:
    classes = np.zeros((10, 100), np.uint8)
    classes[0, :50] = 2
    classes[0, 50:80] = 3
    classes[0, 80:] = 6
    assert caption_from_maps(classes).levels == (0, 3, 2, 0, 0, 2)
    classes[0, 99] = 4
    assert caption_from_maps(classes).levels == (0, 3, 2, 1, 0, 1)


@given(planes(6))
def test_a_painted_class_is_never_called_absent(ids: Any) -> None:
    classes = as_class_map(ids)
    levels = caption_from_maps(classes).levels
    for class_id, level in enumerate(levels, start=1):
        assert (level == 0) == (not (classes == class_id).any())


def test_nuclei_of_unknown_class_leave_the_levels_open() -> None:
    classes, instances = np.zeros((4, 4), int), np.zeros((4, 4), int)
    assert caption_from_maps(classes, instances).levels == (0,) * 6
    instances[1, 1] = 1
    assert caption_from_maps(classes, instances).levels == (None,) * 6


def test_tissue_is_named_from_one_percent_of_the_frame() -> None:
    tissue = np.zeros((10, 30), int)
    tissue[:5] = TISSUE_NAMES.index("stroma")
    tissue[5, :3] = TISSUE_NAMES.index("gland")
    tissue[5, 3:5] = TISSUE_NAMES.index("lumen")
    tissue[6:] = TISSUE_NAMES.index("glass")
    caption = caption_from_maps(np.zeros((10, 30), int), tissue_map=tissue)
    assert caption.tissue == ("gland", "stroma")
    assert (caption.organ, caption.stain) == (None, None)


def test_maps_of_two_shapes_are_refused() -> None:
    with refused(InvalidMap, "tissue map", "(2, 2)", "(2, 3)"):
        caption_from_maps(np.zeros((2, 2), int), tissue_map=np.zeros((2, 3), int))
