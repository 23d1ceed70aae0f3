"""The anomaly map of a frame: paint from the judge, drawings from the engine, a layer beside it."""

from __future__ import annotations

import sys
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_histodiff.core.engine import (
    EngineState,
    EngineStateChanged,
    JobFailed,
    JobFinished,
    JobProgress,
)
from napari_histodiff.core.errors import OutOfMemory
from napari_histodiff.ui.anomaly.mapper import ANOMALY_NAME, AnomalyMapper
from napari_histodiff.ui.generation.controller import Controller
from napari_histodiff.ui.generation.settings import SettingsStore
from napari_histodiff.ui.generation.states import Notice, RunPhase, RunState
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.evaluation.maps.test_anomaly import INK, tissue
from tests.ui.conftest import WaitFor
from tests.ui.doubles import RecordingEngine

FAKE_JUDGE = Path(__file__).parents[1] / "proposals" / "fake_judge.py"
SIDE = 128


class Bench:
    def __init__(self, folder: Path, wait_for: WaitFor, mode: str = "work") -> None:
        self.viewer = ViewerModel()
        self.workspace = Workspace(self.viewer, seed=0)
        self.engine = RecordingEngine()
        store = SettingsStore(folder / "studio.json")
        self.controller = Controller(self.viewer, self.workspace, self.engine, store=store)
        self.notices: list[Notice] = []
        self.controller.noticed.connect(self.notices.append)
        judge = (sys.executable, str(FAKE_JUDGE), mode)
        self.mapper = AnomalyMapper(self.viewer, self.workspace, self.controller, judge)
        self.image = tissue(SIDE, SIDE)
        self.image[40:60, 70:100] = INK
        self.image[5:15, 5:15] = (90, 60, 120)  # a nucleus
        self.wait_for = wait_for

    def use(self, image: np.ndarray | None = None, mpp: float | None = 0.5) -> None:
        shown = self.image if image is None else image
        layer = self.viewer.add_image(shown, rgb=True, name="Tissue")
        self.workspace.use_layer(layer)
        if mpp is not None:
            self.workspace.set_pixel_size(mpp)

    def ready(self) -> None:
        self.engine.ready()
        self.controller.pump()

    def until_drawing(self) -> None:
        def submitted() -> bool:
            self.mapper.pump()
            return bool(self.engine.submitted)

        self.wait_for(submitted)

    def finish(self) -> None:
        request = self.engine.submitted[-1]
        drawn = np.stack([tissue(*request.shape, seed=7 + v) for v in range(request.variants)])
        self.engine.emit(JobFinished(str(len(self.engine.submitted)), drawn, 1.0))

        def over() -> bool:
            self.mapper.pump()
            return not self.mapper.state.running

        self.wait_for(over)

    @property
    def names(self) -> list[str]:
        return [layer.name for layer in self.viewer.layers]


@pytest.fixture
def bench(tmp_path, wait_for):
    bench = Bench(tmp_path, wait_for)
    yield bench
    bench.mapper.close()


def test_ink_in_the_frame_becomes_a_layer_with_a_scale(bench) -> None:
    bench.use()
    bench.ready()
    bench.mapper.begin()
    bench.until_drawing()
    request = bench.engine.submitted[0]
    assert request.edit_mask.all()
    assert (request.strength, request.tissue_map is None) == (0.2, False)
    bench.finish()
    layer = bench.viewer.layers[ANOMALY_NAME]
    frame = bench.workspace.document.region
    assert layer.data.shape == frame.shape
    np.testing.assert_allclose(layer.scale, bench.workspace.target.scale)
    y, x = 50 - frame.y, 85 - frame.x
    assert layer.data[y, x] > layer.contrast_limits[0] > np.median(layer.data)
    assert "median" in layer.metadata["unit"]
    assert layer.metadata["model"] == "fake"
    assert layer.colormap.colors[0][3] == 0  # clear where tissue is ordinary
    assert "% above" in bench.mapper.state.note
    bench.mapper.begin()
    bench.mapper.cancel()
    assert bench.names.count(ANOMALY_NAME) == 1


