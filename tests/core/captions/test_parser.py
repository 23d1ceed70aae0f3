from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_histodiff.core.captions import (
    CLASS_NOUNS,
    TISSUE_WORDS,
    Caption,
    parse_caption,
)
from napari_histodiff.core.captions.vocabulary import PHRASES, WORDS, Kind, entries, fold
from napari_histodiff.core.errors import InvalidRequest
from tests.core.refusals import refused
from tests.strategies import captions


@given(captions())
def test_a_caption_in_words_is_read_back_unchanged(caption: Caption) -> None:
    parsed = parse_caption(caption.to_text())
    assert parsed.caption == caption
    report = parsed.report
    assert (report.mapped, report.ignored, report.contradictory) == ((), (), ())
    assert len(report.used) == sum(slot > 0 for slot in caption.to_slots())


@given(captions())
def test_reading_does_not_mind_case_and_line_breaks(caption: Caption) -> None:
    text = caption.to_text().upper().replace(", ", ";\n")
    assert parse_caption(text).caption == caption


unknown_words = st.text("abcdefghijklmnopqrstuvwxyzäñ0123456789", min_size=1, max_size=9).filter(
    lambda word: fold(word) not in WORDS
)


@given(captions(), st.data())
def test_unknown_words_are_reported_and_change_nothing(
    caption: Caption, data: st.DataObject
) -> None:
    words = caption.to_text().split(" ")
    unknown = data.draw(st.lists(unknown_words, min_size=1, max_size=4))
    for word in unknown:
        words.insert(data.draw(st.integers(0, len(words))), word)
    parsed = parse_caption(" ".join(words))
    assert parsed.caption == caption
    assert set(parsed.report.ignored) == set(unknown)


@given(st.text(max_size=60) | st.lists(st.sampled_from(sorted(WORDS))).map(" ".join))
def test_any_text_can_be_read_and_its_meaning_is_stable(text: str) -> None:
    caption = parse_caption(text).caption
    assert parse_caption(caption.to_text()).caption == caption


def test_no_phrase_has_two_meanings() -> None:
    listed = list(entries())
    assert [(words, meaning) for words, meaning in listed if PHRASES[words] != meaning] == []


@pytest.mark.parametrize("kind", [Kind.ORGAN, Kind.STAIN, Kind.CLASS, Kind.TISSUE])
def test_every_phrase_alone_sets_exactly_its_slot(kind: Kind) -> None:
    for words, meaning in entries():
        if meaning.kind is not kind:
            continue
        parsed = parse_caption(" ".join(words))
        slots = parsed.caption.to_slots()
        assert sum(slot > 0 for slot in slots) == 1, words
        values = {
            Kind.ORGAN: slots[0] - 1,
            Kind.STAIN: slots[1] - 1,
            Kind.CLASS: next((i for i, slot in enumerate(slots[2:8]) if slot), -1),
            Kind.TISSUE: next((i for i, slot in enumerate(slots[8:]) if slot), -1),
        }
        assert values[kind] == meaning.value, words
        assert not parsed.report.ignored, words


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("low lymphocytes", "low lymphocytes"),
        ("Lymphocytes: low", "low lymphocytes"),
        ("lymphocytes are absent", "no lymphocytes"),
        ("no plasma cells", "no plasma cells"),
        ("absence of plasma cells", "no plasma cells"),
        ("many neutrophils", "high neutrophils"),
        ("not many neutrophils", "low neutrophils"),
        ("rich in TILs", "high lymphocytes"),
        ("lymphocyte-rich stroma", "high lymphocytes, stroma"),
        ("lymphocytes", "medium lymphocytes"),
        ("30 % lymphocytes", "medium lymphocytes"),
        ("PMN 45%, 5 percent eos", "high neutrophils, low eosinophils"),
        ("0 % plasma cells", "no plasma cells"),
        ("30,5 % lymphocytes", "medium lymphocytes"),
        ("33.333 % lymphocytes", "medium lymphocytes"),
        ("many eos, .5 % lymphocytes", "low lymphocytes, high eosinophils"),
        ("lymphocytes (20-30 %)", "medium lymphocytes"),
        ("<20 % eos, > 40 % PMN", "high neutrophils, low eosinophils"),
        ("no neutrophils or eosinophils", "no neutrophils, no eosinophils"),
        ("neither neutrophils nor eosinophils", "no neutrophils, no eosinophils"),
        ("many lymphocytes and plasma cells", "high lymphocytes, high plasma cells"),
        ("many lymphocytes and few plasma cells", "high lymphocytes, low plasma cells"),
        ("neutrophils and lymphocytes: low", "low neutrophils, low lymphocytes"),
        ("lymphocytes and few neutrophils", "low neutrophils, medium lymphocytes"),
        ("lymphocytes low plasma cells high", "low lymphocytes, high plasma cells"),
        ("low lymphocytes high plasma cells", "low lymphocytes, high plasma cells"),
        ("no lymphocytes in the stroma", "no lymphocytes, stroma"),
        ("gland: low lymphocytes", "low lymphocytes, gland"),
        ("dense tumour nuclei", "high epithelial cells"),
        ("tumor with dense fibroblasts", "high connective cells, tumour"),
        ("colonic H&E section, darkly stained", "colon, dark stain"),
        ("renal tissue, haematoxylin and eosin", "kidney"),
        ("mammary carcinoma", "breast, tumour"),
        ("lymph nodes", "lymph node"),
        ("Head & Neck", "head and neck"),
        ("eosinophilic infiltrate", "medium eosinophils"),
        ("eosinophilic staining", "pink stain"),
        ("colon, no glands", "colon"),
        ("necrosis absent", ""),
        ("colon, not dark", "colon"),
        ("many mast cells", ""),
        ("150 % lymphocytes", "medium lymphocytes"),
        ("30 lymphocytes", "medium lymphocytes"),
        ("gall bladder", ""),
        ("", ""),
        ("!? ... , %", ""),
    ],
)
def test_reading_of_common_wordings(text: str, meaning: str) -> None:
    assert parse_caption(text).caption.to_text() == meaning


