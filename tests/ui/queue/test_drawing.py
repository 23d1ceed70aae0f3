"""Several edits of one window: asked for while one is drawn, drawn in turn, seen at their place."""

from __future__ import annotations

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
    JobPreview,
    JobStarted,
)
from napari_histodiff.core.errors import EngineUnavailable, OutOfMemory, WorkerDied
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind
from napari_histodiff.ui.generation.states import Level, RunPhase
from napari_histodiff.ui.queue.edits import EditState
from tests.fakes import FAKE_INFO
from tests.ui.doubles import Desk

PLACES = [Region(0, y, 32, 48, 64) for y in (0, 48, 96, 144)]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    desk.ready()
    return desk


def _press(desk: Desk, region: Region, caption: str = "") -> str:
    """Press Generate with the frame at a place; returns the id of the edit."""
    desk.workspace.document.frame.region = region
    desk.controller.set(caption=caption)
    desk.controller.refresh_plan()
    desk.controller.generate()
    return desk.controller.drawing.queue.edits[-1].id


def _drawn(desk: Desk, number: int, shade: int = 100) -> None:
    """The engine drew the job of a number, the first one 1."""
    request = desk.engine.submitted[number - 1]
    images = np.full((request.variants, *request.shape, 3), shade, np.uint8)
    desk.emit(JobFinished(str(number), images, 1.0))


def _states(desk: Desk) -> list[str]:
    return [str(edit.state) for edit in desk.controller.drawing.queue.edits]


def test_edits_pressed_while_one_runs_wait_and_follow_in_order(desk: Desk) -> None:
    for place, caption in zip(PLACES, ("colon", "skin", "liver", "breast"), strict=True):
        _press(desk, place, caption)
    assert [r.caption for r in desk.engine.submitted] == ["colon"]  # one at a time in the engine
    assert _states(desk) == ["running", "waiting", "waiting", "waiting"]
    queue = desk.controller.drawing
    queue.to_front(queue.queue.edits[3].id)
    for number in (1, 2, 3, 4):
        _drawn(desk, number)
    assert [r.caption for r in desk.engine.submitted] == ["colon", "breast", "skin", "liver"]
    assert desk.controller.run_state.phase is RunPhase.IDLE
    assert not desk.notices


def test_an_edit_is_what_was_painted_when_it_was_asked_for(desk: Desk) -> None:
    _press(desk, PLACES[0])
    frame = desk.workspace.document.frame
    frame.kind, frame.has_pixels = EditKind.INPAINT, True
    frame.edit_mask[:8] = True
    frame.class_map[2:6, 2:6] = 4
    _press(desk, PLACES[1], "colon")
    mask, image, classes = frame.edit_mask.copy(), frame.image.copy(), frame.class_map.copy()
    frame.edit_mask[:] = frame.class_map[:] = 0
    frame.image[:] = 99
    desk.controller.set(caption="skin", steps=9, guidance_scale=4.0)
    _drawn(desk, 1)
    request = desk.engine.submitted[1]
    assert (request.caption, request.steps, request.region) == ("colon", 2, PLACES[1])
    np.testing.assert_array_equal(request.edit_mask, mask)
    np.testing.assert_array_equal(request.image, image)
    np.testing.assert_array_equal(request.class_map, classes)


def test_a_result_elsewhere_waits_in_the_list_until_somebody_looks(desk: Desk) -> None:
    first, second = _press(desk, PLACES[0]), _press(desk, PLACES[1])
    staged, results = desk.controller.staged, desk.controller.results
    _drawn(desk, 1, 50)
    assert staged.now.region == PLACES[0]
    assert results.shown == first
    desk.emit(JobPreview("2", np.full((48, 64, 3), 9, np.uint8)))
    assert (staged.preview.layer.data == 50).all()  # what is in view is not painted over
    _drawn(desk, 2, 60)
    assert staged.now.region == PLACES[0]
    assert _states(desk) == ["ready", "ready"]
    staged.apply()
    assert [(r, p.max()) for r, p, _ in desk.workspace.document.written] == [(PLACES[0], 50)]
    assert [e.id for e in desk.controller.drawing.queue.edits] == [second]
    results.show(second)
    assert staged.now.region == PLACES[1]
    assert (staged.now.image == 60).all()
    staged.discard()
    assert not desk.controller.drawing.queue.edits


