from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_histodiff.core.engine import (
    EngineState,
    EngineStateChanged,
    JobCancelled,
    JobFailed,
    JobPreview,
    JobProgress,
)
from napari_histodiff.core.errors import WorkerDied
from napari_histodiff.core.requests import EditKind
from napari_histodiff.ui.generation.controller import Controller
from napari_histodiff.ui.generation.settings import SeedMode, SettingsStore
from napari_histodiff.ui.generation.staged import PREVIEW_NAME
from napari_histodiff.ui.generation.states import Level, RunPhase
from napari_histodiff.ui.workspace.document import Document
from napari_histodiff.ui.workspace.targets import CanvasTarget
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.ui.doubles import Desk, RecordingEngine


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def _paint(desk: Desk) -> None:
    desk.workspace.document.frame.class_map[4:9, 4:9] = 4


@pytest.mark.parametrize(
    ("kind", "has_pixels", "title"),
    [
        (EditKind.GENERATE, False, "Generate"),
        (EditKind.GENERATE, True, "Generate (replaces frame)"),
        (EditKind.INPAINT, True, "Inpaint"),
        (EditKind.OUTPAINT, True, "Outpaint"),
    ],
)
def test_the_button_is_named_after_what_it_will_do(
    desk: Desk, kind: EditKind, has_pixels: bool, title: str
) -> None:
    desk.workspace.document.frame.kind, desk.workspace.document.frame.has_pixels = kind, has_pixels
    _paint(desk)
    desk.ready()
    assert desk.controller.plan.title == title
    assert desk.controller.plan.enabled
    assert desk.controller.plan.note.startswith("First drawing on cpu: its time is not measured")


def test_a_disabled_button_says_why(desk: Desk) -> None:
    desk.workspace.document.problem = "expected a frame inside the image, got one outside; move it"
    desk.controller.refresh_plan()
    assert not desk.controller.plan.enabled
    assert "Move it" in desk.controller.plan.note
    desk.workspace.document.problem, desk.workspace.target = "", None
    desk.controller.refresh_plan()
    assert not desk.controller.plan.enabled
    assert "canvas" in desk.controller.plan.note


def test_a_disabled_button_s_key_says_why_instead_of_running(desk: Desk) -> None:
    desk.ready()
    desk.workspace.document.frame.mpp = 0.1
    desk.controller.generate()
    assert desk.engine.submitted == []
    assert [n.message for n in desk.notices] == [desk.controller.plan.note]
    assert not desk.notices[0].details


def test_a_dead_engine_disables_the_button_and_is_told_once(desk: Desk) -> None:
    dead = EngineStateChanged(EngineState.DEAD, message="no model; run make")
    desk.emit(dead, dead)
    desk.controller.refresh_plan()
    assert not desk.controller.plan.enabled
    assert [n.message for n in desk.notices] == ["no model; run make"]


def test_generate_submits_what_is_painted_and_chosen(desk: Desk) -> None:
    _paint(desk)
    desk.controller.set(caption="  colon ", guidance_scale=2.5, steps=9, seed=5)
    desk.controller.generate()
    (request,) = desk.engine.submitted
    assert request.kind is EditKind.GENERATE
    assert (request.caption, request.guidance_scale, request.steps) == ("colon", 2.5, 9)
    assert (request.seed, request.variants) == (5, 2)
    assert request.image is None
    np.testing.assert_array_equal(request.class_map, desk.workspace.document.frame.class_map)


def test_without_paint_the_model_places_the_nuclei(desk: Desk) -> None:
    desk.controller.generate()
    assert desk.engine.submitted[0].class_map is None


@pytest.mark.parametrize("kind", [EditKind.INPAINT, EditKind.OUTPAINT])
def test_paint_counts_only_where_pixels_change(desk: Desk, kind: EditKind) -> None:
    _paint(desk)
    frame = desk.workspace.document.frame
    frame.kind, frame.has_pixels = kind, True
    frame.edit_mask[:, 32:] = True
    desk.controller.generate()
    assert desk.engine.submitted[0].class_map is None
    desk.ready()
    assert "where pixels change" in desk.controller.plan.note
    desk.controller.caption_from_paint()
    assert "plasma" in desk.controller.settings.caption


def test_inpainting_sends_image_and_edit_mask(desk: Desk) -> None:
    frame = desk.workspace.document.frame
    frame.kind, frame.has_pixels = EditKind.INPAINT, True
    frame.edit_mask[:8] = True
    desk.controller.generate()
    request = desk.engine.submitted[0]
    np.testing.assert_array_equal(request.image, frame.image)
    np.testing.assert_array_equal(request.edit_mask, frame.edit_mask)


def test_a_request_that_is_refused_leaves_no_job_behind(desk: Desk) -> None:
    desk.workspace.document.frame.kind = EditKind.INPAINT  # with an empty edit mask
    desk.controller.generate()
    assert desk.engine.submitted == []
    assert desk.controller.run_state.phase is RunPhase.IDLE
    assert desk.notices[-1].level is Level.ERROR
    assert "edit mask" in desk.notices[-1].message


