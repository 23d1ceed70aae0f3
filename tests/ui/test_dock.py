from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QFileDialog, QLabel

from napari_histodiff.core.captions import ParseReport
from napari_histodiff.core.colours import GLASS_COLOUR
from napari_histodiff.core.engine import (
    EngineState,
    EngineStateChanged,
    JobFinished,
    JobPreview,
    JobProgress,
)
from napari_histodiff.core.maps import CLASS_NAMES, FEW_NUCLEI
from napari_histodiff.ui.commands import run
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.generation.settings import SeedMode
from napari_histodiff.ui.saving.saving import Saved
from napari_histodiff.ui.starting.painted import DEMO_CAPTION, paint_demo
from napari_histodiff.ui.text import short_count
from napari_histodiff.ui.widgets import dialogs
from napari_histodiff.ui.widgets.caption_report import report_lines
from napari_histodiff.ui.widgets.style import SUBTLE, WARNING, WRONG, dock_style
from tests.fakes import FAKE_INFO
from tests.ui.conftest import OpenDock, WaitFor
from tests.ui.doubles import RecordingEngine
from tests.ui.find import find, press


@pytest.fixture
def engine() -> RecordingEngine:
    return RecordingEngine()


@pytest.fixture
def dock(open_dock: OpenDock, engine: RecordingEngine) -> StudioDock:
    return open_dock(engine)


def _tell(dock: StudioDock, engine: RecordingEngine, *events: object) -> None:
    engine.emit(*events)
    dock.controller.pump()
    dock.controller.refresh_plan()


def _canvas(dock: StudioDock, engine: RecordingEngine) -> None:
    dock.workspace.new_canvas(128, 128)
    _tell(dock, engine)


def _finish(dock: StudioDock, engine: RecordingEngine) -> None:
    request = engine.submitted[-1]
    images = np.full((request.variants, *request.shape, 3), 90, np.uint8)
    _tell(dock, engine, JobFinished(str(len(engine.submitted)), images, 0.5))


def test_the_engine_starts_with_the_dock_and_ends_with_it(
    dock: StudioDock, engine: RecordingEngine
) -> None:
    assert engine.started == 1
    dock.viewer.window.remove_dock_widget(dock)
    assert engine.closed >= 1


def test_status_line_and_restart(dock: StudioDock, engine: RecordingEngine) -> None:
    for state, words in (
        (EngineState.STARTING, "Starting"),
        (EngineState.LOADING, "Loading model"),
    ):
        _tell(dock, engine, EngineStateChanged(state))
        assert dock.status.text.text() == words
        assert dock.status.restart.isHidden()
    _tell(dock, engine, EngineStateChanged(EngineState.READY, FAKE_INFO, 3 * 2**29))
    assert dock.status.text.text() == "Ready · cpu · 1.5 GB"
    assert "cpu (fake)" in dock.status.toolTip()
    _tell(dock, engine, EngineStateChanged(EngineState.DEAD))
    assert not dock.status.restart.isHidden()
    press(dock, "restart_engine")
    assert (engine.started, engine.restarted) == (1, 1)


def test_main_button_tells_what_it_needs(dock: StudioDock, engine: RecordingEngine) -> None:
    dock.controller.refresh_plan()
    assert not dock.run.main.isEnabled()
    assert "canvas" in dock.run.note.text()
    _canvas(dock, engine)
    assert dock.run.main.isEnabled()
    assert "loading" in dock.run.note.text()
    engine.ready()
    _tell(dock, engine)
    assert "First drawing on cpu: its time is not measured yet" in dock.run.note.text()


def test_a_whole_edit_by_its_buttons(dock: StudioDock, engine: RecordingEngine) -> None:
    _canvas(dock, engine)
    dock.controller.set(variants=2, seed=4, seed_mode=SeedMode.FIXED)
    dock.run.main.click()
    assert dock.run.main.text() == "Cancel"
    _tell(dock, engine, JobProgress("1", 3, 12), JobPreview("1", np.zeros((128, 128, 3), np.uint8)))
    assert "Step 3 of 12" in dock.run.note.text()
    _finish(dock, engine)
    bar = dock.run.staging
    assert not bar.isHidden()
    assert bar.which.text() == "1 of 2"
    press(dock, "next_variant")
    assert bar.which.text() == "2 of 2"
    dock.actions.apply()
    assert bar.isHidden()
    assert (dock.workspace.document.snapshot().image == 90).all()
    assert dock.run.undo.isEnabled()
    press(dock, "undo")
    assert (dock.workspace.document.snapshot().image != 90).any()
    assert dock.run.redo.isEnabled()
    assert dock.history.list.count() == 1
    assert "seed 4" in dock.history.list.item(0).toolTip()