def test_the_report_tells_what_became_of_each_word() -> None:
    report = parse_caption(
        "Colonic mucosa with many lymphocytes, no neutrophils and Stroma, no glands, "
        "no H&E unicorns"
    ).report
    assert report.used == ("no neutrophils",)
    assert report.mapped == (("Colonic", "colon"), ("many lymphocytes", "high lymphocytes"))
    assert report.ignored == ("mucosa", "no Stroma", "no glands", "no", "unicorns")
    assert report.contradictory == ()


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("no lymphocytes, many lymphocytes", (("no lymphocytes", "many lymphocytes"),)),
        ("no lymphocytes, lymphocytes", (("no lymphocytes", "lymphocytes"),)),
        ("colon, breast", (("colon", "breast"),)),
        ("colon, renal, hepatic", (("colon", "renal"), ("colon", "hepatic"))),
        ("pale, dark stain", (("pale", "dark stain"),)),
        ("gland, no glands", (("gland", "no glands"),)),
    ],
)
def test_contradictions_are_reported_and_have_no_effect(
    text: str, pairs: tuple[tuple[str, str], ...]
) -> None:
    parsed = parse_caption(text + ", few eosinophils")
    assert parsed.caption == parse_caption("few eosinophils").caption
    assert parsed.report.contradictory == pairs
    assert parsed.report.mapped == (("few eosinophils", "low eosinophils"),)


def test_saying_it_twice_is_no_contradiction() -> None:
    report = parse_caption("colon, colonic, low lymphocytes, few lymphocytes").report
    assert report.used == ("colon", "low lymphocytes")
    assert report.mapped == (("colonic", "colon"), ("few lymphocytes", "low lymphocytes"))


@pytest.mark.parametrize("noun", CLASS_NOUNS)
def test_each_class_can_be_absent_low_medium_and_high(noun: str) -> None:
    levels = ["no", "few", "some", "many"]
    index = CLASS_NOUNS.index(noun)
    read = [parse_caption(f"{level} {noun}").caption.levels[index] for level in levels]
    assert read == [0, 1, 2, 3]


@pytest.mark.parametrize("word", TISSUE_WORDS)
def test_plain_stop_words_are_not_reported(word: str) -> None:
    report = parse_caption(f"an H&E stained image of the tissue with {word}").report
    assert report.used == (word,)
    assert report.ignored == ()


@pytest.mark.parametrize("number", ["1,000", "1 000 %", "9" * 400 + " %", "1,000,000 %"])
def test_numbers_that_say_nothing_are_reported_whole(number: str) -> None:
    parsed = parse_caption(f"{number} lymphocytes")
    assert parsed.caption.to_text() == "medium lymphocytes"
    assert parsed.report.ignored == (number,)


@pytest.mark.parametrize("text", [None, 3, b"colon"])
def test_a_caption_must_be_text(text: object) -> None:
    with refused(InvalidRequest, type(text).__name__):
        parse_caption(text)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", ["\udce7\udcbb\udc93", "\ufffd\ufffd"])
def test_what_is_no_text_is_an_ignored_word(bad: str) -> None:
    report = parse_caption(f"colon, {bad}").report
    assert (report.used, report.ignored) == (("colon",), (bad,))
