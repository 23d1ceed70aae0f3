from __future__ import annotations

import math

import numpy as np
import pytest

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.evaluation.metrics.agreement import Interval, bootstrap


def test_the_interval_of_a_mean_has_the_width_of_theory() -> None:
    values = np.random.default_rng(0).normal(5, 2, 400)
    interval = bootstrap(lambda i: float(values[i].mean()), 400, draws=1000)
    error = values.std() / np.sqrt(400)
    assert interval.value == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - 1.96 * error, abs=0.25 * error)
    assert interval.high == pytest.approx(values.mean() + 1.96 * error, abs=0.25 * error)


def test_the_level_sets_the_width_and_the_seed_the_draws() -> None:
    values = np.arange(20.0)

    def mean(i: np.ndarray) -> float:
        return float(values[i].mean())

    narrow, wide = bootstrap(mean, 20, level=0.5), bootstrap(mean, 20, level=0.95)
    assert wide.low < narrow.low < narrow.high < wide.high
    assert bootstrap(mean, 20, seed=1) == bootstrap(mean, 20, seed=1) != bootstrap(mean, 20)


def test_draws_without_a_value_are_left_out() -> None:
    def mean_of_known(i: np.ndarray) -> float:
        return 1.0 if (i == 0).any() else float("nan")

    assert bootstrap(mean_of_known, 2) == Interval(1.0, 1.0, 1.0)
    assert math.isnan(bootstrap(lambda i: float("nan"), 2).low)
    assert math.isnan(bootstrap(lambda i: 1.0, 0).value)


@pytest.mark.parametrize("wrong", [{"draws": 0}, {"level": 1.0}])
def test_wrong_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidRequest, match="use the defaults"):
        bootstrap(lambda i: 1.0, 3, **wrong)  # type: ignore[arg-type]
