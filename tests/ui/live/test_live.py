"""Live painting with a clock of its own: what is drawn, what is shown, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path
from typing import Any

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
from napari_histodiff.core.errors import InvalidRequest, OutOfMemory
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.ui.generation.states import RunPhase
from napari_histodiff.ui.live.live import LIVE_NAME, LivePainting
from napari_histodiff.ui.live.rough import rough
from tests.fakes import FAKE_INFO
from tests.ui.doubles import Desk

INFO = replace(FAKE_INFO, mpp=(0.25, 2.4), jump_steps=4)


class Immediate(Executor):
    """Does at once what it is given."""

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(work(*arguments, **named))
        except Exception as error:  # noqa: BLE001 - as a thread would
            future.set_exception(error)
        return future


class Painter:
    """A desk with live painting, and a clock that stands until somebody turns it."""

    def __init__(self, folder: Path) -> None:
        self.desk = Desk(folder)
        self.now = 100.0
        self.live = LivePainting(
            self.desk.workspace, self.desk.controller, lambda: self.now, Immediate()
        )
        self.said: list[str] = []
        self.live.said.connect(self.said.append)
        self.desk.emit(EngineStateChanged(EngineState.READY, INFO))
        self.desk.controller.set(live=True, seed=11, steps=6)
        self.wait()
        self.finish()

    def wait(self) -> None:
        self.now += 0.1
        self.live.pump()  # what is due is prepared
        self.live.pump()  # and submitted

    def stroke(self) -> None:
        self.desk.workspace.painting_changed.emit()
        self.wait()

    def submitted(self) -> int:
        return len(self.desk.engine.submitted)

    def finish(self, shade: int = 100) -> None:
        request = self.desk.engine.submitted[-1]
        images = np.full((1, *request.shape, 3), shade, np.uint8)
        self.desk.emit(JobFinished(str(self.submitted()), images, 0.2))
        self.live.pump()

    def cancelled(self) -> None:
        self.desk.emit(JobCancelled(str(self.submitted())))
        self.live.pump()

    @property
    def picture(self) -> int | None:
        preview = self.desk.controller.staged.preview
        return int(preview.layer.data[0, 0, 0]) if preview.shown else None


@pytest.fixture
def painter(tmp_path: Path) -> Painter:
    return Painter(tmp_path)


def test_a_stroke_is_drawn_roughly_and_marked_and_cannot_be_applied(painter: Painter) -> None:
    before = painter.submitted()
    painter.stroke()
    assert painter.submitted() == before + 1
    request = painter.desk.engine.submitted[-1]
    assert (request.steps, request.variants, request.guidance_scale) == (1, 1, 1.0)
    assert request.seed == 11
    painter.finish(70)
    layer = painter.desk.controller.staged.preview.layer
    assert layer.name == LIVE_NAME
    assert layer.data.shape == (48, 64, 3)
    assert painter.picture == 70
    assert "rough" in painter.said[-1]
    assert painter.desk.controller.staged.now is None
    painter.desk.controller.staged.apply()
    assert painter.desk.workspace.document.written == []
    assert not painter.desk.controller.history.entries


def test_it_is_off_at_first_and_remembered(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert not desk.controller.settings.live
    live = LivePainting(desk.workspace, desk.controller, executor=Immediate())
    desk.ready()
    desk.workspace.painting_changed.emit()
    live.pump()
    assert not desk.engine.submitted
    live.toggle()
    desk.controller.close()
    assert desk.store.load().live


def test_a_newer_stroke_cancels_what_has_only_begun(painter: Painter) -> None:
    painter.stroke()
    first = painter.submitted()
    painter.stroke()
    assert painter.desk.engine.cancelled == [str(first)]
    painter.wait()
    assert painter.desk.engine.cancelled == [str(first)]  # asked once
    assert painter.submitted() == first
    painter.cancelled()
    painter.wait()
    assert painter.submitted() == first + 1
    painter.finish(80)
    assert painter.picture == 80


def test_what_is_nearly_done_is_shown_one_stroke_late_but_never_two(painter: Painter) -> None:
    painter.stroke()
    number = painter.submitted()
    painter.desk.emit(JobProgress(str(number), 6, 10))
    painter.stroke()
    assert painter.desk.engine.cancelled == []
    painter.finish(70)
    assert painter.picture == 70
    painter.wait()  # the newest one follows at once
    assert painter.submitted() == number + 1
    painter.desk.emit(JobProgress(str(number + 1), 9, 10))
    painter.stroke()
    painter.stroke()
    assert painter.desk.engine.cancelled == [str(number + 1)]
    painter.finish(71)  # done before it heard of it
    assert painter.picture == 70
    assert painter.live.strokes - painter.live.shown == 3
    painter.wait()
    painter.finish(72)
    assert painter.picture == 72
    assert painter.live.shown == painter.live.strokes


def test_strokes_of_one_moment_are_drawn_once(painter: Painter) -> None:
    before = painter.submitted()
    for _ in range(5):
        painter.desk.workspace.painting_changed.emit()
    painter.wait()
    painter.wait()
    assert painter.submitted() == before + 1


def test_an_edit_comes_first_and_live_goes_on_when_variants_are_gone(painter: Painter) -> None:
    painter.stroke()
    painter.finish(70)
    painter.stroke()
    live_job = painter.submitted()
    painter.desk.controller.generate()
    assert painter.desk.engine.cancelled == [str(live_job)]
    assert painter.picture is None
    assert painter.desk.controller.settings.seed == 11  # that of the picture
    number = painter.submitted()
    painter.stroke()
    assert painter.submitted() == number
    painter.desk.finish()
    assert painter.desk.controller.run_state.phase is RunPhase.IDLE
    painter.stroke()
    assert painter.submitted() == number  # variants wait for Apply
    painter.desk.controller.staged.discard()
    painter.wait()
    assert painter.submitted() == number + 1


def test_it_waits_while_the_engine_draws_tiles(painter: Painter) -> None:
    before = painter.submitted()
    painter.desk.emit(EngineStateChanged(EngineState.BUSY, INFO))
    painter.stroke()
    painter.wait()
    assert painter.submitted() == before
    painter.desk.emit(EngineStateChanged(EngineState.READY, INFO))
    painter.wait()
    assert painter.submitted() == before + 1


@pytest.mark.parametrize("signal", ["frame_changed", "target_changed"])
def test_another_place_takes_the_picture_away_and_is_no_stroke(
    painter: Painter, signal: str
) -> None:
    painter.stroke()
    painter.finish()
    number = painter.submitted()
    getattr(painter.desk.workspace, signal).emit()
    painter.desk.workspace.painting_changed.emit()  # told with it
    painter.wait()
    assert painter.picture is None
    assert painter.submitted() == number
    painter.stroke()
    assert painter.submitted() == number + 1


def test_switched_off_it_leaves_nothing_behind(painter: Painter) -> None:
    painter.stroke()
    painter.finish()
    painter.stroke()
    painter.live.toggle()
    assert painter.desk.engine.cancelled == [str(painter.submitted())]
    assert painter.picture is None
    number = painter.submitted()
    painter.stroke()
    assert painter.submitted() == number


def test_what_cannot_be_drawn_is_said_and_the_next_stroke_is_tried(painter: Painter) -> None:
    painter.stroke()
    painter.desk.emit(JobFailed(str(painter.submitted()), OutOfMemory("no memory left")))
    assert "no memory left" in painter.said[-1]
    painter.desk.workspace.document.problem = "This place is being drawn first."
    painter.stroke()
    assert "drawn first" in painter.said[-1]
    painter.desk.workspace.document.problem = ""
    painter.stroke()
    painter.finish(90)
    assert painter.picture == 90
    assert painter.desk.notices == []  # no message for each stroke


def _request(side: int, mpp: float = 0.5, **more: Any) -> EditRequest:
    return EditRequest(
        kind=EditKind.GENERATE, region=Region(0, 0, 0, side, side), mpp=mpp, variants=4, **more
    )


@pytest.mark.parametrize(
    ("side", "mpp", "drawn", "drawn_mpp"),
    [
        (128, 0.5, 128, 0.5),  # small enough
        (512, 0.5, 256, 1.0),
        (512, 0.125, 256, 0.25),  # finer than the model knows
        (4096, 0.5, 853, 2.4),  # as coarse as the model knows
    ],
)
def test_a_rough_edit_is_as_small_as_the_model_allows(
    side: int, mpp: float, drawn: int, drawn_mpp: float
) -> None:
    info = replace(INFO, reach=(0.0625, 2.4))
    fast = rough(_request(side, mpp), info)
    assert fast.shape == (drawn, drawn)
    assert fast.mpp == pytest.approx(drawn_mpp)
    assert (fast.steps, fast.variants) == (1, 1)


def test_a_model_that_cannot_jump_takes_two_steps_and_an_unknown_scale_is_refused() -> None:
    assert rough(_request(64), replace(INFO, jump_steps=0)).steps == 2
    with pytest.raises(InvalidRequest, match="resample"):
        rough(_request(64, 8.0), INFO)
