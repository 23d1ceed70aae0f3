from __future__ import annotations

from dataclasses import replace

import pytest

from napari_histodiff.ui.generation.plan import Estimator
from napari_histodiff.ui.text import duration_text
from tests.fakes import FAKE_INFO


def _estimate(estimator: Estimator, **changes: object):
    settings = {"steps": 6, "guidance_scale": 3.0, "variants": 1, "info": FAKE_INFO} | changes
    return estimator.estimate((128, 192), **settings)


def test_windows_and_seconds_grow_with_the_work() -> None:
    estimator = Estimator()
    one = _estimate(estimator)
    assert one.windows == 2 * 3  # windows of 64 px
    assert one.seconds == pytest.approx(6 * 6 * 2 * FAKE_INFO.seconds_per_window)
    second_order = _estimate(estimator, info=replace(FAKE_INFO, solver_order=2))
    assert second_order.seconds == pytest.approx(one.seconds * (2 * 5 + 1) / 6)
    assert _estimate(estimator, variants=4).windows == 4 * one.windows
    assert _estimate(estimator, guidance_scale=1.0).seconds == pytest.approx(one.seconds / 2)
    jumps = replace(FAKE_INFO, jump_steps=6)  # one evaluation each, guided or not
    assert _estimate(estimator, info=jumps).seconds == pytest.approx(one.seconds / 2)
    assert str(one).startswith("About 0.1 s on cpu")


def test_parts_of_other_strength_and_weaker_edits_count() -> None:
    estimator = Estimator()
    jumps = {"info": replace(FAKE_INFO, jump_steps=2), "steps": 2}
    whole = _estimate(estimator, **jumps).seconds
    for strengths, steps in (
        ((1.0,), 2),
        ((1.0, 0.7), 3),  # a step of its own
        ((1.0, 0.5), 2),  # where a step is anyway
        ((1.0, 0.8, 0.7, 0.3), 5),
        ((0.5,), 1),
        ((0.5, 0.3), 2),
    ):
        found = _estimate(estimator, strengths=strengths, **jumps).seconds
        assert found == pytest.approx(whole * steps / 2), strengths
    many = {"steps": 30, "strengths": (1.0, 0.7, 0.3)}
    assert _estimate(estimator, **many).seconds == _estimate(estimator, steps=30).seconds
    foreign = {"info": replace(FAKE_INFO, jump_steps=2, kind="Other"), "steps": 2}
    assert _estimate(estimator, strengths=(1.0, 0.7), **foreign).seconds == pytest.approx(whole)


def test_finished_jobs_correct_the_estimate() -> None:
    estimator = Estimator()
    for _ in range(12):
        estimator.learn(_estimate(estimator), 3.0)
    assert _estimate(estimator).seconds == pytest.approx(3.0, rel=0.05)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.02, "0.1 s"), (0.44, "0.4 s"), (12.3, "12 s"), (200, "3 min")]
)
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