def test_history_restores_by_a_click(dock: StudioDock, engine: RecordingEngine) -> None:
    _canvas(dock, engine)
    classes, instances = paint_demo(128, 128)
    dock.workspace.document.set_painting(classes, instances, np.zeros(classes.shape, bool))
    dock.controller.set(caption="colon", seed_mode=SeedMode.FIXED)
    dock.run.main.click()
    _finish(dock, engine)
    dock.controller.staged.discard()
    dock.workspace.document.clear()
    dock.caption.edit.setPlainText("skin")
    dock.caption.commit()
    dock.history.list.itemClicked.emit(dock.history.list.item(0))
    assert dock.caption.edit.toPlainText() == "colon"
    np.testing.assert_array_equal(dock.workspace.document.snapshot().class_map, classes)
    texts = [action.text() for action in dock.history.menu_for(dock.past.entries[0]).actions()]
    assert "Copy as Python" in texts
    assert "Copy seed" in texts


def test_what_is_typed_counts_without_enter(dock: StudioDock, engine: RecordingEngine) -> None:
    _canvas(dock, engine)
    dock.caption.edit.setPlainText("colon,\npink stain")
    dock.settings.steps.lineEdit().setText("17")
    dock.run.main.click()
    assert engine.submitted[0].caption == "colon, pink stain"
    assert engine.submitted[0].steps == 17


def test_palette_marks_what_the_model_hardly_knows(
    dock: StudioDock, engine: RecordingEngine
) -> None:
    engine.ready()
    _tell(dock, engine)
    box = dock.palette_box.nuclei
    assert "never seen" in box.buttons["neutrophil"].toolTip()
    assert "hardly trained, 10 nuclei" in box.buttons["epithelial"].toolTip()
    counts = {"plasma": FEW_NUCLEI - 1, "connective": FEW_NUCLEI, "lymphocyte": 12_431}
    dock.palette_box.set_info(replace(FAKE_INFO, class_counts=counts))
    assert "hardly trained, 499 nuclei" in box.buttons["plasma"].toolTip()
    assert "12,431 training nuclei" in box.buttons["lymphocyte"].toolTip()
    box.select(4)
    assert box.note.text() == "⚠ Plasma is hardly trained, 499 nuclei."
    box.select(6)
    assert box.note.isHidden()
    dock.workspace.new_canvas(128, 128)
    classes, instances = paint_demo(128, 128)
    dock.workspace.document.set_painting(classes, instances, np.zeros(classes.shape, bool))
    dock.controller.refresh_plan()
    painted = {name: dock.palette_box.nuclei.painted[name].text() for name in CLASS_NAMES}
    assert painted["neutrophil"] == "–"
    assert int(painted["epithelial"]) > 3


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (999, "999"), (12_431, "12.4k"), (99_999, "100k"), (212e3, "212k")],
)
def test_counts_are_short(count: int, text: str) -> None:
    assert short_count(count) == text


def test_caption_report_tells_roles_apart_and_is_escaped() -> None:
    report = ParseReport(
        used=("colon",),
        mapped=(("lymphs", "lymphocytes"),),
        ignored=("<b>zebra", "glnd"),
        contradictory=(("pale", "dark"),),
    )
    lines = report_lines(report)
    assert lines[WARNING].startswith("⚠ Ignored: &lt;b&gt;zebra, glnd (did you mean <a ")
    assert lines[WRONG] == "✕ Contradictory: pale → dark"
    assert lines[SUBTLE] == "Used: colon<br>Read as: lymphs → lymphocytes"
    assert report_lines(ParseReport(), empty="No caption")[SUBTLE] == "No caption"


def test_caption_enter_ends_typing(dock: StudioDock, qtbot) -> None:
    dock.caption.edit.setPlainText("colon")
    qtbot.keyClick(dock.caption.edit, Qt.Key.Key_Return)
    assert dock.caption.edit.toPlainText() == "colon"
    assert dock.controller.settings.caption == "colon"


