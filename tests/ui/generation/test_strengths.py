"""Parts of the edit mask of different strength, from the frame to the request and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_histodiff.core.requests import EditKind
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
