"""The picture that an inpainting starts from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter

from napari_histodiff.core.steering.start import Fill
from napari_histodiff.inpainting.fills import filled

SIDES = st.tuples(st.integers(2, 40), st.integers(2, 40))
MASKS = SIDES.flatmap(lambda shape: arrays(np.bool_, shape)).filter(lambda m: m.any() != m.all())
FILLS = st.sampled_from([Fill.BLUR, Fill.BORDER])

HOLE = np.zeros((96, 128), bool)
HOLE[30:70, 40:100] = True


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


@given(MASKS, st.sampled_from(Fill), st.integers(0, 9))
def test_what_is_known_stays_and_what_it_is_given_too(mask: np.ndarray, fill: Fill, seed) -> None:
    image = noise(mask.shape, seed)
    before = image.copy()
    result = filled(image, mask, fill)
    np.testing.assert_array_equal(result[~mask], image[~mask])
    np.testing.assert_array_equal(image, before)


@given(MASKS, FILLS, st.tuples(*[st.integers(0, 255)] * 3))
def test_a_hole_in_one_colour_is_of_that_colour(mask: np.ndarray, fill: Fill, colour) -> None:
    image = np.where(mask[..., None], noise(mask.shape), colour).astype(np.uint8)
    assert (filled(image, mask, fill) == colour).all()


@given(MASKS, FILLS)
def test_nothing_of_what_was_there_shows_through(mask: np.ndarray, fill: Fill) -> None:
    one, other = (np.where(mask[..., None], noise(mask.shape, seed), 90) for seed in (1, 2))
    known = noise(mask.shape, 3)[~mask]
    one[~mask] = other[~mask] = known
    result = filled(one.astype(np.uint8), mask, fill)
    np.testing.assert_array_equal(result, filled(other.astype(np.uint8), mask, fill))
    assert (result[mask] >= known.min(0)).all()
    assert (result[mask] <= known.max(0)).all()


@pytest.mark.parametrize("fill", [Fill.BLUR, Fill.BORDER])
def test_each_side_of_a_hole_is_of_the_colour_beside_it(fill: Fill) -> None:
    image = np.full((*HOLE.shape, 3), 60, np.uint8)
    image[:, 70:] = 200
    result = filled(image, HOLE, fill).astype(float)
    assert result[50, 42].max() < 100
    assert result[50, 97].min() > 160
    steps = np.abs(np.diff(result, axis=1)).max(-1)
    assert steps[HOLE[:, 1:] & HOLE[:, :-1]].max() < 30  # the edge between both does not go on


def test_the_border_is_carried_further_than_a_blur_carries_it() -> None:
    image = np.full((*HOLE.shape, 3), 200, np.uint8)
    image[26:30] = 40  # a dark band along one side of the hole
    border, blur = (filled(image, HOLE, fill).astype(float) for fill in (Fill.BORDER, Fill.BLUR))
    assert border[36, 70].mean() < blur[36, 70].mean() - 30


def test_the_fill_does_not_depend_on_what_lies_far_away() -> None:
    near = gaussian_filter(noise((400, 400)).astype(float), (2, 2, 0)).astype(np.uint8)
    mask = np.zeros((400, 400), bool)
    mask[190:200, 195:205] = True
    far = near.copy()
    far[:100], far[:, 300:] = 0, 255
    for fill in (Fill.BLUR, Fill.BORDER):
        np.testing.assert_array_equal(filled(near, mask, fill)[mask], filled(far, mask, fill)[mask])


@pytest.mark.parametrize("fill", [Fill.ORIGINAL, Fill.NOISE])
def test_what_is_there_is_left_there(fill: Fill) -> None:
    image = noise(HOLE.shape)
    assert filled(image, HOLE, fill) is image
