from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from napari_histodiff.core.captions import parse_caption
from napari_histodiff.core.engine import EngineState, EngineStateChanged
from napari_histodiff.core.errors import InvalidRequest, StorageError
from napari_histodiff.core.steering.start import Fill
from napari_histodiff.ui.generation.presets import BUILT_IN, Preset, Presets, settings_for
from napari_histodiff.ui.generation.settings import Settings
from tests.fakes import FAKE_INFO
from tests.ui.doubles import Desk

FLOW = replace(FAKE_INFO, name="flow", steps=6)


@pytest.mark.parametrize("preset", BUILT_IN, ids=lambda preset: preset.name)
def test_the_model_sees_every_word_of_a_built_in_preset(preset: Preset) -> None:
    report = parse_caption(preset.caption).report
    assert report.ignored == ()
    assert report.contradictory == ()
    assert ": " in preset.name


def test_built_in_presets_follow_the_model() -> None:
    assert BUILT_IN[0].changes(FLOW)["steps"] == 6
    assert BUILT_IN[0].changes(FAKE_INFO)["steps"] == FAKE_INFO.steps
    assert set(BUILT_IN[0].changes(None)) == {"caption"}


def test_own_presets_are_kept_as_files(tmp_path: Path) -> None:
    presets = Presets(tmp_path / "presets")
    mine = Preset.of("My colon / 1", Settings(caption="colon", steps=4, guidance_scale=2.5))
    presets.keep(mine)
    presets.keep(replace(mine, steps=9))
    presets.keep(replace(mine, name="another"))
    (tmp_path / "presets" / "garbled.json").write_text("{")
    assert [(one.name, one.steps) for one in Presets(presets.folder).own()] == [
        ("another", 4),
        ("My colon / 1", 9),
    ]
    assert mine.changes(FLOW)["steps"] == 4
    blurred = Preset.of("blurred", Settings(fill=Fill.BLUR))
    presets.keep(blurred)
    assert blurred.changes(None)["fill"] is Fill.BLUR
    assert blurred in presets.own()
    presets.remove(blurred)
    assert replace(mine, steps=9999).changes(None)["steps"] == 100
    presets.remove(mine)
    assert [one.name for one in presets.own()] == ["another"]


@pytest.mark.parametrize("name", ["", "  ", BUILT_IN[0].name.title()])
def test_a_name_that_is_taken_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="another one"):
        Presets(tmp_path).keep(Preset(name=name, caption=""))


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="keep it again"):
        Presets(tmp_path / "file").keep(Preset(name="mine", caption=""))


def test_steps_follow_the_model(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.emit(EngineStateChanged(EngineState.READY, FLOW))
    assert desk.controller.settings.steps == 6  # two were too few for it
    desk.controller.set(steps=9)
    desk.emit(EngineStateChanged(EngineState.BUSY, FLOW))
    assert desk.controller.settings.steps == 9  # chosen for this one
    desk.emit(EngineStateChanged(EngineState.READY, FAKE_INFO))
    assert desk.controller.settings.steps == FAKE_INFO.steps
    assert settings_for(Settings(steps=9), None, FLOW)["steps"] == 9
    kept = settings_for(Settings(steps=9, model="other 1"), FLOW, replace(FLOW, revision="2"))
    assert "steps" not in kept  # both are meant for the same
