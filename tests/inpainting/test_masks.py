from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_histodiff.core.errors import InvalidMap, InvalidRequest
from napari_histodiff.inpainting.masks import (
    around_nuclei,
    feathered,
    grow,
    inside_outline,
    nuclei_under,
    shrink,
)


def square(side: int = 20, edge: int = 64) -> np.ndarray:
    mask = np.zeros((edge, edge), bool)
    start = (edge - side) // 2
    mask[start : start + side, start : start + side] = True
    return mask


@pytest.mark.parametrize("mpp", [0.25, 0.5, 1.0])
def test_lengths_are_micrometres(mpp: float) -> None:
    mask = square()
    wide = grow(mask, 2.0, mpp)
    rows = np.flatnonzero(wide.any(1))
    assert rows[-1] - rows[0] + 1 == 20 + 2 * round(2 / mpp)
    narrow = shrink(mask, 2.0, mpp)
    rows = np.flatnonzero(narrow.any(1))
    assert rows[-1] - rows[0] + 1 == 20 - 2 * round(2 / mpp)


def test_corners_are_rounded_as_a_distance_is() -> None:
    grown = grow(square(), 4.0, 0.5)
    assert grown[32, 14]
    assert not grown[14, 14]


def test_the_border_of_the_frame_is_no_edge() -> None:
    mask = np.zeros((32, 32), bool)
    mask[:16] = True
    kept = shrink(mask, 2.0, 0.5)
    assert kept[:12].all()
    assert not kept[12:].any()
    assert shrink(np.ones((8, 8), bool), 9.0).all()


@given(st.integers(0, 2**32 - 1), st.floats(0, 8), st.sampled_from((0.25, 0.5, 2.0)))
def test_growing_and_shrinking_never_go_the_wrong_way(seed: int, by: float, mpp: float) -> None:
    mask = np.random.default_rng(seed).random((24, 24)) < 0.3
    assert (grow(mask, by, mpp) >= mask).all()
    assert (shrink(mask, by, mpp) <= mask).all()
    weights = feathered(mask, by, mpp)
    assert not weights[~mask].any()
    assert (weights >= 0).all()
    assert (weights <= 1).all()


def test_a_feather_fades_inside_the_mask() -> None:
    mask = square(40)
    weights = feathered(mask, 4.0, 0.5)
    line = weights[32, 12:33]
    assert (np.diff(line) >= 0).all()
    assert 0 <= line[0] < 0.1
    assert line[8:].min() == 1
    assert 0.3 < line[4] < 0.7
    np.testing.assert_array_equal(feathered(mask, 0.0), mask)
    assert feathered(np.ones((8, 8), bool), 4.0).min() == 1


def test_nuclei_are_chosen_by_class_and_by_id() -> None:
    instances = np.zeros((32, 32), np.int32)
    classes = np.zeros((32, 32), np.uint8)
    for number, (y, x, kind) in enumerate(((4, 4, 3), (4, 20, 1), (20, 4, 3)), 1):
        instances[y : y + 4, x : x + 4] = number
        classes[y : y + 4, x : x + 4] = kind
    chosen = around_nuclei(instances, classes, classes=(3,))
    np.testing.assert_array_equal(chosen, np.isin(instances, (1, 3)))
    np.testing.assert_array_equal(around_nuclei(instances), instances > 0)
    np.testing.assert_array_equal(
        around_nuclei(instances, ids=(2,), around=1.0, mpp=0.5), grow(instances == 2, 1.0, 0.5)
    )
    dab = np.zeros((32, 32), bool)
    dab[7, 7:21] = True
    assert nuclei_under(instances, dab) == [1, 2]
    assert nuclei_under(instances, ~(instances > 0)) == []


def test_an_outline_is_closed_and_cut_at_the_frame() -> None:
    inside = inside_outline([(-5, -5), (-5, 9.4), (9.4, 9.4), (9.4, -5)], (16, 16))
    assert inside[:10, :10].all()
    assert inside.sum() == 100


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda: grow(square(), -1.0), InvalidRequest),
        (lambda: grow(square(), float("nan")), InvalidRequest),
        (lambda: shrink(square(), 1.0, 0.0), InvalidRequest),
        (lambda: grow(np.zeros((2, 2, 2)), 1.0), InvalidMap),
        (lambda: around_nuclei(np.ones((2, 2), np.int32), classes=(1,)), InvalidRequest),
        (
            lambda: around_nuclei(np.ones((2, 2), int), np.ones((3, 2), int), classes=(1,)),
            InvalidMap,
        ),
        (lambda: nuclei_under(np.ones((2, 2), int), np.ones((3, 2), bool)), InvalidMap),
        (lambda: inside_outline([(0, 0), (1, 1)], (4, 4)), InvalidMap),
        (lambda: inside_outline([(0, 0), (1, np.nan), (2, 2)], (4, 4)), InvalidMap),
    ],
)
def test_what_is_no_mask_is_refused(call: object, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="expected"):
        call()  # type: ignore[operator]
