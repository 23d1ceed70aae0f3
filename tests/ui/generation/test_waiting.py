"""What the window says, and lets one stop, while a suggestion is on its way."""

from __future__ import annotations

from threading import Event

import numpy as np
import pytest

from napari_histodiff.core.engine import JobFinished
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.generation import suggestions
from tests.ui.conftest import OpenDock, WaitFor
from tests.ui.doubles import RecordingEngine

SAID = "Suggesting what is not painted…"


@pytest.fixture
def go(monkeypatch: pytest.MonkeyPatch):
    """Suggestions end when this is set."""
    go, suggest = Event(), suggestions._suggested
    monkeypatch.setattr(suggestions, "_suggested", lambda *args: go.wait(60) and suggest(*args))
    yield go
    go.set()


@pytest.fixture
def engine() -> RecordingEngine:
    return RecordingEngine()


@pytest.fixture
def dock(open_dock: OpenDock, engine: RecordingEngine, go: Event) -> StudioDock:
    dock = open_dock(engine)
    dock.workspace.new_canvas(128, 128)
    tissue = np.zeros(dock.workspace.document.region.shape, np.uint8)
    tissue[30:90, 30:100] = TISSUE_NAMES.index("gland")
    dock.workspace.document.paint_tissue(tissue)
    engine.ready()
    dock.controller.set(caption="colon, gland", suggest=True, variants=1)
    dock.controller.pump()
    dock.controller.refresh_plan()
    return dock


def test_a_suggestion_is_cancelled_by_the_main_button(
    dock: StudioDock, engine: RecordingEngine, go: Event
) -> None:
    run = dock.run
    title = run.main.text()
    run.main.click()
    assert run.note.text() == SAID
    assert (run.main.text(), run.main.isEnabled()) == ("Cancel", True)
    run.main.click()
    assert (run.main.text(), run.main.isEnabled()) == (title, True)
    assert SAID not in run.note.text()
    go.set()
    dock.controller.pump()
    assert engine.submitted == []


def test_the_next_edit_says_what_it_waits_for_while_another_is_drawn(
    dock: StudioDock, engine: RecordingEngine, go: Event, wait_for: WaitFor
) -> None:
    run = dock.run
    run.main.click()
    go.set()
    wait_for(lambda: len(engine.submitted) == 1)
    go.clear()
    dock.controller.refresh_plan()
    run.after.click()
    assert SAID in run.note.text()
    assert run.after.toolTip() == SAID
    assert not run.after.isEnabled()
    assert run.main.text() == "Cancel"
    dock.controller.pump()
    assert SAID in run.note.text()
    go.set()
    wait_for(lambda: not dock.workspace.doing.text)
    assert SAID not in run.note.text()
    images = np.full((1, *engine.submitted[0].shape, 3), 90, np.uint8)
    engine.emit(JobFinished("1", images, 0.5))
    wait_for(lambda: len(engine.submitted) == 2)