@pytest.mark.parametrize("mode", list(SeedMode))
def test_seed_modes(desk: Desk, mode: SeedMode) -> None:
    desk.controller.set(seed=41, seed_mode=mode)
    for _ in range(2):
        desk.controller.generate()
        desk.finish()
    seeds = [request.seed for request in desk.engine.submitted]
    if mode is SeedMode.FIXED:
        assert seeds == [41, 41]
    elif mode is SeedMode.NEXT:
        assert seeds == [42, 43]
    else:
        assert len({41, *seeds}) == 3
    assert desk.controller.settings.seed == seeds[-1]


def test_the_last_seed_is_followed_by_the_first(desk: Desk) -> None:
    desk.controller.set(seed=2**31 - 1)
    desk.controller.next_seed()
    assert desk.controller.settings.seed == 0


def test_progress_and_preview_are_shown_while_it_runs(desk: Desk) -> None:
    desk.controller.generate()
    image = np.full((48, 64, 3), 9, np.uint8)
    desk.emit(JobProgress("1", 3, 12), JobPreview("1", image))
    assert (desk.controller.run_state.done, desk.controller.run_state.total) == (3, 12)
    layer = desk.viewer.layers[PREVIEW_NAME]
    np.testing.assert_array_equal(layer.data, image)
    np.testing.assert_allclose(layer.translate, (8, 16))
    np.testing.assert_allclose(layer.scale, (0.5, 0.5))


def test_the_preview_does_not_take_the_selection(desk: Desk) -> None:
    painting = desk.viewer.add_labels(np.zeros((8, 8), np.uint8))
    desk.controller.generate()
    desk.emit(JobPreview("1", np.zeros((48, 64, 3), np.uint8)))
    assert desk.viewer.layers.selection.active is painting
    desk.emit(JobCancelled("1"))
    assert desk.viewer.layers.selection.active is painting


def test_nothing_drawn_for_one_image_is_staged_on_another(desk: Desk) -> None:
    desk.ready()
    desk.controller.generate()
    desk.finish()
    assert desk.controller.staged.now is not None
    desk.workspace.target_changed.emit()
    assert desk.controller.staged.now is None
    desk.controller.generate()
    desk.workspace.document.key = "another image"
    desk.workspace.target_changed.emit()
    assert desk.engine.cancelled == []  # it goes on, and waits for its image
    desk.finish()
    assert desk.controller.staged.now is None
    assert len(desk.controller.drawing.queue.ready) == 2
    assert len(desk.controller.history.entries) == 2
    assert desk.controller.run_state.phase is RunPhase.IDLE


def test_cancel_is_asked_once_and_ends_the_run(desk: Desk) -> None:
    desk.controller.generate()
    desk.controller.cancel()
    desk.controller.cancel()
    assert desk.engine.cancelled == ["1"]
    assert desk.controller.run_state.phase is RunPhase.CANCELLING
    desk.emit(JobPreview("1", np.zeros((48, 64, 3), np.uint8)))
    assert not desk.controller.staged.preview.shown
    desk.emit(JobCancelled("1"))
    assert desk.controller.run_state.phase is RunPhase.IDLE
    assert desk.controller.staged.now is None
    assert desk.notices == []


def test_a_failed_job_is_told_and_the_next_one_runs(desk: Desk) -> None:
    desk.controller.generate()
    desk.emit(JobFailed("1", WorkerDied("the worker ended; generate again"), "Traceback ..."))
    assert desk.notices[-1].message == "the worker ended; generate again"
    assert "Traceback" in desk.notices[-1].details
    desk.controller.generate()
    desk.finish()
    assert desk.controller.staged.now is not None


def test_events_of_other_jobs_are_dropped(desk: Desk) -> None:
    desk.controller.generate()
    desk.emit(JobCancelled("77"), JobProgress("77", 5, 9))
    assert desk.controller.run_state.phase is RunPhase.RUNNING
    assert desk.controller.run_state.done == 0


def test_history_brings_back_settings_and_paint(desk: Desk) -> None:
    _paint(desk)
    desk.controller.set(caption="colon", seed=9, guidance_scale=3.0)
    desk.controller.generate()
    desk.finish()
    desk.controller.staged.apply()
    desk.controller.set(caption="", seed=1, guidance_scale=1.0, seed_mode=SeedMode.RANDOM)
    (entry,) = desk.controller.history.entries
    desk.controller.restore(entry)
    settings = desk.controller.settings
    assert (settings.caption, settings.seed, settings.guidance_scale) == ("colon", 9, 3.0)
    assert settings.seed_mode is SeedMode.RANDOM  # nothing is pinned by going back
    np.testing.assert_array_equal(
        desk.workspace.document.painted[-1][0], desk.engine.submitted[0].class_map
    )
    assert desk.controller.staged.now.entry is entry


