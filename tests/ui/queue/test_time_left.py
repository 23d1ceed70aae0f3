from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from napari_histodiff.ui.generation.states import RunPhase, RunState
from napari_histodiff.ui.queue.time_left import TimeLeft


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def _said(durations: np.ndarray, expected: float | None, tick: float = 0.25) -> list[float | None]:
    """What is said four times a second while evaluations take so long."""
    clock = Clock()
    time = TimeLeft(clock)
    time.begin(expected)
    ends = clock.now + np.cumsum(durations)
    said = []
    while clock.now < ends[-1]:
        done = int((ends <= clock.now).sum())
        if done:
            time.step(done, len(durations))
        said.append(time.left)
        clock.now += tick
    return said


def test_nothing_is_said_before_anything_is_known() -> None:
    clock = Clock()
    time = TimeLeft(clock)
    assert (time.elapsed, time.left) == (None, None)
    time.begin(None)
    assert (time.elapsed, time.left) == (0.0, None)
    clock.now += 2
    time.step(1, 4)
    assert time.elapsed == 2
    assert time.left == pytest.approx(6)
    time.step(4, 4)
    assert time.left == 0
    time.stop()
    assert (time.elapsed, time.left) == (None, None)


def test_two_steps_of_several_windows_count_down_without_a_jump() -> None:
    # 2 steps x 6 windows; the first evaluation compiles.
    durations = np.array([2.5] + [1.0] * 11)
    said = _said(durations, expected=14.0)
    assert all(later <= earlier + 1e-9 for earlier, later in pairwise(said))
    true = durations.sum() - 0.25 * np.arange(len(said))
    assert max(abs(np.array(said) - true)[len(said) // 2 :]) < 1.5


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("expected", [None, 8.0, 20.0, 40.0])
def test_whatever_was_expected_noisy_steps_are_told_calmly(seed: int, expected: float) -> None:
    durations = np.random.default_rng(seed).uniform(0.4, 1.6, 20)
    said = [x for x in _said(durations, expected) if x is not None]
    longer = [b - a for a, b in pairwise(said) if b > a]
    assert len(longer) <= (5 if expected == 8.0 else 2)  # where too little was expected
    true = durations.sum() - 0.25 * np.arange(len(said))
    late = slice(int(0.7 * len(said)), None)
    assert max(abs(np.array(said[late]) - true[-len(said) :][late])) < 4.0


def test_one_evaluation_that_takes_longer_than_expected_is_nearly_done() -> None:
    said = _said(np.array([3.0]), expected=1.0)
    assert said[0] == pytest.approx(1.0)
    assert said[-1] == 0.0
    state = RunState(RunPhase.RUNNING, 0, 1, elapsed=2.5, left=0.0)
    assert state.text() == "Step 0 of 1: 2 s so far, nearly done"


def test_what_is_said_of_a_run() -> None:
    assert RunState(RunPhase.RUNNING).text() == "Waiting to start"
    assert RunState(RunPhase.RUNNING, elapsed=0.4).text() == "0.4 s so far"
    state = RunState(RunPhase.RUNNING, 3, 12, elapsed=4.2, left=12.4)
    assert state.text() == "Step 3 of 12: 4 s so far, about 12 s left"
