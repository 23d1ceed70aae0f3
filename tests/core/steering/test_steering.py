"""What steers a drawing is checked, and part of the request."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.core.steering.steering import STEERING_LIMITS, Steering
from tests.recording import edit_request


@pytest.mark.parametrize("name", STEERING_LIMITS)
@pytest.mark.parametrize("bad", [0, -1, 10**6, 2.5, "two", None, True, float("nan")])
def test_numbers_out_of_range_are_refused(name: str, bad: Any) -> None:
    with pytest.raises(InvalidRequest, match=f"expected {name} as a whole number between"):
        Steering(**{name: bad})


def test_numpy_numbers_become_plain_ones() -> None:
    steering = Steering(repaint=np.int64(3), jump_length=np.float32(2))
    assert (type(steering.repaint), type(steering.jump_length)) == (int, int)


def test_a_request_keeps_what_steers_it_and_says_nothing_where_nothing_does() -> None:
    request = edit_request(EditKind.INPAINT, steering=Steering(repaint=4, jump_length=2))
    again = EditRequest.from_dict(json.loads(json.dumps(request.to_dict())))
    assert again.steering == request.steering
    assert pickle.loads(pickle.dumps(request)).steering == request.steering
    assert "steering" not in edit_request(EditKind.INPAINT).to_dict()


@pytest.mark.parametrize("bad", [3, "repaint", {"repaint": 0}, {"magic": 2}])
def test_a_garbled_description_is_refused(bad: Any) -> None:
    data = edit_request(EditKind.INPAINT).to_dict()
    with pytest.raises(InvalidRequest):
        EditRequest.from_dict(data | {"steering": bad})
    with pytest.raises(InvalidRequest):
        edit_request(EditKind.INPAINT, steering=bad)


@pytest.mark.parametrize("kind", [EditKind.GENERATE, EditKind.ZOOM])
def test_repaint_needs_pixels_that_are_known(kind: EditKind) -> None:
    with pytest.raises(InvalidRequest, match="expected repaint for inpainting or outpainting"):
        edit_request(kind, steering=Steering(repaint=2))


REFERENCE = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)


def test_a_reference_is_kept_with_the_request_and_cannot_be_written() -> None:
    steering = Steering(reference=REFERENCE, reference_mpp=0.25, reference_strength=1)
    request = edit_request(steering=steering)
    for again in (
        EditRequest.from_dict(json.loads(json.dumps(request.to_dict()))),
        pickle.loads(pickle.dumps(request)),
    ):
        assert again.steering == steering
        assert again.steering.reference is not None
        np.testing.assert_array_equal(again.steering.reference, REFERENCE)
        with pytest.raises(ValueError, match="read-only"):
            again.steering.reference[0] = 0
    other = Steering(reference=REFERENCE[:, ::-1], reference_mpp=0.25, reference_strength=1)
    assert other != steering
    assert len({steering, other, Steering()}) == 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reference": np.zeros((31, 64, 3), np.uint8)}, "32 to 2048 pixels a side, got 31 x 64"),
        ({"reference": np.zeros((64, 2049, 3), np.uint8)}, "32 to 2048 pixels"),
        ({"reference": np.zeros((64, 64), bool)}, "expected"),
        ({"reference": "tissue.png"}, "expected"),
        ({"reference_mpp": 0}, "reference_mpp between 0.1 and 64"),
        ({"reference_mpp": "half"}, "reference_mpp"),
        ({"reference_strength": -1}, "reference_strength between 0 and 10"),
        ({"reference_strength": float("nan")}, "reference_strength"),
    ],
)
def test_what_is_no_reference_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        Steering(**{"reference": REFERENCE, **changes})


@pytest.mark.parametrize("bad", [{}, {"dtype": "|u1", "shape": [9], "zlib": "!"}, 7])
def test_a_garbled_reference_is_refused(bad: Any) -> None:
    with pytest.raises(InvalidRequest):
        Steering.from_dict({"reference": bad})


def test_what_steers_is_said_in_words() -> None:
    steering = Steering(repaint=3, jump_length=2, guide="size:-1", reference=REFERENCE)
    said = "guided by size:-1, like a reference of 50 x 40 px, 2, 2 steps 3 times"
    assert (steering.text, Steering().text) == (said, "")
