"""The promises of the design that need a real window."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from napari.layers import Image
from qtpy.QtCore import QTimer

from napari_histodiff.core.engine import EngineState
from napari_histodiff.core.requests import EditKind
from napari_histodiff.engine.local import LocalEngine
from napari_histodiff.ui.actions import camera_of
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.generation.settings import SeedMode
from napari_histodiff.ui.generation.states import RunPhase
from tests.fakes import FakeFactory
from tests.ui.conftest import OpenDock, WaitFor
from tests.ui.doubles import RecordingEngine

# Workers start in seconds, on a busy machine with two cores in many.
pytestmark = pytest.mark.timeout(300)


def _tissue(side: int = 256) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (side, side, 3), dtype=np.uint8)


def _paint_mask(dock: StudioDock) -> np.ndarray:
    """Paint a disc of edit mask and one nucleus; returns the mask in the frame."""
    shape = dock.workspace.document.region.shape
    y, x = np.mgrid[: shape[0], : shape[1]]
    mask = (y - 90) ** 2 + (x - 130) ** 2 < 40**2
    classes = np.zeros(shape, np.uint8)
    classes[80:92, 120:133] = 2
    dock.workspace.document.set_painting(classes, classes.astype(np.int32), mask)
    return mask


def _run(dock: StudioDock, wait_for: WaitFor) -> None:
    dock.actions.generate()
    wait_for(lambda: dock.controller.staged.now is not None)


def test_looking_starts_no_model(open_dock: OpenDock, qtbot, make_napari_viewer) -> None:
    """Promise 1: adding layers, thumbnails, status values and zooming submit nothing."""
    engine = RecordingEngine()
    dock = open_dock(engine)
    engine.ready()
    viewer = dock.viewer
    layer = viewer.add_image(_tissue())
    dock.workspace.use_layer(layer)
    dock.workspace.new_canvas(256, 256)
    pyramid = [_tissue(512), _tissue(256), _tissue(128)]
    dock.workspace.use_layer(viewer.add_image(pyramid, rgb=True, multiscale=True))
    for each in list(viewer.layers):
        assert each.thumbnail.size
        each.get_status((40.0, 40.0), world=True)
    viewer.cursor.position = (30.0, 30.0)
    camera_of(viewer).zoom *= 4
    viewer.screenshot(canvas_only=True, flash=False)
    qtbot.wait(300)
    assert engine.submitted == []


def test_window_lives_while_a_job_runs(open_dock: OpenDock, qtbot, wait_for: WaitFor) -> None:
    """Promise 2: the event loop turns during a job; `benchmarks/bench_gui_lag.py` says how fast."""
    dock = open_dock(LocalEngine(FakeFactory(delay=0.05)))
    dock.workspace.new_canvas(256, 256)
    wait_for(lambda: dock.controller.status.state is EngineState.READY)
    dock.controller.set(variants=4, steps=20)
    ticks: list[float] = []
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(time.perf_counter()))
    timer.start(10)
    seen: list[int] = []
    dock.controller.drawing.run_changed.connect(lambda state: seen.append(state.done))
    started = time.perf_counter()
    _run(dock, wait_for)
    worked = time.perf_counter() - started
    timer.stop()
    assert worked >= 80 * 0.05  # the job was real work, elsewhere
    # The window was never held for the length of the job, nor the progress saved up to its end.
    assert len(ticks) > 40
    assert len(set(seen)) > 3


@pytest.mark.parametrize("multiscale", [False, True])
def test_no_byte_changes_outside_the_edit_mask(
    open_dock: OpenDock, wait_for: WaitFor, multiscale: bool
) -> None:
    """Promise 4, through the whole dock: paint, inpaint, apply, undo, redo."""
    dock = open_dock(LocalEngine(FakeFactory()))
    source = _tissue()
    original = source.copy()
    data = [source, source[::2, ::2].copy()] if multiscale else source
    layer = dock.viewer.add_image(data, rgb=True, multiscale=multiscale)
    dock.workspace.use_layer(layer)
    mask = _paint_mask(dock)
    wait_for(lambda: dock.controller.status.state is EngineState.READY)
    dock.controller.refresh_plan()
    assert dock.run.main.text() == "Inpaint"
    _run(dock, wait_for)
    assert dock.controller.staged.now.entry.request.kind is EditKind.INPAINT
    before = dock.workspace.document.snapshot().image
    np.testing.assert_array_equal(before, original)
    dock.actions.apply()
    after = dock.workspace.document.snapshot().image
    np.testing.assert_array_equal(after[~mask], original[~mask])
    assert (after[mask] != original[mask]).any()
    np.testing.assert_array_equal(source, original)
    dock.controller.staged.undo()
    np.testing.assert_array_equal(dock.workspace.document.snapshot().image, original)
    dock.controller.staged.redo()
    np.testing.assert_array_equal(dock.workspace.document.snapshot().image, after)


def test_apply_keeps_what_changed_outside_the_mask_meanwhile(
    open_dock: OpenDock, wait_for: WaitFor
) -> None:
    dock = open_dock(LocalEngine(FakeFactory()))
    dock.workspace.use_layer(dock.viewer.add_image(_tissue(), rgb=True))
    mask = _paint_mask(dock)
    _run(dock, wait_for)
    region = dock.workspace.document.region
    dock.workspace.document.write(region, np.full((*region.shape, 3), 5, np.uint8))
    dock.actions.apply()
    assert (dock.workspace.document.snapshot().image[~mask] == 5).all()


def test_cancel_ends_the_job_and_the_next_one_works(open_dock: OpenDock, wait_for: WaitFor) -> None:
    """Promise 6, first half."""
    dock = open_dock(LocalEngine(FakeFactory(delay=0.05)))
    dock.workspace.new_canvas(256, 256)
    dock.controller.set(steps=100, variants=16)  # 80 s of work
    dock.actions.generate()
    wait_for(lambda: dock.controller.run_state.done > 0)
    assert dock.run.main.text() == "Cancel"
    dock.run.main.click()
    assert dock.run.main.text() == "Cancelling…"
    wait_for(lambda: dock.controller.run_state.phase is RunPhase.IDLE)
    assert dock.controller.staged.now is None
    assert dock.controller.history.entries == ()
    dock.controller.set(steps=2, variants=1)
    _run(dock, wait_for)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_killed_worker_is_told_and_the_next_job_works(
    open_dock: OpenDock, wait_for: WaitFor
) -> None:
    """Promise 6, second half."""
    engine = LocalEngine(FakeFactory(delay=0.05))
    dock = open_dock(engine)
    notices = []
    dock.controller.noticed.disconnect()
    dock.controller.noticed.connect(notices.append)
    dock.workspace.new_canvas(256, 256)
    dock.controller.set(steps=100, variants=16)
    dock.actions.generate()
    wait_for(lambda: dock.controller.run_state.done > 0)
    os.kill(engine.worker_pid, signal.SIGKILL)
    wait_for(lambda: dock.controller.run_state.phase is RunPhase.IDLE)
    assert len(notices) == 1
    assert "Traceback" not in notices[0].message
    assert ";" in notices[0].message  # what happened; what to do
    dock.controller.set(steps=2, variants=1, seed_mode=SeedMode.FIXED)
    _run(dock, wait_for)
    assert isinstance(dock.controller.staged.preview.layer, Image)


def test_torch_stays_out_of_the_window_s_process(tmp_path) -> None:
    """Promise 10: in a fresh interpreter, since other tests may have loaded torch here."""
    script = """
