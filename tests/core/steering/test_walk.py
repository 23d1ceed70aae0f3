"""The schedule of RePaint."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from napari_histodiff.core.steering.steering import Steering
from napari_histodiff.core.steering.walk import walk


@given(st.integers(1, 60), st.integers(1, 5), st.integers(1, 20), st.integers(0, 1))
def test_every_piece_is_walked_as_often_as_asked(steps, repeats, jump, top) -> None:
    visited = walk(steps, repeats, jump, top=top)
    assert (visited[0], visited[-1], min(visited), max(visited)) == (0, steps, 0, steps)
    down = [(a, b) for a, b in pairwise(visited) if b > a]
    up = [(a, b) for a, b in pairwise(visited) if b < a]
    assert {b - a for a, b in down} == {1}
    length = min(jump, steps - top)
    pieces = (steps - top) // length if length else 0
    assert {a - b for a, b in up} <= {length}
    assert all(b >= top for _, b in up)
    assert len(up) == pieces * (repeats - 1)
    assert len(down) == steps + len(up) * length


def test_the_schedule_is_that_of_the_paper() -> None:
    """Appendix B: with jumps of 2 walked twice, from the last noisy level backwards."""
    assert walk(4, 2, 2) == (0, 1, 2, 0, 1, 2, 3, 4, 2, 3, 4)
    assert walk(5, 2, 2) == (0, 1, 2, 3, 1, 2, 3, 4, 5, 3, 4, 5)
    assert walk(3, 1, 2) == (0, 1, 2, 3)


@given(st.integers(1, 60), st.integers(1, 5), st.integers(1, 20))
def test_the_steps_that_are_taken_are_counted(steps, repeats, jump) -> None:
    steering = Steering(repaint=repeats, jump_length=jump)
    visited = walk(steps - 1, repeats, jump, top=1)
    assert steering.taken(steps) == 1 + sum(b > a for a, b in pairwise(visited))
    assert Steering().taken(steps) == steps
