"""Guidance of slides, apart from that of canvases, as the controller resolves it."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_histodiff.core.requests import DEFAULT_GUIDANCE
from tests.ui.doubles import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_guidance_of_slides_is_kept_apart(desk: Desk) -> None:
    controller, workspace = desk.controller, desk.workspace
    controller.set(guidance_scale=1.5)
    seen = []
    for drawn_at, chosen in ((3.0, None), (3.0, 4.0), (None, None), (2.0, None)):
        workspace.guidance = drawn_at
        if chosen is not None:
            controller.set(guidance_scale=chosen)
        controller.generate()
        seen.append(desk.engine.submitted[-1].guidance_scale)
        desk.finish()
    assert seen == [3.0, 4.0, 1.5, 4.0]
    saved = desk.store.load()
    assert (saved.guidance_scale, saved.slide_guidance) == (1.5, 4.0)


def test_a_slides_guidance_counts_in_the_estimate(desk: Desk) -> None:
    desk.controller.set(steps=20)  # no jumps, which cost the same at any guidance
    desk.ready()
    without = desk.controller.plan.estimate.seconds
    desk.workspace.guidance = 3.0
    desk.controller.refresh_plan()
    assert desk.controller.plan.estimate.seconds == pytest.approx(2 * without)


def test_history_of_a_slide_leaves_the_guidance_of_canvases(desk: Desk) -> None:
    desk.workspace.guidance = 3.0
    desk.controller.generate()
    desk.finish()
    desk.controller.set(guidance_scale=5.0)
    desk.controller.restore(desk.controller.history.entries[0])
    assert desk.controller.settings_here.guidance_scale == 3.0
    desk.workspace.guidance = None
    assert desk.controller.settings_here.guidance_scale == DEFAULT_GUIDANCE
