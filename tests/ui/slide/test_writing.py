"""Edits of a slide are written elsewhere: the window lives meanwhile, and nothing is lost."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from napari_histodiff.core.engine import EngineState
from napari_histodiff.core.errors import StorageError
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.slide.store import SlideStore
from napari_histodiff.ui.generation.controller import Controller
from napari_histodiff.ui.generation.settings import SettingsStore
from napari_histodiff.ui.generation.staged import PREVIEW_NAME
from napari_histodiff.ui.generation.states import Level, Staging
from napari_histodiff.ui.slide import session as session_module
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.fakes import FAKE_INFO
from tests.slide.fake_store import FakeLayout, small_recipe
from tests.ui.doubles import RecordingEngine
from tests.ui.slide.stage import MemoryStore, Stage, put_block, wait_until

FRAME = Region(0, 512, 640, 128, 192)


class SlowStore(MemoryStore):
    """Keeps the slide to itself, as one on disk does, until the gate opens."""

    def __init__(self, **settings) -> None:
        super().__init__(**settings)
        self.gate, self.begun = threading.Event(), threading.Event()
        self.full = False
        self.calls: list[str] = []

    def write(self, *args, **kwargs):
        return self._slowly("write", lambda: super(SlowStore, self).write(*args, **kwargs))

    def undo(self):
        return self._slowly("undo", super().undo)

    def redo(self):
        return self._slowly("redo", super().redo)

    def _slowly(self, name, act):
        with self._lock:
            self.begun.set()
            assert self.gate.wait(60)
            self.calls.append(name)
            if self.full:
                raise StorageError("expected room on the disk, got none; free some and try again")
            return act()


class Desk:
    """A slide that is drawn everywhere, with a variant that waits for Apply."""

    def __init__(self, store, tmp_path) -> None:
        for level in (2, 1, 0):
            put_block(store, store.spec.bounds(level), 100)
        self.engine = RecordingEngine()
        self.stage = Stage(store, self.engine)
        self.workspace = Workspace(self.stage.viewer, seed=0)
        self.workspace.use_layer(self.stage.session.layer)
        self.workspace.document.set_frame(FRAME)
        settings = SettingsStore(tmp_path / "studio.json")
        self.controller = Controller(self.stage.viewer, self.workspace, self.engine, store=settings)
        self.controller.set(suggest=False)
        self.engine.state, self.engine.info = EngineState.READY, FAKE_INFO
        self.engine.ready()
        self.controller.pump()
        self.notices = []
        self.controller.noticed.connect(self.notices.append)
        self.stage.look(576, 736)
        self.stage.rest()

    @property
    def store(self):
        return self.stage.store

    def put_variant(self, shade=9) -> Staging:
        images = np.full((2, *FRAME.shape, 3), shade, np.uint8)
        request = EditRequest(kind=EditKind.GENERATE, region=FRAME, mpp=0.25)
        entry = self.controller.history.add(request, images, 1.0)
        self.controller.staged.put(Staging(entry))
        return self.controller.staged.now

    def begin(self, act) -> None:
        act()
        wait_until(self.store.begun.is_set)

    def finish(self) -> None:
        self.store.gate.set()
        self.stage.settle(self.workspace)

    def close(self) -> None:
        self.store.gate.set()
        self.stage.session.close()
        self.controller.close()


@pytest.fixture
def desk(tmp_path):
    desk = Desk(SlowStore(), tmp_path)
    yield desk
    desk.close()


def test_the_window_asks_nothing_that_waits_while_an_edit_is_written(desk):
    desk.put_variant()
    desk.begin(desk.controller.staged.apply)
    # Each of these waits for good if it asks the store, which the edit keeps to itself.
    desk.stage.look(900, 900)
    desk.stage.rest()
    desk.stage.session.layer.refresh()
    assert desk.stage.session.coverage().any()
    desk.stage.session.overview()
    assert "being written" in desk.stage.session.target.pending(FRAME)
    desk.controller.pump()
    desk.controller.refresh_plan()
    desk.workspace.document.set_frame(FRAME.translate(64, 0))
    assert desk.workspace.can_undo
    assert desk.workspace.doing.text == "Writing the edit…"
    desk.finish()
    assert (desk.store.read(FRAME) == 9).all()
    assert not desk.stage.session.target.pending(FRAME)


def test_the_variant_stays_in_view_until_the_slide_shows_it(desk):
    desk.put_variant()
    desk.begin(desk.controller.staged.apply)
    assert desk.controller.staged.preview.shown
    assert desk.controller.staged.now is not None
    layer, seen = desk.stage.session.layer, []
    preview = desk.stage.viewer.layers[PREVIEW_NAME]
    preview.events.visible.connect(lambda: seen.append(np.asarray(layer._slice.image.raw).copy()))
    desk.finish()
    (shown,) = seen
    assert not preview.visible
    # Without a window napari shows the coarsest level.
    assert (shown == 9).all(axis=2).sum() == FRAME.area >> (2 * layer.data_level)
    assert desk.controller.staged.now is None


def test_nothing_else_is_done_meanwhile_and_it_says_why(desk):
    staging = desk.put_variant()
    desk.begin(desk.controller.staged.apply)
    for act in (
        desk.controller.staged.apply,
        desk.controller.staged.discard,
        desk.controller.generate,
        lambda: desk.controller.staged.step(1),
        lambda: desk.controller.restore(staging.entry),
    ):
        act()
        assert desk.controller.staged.now is staging
        notice = desk.notices.pop()
        assert notice.level is Level.WARNING
        assert "Writing the edit… Try again" in notice.message
    desk.finish()
    assert desk.store.calls == ["write"]
    assert desk.engine.submitted == []


def test_a_failure_is_told_and_the_variant_goes_on_waiting(desk):
    staging = desk.put_variant()
    desk.store.full = True
    desk.begin(desk.controller.staged.apply)
    desk.finish()
    assert [notice.level for notice in desk.notices] == [Level.ERROR]
    assert "free some" in desk.notices[0].message
    assert desk.controller.staged.now is staging
    assert desk.controller.staged.preview.shown
    assert (desk.store.read(FRAME) == 100).all()
    desk.store.full = False
    desk.controller.staged.apply()
    desk.stage.settle(desk.workspace)
    assert (desk.store.read(FRAME) == 9).all()


def test_undo_twice_in_a_row_takes_two_edits_back(desk):
    desk.store.gate.set()
    for shade in (20, 30):
        desk.put_variant(shade)
        desk.controller.staged.apply()
        desk.stage.settle(desk.workspace)
    desk.store.gate.clear()
    desk.controller.staged.undo()
    desk.controller.staged.undo()
    assert desk.workspace.doing.text == "Taking the edit back…"
    desk.finish()
    assert (desk.store.read(FRAME) == 100).all()
    assert not desk.workspace.can_undo
    desk.controller.staged.redo()
    desk.controller.staged.redo()
    desk.controller.staged.redo()  # one more than there are
    desk.stage.settle(desk.workspace)
    assert (desk.store.read(FRAME) == 30).all()
    assert desk.notices == []


def test_undo_right_after_apply_takes_that_edit_back(desk):
    desk.put_variant()
    desk.begin(desk.controller.staged.apply)
    desk.controller.staged.undo()
    desk.finish()
    assert desk.store.calls == ["write", "undo"]
    assert (desk.store.read(FRAME) == 100).all()


def test_an_undo_meant_for_an_edit_that_failed_takes_nothing_else_back(desk):
    desk.store.gate.set()
    desk.put_variant(20)
    desk.controller.staged.apply()
    desk.stage.settle(desk.workspace)
    desk.store.gate.clear()
    desk.store.begun.clear()
    desk.put_variant(30)
    desk.store.full = True
    desk.begin(desk.controller.staged.apply)
    desk.controller.staged.undo()
    desk.finish()
    assert desk.store.calls == ["write", "write"]
    assert (desk.store.read(FRAME) == 20).all()


def test_growing_waits_for_the_edit(desk):
    desk.put_variant()
    desk.begin(desk.controller.staged.apply)
    desk.store.grow = lambda *sides: desk.store.calls.append("grow")
    threading.Timer(0.05, desk.store.gate.set).start()
    desk.stage.session.grow(0, 0, 0, 0)
    assert desk.store.calls == ["write", "grow"]


def test_growing_gives_up_when_the_edit_takes_for_ever(desk, monkeypatch):
    monkeypatch.setattr(session_module, "_PATIENCE", 0.05)
    desk.put_variant()
    desk.begin(desk.controller.staged.apply)
    desk.store.grow = lambda *sides: desk.store.calls.append("grow")
    with pytest.raises(StorageError, match="wait until"):
        desk.stage.session.grow(0, 0, 0, 0)
    desk.finish()
    assert desk.store.calls == ["write"]


def test_taking_the_layer_away_waits_for_the_edit(desk):
    desk.put_variant()
    desk.begin(desk.controller.staged.apply)
    threading.Timer(0.05, desk.store.gate.set).start()
    desk.stage.viewer.layers.clear()
    assert desk.store.calls == ["write"]
    assert (desk.store.read(FRAME) == 9).all()
    assert desk.controller.staged.now is None
    assert desk.notices == []


def test_going_elsewhere_meanwhile_does_not_lose_the_edit(desk):
    desk.put_variant()
    desk.begin(desk.controller.staged.apply)
    desk.workspace.new_canvas(256, 256)
    assert desk.controller.staged.now is None
    desk.finish()
    assert (desk.store.read(FRAME) == 9).all()
    assert desk.notices == []


def test_closing_waits_for_the_edit(tmp_path):
    path = tmp_path / "slide.ome.zarr"

    def layout(recipe, sketch):
        return FakeLayout()

    desk = Desk(SlideStore.create(path, small_recipe(), layout=layout), tmp_path)
    desk.put_variant()
    desk.controller.staged.apply()
    desk.stage.session.close()
    desk.controller.close()
    with SlideStore.open(path, read_only=False, layout=layout) as again:
        assert (again.read(FRAME) == 9).all()
        assert again.can_undo
        assert again.verify().is_whole


def test_a_disk_that_never_comes_back_does_not_hold_the_window(tmp_path, monkeypatch):
    monkeypatch.setattr(session_module, "_PATIENCE", 0.05)
    desk, closed = Desk(SlowStore(), tmp_path), threading.Event()
    desk.store.close = closed.set
    desk.put_variant()
    desk.begin(desk.controller.staged.apply)
    desk.stage.session.close()
    assert "background" in desk.notices[-1].message
    assert not desk.workspace.doing.text
    assert not closed.is_set()
    desk.store.gate.set()
    assert closed.wait(60)  # only after the edit
    assert desk.store.calls == ["write"]
    desk.controller.close()
