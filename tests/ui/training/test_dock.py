from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from npe2 import PluginManager, PluginManifest
from qtpy.QtCore import QEvent
from qtpy.QtGui import QCloseEvent, QShowEvent
from qtpy.QtWidgets import QApplication, QMessageBox

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.ui.generation.states import Level, Notice
from napari_histodiff.ui.text import PLUGIN
from napari_histodiff.ui.training import dock as training_dock
from napari_histodiff.ui.training import process as training_process
from napari_histodiff.ui.training.controller import TrainingPhase
from napari_histodiff.ui.training.dock import (
    SHEET_LAYER,
    TRAINING_WIDGET,
    TrainingDock,
    open_training,
    train,
)
from napari_histodiff.ui.training.settings import TrainingSettings, TrainingStore
from tests.ui.conftest import WaitFor
from tests.ui.training.training_fake import FakeTraining

MANIFEST = Path(training_dock.__file__).parents[2] / "napari.yaml"

OpenTraining = Callable[[], TrainingDock]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeTraining:
    monkeypatch.setattr(training_process, "_NICENESS", 0)  # a busy machine starves the patient
    return FakeTraining(tmp_path)


@pytest.fixture
def notices(monkeypatch: pytest.MonkeyPatch) -> list[Notice]:
    shown: list[Notice] = []
    monkeypatch.setattr(training_dock, "show_notice", shown.append)
    return shown


@pytest.fixture
def open_form(
    make_napari_viewer, tmp_path: Path, fake: FakeTraining, notices: list[Notice]
) -> Iterator[OpenTraining]:
    opened: list[TrainingDock] = []

    def open_() -> TrainingDock:
        viewer = make_napari_viewer()
        dock = TrainingDock(
            viewer, store=TrainingStore(tmp_path / "training.json"), command=fake.command
        )
        viewer.window.add_dock_widget(dock, name=TRAINING_WIDGET, area="right")
        opened.append(dock)
        return dock

    yield open_
    for dock in opened:
        pid = dock.controller.pid
        dock.shut_down()
        with suppress(psutil.NoSuchProcess):
            if pid is not None:
                psutil.Process(pid).wait(30)


@pytest.fixture
def dock(open_form: OpenTraining, fake: FakeTraining) -> TrainingDock:
    dock = open_form()
    dock.form.data.edit.setText(str(fake.data))
    dock.form.data.edit.editingFinished.emit()
    dock.form.output.edit.setText(str(fake.output))
    dock.form.output.edit.editingFinished.emit()
    return dock


def _phase(dock: TrainingDock, phase: TrainingPhase) -> Callable[[], bool]:
    return lambda: dock.controller.state.phase is phase


def test_the_main_button_says_what_is_missing(open_form: OpenTraining) -> None:
    dock = open_form()
    assert not dock.foot.main.isEnabled()
    assert "folder with your images" in dock.foot.note.text()
    assert dock.progress.isHidden()
    assert dock.foot.use.isHidden()


