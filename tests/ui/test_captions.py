"""Captions in the dock: completed, corrected, from templates, and what the model knows of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from qtpy.QtCore import Qt

from napari_histodiff.core.captions import parse_caption
from napari_histodiff.core.captions.spelling import PHRASES_TO_TYPE, TEMPLATES, meant_by
from napari_histodiff.core.stain_bank import STAIN_NUMBERS, StainEntry
from napari_histodiff.ui.generation.plan import organ_remark
from napari_histodiff.ui.widgets.caption_box import CaptionBox
from tests.ui.doubles import FAKE_INFO


@pytest.fixture
def box(qtbot) -> CaptionBox:
    box = CaptionBox()
    qtbot.addWidget(box)
    box.show()
    return box


def bank(**slides: int) -> tuple[StainEntry, ...]:
    vector = (0.0,) * STAIN_NUMBERS[1]
    return tuple(
        StainEntry(organ, None, mpp, vector)
        for organ, count in slides.items()
        for mpp in (0.5, 1.0)
        for _ in range(count)
    )


@pytest.mark.parametrize("text", [*PHRASES_TO_TYPE, *TEMPLATES.values()])
def test_what_is_offered_is_understood_as_it_stands(text: str) -> None:
    report = parse_caption(text).report
    assert report.used
    assert (report.ignored, report.contradictory, report.mapped) == ((), (), ())


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("glnd", "gland"), ("lymphocites", "lymphocyte"), ("colom", "colon"), ("zebra", "")],
)
def test_misspelt_words_are_told_what_they_may_mean(typed: str, meant: str) -> None:
    assert meant_by(typed) == meant


def test_a_click_puts_the_word_that_was_meant(box: CaptionBox) -> None:
    told: list[str] = []
    box.changed.connect(told.append)
    box.set_caption("colon, glnd, zebra")
    assert "did you mean" in box.report.text()
    box.report._take("glnd|gland")  # as Qt calls it with the link that was clicked
    assert told[-1] == "colon, gland, zebra"


def test_a_phrase_is_completed_and_enter_takes_it(box: CaptionBox, qtbot) -> None:
    box.edit.setFocus()
    qtbot.keyClicks(box.edit, "colon, inflam")
    assert box.edit.completer.popup().isVisible()
    qtbot.keyClick(box.edit, Qt.Key.Key_Return)
    assert box.take_typed() == "colon, inflammation"
    assert not box.edit.completer.popup().isVisible()
    with qtbot.waitSignal(box.changed):
        qtbot.keyClick(box.edit, Qt.Key.Key_Return)


def test_templates_and_captions_used_lately_are_in_the_menu(box: CaptionBox) -> None:
    told: list[str] = []
    box.changed.connect(told.append)
    box.set_recent(["skin, pale stain", "", "skin, pale stain", "liver"])
    box.fill_menu()
    entries = {entry.text(): entry for entry in box.templates.menu().actions() if entry.text()}
    assert set(TEMPLATES) | {"skin, pale stain", "liver"} <= set(entries)
    entries["Normal colon"].trigger()
    assert told == [TEMPLATES["Normal colon"]]


def test_an_organ_the_model_hardly_knows_is_said(box: CaptionBox) -> None:
    info = replace(FAKE_INFO, stains=bank(colon=40, lung=6))
    assert organ_remark("colon", info) == ""
    assert "6 training images" in organ_remark("lung", info)
    assert organ_remark("skin", info).startswith("No training images of skin")
    assert organ_remark("skin", None) == organ_remark("skin", FAKE_INFO) == ""
    box.set_info(info)
    box.set_caption("skin, gland")
    assert "No training images of skin" in box.report.text()
    box.set_caption("colon, gland")
    assert "training images" not in box.report.text()


def test_a_number_is_told_to_be_no_level(box) -> None:
    box.set_caption("colon, 12 lymphocytes")
    assert 'Ignored: 12 (a caption has levels, no numbers: "high lymphocytes")' in box.report.text()


@pytest.mark.parametrize(
    ("captions", "text", "said"),
    [
        ("none", "colon", "takes no caption"),
        ("text", "colon, gland", "as a sentence"),
        ("text", "something odd in colon", "as it is written"),
        ("text", "", "paint alone"),
        ("vocabulary", "something odd in colon", "Ignored"),
    ],
)
def test_the_report_says_what_this_model_makes_of_a_caption(box, captions, text, said) -> None:
    box.set_info(replace(FAKE_INFO, captions=captions))
    box.set_caption(text)
    assert said in box.report.text()