def test_another_edit_at_the_same_place_takes_its_place(desk: Desk) -> None:
    _press(desk, PLACES[0])
    _drawn(desk, 1)
    _press(desk, PLACES[0])
    assert _states(desk) == ["running"]
    assert desk.controller.staged.now is None
    _drawn(desk, 2)
    _press(desk, PLACES[2])  # elsewhere: what is staged is set aside
    assert _states(desk) == ["ready", "running"]
    assert desk.controller.staged.now is None


def test_results_of_another_image_are_neither_shown_nor_written_there(desk: Desk) -> None:
    edit = _press(desk, PLACES[0])
    document = desk.workspace.document
    document.key = "another image"
    desk.workspace.target_changed.emit()
    desk.emit(JobPreview("1", np.zeros((48, 64, 3), np.uint8)))
    assert not desk.controller.staged.preview.shown
    _drawn(desk, 1)
    desk.controller.results.show(edit)
    assert desk.controller.staged.now is None
    document.key = "the image"
    desk.controller.results.show(edit)
    assert desk.controller.staged.now.region == PLACES[0]


def test_an_edit_of_another_image_leaves_what_is_staged_here(desk: Desk) -> None:
    edit = _press(desk, PLACES[0])
    _drawn(desk, 1)
    staged = desk.controller.staged.now
    queued = desk.controller.drawing.queue.find(edit)
    other = replace(queued, place=replace(queued.place, key="another image"))
    desk.controller.results.make_room(other)
    assert desk.controller.staged.now is staged
    desk.controller.results.make_room(queued)
    assert desk.controller.staged.now is None


def test_a_result_is_shown_where_its_place_is_in_a_slide_that_grew(desk: Desk) -> None:
    edit = _press(desk, PLACES[1])
    desk.workspace.document.origin = (-256, -512)
    desk.workspace.target_changed.emit()
    desk.emit(JobPreview("1", np.zeros((48, 64, 3), np.uint8)))
    np.testing.assert_allclose(
        desk.controller.staged.preview.layer.translate, (0.5 * (48 + 256), 0.5 * (32 + 512))
    )
    _drawn(desk, 1)
    assert desk.controller.results.shown == edit
    assert desk.controller.staged.now.region == PLACES[1].translate(256, 512)


def test_a_held_queue_draws_only_what_is_pressed_now(desk: Desk) -> None:
    _press(desk, PLACES[0])
    waits = _press(desk, PLACES[1])
    drawing = desk.controller.drawing
    drawing.hold(held=True)
    _drawn(desk, 1)
    assert len(desk.engine.submitted) == 1
    _press(desk, PLACES[2], "skin")
    assert [r.caption for r in desk.engine.submitted] == ["", "skin"]
    _drawn(desk, 2)
    assert drawing.queue.waiting[0].id == waits
    drawing.hold(held=False)
    assert len(desk.engine.submitted) == 3


def test_cancel_stops_the_running_one_and_goes_on_with_the_next(desk: Desk) -> None:
    _press(desk, PLACES[0])
    _press(desk, PLACES[1])
    desk.controller.cancel()
    assert desk.engine.cancelled == ["1"]
    desk.emit(JobCancelled("1"))
    assert _states(desk) == ["running"]
    assert desk.engine.submitted[1].region == PLACES[1]
    drawing = desk.controller.drawing
    drawing.remove(drawing.queue.edits[0].id)  # the running one
    assert desk.engine.cancelled == ["1", "2"]
    desk.emit(JobCancelled("2"))
    assert not drawing.queue.edits