def test_a_run_from_start_to_the_use_of_its_model(
    dock: TrainingDock,
    fake: FakeTraining,
    notices: list[Notice],
    wait_for: WaitFor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert dock.form.found.text() == "Found QuPath annotations: 1 .geojson, 1 .png"
    dock.foot.main.click()
    assert not dock.form.isEnabled()
    wait_for(_phase(dock, TrainingPhase.TRAINING))
    assert dock.foot.main.text() == "Stop and save"
    wait_for(lambda: "crops/s" in dock.foot.note.text() and "left" in dock.foot.note.text())
    wait_for(lambda: dock.controller.losses.best is not None)
    wait_for(lambda: not dock.progress.sheet.isHidden())
    assert len(dock.progress.curve.train) > 1
    assert "kept" in dock.progress.best.text()
    fake.let_finish()
    wait_for(_phase(dock, TrainingPhase.FINISHED))
    assert notices[-1].level is Level.INFO
    assert str(fake.output / "pipeline") in notices[-1].message
    assert not dock.foot.use.isHidden()
    chosen: list[Path] = []
    studio = SimpleNamespace(actions=SimpleNamespace(use_model=chosen.append))
    monkeypatch.setattr(training_dock, "studio", lambda viewer: studio)
    assert open_training(dock.viewer) is dock
    dock.foot.use.click()
    assert chosen == [fake.output / "pipeline"]
    dock.show_sheet_in_viewer()
    dock.show_sheet_in_viewer()
    assert [layer.name for layer in dock.viewer.layers] == [SHEET_LAYER]


def test_stop_saves_and_resume_goes_on(
    dock: TrainingDock, fake: FakeTraining, notices: list[Notice], wait_for: WaitFor
) -> None:
    dock.foot.main.click()
    wait_for(_phase(dock, TrainingPhase.TRAINING))
    dock.foot.main.click()
    assert _phase(dock, TrainingPhase.STOPPING)()
    assert not dock.foot.main.isEnabled()
    wait_for(_phase(dock, TrainingPhase.STOPPED))
    assert "Resume" in notices[-1].message
    assert dock.foot.main.text() == "Resume the training"
    fake.let_finish()
    dock.foot.main.click()
    wait_for(_phase(dock, TrainingPhase.FINISHED))
    assert fake.resumed == [False, True]
    log = (fake.output / "training.log").read_text()
    assert "saved before the end" in log
    assert "goes on" in log


def test_a_crash_says_why_and_what_next(
    dock: TrainingDock, fake: FakeTraining, notices: list[Notice], wait_for: WaitFor
) -> None:
    fake.mode = "crash"
    dock.foot.main.click()
    wait_for(_phase(dock, TrainingPhase.FAILED))
    assert notices[-1].level is Level.ERROR
    assert "expected labels for a.png, got none; add a.geojson" in notices[-1].message
    assert "start again" in notices[-1].message
    assert str(fake.output / "training.log") in notices[-1].message
    assert "add a.geojson" in dock.foot.note.text()
    assert dock.form.isEnabled()
    assert dock.foot.main.isEnabled()


def test_a_run_that_does_not_listen_can_be_ended_at_once(
    dock: TrainingDock,
    fake: FakeTraining,
    wait_for: WaitFor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("napari_histodiff.ui.training.controller._PATIENCE", 0.0)
    fake.mode = "deaf"
    dock.foot.main.click()
    wait_for(_phase(dock, TrainingPhase.TRAINING))
    dock.foot.main.click()
    wait_for(lambda: not dock.foot.end.isHidden())
    dock.foot.end.click()
    wait_for(_phase(dock, TrainingPhase.STOPPED))


@pytest.mark.parametrize(("answer", "closes"), [("Ok", True), ("Cancel", False)])
def test_closing_the_window_asks_first(
    dock: TrainingDock,
    wait_for: WaitFor,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    closes: bool,
) -> None:
    asked: list[str] = []

    def reply(_parent: object, _title: str, text: str, *_: object) -> object:
        asked.append(text)
        return getattr(QMessageBox.StandardButton, answer)

    monkeypatch.setattr(QMessageBox, "question", reply)
    window, event = dock.window(), QCloseEvent()
    QApplication.sendEvent(dock, QShowEvent())
    assert not dock.eventFilter(window, event)
    assert asked == []
    dock.foot.main.click()
    wait_for(_phase(dock, TrainingPhase.TRAINING))
    assert dock.eventFilter(window, event) is not closes
    assert len(asked) == 1
    assert not dock.eventFilter(window, QEvent(QEvent.Type.Show))
    if not closes:
        assert not window.close()
        assert len(asked) == 2


def test_taking_the_dock_away_lets_the_run_save(
    dock: TrainingDock, fake: FakeTraining, notices: list[Notice], wait_for: WaitFor
) -> None:
    dock.foot.main.click()
    wait_for(_phase(dock, TrainingPhase.TRAINING))
    dock.viewer.window.remove_dock_widget(dock)
    wait_for((fake.output / "checkpoint.pt").is_file)
    assert not dock.controller.running
    assert "asked to save" in notices[-1].message
    dock.deleteLater()
    QApplication.processEvents()


def test_the_form_remembers_and_shows_every_setting(
    dock: TrainingDock, open_form: OpenTraining, fake: FakeTraining, tmp_path: Path
) -> None:
    (fake.data / "pipeline").mkdir()
    form = dock.form
    form.scan.setCurrentIndex(2)
    form.mpp.setValue(0.45)
    form.organ.setCurrentText("breast")
    form.origin.setCurrentIndex(1)
    form.start.edit.setText(str(fake.data / "pipeline"))
    form.start.edit.editingFinished.emit()
    form.unit.setCurrentIndex(1)
    form.length.setValue(4500)
    form.device.setCurrentText("cpu")
    dock.shut_down()
    expected = TrainingSettings(
        data=str(fake.data),
        mpp=0.45,
        organ="breast",
        start=str(fake.data / "pipeline"),
        output=str(fake.output),
        by_time=False,
        samples=4500,
        device="cpu",
    )
    assert TrainingStore(tmp_path / "training.json").load() == expected
    again = open_form()
    assert again.controller.settings == expected
    typed = again.form.take_typed()
    assert TrainingSettings(**typed) == expected
    assert not again.form.mpp.isHidden()
    again.form.fresh.click()
    assert again.controller.settings.output != str(fake.output)


def test_a_script_starts_a_training(
    dock: TrainingDock, fake: FakeTraining, wait_for: WaitFor, tmp_path: Path
) -> None:
    assert train(dock.viewer, fake.data, fake.output, organ="colon", minutes=5) is dock
    assert dock.controller.settings.minutes == dock.form.length.value() == 5
    wait_for(_phase(dock, TrainingPhase.TRAINING))
    fake.let_finish()
    wait_for(_phase(dock, TrainingPhase.FINISHED))
    with pytest.raises(TrainingError, match="Expected a folder of images"):
        train(dock.viewer, tmp_path / "none")


def test_the_manifest_offers_the_dock() -> None:
    manifest = PluginManifest.from_file(MANIFEST)
    widgets = {w.display_name: w.command for w in manifest.contributions.widgets or ()}
    command = manifest.contributions.commands or []
    names = {c.id: str(c.python_name) for c in command}
    assert names[widgets[TRAINING_WIDGET]] == f"{TrainingDock.__module__}:TrainingDock"


def test_the_dock_opens_by_one_call(make_napari_viewer) -> None:
    manager = PluginManager.instance()
    if PLUGIN not in {manifest.name for manifest in manager.iter_manifests()}:
        manager.register(PluginManifest.from_file(MANIFEST), warn_disabled=False)
    viewer = make_napari_viewer()
    dock = open_training(viewer)
    assert open_training(viewer) is dock
    dock.shut_down()


def test_the_dock_needs_neither_torch_nor_matplotlib() -> None:
    code = (
        "import sys, napari_histodiff.ui.training.dock; "
        "print({'torch', 'matplotlib', 'diffusers'} & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=120,
        check=True,
    )
    assert run.stdout.strip() == "set()"
