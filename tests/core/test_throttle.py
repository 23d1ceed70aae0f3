from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from napari_histodiff.core.listeners import Throttle


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
