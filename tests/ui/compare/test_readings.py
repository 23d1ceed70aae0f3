from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_histodiff.core.requests import EditKind
from napari_histodiff.ui.compare.readings import Light, Reading, Readings, lights_of
from tests.ui.conftest import WaitFor
from tests.ui.doubles import Desk

FAKE_JUDGE = Path(__file__).parents[1] / "proposals" / "fake_judge.py"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    desk.ready()
    frame = desk.workspace.document.frame
    frame.kind, frame.has_pixels = EditKind.INPAINT, True
    grain = gaussian_filter(np.random.default_rng(0).normal(size=(48, 64)), 1)
    frame.image = np.clip(150 + 200 * grain[..., None], 0, 255).repeat(3, 2).astype(np.uint8)
    frame.edit_mask[10:38, 10:54] = True
    frame.class_map[20:28, 20:28], frame.instance_map[20:28, 20:28] = 3, 1
    frame.class_map[20:28, 40:48], frame.instance_map[20:28, 40:48] = 3, 2
    return desk


def staged(desk: Desk, readings: Readings, wait_for: WaitFor) -> None:
    desk.controller.generate()
    desk.finish(shade=120)

    def measured() -> bool:
        readings.pump()
        return readings.now is not None and readings.now.stain is not None

    wait_for(measured)


def test_variants_are_measured_in_the_background(desk: Desk, wait_for: WaitFor) -> None:
    readings = Readings(desk.controller)
    seen: list[Reading | None] = []
    readings.changed.connect(seen.append)
    staged(desk, readings, wait_for)
    assert seen[0] == Reading()
    assert readings.now is not None
    assert readings.now.stain is not None
    desk.controller.staged.step(1)
    assert seen[-1] is readings.now
    desk.controller.staged.discard()
    assert seen[-1] is None
    assert readings.now is None


def test_painted_nuclei_are_looked_for_when_asked(desk: Desk, wait_for: WaitFor) -> None:
    readings = Readings(desk.controller, (sys.executable, str(FAKE_JUDGE), "good"))
    staged(desk, readings, wait_for)
    staging = desk.controller.staged.now
    assert staging is not None
    staging.image[20:28, 20:28] = 20  # one of the two is there, for the double of the judge
    readings.look_for_nuclei()
    assert readings.now is not None
    assert readings.now.looking

    def done() -> bool:
        readings.pump()
        return readings.now is not None and not readings.now.looking

    wait_for(done)
    assert (readings.now.found, readings.now.painted) == (1, 2)
    readings.close()


def test_without_painted_nuclei_it_says_so(desk: Desk, wait_for: WaitFor) -> None:
    frame = desk.workspace.document.frame
    frame.class_map[:], frame.instance_map[:] = 0, 0
    readings = Readings(desk.controller, (sys.executable, str(FAKE_JUDGE), "good"))
    staged(desk, readings, wait_for)
    readings.look_for_nuclei()
    assert "No nuclei were painted" in desk.notices[-1].message
    readings.close()


@pytest.mark.parametrize(
    ("reading", "name", "light", "words"),
    [
        (Reading(seam=1.04), "seam", Light.GOOD, "1.0"),
        (Reading(seam=1.4), "seam", Light.LOOK, "1.4"),
        (Reading(seam=2.0), "seam", Light.BAD, "2.0"),
        (Reading(), "seam", Light.UNKNOWN, "–"),
        (Reading(stain=0.1), "stain", Light.GOOD, "10 %"),
        (Reading(stain=0.5), "stain", Light.BAD, "50 %"),
        (Reading(found=9, painted=10), "nuclei", Light.GOOD, "9/10"),
        (Reading(found=6, painted=10), "nuclei", Light.LOOK, "6/10"),
        (Reading(found=1, painted=10), "nuclei", Light.BAD, "1/10"),
        (Reading(), "nuclei", Light.UNKNOWN, "?"),
    ],
)
def test_lights_have_limits(reading: Reading, name: str, light: Light, words: str) -> None:
    found, text, explained = lights_of(reading)[name]
    assert found is light
    assert words in text
    assert len(explained) > 40


def test_the_nearest_training_crop_is_told_with_the_nuclei(desk: Desk, wait_for: WaitFor) -> None:
    for mode, near, light in (("good", 0.5, Light.LOOK), ("far", None, Light.UNKNOWN)):
        readings = Readings(desk.controller, (sys.executable, str(FAKE_JUDGE), mode))
        staged(desk, readings, wait_for)
        assert lights_of(readings.now)["training"][1] == "Training ?"
        readings.look_for_nuclei()
        assert lights_of(readings.now)["training"][1] == "Training …"

        def done(readings: Readings = readings) -> bool:
            readings.pump()
            return readings.now is not None and not readings.now.looking

        wait_for(done)
        assert readings.now.nearness == near
        assert lights_of(readings.now)["training"][0] is light
        readings.close()


def test_lights_of_the_nearest_training_crop() -> None:
    found = [lights_of(Reading(nearness=value))["training"][0] for value in (1.0, 0.5, 0.1)]
    assert found == [Light.GOOD, Light.LOOK, Light.BAD]