def test_progress_is_told_and_previews_of_others_are_not_its_own(bench) -> None:
    bench.use()
    bench.ready()
    bench.mapper.begin()
    bench.until_drawing()
    bench.engine.emit(JobProgress("another", 1, 2), JobProgress("1", 3, 4))

    def told() -> bool:
        bench.mapper.pump()
        return "step 3 of 4" in bench.mapper.state.note

    bench.wait_for(told)
    assert bench.controller.staged.now is None


@pytest.mark.parametrize("moment", ["judging", "drawing"])
def test_cancel_leaves_nothing_behind(tmp_path, wait_for, moment) -> None:
    bench = Bench(tmp_path, wait_for, "hang" if moment == "judging" else "work")
    bench.use()
    bench.ready()
    bench.mapper.begin()
    if moment == "drawing":
        bench.until_drawing()
    bench.mapper.cancel()
    assert bench.engine.cancelled == (["1"] if moment == "drawing" else [])
    assert bench.mapper.state.note == "Cancelled."
    bench.engine.emit(JobFinished("1", np.zeros((2, SIDE, SIDE, 3), np.uint8), 1.0))
    bench.mapper.pump()
    assert ANOMALY_NAME not in bench.names
    bench.mapper.close()


def test_a_failure_of_either_is_told(tmp_path, wait_for) -> None:
    bench = Bench(tmp_path, wait_for, "error")
    bench.use()
    bench.ready()
    bench.mapper.begin()

    def failed() -> bool:
        bench.mapper.pump()
        return bool(bench.notices)

    wait_for(failed)
    assert "expected a judge" in bench.notices[-1].message
    bench.mapper.close()


def test_a_drawing_that_fails_is_told(bench) -> None:
    bench.use()
    bench.ready()
    bench.mapper.begin()
    bench.until_drawing()
    bench.engine.emit(JobFailed("1", OutOfMemory("expected more memory; use a smaller frame")))
    bench.mapper.pump()
    assert "smaller frame" in bench.notices[-1].message
    assert not bench.mapper.state.running


def test_another_model_ends_it(bench) -> None:
    bench.use()
    bench.ready()
    bench.mapper.begin()
    bench.until_drawing()
    bench.engine.emit(EngineStateChanged(EngineState.CLOSED))
    bench.mapper.pump()
    assert not bench.mapper.state.running


def test_another_image_ends_it(bench) -> None:
    bench.use()
    bench.ready()
    bench.mapper.begin()
    bench.until_drawing()
    bench.use(tissue(SIDE, SIDE, 3))
    assert not bench.mapper.state.running


def refused(bench: Bench) -> str:
    bench.mapper.begin()
    assert not bench.mapper.state.running
    assert not bench.engine.submitted
    return bench.notices[-1].message


def test_what_cannot_be_compared_is_said_in_a_sentence(bench) -> None:
    assert "image" in refused(bench)
    bench.use(mpp=None)
    assert "The model is loading" in refused(bench)
    bench.ready()
    assert "how large its pixels are" in refused(bench)
    bench.workspace.set_pixel_size(0.5)
    bench.controller.drawing.run = RunState(RunPhase.RUNNING)
    assert "An edit is running" in refused(bench)
    bench.controller.drawing.run = RunState()
    bench.use(np.full((SIDE, SIDE, 3), 250, np.uint8))
    assert "choose a place with tissue" in refused(bench)


def test_one_frame_at_a_time(bench) -> None:
    bench.use()
    bench.ready()
    bench.mapper._judge.begin = Mock()
    bench.mapper.begin()
    bench.mapper.begin()
    assert "being compared" in bench.notices[-1].message
    assert bench.mapper._judge.begin.call_count == 1
