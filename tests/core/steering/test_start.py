"""What an inpainting starts from: what a request makes of it, and what is refused."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.core.steering.start import Fill
from napari_histodiff.core.steering.strengths import steering_text
from tests.core.refusals import refused
from tests.recording import edit_request


def inpainting(**changes: Any) -> EditRequest:
    return edit_request(EditKind.INPAINT, **changes)


def test_a_fill_goes_with_the_request_and_the_original_is_not_told() -> None:
    request = inpainting(fill="blur", strength=0.5)
    for one in (
        request,
        EditRequest.from_dict(json.loads(json.dumps(request.to_dict()))),
        pickle.loads(pickle.dumps(request)),
        request.alone(0),
    ):
        assert one.fill is Fill.BLUR
    assert "blurred" in steering_text(request)
    plain = inpainting(strength=0.5)
    assert plain.fill is Fill.ORIGINAL
    assert "fill" not in plain.to_dict()
    assert steering_text(plain) == ""


@pytest.mark.parametrize("fill", Fill)
def test_from_noise_alone_nothing_else_is_started_from(fill: Fill) -> None:
    assert inpainting(fill=fill, strength=1.0).to_dict() == inpainting().to_dict()
    for kind in (EditKind.GENERATE, EditKind.OUTPAINT, EditKind.ZOOM):
        assert edit_request(kind, fill=fill, strength=0.5).fill is Fill.ORIGINAL


def test_noise_is_the_whole_strength_of_every_part() -> None:
    strengths = np.zeros((32, 48), np.float32)
    strengths[8:12, 12:24], strengths[12:16, 12:24] = 0.8, 0.3
    for given in ({"strength": 0.3}, {"strength_map": strengths}):
        assert inpainting(fill="noise", **given).to_dict() == inpainting().to_dict()
    strengths[8:12] *= 1.25  # a part of the whole strength leaves the other to start from a fill
    assert inpainting(fill="border", strength_map=strengths).fill is Fill.BORDER


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fill": "grey"}, "original, blur, border, noise"),
        ({"fill": None}, "original, blur, border, noise"),
        ({"fill": "blur", "inverted": True}, "leave inverted or the fill out"),
        ({"fill": "noise", "inverted": True}, "below 1"),
        ({"fill": "border", "edit_mask": np.ones((32, 48), bool)}, "pixels that stay"),
    ],
)
def test_what_cannot_be_started_from_is_refused(changes: dict[str, Any], words: str) -> None:
    with refused(InvalidRequest, words):
        inpainting(**({"strength": 0.5} | changes))
