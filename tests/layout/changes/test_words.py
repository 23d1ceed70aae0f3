"""Changes said in words: what is understood, and what is refused with what is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.maps import CLASS_NAMES, TISSUE_NAMES
from napari_histodiff.layout.changes import EXAMPLES, PHRASES_TO_TYPE, Place, Verb, parse_changes

GLAND, STROMA, MUSCLE = (TISSUE_NAMES.index(name) for name in ("gland", "stroma", "muscle"))
LYMPHOCYTE, PLASMA = (CLASS_NAMES.index(name) + 1 for name in ("lymphocyte", "plasma"))


def one(text: str):
    (change,) = parse_changes(text)
    return change


@pytest.mark.parametrize("text", dict.fromkeys((*EXAMPLES, *PHRASES_TO_TYPE)))
def test_everything_that_is_offered_is_understood(text: str) -> None:
    assert len(parse_changes(text)) == 1


def test_tissue_grows_by_micrometres() -> None:
    change = one("grow the tumour by 40 µm".replace("µ", "u"))
    assert (change.verb, change.tissue, change.microns) == (Verb.GROW, GLAND, 40)
    assert one("make the gland smaller by 12.5 microns").microns == 12.5
    assert one("enlarge the crypts").verb is Verb.GROW


@pytest.mark.parametrize(
    "text",
    [
        "more lymphocytes at the border of the tumour",
        "more lymphocytes at the tumour border",
        "more lymphocytes along the edge of the gland",
        "add lymphocytes along the tumor's margin",
    ],
)
def test_a_border_is_said_in_many_ways(text: str) -> None:
    change = one(text)
    assert (change.verb, change.classes) == (Verb.MORE, (LYMPHOCYTE,))
    assert change.place == Place("border", GLAND)


def test_places() -> None:
    assert one("necrosis here").place == Place("here")
    assert one("muscle at the bottom").place.kind == "bottom"
    assert one("fat in the lower right corner").place.kind == "bottom right"
    assert one("fewer lymphocytes in the stroma").place == Place("in", STROMA)
    assert one("plasma cells around the glands").place == Place("around", GLAND)
    assert one("more plasma cells between the glands").place == Place("between", GLAND)
    assert one("remove the gland").place == Place()


def test_amounts() -> None:
    assert one("20 lymphocytes at the top").count == 20
    twice = one("twice as many lymphocytes")
    assert (twice.verb, twice.factor, twice.exact) == (Verb.MORE, 1.0, True)
    fewer = one("fewer lymphocytes by 30 %")
    assert (fewer.verb, fewer.factor) == (Verb.FEWER, pytest.approx(0.3))
    half = one("turn half of the lymphocytes into plasma cells")
    assert (half.verb, half.becomes, half.factor) == (Verb.TURN, PLASMA, 0.5)


@pytest.mark.parametrize("said", ["1000", "1,000", "1.000", "1 000", "1'000", "1\u202f000"])
def test_a_thousand_is_a_thousand(said: str) -> None:
    assert one(f"{said} lymphocytes at the top").count == 1000


def test_lengths_and_shares_may_have_decimals_and_thousands() -> None:
    assert one("grow the gland by 12,5 um").microns == 12.5
    assert one("grow the gland by .5 um").microns == 0.5
    assert one("grow the gland by 1 200 um").microns == 1200
    assert one("fewer lymphocytes by 12.5 %").factor == 0.125


@pytest.mark.parametrize("unit", ["40 um", "40 \u00b5m", "40\u03bcm", "0.04 mm", "about 40 um"])
def test_lengths_have_units(unit: str) -> None:
    assert one(f"grow the tumour by {unit}").microns == 40


@pytest.mark.parametrize("said", ["about 20", "around 20", "~20", "~ 20", "approx. 20", "some 20"])
def test_about_a_number_is_that_number(said: str) -> None:
    change = one(f"{said} lymphocytes around the gland")
    assert (change.count, change.place) == (20, Place("around", GLAND))


def test_an_amount_before_tissue_counts_its_areas_and_one_after_by_is_of_its_size() -> None:
    areas, size = one("grow half of the glands by 20 um"), one("grow the glands by half")
    assert (areas.share, areas.factor, areas.microns) == (0.5, None, 20)
    assert (size.share, size.factor, size.exact) == (None, 0.5, True)
    assert one("shrink 2 glands by 10 um").count == 2
    _, then = parse_changes("grow the gland, then shrink it by 40 %")
    assert (then.share, then.factor) == (None, 0.4)
    twice = one("twice the stroma")
    assert (twice.verb, twice.factor) == (Verb.GROW, 1.0)


@pytest.mark.parametrize(
    ("words", "digits"),
    [
        ("remove two glands", "remove 2 glands"),
        ("remove one of the glands", "remove 1 of the glands"),
        ("turn seven lymphocytes into plasma cells", "turn 7 lymphocytes into plasma cells"),
        ("add twenty-five lymphocytes here", "add 25 lymphocytes here"),
        ("about half a dozen lymphocytes here", "6 lymphocytes here"),
        ("grow the gland by ten um", "grow the gland by 10 um"),
        ("three times the lymphocytes", "triple the lymphocytes"),
        ("two times the lymphocytes", "twice the lymphocytes"),
        (
            "remove \uff12 glands\uff0cthen shrink it by 5 um\u3002",
            "remove 2 glands, shrink it by 5 um",
        ),
    ],
)
def test_numbers_in_words_and_of_other_keyboards_are_numbers(words: str, digits: str) -> None:
    told, plain = parse_changes(words), parse_changes(digits)
    assert [replace(a, said="") for a in told] == [replace(b, said="") for b in plain]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("remove a gland", 1),
        ("turn a crypt into a vessel", 1),
        ("make a gland a bit larger", 1),
        ("shrink a gland by 5 um", 1),
        ("add an eosinophil in a gland", 1),
        ("remove the gland", None),
        ("remove a tumour", None),
        ("a gland here", None),
        ("more lymphocytes around a gland", None),
        ("remove a few glands", None),
        ("remove a third of the glands", None),
        ("add an infiltrate at the border of a gland", None),
    ],
)
def test_a_before_what_can_be_counted_is_one(text: str, count: int | None) -> None:
    assert one(text).count == count


def test_so_many_areas_move_by_a_share_of_their_size() -> None:
    two, half = one("grow 2 glands by 20 %"), one("shrink half of the glands by 30 %")
    assert (two.count, two.share, two.factor, two.exact) == (2, None, 0.2, True)
    assert (half.count, half.share, half.factor) == (None, 0.5, 0.3)
    a, double = one("grow a gland by 20 %"), one("double a gland")
    assert (a.count, a.share, a.factor) == (1, None, 0.2)
    assert (double.count, double.factor) == (1, 1.0)


def test_what_is_said_exactly_counts_more() -> None:
    assert one("remove half of all lymphocytes").factor == 0.5
    assert one("slightly fewer lymphocytes by 30 %").factor == pytest.approx(0.3)


def test_one_change_follows_another_and_goes_on_with_it() -> None:
    grow, more = parse_changes("grow the tumour, then more lymphocytes at its border")
    assert (grow.verb, more.place) == (Verb.GROW, Place("border", GLAND))
    both = one("more lymphocytes and plasma cells in the stroma")
    assert both.classes == (LYMPHOCYTE, PLASMA)
    grow, more = parse_changes("grow the tumour by 10 um, then 12 lymphocytes at its border")
    assert (grow.microns, more.count, more.place) == (10, 12, Place("border", GLAND))
    put, again = parse_changes("muscle at the bottom and shrink it by 5 um")
    assert (put.tissue, again.tissue, again.verb) == (MUSCLE, MUSCLE, Verb.SHRINK)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "got nothing"),
        ("grow the zebra", 'got "zebra"'),
        ("gorw the tumour", 'did you mean "grow"'),
        ("grow the gland by -5 um", 'got "-5"'),
        ("10\u201320 lymphocytes", 'expected one number, got "10\u201320"'),
        ("grow the gland by 10-20 um", 'expected one number, got "10-20"'),
        ("between 10 and 20 lymphocytes", 'expected one number, got "between 10 and 20"'),
        ("at least 20 lymphocytes here", 'one number, got "at least 20"; write the one'),
        ("no more than 20 lymphocytes", 'expected one number, got "no more than 20"'),
        ("20+ lymphocytes", 'expected one number, got "20+"'),
        ("remove 2 or 3 glands", 'expected one number, got "2 or 3"'),
        ("grow the tumour by 40", "write 40 um, or 40 %"),
        ("shrink the tumour 40", "write 40 um, or 40 %"),
        ("grow the tumour by 40 um by 20 %", "one amount"),
        ("fewer lymphocytes to 20", 'write "by"'),
        ("add 2 glands", 'say "gland here"'),
        ("2 more glands", 'say "gland here"'),
        ("half of the gland here", 'say "gland here"'),
        ("remove the gland by 40 um", '"shrink the gland by 40 um"'),
        ("turn the gland into stroma by 40 um", "expected no length"),
        ("remove the lymphocytes by 40 um", "a place that has a width"),
        ("muscle here by 40 um", "a place that has a width"),
        ("remove twice as many lymphocytes", "a share of what is there"),
        ("shrink the gland by 150 %", "a share of what is there"),
        ("1.5 lymphocytes", 'a whole number, got "1.5"'),
        ("10,20 lymphocytes", 'a whole number, got "10,20"'),
        ("12.5 lymphocytes", "at most nine digits, as 12 or 1000"),
        ("9" * 400 + " lymphocytes", "at most nine digits"),
        ("grow the gland by " + "9" * 400 + " um", "at most nine digits"),
        ("grow the gland by 1,500 um", 'got "1,500"'),
        ("grow the gland by 1,500 um", "decimals as 12.5"),
        ("10 to 20 lymphocytes", 'expected one number, got "10 to 20"'),
        ("10 lymphocytes 20", "one amount"),
        ("remove half of 20 lymphocytes", "one amount"),
        ("remove 2 glands by 20 %", "one amount"),
        ("grow 2 glands by 20 % by 10 um", "one amount"),
        ("20 lymphocytes by 30 %", "one amount"),
        ("shrink 2 glands by 150 %", "a share of what is there"),
        ("remove two or three glands", 'expected one number, got "2 or 3"'),
        ("remove at least two glands", 'expected one number, got "at least 2"'),
        ("remove a lymphocyte and a plasma cell", "one thing"),
        ("grow the gland by 5 um + 5 um", 'got "+"'),
        ("more lymphocites", 'did you mean "lymphocyte"'),
        ("lymphocytes", "begin with a verb"),
        ("grow", "name nuclei or tissue"),
        ("turn the lymphocytes into", "one kind of nuclei that it becomes"),
        ("remove the gland the stroma and the fat", "one tissue"),
        ("grow the gland lymphocytes", "nuclei or tissue"),
        ("grow remove the gland", "one verb"),
    ],
)
def test_what_is_not_understood_is_refused_with_what_is_known(text: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        parse_changes(text)
    assert said in str(refusal.value)


@pytest.mark.parametrize("text", [5, None, b"grow the gland"])
def test_a_change_is_said_in_text(text: object) -> None:
    with pytest.raises(InvalidRequest, match="expected a change in words"):
        parse_changes(text)  # type: ignore[arg-type]


def test_quotes_brackets_and_hyphens_within_words_say_nothing() -> None:
    plain = parse_changes("grow the gland by 5 um, then necrosis at the top left")
    told = parse_changes('"Grow the (gland) by 5 um", then: necrosis at the top-left!')
    assert [replace(a, said="") for a in told] == [replace(b, said="") for b in plain]


def understood(text: str) -> bool:
    try:
        return bool(parse_changes(text))
    except InvalidRequest:
        return False


@given(st.text(max_size=60))
def test_any_text_is_a_change_or_a_refusal(text: str) -> None:
    assert understood(text) in (True, False)


@given(st.lists(st.sampled_from(" ".join(PHRASES_TO_TYPE).split()), min_size=1, max_size=9))
def test_known_words_in_any_order_are_a_change_or_a_refusal(words: list[str]) -> None:
    text = " ".join(words)
    assert understood(text) == understood(text.upper())