def test_an_edit_of_another_image_is_refused(desk: Desk) -> None:
    desk.controller.generate()
    desk.finish()
    desk.controller.staged.discard()
    (entry,) = desk.controller.history.entries
    desk.workspace.document.key = "another image"
    desk.controller.restore(entry)
    assert "press Use image" in desk.notices[-1].message
    assert desk.controller.staged.now is None
    assert desk.workspace.document.painted == []
    desk.workspace.document.key = "the image"
    desk.controller.restore(entry)
    assert desk.controller.staged.now.entry is entry


def test_caption_from_paint(desk: Desk) -> None:
    desk.controller.caption_from_paint()
    assert "paint nuclei or tissue first" in desk.notices[-1].message
    _paint(desk)
    desk.controller.caption_from_paint()
    assert "plasma" in desk.controller.settings.caption


def test_save_writes_the_variant_in_view_with_its_request(desk: Desk, tmp_path: Path) -> None:
    desk.save(tmp_path)
    assert "nothing to save" in desk.notices[-1].message
    _paint(desk)
    desk.ready()
    desk.controller.generate()
    desk.finish()
    desk.controller.staged.step(1)
    desk.save(tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names[0] == "histodiff_generate_001.json"
    data = json.loads((tmp_path / "out" / names[0]).read_text())
    assert data["model"]["name"] == "fake"
    assert data["variant"] == 1
    assert desk.notices[-1].level is Level.INFO


def test_a_folder_that_cannot_be_written_is_told(desk: Desk, tmp_path: Path) -> None:
    desk.controller.generate()
    desk.finish()
    (tmp_path / "file").write_text("")
    desk.save(tmp_path / "file")
    assert desk.notices[-1].level is Level.ERROR
    assert "another folder" in desk.notices[-1].message
    assert len(desk.controller.history.entries) == 1


def test_settings_are_remembered_at_the_end(desk: Desk) -> None:
    desk.controller.set(caption="skin", steps=11)
    desk.controller.close()
    desk.controller.close()
    assert (desk.store.load().caption, desk.store.load().steps) == ("skin", 11)
    assert desk.engine.closed >= 1
    assert desk.engine.listeners == []


def test_counts_follow_the_painting(desk: Desk) -> None:
    seen: list[dict[str, int]] = []
    desk.controller.counts_changed.connect(seen.append)
    desk.controller.refresh_plan()
    _paint(desk)
    desk.workspace.painting_changed.emit()
    desk.controller.refresh_plan()
    assert seen == [{"plasma": 0}, {"plasma": 1}]


def test_another_engine_takes_over_and_the_first_one_is_closed(desk: Desk) -> None:
    desk.ready()
    first, second = desk.engine, RecordingEngine()
    desk.controller.use_engine(second)
    assert first.closed
    assert second.started
    desk.engine = second
    first.emit(EngineStateChanged(EngineState.DEAD, message="the old one"))
    desk.ready()
    desk.controller.generate()
    assert desk.controller.status.state is EngineState.READY
    assert len(second.submitted) == 1
    assert not first.submitted


class Counted:
    """A canvas of noise under a controller, and how often it is copied or read."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        viewer = ViewerModel()
        self.workspace = Workspace(viewer, seed=0)
        self.engine = RecordingEngine()
        store = SettingsStore(folder / "studio.json")
        self.controller = Controller(viewer, self.workspace, self.engine, store=store)
        self.controller.set(suggest=False)
        self.workspace.new_canvas(256, 256)
        region = self.workspace.document.region
        self.workspace.document.write(region, np.full((*region.shape, 3), 90, np.uint8))
        self.engine.ready()
        self.controller.pump()
        self.calls: Counter[str] = Counter()
        for owner, name in ((Document, "copy_frame"), (CanvasTarget, "read")):
            self._count(monkeypatch, owner, name)

    def _count(self, monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
        original = getattr(owner, name)

        def counted(*args: object) -> object:
            self.calls[name] += 1
            return original(*args)

        monkeypatch.setattr(owner, name, counted)


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(tmp_path, monkeypatch)


def test_a_touch_of_the_paint_copies_no_frame_and_reads_no_pixel(counted: Counted) -> None:
    controller, document = counted.controller, counted.workspace.document
    document.nuclei.layer.paint((40, 50), document.nuclei.new_label())
    controller.refresh_plan()
    assert controller.plan.title == "Generate (replaces frame)"
    document.edit_mask.layer.paint((90, 90), 1)
    controller.refresh_plan()
    assert controller.plan.title == "Inpaint"
    assert "No nuclei painted where pixels change" in controller.plan.note
    assert not counted.calls


def test_generate_copies_the_frame_once(counted: Counted) -> None:
    document = counted.workspace.document
    document.edit_mask.layer.paint((90, 90), 1)
    counted.controller.generate()
    assert counted.calls == {"copy_frame": 1, "read": 1}
    assert counted.engine.submitted[0].kind is EditKind.INPAINT
