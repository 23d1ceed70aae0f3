from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_histodiff.core.geometry import PyramidSpec, Region
from napari_histodiff.slide.streaming.planning import (
    AT_REST,
    centre_of,
    is_worth_detail,
    leading_edge,
    moved_on,
)

SPEC = PyramidSpec(40_000, 60_000, 256, 8, 0.5)


def speeds() -> st.SearchStrategy[float]:
    return st.floats(-(10**6), 10**6)


def views() -> st.SearchStrategy[Region]:
    return st.builds(
        lambda level, y, x, height, width: Region(level, y >> level, x >> level, height, width),
        st.integers(0, 7),
        st.integers(-500, 40_000),
        st.integers(-500, 60_000),
        st.integers(1, 1500),
        st.integers(1, 2000),
    )


@given(views(), st.tuples(speeds(), speeds()), st.floats(0, 100))
def test_a_view_keeps_its_size_and_leaves_the_slide_no_further(
    view: Region, motion: tuple[float, float], seconds: float
) -> None:
    later = moved_on(SPEC, view, motion, seconds)
    assert (later.level, later.shape) == (view.level, view.shape)
    bounds = SPEC.bounds(view.level)
    assert later.y >= min(0, view.y)
    assert later.x >= min(0, view.x)
    assert later.bottom <= max(bounds.bottom, view.bottom)
    assert later.right <= max(bounds.right, view.right)
    assert moved_on(SPEC, view, AT_REST, seconds) == view


def test_a_view_moves_on_as_it_moved_for_a_few_seconds() -> None:
    view = Region(1, 1000, 2000, 300, 400)
    assert moved_on(SPEC, view, (200.0, -400.0), 2.0) == Region(1, 1200, 1600, 300, 400)
    hour = moved_on(SPEC, view, (0.0, 800.0), 3600.0)
    assert hour == moved_on(SPEC, view, (0.0, 800.0), 10.0)
    assert hour.x <= 2000 + 8 * 400


@given(views(), st.tuples(speeds(), speeds()))
def test_the_leading_edge_is_on_the_border_in_the_direction_of_the_motion(
    view: Region, motion: tuple[float, float]
) -> None:
    y, x = (a - b for a, b in zip(leading_edge(view, motion), centre_of(view), strict=True))
    half = [side * (1 << view.level) / 2 for side in view.shape]
    if max(map(abs, motion)) < 1e-300:
        return
    assert max(abs(y) / half[0], abs(x) / half[1]) == pytest.approx(1)
    assert y * motion[0] >= 0
    assert x * motion[1] >= 0


def test_detail_is_worth_it_where_it_stays_in_view() -> None:
    view = Region(2, 0, 0, 250, 500)  # 1,000 x 2,000 of level 0
    assert is_worth_detail(view, AT_REST, 10.0)
    assert is_worth_detail(view, (0.0, -2000.0), 1.0)
    assert not is_worth_detail(view, (0.0, -2001.0), 1.0)
    assert not is_worth_detail(view, (1001.0, 0.0), 1.0)
