"""What the main path needs is in view without scrolling on a screen of 1366 x 768 pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import platformdirs
import pytest
from qtpy.QtCore import QPoint, QRect, QSize
from qtpy.QtWidgets import QAbstractButton, QSlider, QWidget

from napari_histodiff.core.engine import EngineState, EngineStateChanged, JobFinished
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import CLASS_NAMES
from napari_histodiff.slide.store import SlideStore
from napari_histodiff.ui import dock as dock_module
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.starting.painted import DEMO_CAPTION, paint_demo
from tests.fakes import FAKE_INFO
from tests.ui.conftest import OpenDock
from tests.ui.doubles import RecordingEngine
from tests.ui.find import find
from tests.ui.slide.stage import put_block
from tests.ui.slide.widget_doubles import SIDE, recipe_of

WIDTH, HEIGHT = 1366, 768

#: Pixels of a slider that can be set to 5 %.
SLIDER = 100

#: What a bar of the system takes of the screen.
BAR = 40

FRAME = Region(0, 1024, 1024, 512, 512)

PALETTES = ("nuclei", "tissue", "edit mask")


@pytest.fixture
def engine() -> RecordingEngine:
    made = RecordingEngine()
    made.state, made.info = EngineState.READY, FAKE_INFO
    return made


@pytest.fixture
def dock(
    open_dock: OpenDock, engine: RecordingEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> StudioDock:
    monkeypatch.setattr(platformdirs, "user_config_path", lambda *_, **__: tmp_path)
    monkeypatch.setattr(dock_module, "_SMALL", 1 << 20)
    dock = open_dock(engine, show=True)
    known = replace(FAKE_INFO, steps=2, class_counts=dict.fromkeys(CLASS_NAMES, 9999))
    engine.emit(EngineStateChanged(EngineState.READY, known))
    dock.controller.pump()
    return dock


def begin_canvas(dock: StudioDock, _: Path) -> None:
    dock.workspace.new_canvas(512, 512)


def begin_image(dock: StudioDock, _: Path) -> None:
    pixels = np.full((512, 512, 3), 200, np.uint8)
    dock.workspace.use_layer(dock.viewer.add_image(pixels, scale=(0.5, 0.5)))


def begin_slide(dock: StudioDock, folder: Path) -> None:
    path = folder / "one.ome.zarr"
    SlideStore.create(path, recipe_of(SIDE, SIDE, seed=5)).close()
    dock.slide.open_slide(path)
    put_block(dock.slide.session.store, FRAME, 200)
    dock.workspace.document.set_frame(FRAME)


@pytest.mark.parametrize("begin", [begin_canvas, begin_image, begin_slide])
def test_the_main_path_is_in_view_before_and_after_drawing(
    dock: StudioDock,
    engine: RecordingEngine,
    begin: Callable[[StudioDock, Path], None],
    tmp_path: Path,
    qtbot,
) -> None:
    begin(dock, tmp_path)
    paint(dock, PALETTES[0])
    resize(dock, HEIGHT - BAR, qtbot)
    for palette in PALETTES:
        dock.workspace.select_palette(palette)
        dock.controller.refresh_plan()
        assert not dock.run.staging.isVisible()
        assert_in_view(dock, palette, qtbot)
    draw(dock, engine)
    for palette in reversed(PALETTES):  # the one it was drawn with comes first
        if palette != PALETTES[-1]:
            dock.workspace.select_palette(palette)
            dock.controller.refresh_plan()
        assert_in_view(dock, palette, qtbot)
        assert dock.run.staging.isVisible()
        assert dock.run.readings.isVisible()
        assert_number_is_uncut(dock, qtbot)


def test_words_that_are_not_known_push_nothing_out_of_view(
    dock: StudioDock, engine: RecordingEngine, tmp_path: Path, qtbot
) -> None:
    begin_slide(dock, tmp_path)
    paint(dock, "edit mask")
    dock.controller.set(caption=f"{DEMO_CAPTION}, glande")
    resize(dock, HEIGHT, qtbot)
    draw(dock, engine)
    assert_in_view(dock, "edit mask", qtbot)
    assert "did you mean" in dock.caption.report.text()
    assert_number_is_uncut(dock, qtbot)


def paint(dock: StudioDock, palette: str) -> None:
    mask = np.zeros((512, 512), bool)
    mask[100:300, 100:300] = True
    dock.workspace.document.set_painting(*paint_demo(512, 512), mask)
    dock.workspace.select_palette(palette)
    dock.controller.set(caption=DEMO_CAPTION, steps=5)
    dock.controller.refresh_plan()


def resize(dock: StudioDock, height: int, qtbot) -> None:
    window = dock.viewer.window._qt_window
    window.setGeometry(0, 0, WIDTH, height)
    qtbot.waitUntil(lambda: window.size() == QSize(WIDTH, height))


def draw(dock: StudioDock, engine: RecordingEngine) -> None:
    dock.run.main.click()
    request = engine.submitted[-1]
    images = np.full((request.variants, *request.shape, 3), 90, np.uint8)
    engine.emit(JobFinished(str(len(engine.submitted)), images, 0.5))
    dock.controller.pump()
    dock.controller.refresh_plan()


def assert_number_is_uncut(dock: StudioDock, qtbot) -> None:
    which = dock.run.staging.which
    qtbot.waitUntil(lambda: which.width() >= which.sizeHint().width(), timeout=5_000)


def assert_in_view(dock: StudioDock, palette: str, qtbot) -> None:
    staging = dock.run.staging
    of_palette = {
        "nuclei": dock.palette_box.nuclei.buttons["connective"],
        "tissue": dock.palette_box.tissue.buttons["fat"],
        "edit mask": dock.palette_box.mask.start,
    }
    needed = (
        of_palette[palette],
        *((dock.palette_box.mask.strength,) if palette == "edit mask" else ()),
        find(dock, "tool_brush", QAbstractButton),
        dock.proposal.main,
        dock.caption.edit,
        dock.settings.guidance,
        dock.settings.steps,
        dock.run.main,
        *((staging.which, staging.discard, staging.apply) if staging.isVisible() else ()),
    )

    def check() -> None:
        hidden = [type(w).__name__ + w.accessibleName() for w in needed if not is_in_view(w)]
        assert not hidden

    qtbot.waitUntil(check)
    if palette == "edit mask":
        redraw = dock.palette_box.mask.strength.slider.findChild(QSlider)
        assert redraw.width() >= SLIDER


def is_in_view(widget: QWidget) -> bool:
    """Whether all of a widget is in view, every column that it stands in scrolled to the top."""
    if not widget.isVisible():
        return False
    around = widget.parentWidget()
    while around is not None:
        place = QRect(widget.mapTo(around, QPoint()), widget.size())
        if not around.rect().contains(place):
            return False
        around = around.parentWidget()
    return True