def test_new_canvas_asks_for_size_and_background(
    dock: StudioDock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def accept(dialog: dialogs.FormDialog) -> int:
        form = dialog.form
        for name, value in (("width", 192), ("height", 128), ("mpp", 0.25)):
            form[name].value = value
        assert find(dialog, "extent", QLabel).text() == "48 × 32 µm"
        return QDialog.DialogCode.Accepted

    monkeypatch.setattr(dialogs.FormDialog, "exec", accept)
    dock.actions.ask_new_canvas()
    assert dock.workspace.document.region.shape == (128, 192)
    assert dock.workspace.document.mpp == 0.25
    assert "192×128 px · 0.25 µm/px" in dock.canvas.corner.text()
    assert (dock.workspace.document.snapshot().image == GLASS_COLOUR).all()


def test_another_image_takes_the_layers_of_the_first_away(dock: StudioDock) -> None:
    pixels = np.full((200, 200, 3), 200, np.uint8)
    for name in ("first", "second"):
        dock.viewer.layers.selection.active = dock.viewer.add_image(pixels, rgb=True, name=name)
        dock.actions.use_selected()
        dock.controller.refresh_plan()
    names = [layer.name for layer in dock.viewer.layers]
    assert names == ["first", "second", "Tissue", "Edit mask", "Nuclei", "Frame"]


def test_use_image_with_the_preview_selected_says_what_to_select(
    dock: StudioDock, engine: RecordingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    monkeypatch.setattr("napari_histodiff.ui.actions.show_warning", warnings.append)
    monkeypatch.setattr(
        "napari_histodiff.ui.actions.show_trouble", lambda error: warnings.append(str(error))
    )
    _canvas(dock, engine)
    dock.run.main.click()
    _finish(dock, engine)
    canvas, preview = dock.workspace.target, dock.controller.staged.preview.layer
    dock.viewer.layers.selection.active = preview
    dock.actions.use_selected()
    assert "select the one below it" in warnings[0]
    assert dock.workspace.target is canvas
    assert dock.controller.staged.preview.layer is preview
    dock.workspace.use_layer(preview)  # what a script may do
    assert dock.workspace.target is None


def test_save_asks_what_and_where_and_remembers(
    dock: StudioDock,
    engine: RecordingEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wait_for: WaitFor,
) -> None:
    forms = []

    def accept(dialog: dialogs.FormDialog) -> QDialog.DialogCode:
        forms.append(dialog.form)
        dialog.form["folder"].value = tmp_path / "out"
        return QDialog.DialogCode.Accepted

    monkeypatch.setattr(dialogs.FormDialog, "exec", accept)
    _canvas(dock, engine)
    dock.actions.ask_save()
    assert not forms  # nothing is asked while there is nothing
    dock.run.main.click()
    _finish(dock, engine)
    dock.actions.ask_save()
    assert list(forms[0]["what"].choices) == [Saved.VARIANT]  # nothing is applied yet
    wait_for(lambda: (tmp_path / "out").exists() and not dock.workspace.doing.text)
    assert (tmp_path / "out" / "histodiff_generate_001.json").exists()
    assert dock.controller.settings.export_folder == str(tmp_path / "out")
    dock.actions.apply()
    dock.actions.ask_save()
    assert list(forms[1]["what"].choices) == list(Saved)


def test_frame_is_sized_and_moved_to_the_view(dock: StudioDock) -> None:
    dock.workspace.new_canvas(512, 512)
    dock.actions.resize_frame(128, 256)
    assert dock.workspace.document.region.shape == (128, 256)
    dock.viewer.reset_view()
    dock.actions.frame_to_view()
    region = dock.workspace.document.region
    assert abs(region.y + 64 - 256) <= 16
    assert abs(region.x + 128 - 256) <= 16


def test_outlines_after_apply_and_back(dock: StudioDock, engine: RecordingEngine) -> None:
    _canvas(dock, engine)
    dock.run.main.click()
    _finish(dock, engine)
    dock.actions.apply()
    assert dock.viewer.layers["Nuclei"].contour > 0
    dock.actions.toggle_outlines()
    assert dock.viewer.layers["Nuclei"].contour == 0


def test_demo_painting_is_a_function_of_its_seed() -> None:
    first, second, other = paint_demo(256, 256), paint_demo(256, 256), paint_demo(256, 256, seed=2)
    np.testing.assert_array_equal(first, second)
    assert (first[0] != other[0]).any()
    classes, instances = first
    present = {CLASS_NAMES[i - 1] for i in np.unique(classes) if i}
    assert {"epithelial", "lymphocyte", "connective"} <= present
    assert ((classes > 0) == (instances > 0)).all()


def test_demo_caption_is_understood_word_by_word() -> None:
    from napari_histodiff.core.captions import parse_caption

    report = parse_caption(DEMO_CAPTION).report
    assert report.ignored == report.mapped == report.contradictory == ()


def test_style_follows_the_theme() -> None:
    assert dock_style("dark") != dock_style("light")


def test_the_model_menu_offers_the_bundled_model_a_folder_and_training(dock: StudioDock) -> None:
    texts = [action.text() for action in dock.status.model.menu().actions()]
    assert texts[:3] == ["Bundled model", "Model folder...", "Model of the Hugging Face Hub..."]
    assert texts[-4:-2] == ["Use an engine on another machine…", "Train on your own slides..."]
    assert texts[-2:] == ["About this model...", "Copy diagnostics"]


def test_a_folder_without_a_model_is_refused(
    dock: StudioDock, engine: RecordingEngine, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *a, **k: str(tmp_path))
    run("model_folder", dock)
    assert not engine.closed
    (tmp_path / "model_index.json").write_text("{}")
    made: list[Path | None] = []
    other = RecordingEngine()
    monkeypatch.setattr(
        "napari_histodiff.ui.actions.default_engine", lambda model=None: made.append(model) or other
    )
    run("model_folder", dock)
    assert made == [tmp_path]
    assert engine.closed
    assert other.started
