"""Guidance of a slide and of a canvas, chosen apart in one dock with its window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_histodiff.core.engine import EngineState, JobFinished
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import DEFAULT_GUIDANCE
from napari_histodiff.slide.store import SlideStore
from napari_histodiff.ui.commands import run
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.generation.settings import SettingsStore
from napari_histodiff.ui.slide.recent import SUFFIX
from tests.fakes import FAKE_INFO
from tests.ui.conftest import OpenDock
from tests.ui.doubles import RecordingEngine
from tests.ui.slide.stage import put_block
from tests.ui.slide.widget_doubles import SIDE, recipe_of

pytestmark = [pytest.mark.usefixtures("places_of_its_own", "told"), pytest.mark.timeout(300)]

FRAME = Region(1, 768, 896, 256, 256)


@pytest.fixture
def engine() -> RecordingEngine:
    made = RecordingEngine()
    made.state, made.info = EngineState.READY, FAKE_INFO
    return made


@pytest.fixture
def dock(open_dock: OpenDock, engine: RecordingEngine) -> StudioDock:
    dock = open_dock(engine)
    engine.ready()
    dock.controller.pump()
    return dock


def _slide(path: Path, **settings: float) -> Path:
    SlideStore.create(path, recipe_of(SIDE, SIDE, seed=5, **settings)).close()
    return path


def _open(dock: StudioDock, path: Path) -> None:
    """Open a slide, and put the frame on a place of it that is drawn."""
    dock.slide.close_slide()
    dock.slide.open_slide(path)
    store = dock.slide.session.store
    put_block(store, store.spec.at_level(FRAME, 1), 200)
    dock.workspace.document.set_frame(FRAME)


def _shown(dock: StudioDock) -> float:
    return float(dock.settings.guidance.edit.text())


def _type(edit: Any, text: str) -> None:
    edit.selectAll()
    edit.insert(text)


def _run(dock: StudioDock, engine: RecordingEngine) -> float:
    """Press the button and return the guidance that was asked for."""
    run("generate", dock)
    request = engine.submitted[-1]
    images = np.full((request.variants, *request.shape, 3), 99, np.uint8)
    engine.emit(JobFinished(str(len(engine.submitted)), images, 1.0))
    dock.controller.pump()
    return request.guidance_scale


def test_slides_and_canvases_keep_their_own(
    dock: StudioDock, engine: RecordingEngine, tmp_path: Path
) -> None:
    slide = _slide(tmp_path / f"one{SUFFIX}", guidance_scale=3.5)
    assert _shown(dock) == DEFAULT_GUIDANCE
    _open(dock, slide)
    layer = dock.workspace.target
    assert _shown(dock) == _run(dock, engine) == 3.5
    assert dock.controller.settings.slide_guidance is None  # nobody chose it

    dock.workspace.new_canvas(256, 256)
    assert _shown(dock) == _run(dock, engine) == DEFAULT_GUIDANCE
    dock.settings.guidance.slider.setValue(1.5)
    assert _shown(dock) == _run(dock, engine) == 1.5
    canvas = dock.workspace.target

    dock.workspace.use_layer(layer)
    assert _shown(dock) == _run(dock, engine) == 3.5
    _type(dock.settings.guidance.edit, "4.2")  # not confirmed
    assert _run(dock, engine) == 4.2

    dock.workspace.use_layer(canvas)
    assert _shown(dock) == _run(dock, engine) == 1.5
    dock.workspace.use_layer(layer)
    assert _shown(dock) == _run(dock, engine) == 4.2
    saved = SettingsStore(tmp_path / "studio.json").load()
    assert (saved.guidance_scale, saved.slide_guidance) == (1.5, 4.2)

    dock.slide.close_slide()
    assert _shown(dock) == 1.5


def test_each_slide_has_its_own_until_one_is_chosen_for_all(
    dock: StudioDock, engine: RecordingEngine, tmp_path: Path
) -> None:
    first = _slide(tmp_path / f"first{SUFFIX}")
    other = _slide(tmp_path / f"other{SUFFIX}", guidance_scale=2.75)  # finer than the box shows
    for path, own in ((first, DEFAULT_GUIDANCE), (other, 2.75)):
        _open(dock, path)
        assert _run(dock, engine) == own
    dock.settings.guidance.slider.setValue(5.0)
    for path in (first, other):
        _open(dock, path)
        assert _shown(dock) == _run(dock, engine) == 5.0
    _open(dock, first)
    dock.settings.guidance.slider.setValue(DEFAULT_GUIDANCE)  # back to how this one was drawn
    _open(dock, other)
    assert _run(dock, engine) == 2.75
