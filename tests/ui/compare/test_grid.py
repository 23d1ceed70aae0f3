"""Variants side by side: one view for all, chosen by click or key, and nothing else is touched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDialogButtonBox

from napari_histodiff.core.engine import JobCancelled, JobFinished
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.ui.compare.grid.cells import GridItem, ImageGrid
from napari_histodiff.ui.compare.grid.vary_form import VaryDialog, values_of
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.generation.settings import SeedMode
from napari_histodiff.ui.generation.variation import Variation, Varied
from tests.ui.conftest import OpenDock
from tests.ui.doubles import RecordingEngine


@pytest.fixture
def engine() -> RecordingEngine:
    return RecordingEngine()


@pytest.fixture
def dock(open_dock: OpenDock, engine: RecordingEngine) -> StudioDock:
    dock = open_dock(engine)
    dock.workspace.new_canvas(128, 128)
    dock.controller.set(seed=3, seed_mode=SeedMode.FIXED, suggest=False, context=0.0, variants=3)
    engine.ready()
    dock.controller.pump()
    dock.controller.refresh_plan()
    return dock


def finish(dock: StudioDock, engine: RecordingEngine) -> None:
    """Let the engine finish all it was asked; every image has a colour of its own."""
    for number, request in enumerate(engine.submitted, 1):
        images = np.empty((request.variants, *request.shape, 3), np.uint8)
        for variant in range(request.variants):
            images[variant] = (20 * number, 40 * variant, 200)
        engine.emit(JobFinished(str(number), images, 1.0))
    dock.controller.pump()


def press(dock: StudioDock, *keys: Qt.Key) -> None:
    for key in keys:
        QTest.keyClick(dock.grid.grid, key)


def layers_of(dock: StudioDock) -> list[tuple[str, bool]]:
    return [(layer.name, layer.visible) for layer in dock.viewer.layers]


def test_variants_are_chosen_by_key_and_the_window_leaves_everything_else(dock, engine) -> None:
    dock.controller.generate()
    finish(dock, engine)
    staged, before = dock.controller.staged, layers_of(dock)
    dock.grid.show()
    assert [item.label for item in dock.grid.grid.items] == ["Variant 1", "Variant 2", "Variant 3"]
    press(dock, Qt.Key.Key_3)
    assert staged.now.index == 2
    assert "✓" in dock.grid.grid.cells[2].words.text()
    assert dock.grid.grid.cells[2].accessibleName() == "Variant 3, chosen"
    press(dock, Qt.Key.Key_Left)
    assert staged.now.index == 1
    press(dock, Qt.Key.Key_9, Qt.Key.Key_Down, Qt.Key.Key_Down, Qt.Key.Key_Down)
    assert staged.now.index in (1, 2)  # there is nothing further
    kept = staged.now.index
    press(dock, Qt.Key.Key_Return)
    assert dock.grid.window is None
    assert staged.now.index == kept
    assert layers_of(dock) == before


def test_escape_goes_back_to_what_was_in_view(dock, engine) -> None:
    dock.controller.generate()
    finish(dock, engine)
    dock.controller.staged.step(1)
    dock.grid.show()
    press(dock, Qt.Key.Key_1)
    assert dock.controller.staged.now.index == 0
    dock.grid.window.reject()
    assert dock.controller.staged.now.index == 1
    assert dock.grid.window is None


def test_the_grid_follows_the_dock_and_closes_with_the_variants(dock, engine) -> None:
    dock.controller.generate()
    finish(dock, engine)
    dock.grid.show()
    dock.controller.staged.step(1)
    assert dock.grid.grid.now == 1
    dock.controller.staged.discard()
    assert dock.grid.window is None


def test_what_lies_below_is_shown_and_cannot_be_chosen(dock, engine) -> None:
    dock.controller.generate()
    finish(dock, engine)
    dock.controller.staged.apply()
    dock.controller.generate()
    finish(dock, engine)
    dock.grid.show()
    first = dock.grid.grid.items[0]
    assert (first.label, first.choosable) == ("Before", False)
    np.testing.assert_array_equal(first.image[0, 0], (20, 0, 200))
    press(dock, Qt.Key.Key_1)
    assert dock.grid.grid.now == 1
    press(dock, Qt.Key.Key_Left)
    assert dock.grid.grid.now == 1


def test_a_sweep_of_guidance_is_drawn_with_one_seed_and_a_choice_sets_the_value(
    dock, engine
) -> None:
    dock.controller.vary(Variation(Varied.GUIDANCE, values=(2.0, 1.0, 1.5)))
    asked = engine.submitted
    for count in (1, 2, 3):  # one at a time is in the engine
        assert len(asked) == count
        assert dock.grid.window is None
        finish(dock, engine)
    assert [r.guidance_scale for r in asked] == [1.0, 1.5, 2.0]
    assert {(r.seed, r.variants) for r in asked} == {(3, 1)}
    assert dock.grid.window is not None
    assert [item.label for item in dock.grid.grid.items] == [
        "Guidance 1",
        "Guidance 1.5",
        "Guidance 2",
    ]
    press(dock, Qt.Key.Key_3)
    assert dock.controller.settings.guidance_scale == 2.0
    assert dock.controller.staged.now.request.guidance_scale == 2.0
    dock.grid.window.reject()
    assert dock.controller.settings.guidance_scale == 1.0
    dock.grid.show()  # the series again, as long as one of it waits
    assert len(dock.grid.grid.items) == 3
    assert len(dock.controller.history.entries) == 3


def test_cancelling_a_series_stops_all_of_it_and_keeps_what_is_finished(dock, engine) -> None:
    dock.controller.vary(Variation(Varied.GUIDANCE, values=(1.0, 1.5, 2.0)))
    request = engine.submitted[0]
    engine.emit(JobFinished("1", np.zeros((1, *request.shape, 3), np.uint8), 1.0))
    dock.controller.pump()
    dock.controller.cancel()
    assert engine.cancelled == ["2"]
    engine.emit(JobCancelled("2"))
    dock.controller.pump()
    assert len(engine.submitted) == 2  # the third waits for nothing
    assert dock.controller.staged.now is None
    assert dock.grid.window is None
    assert len(dock.controller.history.entries) == 1
    dock.controller.generate()
    assert len(engine.submitted) == 3


def test_the_stain_of_an_edit_is_not_varied(dock, engine) -> None:
    told = []
    dock.controller.noticed.connect(lambda notice: told.append(notice.message))
    dock.controller.vary(Variation(Varied.STAIN))
    assert "does not say which stains it knows" in told[-1]
    assert not engine.submitted


@pytest.mark.parametrize(
    ("values", "count", "words"),
    [((1.0,), 4, "2 to 12"), ((0.5, 2.0), 4, "guidance from 1"), (tuple(range(1, 15)), 4, "1")],
)
def test_sweeps_that_make_no_sense_are_refused(values, count, words) -> None:
    with pytest.raises(InvalidRequest, match=words):
        Variation(Varied.GUIDANCE, values=values, count=count)
    with pytest.raises(InvalidRequest, match="2 to 12"):
        Variation(Varied.STRUCTURE, count=1)


def test_the_price_is_said_before_and_wrong_values_cannot_be_drawn(dock) -> None:
    dialog = VaryDialog(None, dock.controller.price)
    ok = dialog.findChild(QDialogButtonBox).button(QDialogButtonBox.StandardButton.Ok)
    assert "5 drawings: first drawing on cpu" in dialog.form["cost"].value
    dialog.form["values"].value = "1, two"
    assert not ok.isEnabled()
    assert "numbers with commas" in dialog.form["cost"].value
    dialog.form["values"].value = "1 2,5"
    assert ok.isEnabled()
    assert dialog.variation().values == (1.0, 2.0, 5.0)
    dialog.form["what"].value = Varied.STAIN
    assert dialog.variation() == Variation(Varied.STAIN, count=4)
    dialog.deleteLater()
    assert values_of(" 1.5; 2 ") == (1.5, 2.0)
    assert values_of("0,5; 1,25") == (0.5, 1.25)


@pytest.fixture
def grid(qtbot) -> ImageGrid:
    images = np.random.default_rng(0).integers(0, 256, (4, 60, 90, 3), dtype=np.uint8)
    grid = ImageGrid(tuple(GridItem(f"Variant {n}", image) for n, image in enumerate(images)))
    qtbot.addWidget(grid)
    grid.resize(600, 500)
    grid.show()
    return grid


def test_all_cells_show_the_same_part(grid: ImageGrid) -> None:
    view = grid.cells[2].view
    place = QPointF(30, 40)
    seen = view.mapToScene(place.toPoint())
    wheel = QWheelEvent(
        place,
        QPointF(view.mapToGlobal(place.toPoint())),
        QPoint(),
        QPoint(0, 480),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(view.viewport(), wheel)
    assert grid.view[0] > 2
    there = view.mapToScene(place.toPoint())
    assert abs(there.x() - seen.x()) < 2.5
    assert abs(there.y() - seen.y()) < 2.5
    shown = [cell.view.mapToScene(10, 10) for cell in grid.cells]
    assert len({(round(p.x(), 3), round(p.y(), 3)) for p in shown}) == 1
    assert len({cell.view.transform().m11() for cell in grid.cells}) == 1
    QTest.keyClick(grid, Qt.Key.Key_0)
    assert grid.view == (1.0, 0.5, 0.5)


def test_a_click_chooses_and_a_drag_moves(grid: ImageGrid) -> None:
    chosen: list[int] = []
    grid.chosen.connect(chosen.append)
    grid.look(3.0, 0.5, 0.5)
    port = grid.cells[1].view.viewport()
    QTest.mouseClick(port, Qt.MouseButton.LeftButton, pos=QPoint(20, 20))
    assert chosen == [1]
    QTest.mousePress(port, Qt.MouseButton.LeftButton, pos=QPoint(20, 20))
    QTest.mouseMove(port, QPoint(60, 20))
    QTest.mouseRelease(port, Qt.MouseButton.LeftButton, pos=QPoint(60, 20))
    assert chosen == [1]
    assert grid.view[1] < 0.5
    assert grid.view[2] == 0.5


def test_images_are_shown_as_they_are(grid: ImageGrid, tmp_path: Path) -> None:
    grid.look(1.0, 0.5, 0.5)
    pixel = grid.cells[0].view._scene.items()[0].pixmap().toImage().pixelColor(5, 7)
    assert (pixel.red(), pixel.green(), pixel.blue()) == tuple(grid.items[0].image[7, 5])
