"""Strengths of the parts of an edit mask: what is taken, and what a request makes of it."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_histodiff.core.errors import InvalidMap, InvalidRequest
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.core.steering.strengths import as_strength_map, levels_of, steering_text
from napari_histodiff.inpainting.rescaling import at_pixel_size
from tests.core.refusals import refused
from tests.recording import edit_request


def parts(size: tuple[int, int] = (32, 48)) -> np.ndarray:
    """Strength 1 in the upper half of the mask that `edit_request` has, 0.3 in the lower."""
    strengths = np.zeros(size, np.float32)
    strengths[8:12, 12:24] = 1
    strengths[12:16, 12:24] = 0.3
    return strengths


def inpainting(**changes: Any) -> EditRequest:
    return edit_request(EditKind.INPAINT, **changes)


@given(arrays(np.float32, (3, 4), elements=st.floats(0, 1, width=32)))
def test_each_strength_is_the_nearest_of_twenty_and_none_above_zero_is_lost(given_map) -> None:
    found = as_strength_map(given_map)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found > 0, given_map > 0)
    assert np.abs(found - given_map)[given_map >= 0.05].max(initial=0) <= 0.025 + 1e-6
    np.testing.assert_array_equal(as_strength_map(found), found)
    assert all(any(level == k / 20 for k in range(1, 21)) for level in levels_of(found))


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((2, 2), np.uint8), "uint8"),
        (np.zeros((2, 2, 3)), "(2, 2, 3)"),
        (np.array([[0.0, 1.5]]), "1.5"),
        (np.array([[-0.1, 1.0]]), "-0.1"),
        (np.array([[np.nan, 1.0]]), "nan"),
    ],
)
def test_what_is_no_strength_is_refused(array, words) -> None:
    with refused(InvalidMap, words):
        as_strength_map(array)


def test_a_request_keeps_strengths_inside_its_mask() -> None:
    request = inpainting(strength_map=np.full((32, 48), 0.5) + parts() / 2, strength=0.1)
    assert request.edit_mask is not None
    np.testing.assert_array_equal(request.strength_map > 0, request.edit_mask)
    assert (request.strength, levels_of(request.strength_map)) == (1.0, (1.0, 0.65))
    assert steering_text(request) == "parts of strength 0.65 to 1"
    with pytest.raises(ValueError, match="read-only"):
        request.strength_map[0, 0] = 1


def test_where_the_strength_is_zero_nothing_may_change() -> None:
    strengths = parts()
    strengths[8:10] = 0
    request = inpainting(strength_map=strengths)
    np.testing.assert_array_equal(request.edit_mask, strengths > 0)
    with refused(InvalidRequest, "an empty one"):
        inpainting(strength_map=np.zeros((32, 48)))


def test_one_strength_everywhere_is_the_number_alone() -> None:
    request = inpainting(strength_map=np.full((32, 48), 0.56), strength=1.0)
    assert (request.strength, request.strength_map) == (0.55, None)
    assert request.to_dict() == inpainting(strength=0.55).to_dict()
    assert steering_text(request) == ""


@pytest.mark.parametrize("kind", [EditKind.GENERATE, EditKind.OUTPAINT, EditKind.ZOOM])
def test_only_inpainting_has_strengths_of_parts(kind) -> None:
    assert edit_request(kind, strength_map=parts()).strength_map is None


def test_a_map_of_another_shape_and_inversion_are_refused() -> None:
    with refused(InvalidRequest, "(32, 48)", "(3, 3)"):
        inpainting(strength_map=np.ones((3, 3)))
    with refused(InvalidRequest, "several"):
        inpainting(strength_map=parts() * 0.8, strength=0.8, inverted=True)


def test_strengths_are_kept_with_the_request() -> None:
    request = inpainting(strength_map=parts())
    for again in (
        pickle.loads(pickle.dumps(request)),
        EditRequest.from_dict(json.loads(json.dumps(request.to_dict()))),
        request.alone(0),
    ):
        np.testing.assert_array_equal(again.strength_map, request.strength_map)
        assert again.strength == 1.0
    assert request.nbytes - inpainting().nbytes == 4 * 32 * 48
    assert "strength_map" not in inpainting().to_dict()


def test_larger_pixels_have_the_mean_strength_of_those_that_may_change() -> None:
    request = inpainting(strength_map=parts(), mpp=0.25)
    larger = at_pixel_size(request, 0.5)
    assert levels_of(larger.strength_map) == (1.0, 0.3)
    np.testing.assert_array_equal(larger.strength_map[4:6, 6:12], 1)
    np.testing.assert_array_equal(larger.strength_map > 0, larger.edit_mask)
