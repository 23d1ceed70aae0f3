"""Disagreement of views."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histodiff.segmenter.postprocess import Maps
from napari_histodiff.segmenter.prediction import Disagreement

INSTANCES = np.zeros((8, 8), np.int32)
INSTANCES[1:3, 1:3], INSTANCES[5:8, 5:8] = 1, 2


def maps_with(interior: float, kind: int) -> Maps:
    classes = np.zeros((6, 8, 8), np.float32)
    classes[kind] = 1
    return Maps(np.full((8, 8), interior, np.float32), np.zeros((8, 8), np.float32), classes)


def test_identical_views_leave_no_doubt() -> None:
    views = Disagreement()
    for _ in range(4):
        views.add(maps_with(0.7, 3))
    assert views.of(INSTANCES).tolist() == [0, 0]
    np.testing.assert_allclose(views.mean().interior, 0.7, rtol=1e-6)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [((1, 0), (0, 0), 1.0), ((1, 0), (1, 1), 0.5), ((0.6, 0), (0.4, 0), 0.2), ((1, 2), (0, 3), 1)],
)
def test_it_grows_with_what_views_contradict(
    first: tuple[float, int], second: tuple[float, int], expected: float
) -> None:
    views = Disagreement()
    views.add(maps_with(*first))
    views.add(maps_with(*second))
    np.testing.assert_allclose(views.of(INSTANCES), expected, atol=1e-6)


def test_only_the_nucleus_in_doubt_is_marked() -> None:
    doubted = maps_with(1, 0)
    doubted.interior[:4] = 0.2
    views = Disagreement()
    views.add(maps_with(1, 0))
    views.add(doubted)
    first, second = views.of(INSTANCES)
    assert first > 0.5
    assert second == 0


def test_no_nuclei() -> None:
    views = Disagreement()
    views.add(maps_with(0, 0))
    assert views.of(np.zeros((8, 8), np.int32)).shape == (0,)
