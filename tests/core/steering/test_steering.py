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
