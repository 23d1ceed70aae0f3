"""Names of what a drawing is guided towards are read in every form, and refused with advice."""

from __future__ import annotations

from typing import Any

import pytest

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.maps import CLASS_NAMES
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.core.steering.guides import GUIDES, as_guides, guide_text
from napari_histodiff.core.steering.steering import Steering
from tests.recording import edit_request


@pytest.mark.parametrize(
    "given",
    [
        "lymphocyte:2",
        ["lymphocyte:2"],
        {"lymphocyte": 2},
        [("lymphocyte", 2.0)],
        (("lymphocyte", "2"),),
        [" lymphocyte : 2 "],
    ],
)
def test_one_guide_in_many_forms(given: Any) -> None:
    assert as_guides(given) == (("lymphocyte", 2.0),)


def test_guides_are_ordered_and_those_of_no_strength_left_out() -> None:
    assert as_guides(["size:-1", "plasma", "nuclei:0"]) == (("plasma", 1.0), ("size", -1.0))
    assert as_guides(None) == as_guides(()) == ()
    assert guide_text(as_guides("size:-1")) == "size:-1"


def test_there_is_one_for_each_class() -> None:
    assert [guide.name for guide in GUIDES][: len(CLASS_NAMES)] == list(CLASS_NAMES)
    assert all(guide.more and guide.fewer and guide.explanation for guide in GUIDES)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("tumour", "expected a guide of neutrophil"),
        ("", "expected a guide"),
        (3, "expected a guide"),
        ([None], "expected a guide"),
        ([["lymphocyte", 1, 2]], "expected a guide"),
        ("lymphocyte:", "strength of lymphocyte between"),
        ("lymphocyte:many", "strength of lymphocyte"),
        ("lymphocyte:nan", "strength of lymphocyte"),
        ("lymphocyte:11", "between -10 and 10"),
        ({"lymphocyte": True}, "strength"),
        (["plasma", "plasma:2"], "plasma twice"),
        ([g.name for g in GUIDES], "at most 4 guides"),
    ],
)
def test_what_is_no_guide_is_refused(bad: Any, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        Steering(guide=bad)


def test_a_request_keeps_its_guides() -> None:
    request = edit_request(steering=Steering(guide="lymphocyte:2"))
    again = EditRequest.from_dict(request.to_dict())
    assert again.steering.guide == (("lymphocyte", 2.0),)
    assert again.steering.digest != Steering().digest
