from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from napari_histodiff.ui.generation.estimates import Estimator
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


def test_before_the_first_drawing_no_time_is_told() -> None:
    estimator = Estimator()
    assert str(_estimate(estimator)) == "First drawing on cpu: its time is not measured yet"
    estimator.learn(_estimate(estimator), 12.0)
    assert str(_estimate(estimator)).startswith("About ")
    other = replace(FAKE_INFO, revision="another")
    assert not _estimate(estimator, info=other).measured


def test_what_was_measured_is_told_in_the_next_session(tmp_path: Path) -> None:
    path = tmp_path / "speeds.json"
    estimator = Estimator(path)
    plain = _estimate(estimator).plain
    for seconds in (10.0, *[2.0] * 12):
        estimator.learn(_estimate(estimator), seconds)
    first = _estimate(Estimator(path))
    assert first.measured
    assert 6.0 < first.seconds <= 12.0, "the first drawing of a session takes longer"
    assert first.times(3).seconds == pytest.approx(first.seconds + 2 * 2.0, rel=0.1)
    again = Estimator(path)
    again.learn(first, 10.0)
    assert _estimate(again).seconds == pytest.approx(2.0, rel=0.1)
    assert _estimate(again).plain == plain


def test_jobs_that_were_asked_for_together_correct_it_once_each() -> None:
    estimator = Estimator()
    estimator.learn(_estimate(estimator), 1.0)
    waiting = [_estimate(estimator) for _ in range(6)]
    for one in waiting:
        estimator.learn(one, 4.0)
    assert 3.0 < _estimate(estimator).seconds <= 4.01


@pytest.mark.parametrize("garbled", ["{", "[]", '{"a": 3, "b": [0, 1], "c": ["x", 2], "d": [1]}'])
def test_a_garbled_file_is_as_none(tmp_path: Path, garbled: str) -> None:
    path = tmp_path / "speeds.json"
    path.write_text(garbled)
    estimator = Estimator(path)
    estimator.learn(_estimate(estimator), 5.0)
    assert _estimate(Estimator(path)).measured


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.02, "0.1 s"), (0.44, "0.4 s"), (12.3, "12 s"), (200, "3 min")]
)
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
