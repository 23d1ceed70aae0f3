"""Figures of reader studies on cases worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_histodiff.studies.reading.answers import Answer
from napari_histodiff.studies.reading.figures import (
    believed,
    cohen_kappas,
    crossed_bootstrap,
    d_prime_pairs,
    d_prime_singles,
    fleiss_kappa,
    fooled,
    left_share,
    median_seconds,
    rates,
    roc,
    roc_area,
    weighted_error,
)


def pair(reader: str, trial: int, right: bool, seconds: float = 1.0) -> Answer:
    return Answer(
        reader=reader,
        trial=trial,
        kind="pair",
        images=(2 * trial, 2 * trial + 1),
        synthetic=(True, False),
        names=("drawn", "real"),
        chosen=int(right),
        rating=None,
        seconds=seconds,
    )


def single(reader: str, trial: int, synthetic: bool, rating: int) -> Answer:
    return Answer(
        reader=reader,
        trial=trial,
        kind="single",
        images=(trial,),
        synthetic=(synthetic,),
        names=("image",),
        chosen=None,
        rating=rating,
        seconds=1.0,
    )


def test_p_has_the_exact_interval_of_clopper_and_pearson() -> None:
    answers = [pair("a", i, right=i >= 3) for i in range(10)]
    p = fooled(answers)
    assert p.value == 0.3
    assert (p.low, p.high) == pytest.approx((0.0667, 0.6525), abs=1e-4)  # printed in tables
    assert math.isnan(fooled([]).value)


def test_opposite_preferences_cancel_in_p_and_not_in_the_weighted_error() -> None:
    answers = [pair("a", i, right=True) for i in range(10)]
    answers += [pair("b", i, right=False) for i in range(10)]
    assert fooled(answers).value == 0.5
    assert weighted_error(answers) == 0.5
    assert math.isnan(weighted_error([]))


def test_the_weighted_error_is_that_of_the_kidney_report() -> None:
    # Table 5.8 of that report has readers of different diligence; these are made up likewise.
    answers = [pair("a", i, right=i < 30) for i in range(40)]  # p 0.25, off by 0.25
    answers += [pair("b", i, right=i < 4) for i in range(10)]  # p 0.6, off by 0.1
    assert weighted_error(answers) == pytest.approx((40 * 0.25 + 10 * 0.1) / 50)


def test_d_prime_is_nought_at_chance_and_grows_with_skill() -> None:
    half = [pair("a", i, right=i % 2 == 0) for i in range(100)]
    assert d_prime_pairs(half) == pytest.approx(0, abs=0.02)
    some = [pair("a", i, right=i < 76) for i in range(100)]
    assert d_prime_pairs(some) == pytest.approx(1.0, abs=0.03)  # 2AFC: d' 1 is 76 %
    assert math.isfinite(d_prime_pairs([pair("a", i, right=True) for i in range(5)]))
    assert math.isnan(d_prime_pairs([]))
    rated = [single("a", i, i % 2 == 0, 1 if i % 2 == 0 else 6) for i in range(20)]
    assert d_prime_singles(rated) > 2
    assert math.isnan(d_prime_singles(rated[:1]))


def test_area_and_curve_of_ratings() -> None:
    real = [single("a", i, False, r) for i, r in enumerate((6, 5, 4, 2))]
    drawn = [single("a", 10 + i, True, r) for i, r in enumerate((5, 3, 2, 1))]
    wins = np.mean([(a > b) + (a == b) / 2 for a in (6, 5, 4, 2) for b in (5, 3, 2, 1)])
    assert roc_area(real + drawn) == pytest.approx(wins)
    false, true = roc(real + drawn)
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
    assert true[3] == 0.75  # rated 4 or more
    assert math.isnan(roc_area(real))
    sensitivity, specificity = rates(real + drawn)
    assert (sensitivity.value, specificity.value) == (0.75, 0.75)


def test_area_agrees_with_scikit_learn_with_weights() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    answers = [single("a", i, bool(i % 2), int(rng.integers(1, 7))) for i in range(60)]
    weights = rng.integers(0, 4, 60).astype(float).tolist()
    expected = roc_auc_score(
        [not a.synthetic[0] for a in answers], [a.rating for a in answers], sample_weight=weights
    )
    assert roc_area(answers, weights) == pytest.approx(expected)


def test_kappas_of_full_no_and_chance_agreement() -> None:
    same = [pair(r, i, right=i % 2 == 0) for r in "abc" for i in range(10)]
    assert fleiss_kappa(same) == (pytest.approx(1), 10)
    assert cohen_kappas(same)["a", "b"] == (pytest.approx(1), 10)
    opposite = [pair(r, i, right=(i % 2 == 0) == (r == "a")) for r in "ab" for i in range(10)]
    assert fleiss_kappa(opposite)[0] == pytest.approx(-1)
    assert cohen_kappas(opposite)["a", "b"][0] == pytest.approx(-1)
    alone = [pair("a", i, right=True) for i in range(3)]
    assert math.isnan(fleiss_kappa(alone)[0])
    assert cohen_kappas(alone) == {}
    constant = [pair(r, i, right=True) for r in "ab" for i in range(3)]
    assert math.isnan(cohen_kappas(constant)["a", "b"][0])


def test_fleiss_kappa_of_a_worked_example() -> None:
    # Three readers, four images called real by 3, 2, 1 and 0 of them.
    answers = [
        single(r, i, True, 6 if k < called else 1)
        for i, called in enumerate((3, 2, 1, 0))
        for k, r in enumerate("abc")
    ]
    agreed = (1 + 1 / 3 + 1 / 3 + 1) / 4
    assert fleiss_kappa(answers)[0] == pytest.approx((agreed - 0.5) / 0.5)


def test_times_leave_out_breaks_and_images_are_counted_without_catch_trials() -> None:
    answers = [pair("a", 0, True, 2), pair("a", 1, True, 4), pair("a", 2, True, 5000)]
    answers.append(pair("a", 3, False, 9))
    assert median_seconds(answers, True) == 3
    assert median_seconds(answers, False) == 9
    assert math.isnan(median_seconds(answers, None))
    assert believed(answers)[6] == (1, 1)
    assert believed(answers)[7] == (0, 1)
    caught = Answer(
        reader="a",
        trial=9,
        kind="catch",
        images=(90, 91),
        synthetic=(False, False),
        names=("a", "b"),
        chosen=0,
        rating=None,
        seconds=1,
    )
    assert left_share([*answers, caught]).value == 1
    assert 90 not in believed([*answers, caught])


def test_the_bootstrap_draws_readers_too_where_there_are_several() -> None:
    def p(answers, weights) -> float:
        total = sum(weights)
        wrong = sum(w for a, w in zip(answers, weights, strict=True) if not a.right)
        return wrong / total if total else float("nan")

    apart = [pair(r, i, right=r == "a") for r in "ab" for i in range(20)]
    one = [pair("a", i, right=i % 2 == 0) for i in range(20)]
    wide, narrow = (crossed_bootstrap(a, p, draws=200) for a in (apart, one))
    assert (wide.low, wide.high) == (0, 1)
    assert 0.2 < narrow.low < 0.5 < narrow.high < 0.8
    assert crossed_bootstrap(apart, p, draws=50, seed=1) == crossed_bootstrap(
        apart, p, draws=50, seed=1
    )
