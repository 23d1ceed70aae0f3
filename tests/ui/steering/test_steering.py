"""What steers an edit in the Studio: only where it can act, and told with its price."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtWidgets import QAbstractButton

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind
from napari_histodiff.core.steering.guides import CLIMBS, GUIDES
from napari_histodiff.core.steering.steering import Steering
from napari_histodiff.ui.generation.estimates import Estimator
from napari_histodiff.ui.generation.plan import FramePlan
from napari_histodiff.ui.generation.settings import Settings
from napari_histodiff.ui.steering.box import SteeringBox
from napari_histodiff.ui.steering.reference import reference_of
from napari_histodiff.ui.steering.steering import (
    can_repaint,
    guide_remark,
    settings_of_steering,
    steering_of,
)
from napari_histodiff.ui.workspace.snapshot import FrameSnapshot
from tests.fakes import FAKE_INFO
from tests.ui.find import find


@pytest.mark.parametrize(
    ("kind", "steps", "strength", "acts"),
    [
        (EditKind.INPAINT, 2, 1.0, False),
        (EditKind.INPAINT, 3, 1.0, True),
        (EditKind.INPAINT, 3, 0.5, False),
        (EditKind.INPAINT, 4, 0.5, True),
        (EditKind.OUTPAINT, 2, 0.5, False),
        (EditKind.OUTPAINT, 3, 0.5, True),
        (EditKind.GENERATE, 50, 1.0, False),
        (EditKind.ZOOM, 50, 1.0, False),
    ],
)
def test_steps_are_taken_again_where_there_are_any(kind, steps, strength, acts) -> None:
    settings = Settings(steps=steps, strength=strength, repaint=4, jump_length=2)
    assert can_repaint(kind, settings) is acts
    expected = Steering(repaint=4, jump_length=2) if acts else Steering()
    assert steering_of(kind, settings) == expected


def test_a_guide_needs_two_steps() -> None:
    settings = Settings(guide="lymphocyte", guide_strength=-2.0)
    assert steering_of(EditKind.GENERATE, settings).guide == (("lymphocyte", -2.0),)
    assert steering_of(EditKind.GENERATE, replace(settings, steps=1)) == Steering()
    assert guide_remark(settings) == ". Guided to fewer lymphocyte nuclei"
    assert guide_remark(replace(settings, guide_strength=1.0)).endswith("more lymphocyte nuclei")
    assert "can not be guided" in guide_remark(replace(settings, steps=1))
    assert guide_remark(Settings()) == guide_remark(replace(settings, guide_strength=0.0)) == ""


def test_an_edit_brings_its_steering_back() -> None:
    steering = Steering(repaint=3, jump_length=2, guide="size:-1.5")
    settings = replace(Settings(steps=6), **settings_of_steering(steering))
    assert steering_of(EditKind.INPAINT, settings) == steering
    assert settings_of_steering(Steering(guide="python"))["guide"] == ""


def test_a_remembered_guide_that_is_none_is_forgotten_and_numbers_are_clipped() -> None:
    settings = Settings(guide="magic", guide_strength=99.0, repaint=0, jump_length=999).clipped()
    assert (settings.guide, settings.guide_strength) == ("", 10.0)
    assert (settings.repaint, settings.jump_length) == (1, 50)


def test_the_estimate_counts_gradients_and_steps_again() -> None:
    estimator = Estimator()

    def seconds(steering: Steering | None) -> float:
        return estimator.estimate(
            (64, 64), steps=6, guidance_scale=1.0, variants=1, info=FAKE_INFO, steering=steering
        ).seconds

    plain = seconds(None)
    assert seconds(Steering()) == plain
    assert seconds(Steering(guide="plasma")) == pytest.approx(plain * (6 + 5 * CLIMBS) / 6)
    # Of positions 1 to 5 two pieces of two steps, taken three times.
    assert seconds(Steering(repaint=3, jump_length=2)) == pytest.approx(plain * (6 + 8) / 6)


def test_the_box_shows_what_can_act(qtbot) -> None:
    box = SteeringBox()
    qtbot.addWidget(box)
    box.show()
    assert not box.content.isVisible()
    find(box, "steer", QAbstractButton).click()
    for plan, again, note in (
        (FramePlan("Generate", True, ""), False, False),
        (FramePlan("Inpaint", True, "", knows_pixels=True), False, True),
        (FramePlan("Inpaint", True, "", knows_pixels=True, resamples=True), True, False),
    ):
        box.set_plan(plan)
        assert (box.again.isVisible(), box.note.isVisible()) == (again, note)


def test_the_box_tells_what_is_chosen_and_shows_it_silently(qtbot) -> None:
    box = SteeringBox()
    qtbot.addWidget(box)
    said: list[dict] = []
    box.changed.connect(said.append)
    box.set_settings(Settings(guide="size", guide_strength=-3.0, repaint=5, jump_length=4))
    assert said == []
    assert (box.guide.currentData(), box.toggle.text()) == ("size", "Steer (on)")
    assert box.take_typed() == {
        "guide_strength": -3.0,
        "reference_strength": 2.0,
        "repaint": 5,
        "jump_length": 4,
    }
    box.guide.setCurrentIndex(1 + [g.name for g in GUIDES].index("plasma"))
    box.repaint.setValue(2)
    box.guide.setCurrentIndex(0)
    assert said == [{"guide": "plasma"}, {"repaint": 2}, {"guide": ""}]


def painted(shape: tuple[int, int], *, missing: int = 0) -> FrameSnapshot:
    coverage = np.ones(shape, bool)
    coverage.ravel()[:missing] = False
    blank = np.zeros(shape, np.uint8)
    return FrameSnapshot(
        kind=EditKind.GENERATE,
        region=Region(0, 0, 0, *shape),
        mpp=0.25,
        image=np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8),
        edit_mask=blank.astype(bool),
        class_map=blank,
        instance_map=blank.astype(np.int32),
        coverage=coverage,
        tissue_map=blank,
    )


def test_a_frame_becomes_a_reference_of_the_next_drawings() -> None:
    snapshot = painted((64, 96))
    reference = reference_of(snapshot, "slide")
    assert str(reference) == "96 \u00d7 64 px of slide"
    steering = steering_of(EditKind.GENERATE, Settings(reference_strength=3.0), reference)
    np.testing.assert_array_equal(steering.reference, snapshot.image)
    assert (steering.reference_mpp, steering.reference_strength) == (0.25, 3.0)
    once = steering_of(EditKind.GENERATE, Settings(steps=1), reference)
    assert once.reference_strength == 0  # one step has nothing to guide: its stain alone
    large = reference_of(painted((2100, 40)), "slide")
    assert large.image.shape == (2048, 40, 3)


@pytest.mark.parametrize(
    ("snapshot", "words"),
    [(painted((64, 64), missing=3), "3 pixels missing"), (painted((64, 20)), "too few")],
)
def test_a_frame_without_tissue_is_no_reference(snapshot, words) -> None:
    with pytest.raises(InvalidRequest, match=words):
        reference_of(snapshot, "slide")


def test_the_box_shows_which_reference_there_is(qtbot) -> None:
    box = SteeringBox()
    qtbot.addWidget(box)
    box.show()
    find(box, "steer", QAbstractButton).click()
    assert not box.likeness.isVisible()
    box.set_reference(reference_of(painted((64, 96)), "slide"))
    assert (box.shown.text(), box.likeness.isVisible()) == ("like 96 \u00d7 64 px of slide", True)
    assert box.toggle.text() == "Steer (on)"
    box.set_reference(None)
    assert (box.drop.isVisible(), box.toggle.text()) == (False, "Steer")
