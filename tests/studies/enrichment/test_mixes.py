"""Mixes by name, and the tiles that make them."""

from __future__ import annotations

import pytest

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.studies.enrichment.mixes import (
    DEFAULT_MIXES,
    DrawnTile,
    choose_tiles,
    parse_mix,
)
from napari_histodiff.studies.enrichment.options import EnrichmentOptions

PATIENTS = [f"p{i // 4}" for i in range(40)]


def test_names_are_shares() -> None:
    mix = parse_mix("75_25")
    assert (mix.real, mix.drawn, mix.own, mix.classical) == (0.75, 0.25, False, False)
    assert mix.text == "75 % real + 25 % drawn"
    assert parse_mix("10_90oc").text == "10 % real + 90 % drawn, of these nuclei, augmented"
    assert [parse_mix(name).name for name in DEFAULT_MIXES] == list(DEFAULT_MIXES)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("0_0", "not both 0"),
        ("120_0", "0 to 100 % real"),
        ("100_5000", "drawn tiles"),
        ("0_100o", "leave o out"),
        ("half", "expected a mix such as"),
        ("", "expected a mix such as"),
    ],
)
def test_empty_and_impossible_mixes_are_refused(name, words) -> None:
    with pytest.raises(InvalidRequest, match=words):
        parse_mix(name)


def test_replaced_tiles_are_drawn_from_their_own_nuclei() -> None:
    real, drawn = choose_tiles(parse_mix("75_25"), PATIENTS, 0)
    assert (len(real), len(drawn)) == (30, 10)
    assert sorted([*real, *(tile.tile for tile in drawn)]) == list(range(40))
    assert {tile.draw for tile in drawn} == {0}


def test_mixes_are_nested_and_keep_patients_together() -> None:
    few, most, everything = (
        choose_tiles(parse_mix(name), PATIENTS, 3)[0] for name in ("10_0", "75_0", "100_0")
    )
    assert set(few) < set(most) < set(everything)
    assert len({PATIENTS[i] for i in few}) == 1
    assert few != choose_tiles(parse_mix("10_0"), PATIENTS, 4)[0]


def test_own_nuclei_are_drawn_again_and_again() -> None:
    real, drawn = choose_tiles(parse_mix("10_90o"), PATIENTS, 0)
    assert {tile.tile for tile in drawn} == set(real)
    assert len(set(drawn)) == 36
    _, twice = choose_tiles(parse_mix("100_200"), PATIENTS, 0)
    assert len(set(twice)) == 80
    assert {tile.draw for tile in twice} == {0, 1}
    assert isinstance(twice[0], DrawnTile)


def test_a_share_of_no_tile_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="got none of 4"):
        choose_tiles(parse_mix("10_0"), PATIENTS[:4], 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"mixes": ()},
        {"mixes": ("100_0", "100_0")},
        {"mixes": ("0_0",)},
        {"seeds": 0},
        {"tiles": 2},
        {"crop": 90},
        {"crop": 256},
        {"stain": "pink"},
    ],
)
def test_options_out_of_range_are_refused(wrong) -> None:
    with pytest.raises(InvalidRequest):
        EnrichmentOptions(**wrong)
