from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_histodiff.core.errors import EngineUnavailable
from napari_histodiff.engine.host import Throttle, resolve_factory
from tests.fakes import FakeFactory, default_fake


@given(st.lists(st.floats(0, 1), min_size=1, max_size=200))
def test_a_throttle_lets_the_first_through_and_at_most_four_in_any_second(
    waits: list[float],
) -> None:
    times = iter([sum(waits[:n]) for n in range(len(waits))])
    now = 0.0

    def clock() -> float:
        nonlocal now
        now = next(times)
        return now

    throttle = Throttle(0.25, clock)
    passed = []
    for index in range(len(waits)):
        ready = throttle.ready()
        assert index > 0 or ready
        if ready:
            passed.append(now)
    for start in passed:
        assert sum(start <= time < start + 1 for time in passed) <= 4


def test_a_factory_is_found_by_its_path_or_is_itself() -> None:
    assert resolve_factory("tests.fakes:default_fake") is default_fake
    factory = FakeFactory()
    assert resolve_factory(factory) is factory


@pytest.mark.parametrize("path", ["tests.fakes", "tests.fakes:", ":name", "tests.fakes:__doc__"])
def test_a_path_of_another_form_is_refused(path: str) -> None:
    with pytest.raises(EngineUnavailable, match="got"):
        resolve_factory(path)
