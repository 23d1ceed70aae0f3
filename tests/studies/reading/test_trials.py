"""Dealing images into trials, and the order of each reader."""

from __future__ import annotations

import pytest

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.studies.reading.trials import Card, ReadingOptions, Trial, deal, order


def cards(real: int, synthetic: int, organ: str = "") -> list[Card]:
    sides = [False] * real + [True] * synthetic
    return [Card(side, organ, stain=(0.1 * (i % 7), 0.1, 0.0)) for i, side in enumerate(sides)]


def kinds(trials: tuple[Trial, ...]) -> dict[str, int]:
    shown = [t.kind for t in trials if not t.practice]
    return {kind: shown.count(kind) for kind in ("pair", "catch", "single")}


def test_no_image_is_shown_twice_and_practice_comes_first() -> None:
    trials = deal(cards(60, 50), ReadingOptions())
    used = [i for t in trials for i in t.images]
    assert len(used) == len(set(used))
    practice = [t.practice for t in trials]
    assert practice == sorted(practice, reverse=True)
    assert sum(practice) == 4
    assert kinds(trials) == {"pair": 31, "catch": 3, "single": 30}


def test_pairs_hold_one_of_each_side_and_catch_trials_two_real_ones() -> None:
    given = cards(60, 50)
    for trial in deal(given, ReadingOptions()):
        drawn = [given[i].synthetic for i in trial.images]
        assert sum(drawn) == {"pair": 1, "catch": 0}.get(trial.kind, sum(drawn))
        assert len(drawn) == (1 if trial.kind == "single" else 2)
    singles = [t for t in deal(given, ReadingOptions()) if t.kind == "single"]
    assert sum(given[t.images[0]].synthetic for t in singles) * 2 == len(singles)


def test_couples_share_organ_and_class_and_are_alike_in_stain() -> None:
    given = [
        Card(synthetic, organ, "", (amount, 0.0, 0.0))
        for organ in ("colon", "kidney")
        for amount in (0.1, 0.5, 0.9)
        for synthetic in (False, True)
    ]
    trials = deal(given, ReadingOptions(pairs=6, singles=0, catch=0, practice=0))
    for trial in trials:
        first, second = (given[i] for i in trial.images)
        assert (first.organ, first.stain) == (second.organ, second.stain)
    assert sorted(t.stain for t in trials) == ["dark"] * 2 + ["medium"] * 2 + ["pale"] * 2


def test_the_seed_decides_and_nothing_else() -> None:
    given = cards(30, 30)
    first = deal(given, ReadingOptions(seed=1))
    assert first == deal(given, ReadingOptions(seed=1))
    assert first != deal(given, ReadingOptions(seed=2))


def test_both_images_of_a_couple_have_one_quality_of_those_asked_for() -> None:
    trials = deal(cards(60, 60), ReadingOptions(jpeg=(70, 0)))
    assert {t.quality for t in trials} == {0, 70}


@pytest.mark.parametrize(
    ("given", "options", "words"),
    [
        (cards(0, 9), ReadingOptions(), "expected real images"),
        (cards(9, 0), ReadingOptions(), "expected synthetic images"),
        (cards(3, 3), ReadingOptions(pairs=8), "for 8 pairs"),
        (cards(9, 9), ReadingOptions(pairs=0, singles=0), "pairs or singles"),
        (cards(2, 2), ReadingOptions(), "for 1 pairs"),
        (cards(9, 0, "colon") + cards(0, 9, "skin"), ReadingOptions(), "of the same organs"),
    ],
)
def test_too_few_images_are_refused_with_numbers(given, options, words) -> None:
    with pytest.raises(InvalidRequest, match=words):
        deal(given, options)


@pytest.mark.parametrize(
    "wrong", [{"pairs": -1}, {"size": 8}, {"jpeg": ()}, {"jpeg": (101,)}, {"title": " "}]
)
def test_options_out_of_range_are_refused(wrong) -> None:
    with pytest.raises(InvalidRequest):
        ReadingOptions(**wrong)


def test_readers_see_blocks_in_turn_and_each_trial_once() -> None:
    trials = [
        ("pair", True),
        *[("pair", False)] * 4,
        *[("catch", False)] * 2,
        *[("single", False)] * 5,
    ]
    first, second = (order(trials, 0, reader) for reader in (0, 1))
    for sequence in (first, second):
        assert sorted(i for i, _ in sequence) == list(range(len(trials)))
        assert sequence[0][0] == 0
    assert [trials[i][0] for i, _ in first][-5:] == ["single"] * 5
    assert [trials[i][0] for i, _ in second][1:6] == ["single"] * 5
    assert order(trials, 0, 0) == first
    assert order(trials, 0, 2) != first
