from __future__ import annotations

import math

import pytest

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.evaluation.metrics.agreement import accuracy, quadratic_kappa


def test_quadratic_kappa_by_hand() -> None:
    # seen: one pair two levels apart, 4 of 4 squares; by chance, with both {0: 2, 1: 1, 2: 1} of 4
    a, b = [0, 0, 1, 2], [0, 2, 1, 0]
    seen = (4 + 4) / 4
    chance = 2 * (2 * 1 * 1 + 2 * 1 * 4 + 1 * 1 * 1) / 16
    assert quadratic_kappa(a, b, 3) == pytest.approx(1 - seen / chance)


def test_kappa_of_full_agreement_and_full_opposition() -> None:
    assert quadratic_kappa([0, 1, 2, 3], [0, 1, 2, 3], 4) == 1
    assert quadratic_kappa([0, 3], [3, 0], 4) == pytest.approx(-1)


def test_a_near_miss_costs_less_than_a_far_one() -> None:
    asked = [0, 1, 2, 3, 0, 3]
    assert quadratic_kappa(asked, [1, 1, 2, 3, 0, 3], 4) > quadratic_kappa(
        asked, [3, 1, 2, 3, 0, 3], 4
    )


def test_kappa_of_constant_labels() -> None:
    assert quadratic_kappa([1, 1, 1], [0, 1, 2], 3) == 0
    assert quadratic_kappa([0, 0], [1, 1], 2) == 0
    assert math.isnan(quadratic_kappa([2, 2], [2, 2], 3))
    assert math.isnan(quadratic_kappa([], [], 3))


def test_accuracy() -> None:
    assert accuracy([0, 1, 2, 2], [0, 1, 1, 2]) == pytest.approx(3 / 4)
    assert math.isnan(accuracy([], []))


def test_unusable_labels_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="levels from 0 to 2, got 0 to 3"):
        quadratic_kappa([0, 3], [0, 1], 3)
    with pytest.raises(InvalidRequest, match="one length"):
        accuracy([0, 1], [0])