import sys
import napari
from pathlib import Path
from qtpy.QtWidgets import QApplication
from napari_histodiff.engine.local import LocalEngine
from napari_histodiff.ui.actions import camera_of
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.generation.settings import SettingsStore
from tests.fakes import FakeFactory

viewer = napari.Viewer(show=False)
dock = StudioDock(viewer, engine=LocalEngine(FakeFactory()), store=SettingsStore(Path(sys.argv[1])))
viewer.window.add_dock_widget(dock)
dock.workspace.new_canvas(128, 128)
dock.actions.generate()
while dock.controller.staged.now is None:
    QApplication.processEvents()
    dock.controller.pump()
dock.actions.apply()
dock.shut_down()
viewer.close()
print("torch" in sys.modules, "diffusers" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "studio.json")],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.stdout.strip().endswith("False False"), done.stdout + done.stderr


def test_a_model_loads_in_the_console_of_an_open_window() -> None:
    """Mesa has drawn by then: its LLVM and Triton's, which torch brings, end a process together."""
    script = """
import napari, numpy as np
viewer = napari.Viewer(show=True)
viewer.add_image(np.zeros((64, 64, 3), np.uint8))
viewer.screenshot()
import napari_histodiff as hd
images = hd.load_model()(shape=(32, 32), steps=1)
viewer.close()
print("drawn", np.shape(images))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=280, check=False
    )
    assert done.stdout.strip().endswith("32, 32, 3)"), done.stdout + done.stderr
