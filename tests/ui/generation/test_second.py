"""A second model draws each edit too: variants of both wait side by side."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_histodiff.core.engine import (
    EngineState,
    EngineStateChanged,
    JobCancelled,
    JobFailed,
    JobFinished,
    JobProgress,
)
from napari_histodiff.core.errors import OutOfMemory
from napari_histodiff.core.requests import EditKind
from napari_histodiff.ui.generation.second import SecondModel
from napari_histodiff.ui.generation.states import RunPhase, RunState, Staging
from napari_histodiff.ui.widgets.run_box import StagingBar
from tests.fakes import FAKE_INFO
from tests.ui.doubles import Desk, RecordingEngine

OTHER = replace(
    FAKE_INFO,
    name="other",
    revision="1",
    steps=30,
    guidance_scale=2.0,
    tissue_names=("unspecified", "stroma"),
)


class Bench(Desk):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.made: list[Path | None] = []
        self.others: list[RecordingEngine] = []
        self.second = SecondModel(self.controller, self._make)
        self.runs: list[RunState] = []
        self.second.run_changed.connect(self.runs.append)
        self.ready()
        frame = self.workspace.document.frame
        frame.class_map[3:9, 3:9], frame.instance_map[3:9, 3:9] = 3, 1
        frame.tissue_map[:] = 2  # stroma

    def _make(self, folder: Path | None) -> RecordingEngine:
        self.made.append(folder)
        self.others.append(RecordingEngine())
        return self.others[-1]

    @property
    def other(self) -> RecordingEngine:
        return self.others[-1]

    def tell(self, *events: object) -> None:
        self.other.emit(*events)
        self.second.pump()

    def meet(self) -> None:
        self.tell(EngineStateChanged(EngineState.READY, OTHER, 2**30))

    def draw_first(self) -> None:
        self.controller.generate()
        self.finish()

    def draw_second(self, shade: int = 50) -> None:
        request = self.other.submitted[-1]
        images = np.full((request.variants, *request.shape, 3), shade, np.uint8)
        self.tell(JobFinished(str(len(self.other.submitted)), images, 2.0))

    @property
    def now(self) -> Staging:
        assert self.controller.staged.now is not None
        return self.controller.staged.now


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_both_draw_the_same_and_their_variants_wait_side_by_side(bench) -> None:
    bench.second.compare_with(Path("models/other"))
    assert bench.made == [Path("models/other")]
    assert bench.other.started == 1
    bench.meet()
    bench.draw_first()
    first, second = bench.engine.submitted[0], bench.other.submitted[0]
    for name in ("region", "seed", "caption", "variants", "kind", "mpp"):
        assert getattr(second, name) == getattr(first, name)
    np.testing.assert_array_equal(second.class_map, first.class_map)
    assert (second.steps, second.guidance_scale) == (30, 2.0)
    assert (second.model_name, first.model_name) == ("other", "fake")
    assert set(np.unique(second.tissue_map)) == {1}  # stroma, in the other's schema
    assert bench.now.count == 2
    bench.draw_second()
    assert len(bench.now.variants) == 4
    assert bench.now.model == "fake"
    seen = []
    for _ in range(4):
        seen.append((bench.now.model, bench.now.index, bench.now.position))
        bench.controller.staged.step(1)
    assert seen == [("fake", 0, 0), ("fake", 1, 1), ("other", 0, 2), ("other", 1, 3)]
    assert [e.request.model_name for e in bench.controller.history.entries] == ["other", "fake"]


def test_apply_writes_the_one_in_view_and_saving_says_who_drew_it(bench, tmp_path) -> None:
    bench.second.compare_with(None)
    bench.meet()
    bench.draw_first()
    bench.draw_second(shade=50)
    bench.controller.staged.step(-1)
    bench.save(tmp_path / "out")
    facts = json.loads(next((tmp_path / "out").glob("*.json")).read_text())
    assert (facts["model"]["name"], facts["model_name"]) == ("other", "other")
    bench.controller.staged.apply()
    _, pixels, _ = bench.workspace.document.written[-1]
    assert (pixels == 50).all()
    assert bench.controller.staged.now is None


def test_a_model_that_is_still_loading_draws_when_it_is_there(bench) -> None:
    bench.second.compare_with(None)
    bench.draw_first()
    assert not bench.other.submitted
    assert bench.runs[-1].phase is RunPhase.RUNNING
    bench.meet()
    assert len(bench.other.submitted) == 1
    bench.tell(JobProgress("1", 3, 9))
    assert bench.runs[-1].message == "other: step 3 of 9"
    bench.draw_second()
    assert bench.runs[-1].phase is RunPhase.IDLE


@pytest.mark.parametrize("how", ["fails", "dies", "cancelled", "stopped"])
def test_without_the_second_the_variants_of_the_first_stay(bench, how) -> None:
    bench.second.compare_with(None)
    bench.meet()
    bench.draw_first()
    if how == "fails":
        bench.tell(JobFailed("1", OutOfMemory("expected more memory; use a smaller frame")))
        assert "the variants of the first stay" in bench.notices[-1].message
        assert "smaller frame" in bench.notices[-1].message
    elif how == "dies":
        bench.tell(EngineStateChanged(EngineState.DEAD, message="It was killed; restart it."))
        assert "restart it" in bench.notices[-1].message
    elif how == "cancelled":
        bench.second.cancel()
        assert bench.other.cancelled == ["1"]
        bench.tell(JobCancelled("1"))
    else:
        bench.second.stop()
        assert bench.other.closed == 1
        assert not bench.second.compares
    assert bench.now.count == len(bench.now.variants) == 2
    assert bench.runs[-1].phase is RunPhase.IDLE


def test_cancel_stops_the_second_model_too(bench) -> None:
    bench.second.compare_with(None)
    bench.meet()
    bench.draw_first()
    bench.controller.cancel()
    assert bench.other.cancelled == ["1"]
    assert bench.runs[-1].phase is RunPhase.IDLE


def test_what_was_applied_before_is_not_joined_but_kept(bench) -> None:
    bench.second.compare_with(None)
    bench.meet()
    bench.draw_first()
    bench.controller.staged.apply()
    bench.draw_second()
    assert bench.controller.staged.now is None
    assert len(bench.controller.history.entries) == 2


def test_another_edit_leaves_the_one_before(bench) -> None:
    bench.second.compare_with(None)
    bench.meet()
    bench.draw_first()
    before = len(bench.runs)
    bench.controller.generate()
    assert bench.other.cancelled == ["1"]
    assert len(bench.runs) == before  # the edit that runs is not shown as over
    bench.finish()
    assert len(bench.other.submitted) == 2
    bench.tell(JobFinished("1", np.zeros((2, 48, 64, 3), np.uint8), 1.0))
    assert len(bench.now.variants) == 2


def test_it_draws_nothing_while_it_is_not_asked(bench) -> None:
    bench.draw_first()
    assert not bench.others
    bench.second.compare_with(None)
    bench.second.compare_with(Path("b"))
    assert bench.others[0].closed == 1
    bench.second.close()
    bench.second.close()
    assert bench.others[1].closed == 1


def test_a_shift_moves_the_edits_of_both(bench) -> None:
    bench.second.compare_with(None)
    bench.meet()
    bench.workspace.document.frame.kind = EditKind.GENERATE
    bench.draw_first()
    bench.draw_second()
    bench.controller.staged.step(2)
    moved = bench.now.shifted(8, 4)
    assert moved.model == "other"
    assert moved.position == 2
    assert {e.request.region.y for e in moved.beside} == {bench.now.region.y + 8}


def test_the_bar_says_which_model_drew(bench, qtbot) -> None:
    bar = StagingBar()
    qtbot.addWidget(bar)
    bench.second.compare_with(None)
    bench.meet()
    bench.draw_first()
    bar.set_staging(bench.now)
    assert bar.which.text() == "1 of 2"
    bench.draw_second()
    bench.controller.staged.step(-1)
    bar.set_staging(bench.now)
    assert bar.which.text() == "4 of 4\nother"
