"""What steers an edit in the Studio: only where it can act, and told with its price."""

from __future__ import annotations

from dataclasses import replace

import pytest
from qtpy.QtWidgets import QAbstractButton

from napari_histodiff.core.requests import EditKind
from napari_histodiff.core.steering.guides import CLIMBS, GUIDES
from napari_histodiff.core.steering.steering import Steering
from napari_histodiff.ui.generation.plan import Estimator, FramePlan
from napari_histodiff.ui.generation.settings import Settings
from napari_histodiff.ui.steering.box import SteeringBox
from napari_histodiff.ui.steering.steering import (
    can_repaint,
    guide_remark,
    settings_of_steering,
    steering_of,
)
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
    assert box.take_typed() == {"guide_strength": -3.0, "repaint": 5, "jump_length": 4}
    box.guide.setCurrentIndex(1 + [g.name for g in GUIDES].index("plasma"))
    box.repaint.setValue(2)
    box.guide.setCurrentIndex(0)
    assert said == [{"guide": "plasma"}, {"repaint": 2}, {"guide": ""}]
