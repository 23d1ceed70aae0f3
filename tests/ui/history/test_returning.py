from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_histodiff.core.engine import JobFinished
from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.generation.settings import SeedMode
from napari_histodiff.ui.viewport import camera_of, view_of
from tests.ui.conftest import OpenDock, WaitFor
from tests.ui.doubles import RecordingEngine


@pytest.fixture
def engine() -> RecordingEngine:
    return RecordingEngine()


def _draw(dock: StudioDock, engine: RecordingEngine, caption: str) -> None:
    dock.controller.set(caption=caption)
    dock.controller.generate()
    request = engine.submitted[-1]
    images = np.full((request.variants, *request.shape, 3), 90, np.uint8)
    engine.emit(JobFinished(str(len(engine.submitted)), images, 0.5))
    dock.controller.pump()


def _click(dock: StudioDock, row: int) -> None:
    dock.history.list.itemClicked.emit(dock.history.list.item(row))


def test_a_click_goes_to_the_image_and_the_place(
    open_dock: OpenDock, engine: RecordingEngine
) -> None:
    dock = open_dock(engine)
    dock.workspace.new_canvas(2048, 2048)
    first = dock.workspace.target
    dock.workspace.document.set_frame(Region(0, 1600, 1760, 128, 128))
    _draw(dock, engine, "colon")
    dock.workspace.new_canvas(256, 256)
    dock.controller.set(caption="skin", seed_mode=SeedMode.RANDOM)
    camera_of(dock.viewer).zoom = 40
    camera_of(dock.viewer).center = (10, 10)
    _click(dock, 0)
    assert dock.workspace.target is first
    assert dock.workspace.document.region == Region(0, 1600, 1760, 128, 128)
    assert dock.controller.settings.caption == "colon"
    assert dock.controller.settings.seed_mode is SeedMode.RANDOM
    assert dock.controller.staged.now is not None
    view = view_of(dock.viewer, first)
    assert (view[0] <= (1600, 1760)).all()
    assert (view[1] >= (1728, 1888)).all()
    dock.history.menu_for(dock.past.entries[0]).actions()[1].trigger()
    assert dock.controller.settings.seed_mode is SeedMode.FIXED


def test_the_history_is_there_in_the_next_session(
    open_dock: OpenDock, engine: RecordingEngine, wait_for: WaitFor, tmp_path: Path
) -> None:
    dock = open_dock(engine)
    dock.workspace.new_canvas(256, 256)
    _draw(dock, engine, "colon, gland")
    _draw(dock, engine, "skin")
    dock.shut_down()
    dock.shut_down()

    later = open_dock(RecordingEngine())
    wait_for(lambda: later.history.list.count() == 2)
    later.history.search.setText("gland")
    assert later.history.list.count() == 1
    assert later.history.corner.text() == "1 of 2 found"
    warnings: list[str] = []
    later.returning._tell = warnings.append
    _click(later, 0)
    wait_for(lambda: later.controller.settings.caption == "colon, gland")
    assert "Canvas" in warnings[0]  # that canvas is gone
    menu = {
        action.text(): action for action in later.history.menu_for(later.past.entries[1]).actions()
    }
    menu["Favourite: keep it for good"].trigger()
    assert list((tmp_path / "history").glob("*.star"))
    menu["Delete"].trigger()
    assert [kept.facts.caption for kept in later.past.entries] == ["skin"]
    later.shut_down()
    assert len(list((tmp_path / "history").glob("*"))) == 1