def test_waiting_edits_are_removed_one_by_one_or_all_at_once(desk: Desk) -> None:
    _press(desk, PLACES[0])
    second = _press(desk, PLACES[1])
    _press(desk, PLACES[2])
    drawing = desk.controller.drawing
    drawing.remove(second)
    assert _states(desk) == ["running", "waiting"]
    drawing.remove_waiting()
    assert _states(desk) == ["running"]
    _drawn(desk, 1)
    assert len(desk.engine.submitted) == 1


def test_a_failed_edit_stays_for_a_retry_and_the_next_one_is_drawn(desk: Desk) -> None:
    failed = _press(desk, PLACES[0], "colon")
    _press(desk, PLACES[1], "skin")
    desk.emit(JobFailed("1", OutOfMemory("too large; use a smaller frame")))
    assert _states(desk) == ["failed", "running"]
    assert "smaller frame" in desk.controller.drawing.queue.find(failed).problem
    assert desk.notices[-1].level is Level.ERROR
    desk.controller.drawing.retry(failed)
    _drawn(desk, 2)
    assert [r.caption for r in desk.engine.submitted] == ["colon", "skin", "colon"]
    assert desk.engine.submitted[2] is desk.engine.submitted[0]


def test_pressing_again_at_its_place_takes_a_failed_edit_away(desk: Desk) -> None:
    _press(desk, PLACES[0])
    desk.emit(JobFailed("1", OutOfMemory("too large")))
    _press(desk, PLACES[1])
    assert _states(desk) == ["failed", "running"]
    _press(desk, PLACES[0])
    assert _states(desk) == ["running", "waiting"]


def test_edits_wait_for_a_worker_that_is_replaced(desk: Desk) -> None:
    _press(desk, PLACES[0])
    _press(desk, PLACES[1])
    desk.emit(JobFailed("1", WorkerDied("the worker ended")))
    assert _states(desk) == ["failed", "waiting"]
    desk.emit(EngineStateChanged(EngineState.STARTING))
    assert _states(desk) == ["failed", "running"]


def test_an_engine_that_died_fails_none_of_those_that_wait(desk: Desk) -> None:
    for place in PLACES:
        _press(desk, place)
    desk.emit(
        JobFailed("1", EngineUnavailable("it is gone")),
        EngineStateChanged(EngineState.DEAD, message="it is gone"),
    )
    assert _states(desk) == ["failed", "waiting", "waiting", "waiting"]
    assert len(desk.engine.submitted) == 1
    desk.ready()
    assert len(desk.engine.submitted) == 2


def test_an_edit_meant_for_another_model_is_not_drawn_by_this_one(desk: Desk) -> None:
    _press(desk, PLACES[0])
    waits = _press(desk, PLACES[1])
    other = replace(FAKE_INFO, name="other", revision="other")
    desk.emit(EngineStateChanged(EngineState.READY, other))
    _drawn(desk, 1)
    edit = desk.controller.drawing.queue.find(waits)
    assert edit.state is EditState.FAILED
    assert "other draws now" in edit.problem
    assert len(desk.engine.submitted) == 1


def test_a_refused_edit_leaves_nothing_in_the_list(desk: Desk) -> None:
    desk.workspace.document.frame.kind = EditKind.INPAINT  # with an empty edit mask
    desk.controller.refresh_plan()
    desk.controller.generate()
    assert not desk.controller.drawing.queue.edits
    assert desk.notices[-1].level is Level.ERROR


def test_the_time_counts_from_when_the_engine_began(desk: Desk) -> None:
    _press(desk, PLACES[0])
    assert desk.controller.run_state.elapsed is None
    assert desk.controller.run_state.text() == "Waiting to start"
    desk.emit(JobStarted("1"))
    assert desk.controller.run_state.elapsed is not None
    assert desk.controller.run_state.left is None  # nothing was drawn here before
    _drawn(desk, 1)
    _press(desk, PLACES[1])
    desk.emit(JobStarted("2"))
    assert desk.controller.run_state.left is not None  # the estimate, before any step
