"""Filling of outlines, against a slow one that looks at each pixel."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_histodiff.core.geometry import Region
from napari_histodiff.datasets import outlines
from napari_histodiff.datasets.outlines import fill

WINDOW = Region(0, -3, 5, 24, 31)

corners = st.lists(
    st.tuples(st.floats(-20, 60, width=32), st.floats(-20, 60, width=32)), min_size=3, max_size=12
)


def slowly(ring: NDArray[np.float64], window: Region) -> NDArray[np.bool_]:
    """Count the edges left of each pixel's centre."""
    inside = np.zeros(window.shape, np.bool_)
    for row, column in np.ndindex(window.shape):
        y, x = window.y + row + 0.5, window.x + column + 0.5
        for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            if min(y0, y1) <= y < max(y0, y1) and x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x:
                inside[row, column] ^= True
    return inside


@given(corners)
def test_a_pixel_is_inside_when_its_centre_is(ring: list[tuple[float, float]]) -> None:
    found = np.array(ring, float)
    differs = fill([found], WINDOW) != slowly(found, WINDOW)
    assert differs.sum() <= 1, "of an edge through a centre rounding decides"


def test_where_an_outline_crosses_itself_the_rule_is_even_odd() -> None:
    bow = np.array([(0, 0), (20, 20), (20, 0), (0, 20)], float)
    found = fill([bow], Region(0, 0, 0, 20, 20))
    y, x = np.indices((20, 20)) + 0.5
    edge = (x == y) | (x + y == 20)  # rounding decides
    left, right = x < np.minimum(y, 20 - y), x > np.maximum(y, 20 - y)
    np.testing.assert_array_equal(found[~edge], (left | right)[~edge])
    twice = np.array([(0, 0), (9, 0), (9, 9), (0, 9)] * 2, float)
    assert not fill([twice], Region(0, 0, 0, 9, 9)).any()


def test_holes_are_left_out_and_windows_fit_together() -> None:
    square = np.array([(2, 2), (40, 2), (40, 40), (2, 40)], float)
    hole = np.array([(10, 10), (20, 10), (20, 20), (10, 20)], float)
    whole = fill([square, hole], Region(0, 0, 0, 50, 50))
    assert whole.sum() == 38 * 38 - 100
    for y in range(0, 50, 10):
        for x in range(0, 50, 25):
            part = fill([square, hole], Region(0, y, x, 10, 25))
            np.testing.assert_array_equal(part, whole[y : y + 10, x : x + 25])


def test_a_tissue_region_of_very_many_corners_is_filled_in_pieces() -> None:
    angle = np.linspace(0, 2 * np.pi, 400_000, endpoint=False)
    radius = 1e5 * (1 + 0.2 * np.sin(9 * angle))
    ring = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    window = Region(0, -512, 99_800, 1024, 512)
    assert len(ring) > outlines._CROSSINGS // window.height
    found = fill([ring], window)
    rows, columns = np.mgrid[-512:512, 99_800:100_312] + 0.5
    at = np.arctan2(rows, columns)
    wanted = np.hypot(rows, columns) < 1e5 * (1 + 0.2 * np.sin(9 * at))
    assert (found != wanted).mean() < 1e-3
    assert 0.01 < found.mean() < 1


def test_nothing_beyond_the_window_counts() -> None:
    far = np.array([(1e9, 1e9), (2e9, 1e9), (2e9, 2e9)], float)
    assert not fill([far], WINDOW).any()
    around = np.array([(-1e9, -1e9), (1e9, -1e9), (1e9, 1e9), (-1e9, 1e9)], float)
    assert fill([around], WINDOW).all()
