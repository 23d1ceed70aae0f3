"""Parts of the edit mask of different strength, from the frame to the request and back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_histodiff.core.requests import EditKind
from napari_histodiff.core.steering.start import Fill
from napari_histodiff.ui.generation.request import settings_of
from tests.ui.doubles import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_parts_of_the_mask_have_a_share_of_the_strength(desk: Desk) -> None:
    frame = desk.workspace.document.frame
    frame.kind, frame.has_pixels = EditKind.INPAINT, True
    frame.edit_mask[8:24] = True
    frame.shares = np.where(frame.edit_mask, 0.5, 0).astype(np.float32)
    frame.shares[16:24] = 1
    desk.controller.set(strength=0.8, seed=3)
    desk.controller.generate()
    (request,) = desk.engine.submitted
    assert (request.strength_map[10, 0], request.strength_map[20, 0]) == pytest.approx((0.4, 0.8))
    desk.finish()
    desk.controller.set(strength=0.2)
    (entry,) = desk.controller.history.entries
    desk.controller.restore(entry)
    assert desk.controller.settings.strength == 0.8
    np.testing.assert_array_equal(desk.workspace.document.strengths[-1], request.strength_map)


def test_the_estimate_counts_a_step_of_its_own_for_each_part(desk: Desk) -> None:
    frame = desk.workspace.document.frame
    frame.kind, frame.has_pixels = EditKind.INPAINT, True
    frame.edit_mask[8:24] = True
    desk.ready()
    desk.controller.set(steps=4, strength=1.0)
    desk.controller.refresh_plan()
    one = desk.controller.plan.estimate
    frame.shares = np.where(frame.edit_mask, 0.6, 0).astype(np.float32)
    frame.shares[16:24] = 1
    desk.controller.refresh_plan()
    assert desk.controller.plan.estimate.seconds == pytest.approx(one.seconds * 5 / 4)
    desk.controller.set(strength=0.5)  # half of the steps, and the part begins at one of them
    desk.controller.refresh_plan()
    assert desk.controller.plan.estimate.seconds == pytest.approx(one.seconds * 2 / 4)
    frame.kind = EditKind.OUTPAINT  # is drawn from noise alone, all of it
    desk.controller.refresh_plan()
    assert desk.controller.plan.estimate.seconds == one.seconds


def test_what_an_edit_starts_from_goes_to_the_request_and_comes_back(desk: Desk) -> None:
    frame = desk.workspace.document.frame
    frame.kind, frame.has_pixels = EditKind.INPAINT, True
    frame.edit_mask[8:24] = True
    desk.controller.set(strength=0.6, fill=Fill.BLUR)
    desk.controller.generate()
    assert desk.engine.submitted[-1].fill is Fill.BLUR
    desk.finish()
    desk.controller.set(fill=Fill.ORIGINAL)
    (entry,) = desk.controller.history.entries
    desk.controller.restore(entry)
    assert desk.controller.settings.fill is Fill.BLUR
    assert desk.store.load().fill is Fill.BLUR
    # An edit that started from noise alone does not say what others start from.
    desk.controller.set(strength=1.0)
    assert "fill" not in settings_of(replace(entry.request, strength=1.0))


def test_an_edit_from_noise_alone_is_one_of_the_whole_strength(desk: Desk) -> None:
    frame = desk.workspace.document.frame
    frame.kind, frame.has_pixels = EditKind.INPAINT, True
    frame.edit_mask[8:24] = True
    desk.ready()
    settings = {"steps": 4, "guide": "lymphocyte", "repaint": 2}
    desk.controller.set(strength=1.0, **settings)
    desk.controller.refresh_plan()
    whole = desk.controller.plan
    desk.controller.set(strength=0.3, fill=Fill.NOISE)
    desk.controller.refresh_plan()
    assert desk.controller.plan == replace(whole, unstarted="")
    frame.shares = np.where(frame.edit_mask, 0.5, 0).astype(np.float32)
    desk.controller.refresh_plan()
    assert desk.controller.plan.estimate == whole.estimate
    desk.controller.generate()
    assert desk.engine.submitted[-1].strength == 1
    assert desk.engine.submitted[-1].steering.repaint == 2
    assert desk.controller.settings.strength == 0.3


@pytest.mark.parametrize(
    ("kind", "strength", "share", "words"),
    [
        (EditKind.INPAINT, 0.9, 1.0, ""),
        (EditKind.INPAINT, 1.0, 0.5, ""),
        (EditKind.INPAINT, 1.0, 1.0, "At Strength 1"),
        (EditKind.OUTPAINT, 0.5, 1.0, "no picture"),
        (EditKind.GENERATE, 0.5, 1.0, "Only for inpainting"),
    ],
)
def test_where_it_makes_no_difference_what_an_edit_starts_from_it_says_why(
    desk: Desk, kind: EditKind, strength: float, share: float, words: str
) -> None:
    frame = desk.workspace.document.frame
    frame.kind, frame.has_pixels = kind, True
    frame.edit_mask[8:24] = True
    frame.shares = np.where(frame.edit_mask, share, 0).astype(np.float32)
    desk.ready()
    desk.controller.set(strength=strength)
    desk.controller.refresh_plan()
    said = desk.controller.plan.unstarted
    assert words in said
    assert bool(said) == bool(words)
