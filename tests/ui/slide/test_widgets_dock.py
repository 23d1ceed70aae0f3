from __future__ import annotations

from pathlib import Path

import pytest
from qtpy.QtWidgets import QDialog

from napari_histodiff.core.engine import EngineState
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.slide.scans.opening import is_synthetic
from napari_histodiff.slide.store import SlideStore
from napari_histodiff.ui.background import glance
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.forms import new_slide
from napari_histodiff.ui.generation.states import EngineStatus
from napari_histodiff.ui.plugin import get_reader
from napari_histodiff.ui.slide import part
from napari_histodiff.ui.slide.new_slide_dialog import NewSlideDialog
from napari_histodiff.ui.slide.recent import SUFFIX
from napari_histodiff.ui.slide.scans import shown
from napari_histodiff.ui.slide.session import SlideSession
from napari_histodiff.ui.slide.tile_overlay import OVERLAY_NAME
from napari_histodiff.ui.viewport import scale_bar_of
from tests.fakes import FAKE_INFO
from tests.slide.scans.layouts import tissue, write_pyramid
from tests.ui.conftest import OpenDock
from tests.ui.doubles import RecordingEngine
from tests.ui.find import press, press_key
from tests.ui.slide.widget_doubles import SIDE

pytestmark = pytest.mark.usefixtures("places_of_its_own")


@pytest.fixture
def engine() -> RecordingEngine:
    """Takes jobs and draws nothing."""
    made = RecordingEngine()
    made.state, made.info = EngineState.READY, FAKE_INFO
    return made


@pytest.fixture
def dock(open_dock: OpenDock, engine: RecordingEngine, told: list[str]) -> StudioDock:
    dock = open_dock(engine)
    engine.ready()
    dock.controller.pump()
    return dock


@pytest.fixture
def session(dock: StudioDock, slide_path: Path) -> SlideSession:
    dock.slide.open_slide(slide_path)
    assert dock.slide.session is not None
    return dock.slide.session


class Closing:
    """A `glance` that closes the dock at its turn number `place`."""

    def __init__(self, dock: StudioDock, place: int) -> None:
        self._dock, self._place = dock, place
        self.count = 0

    def __call__(self) -> None:
        turn, self.count = self.count, self.count + 1
        if turn == self._place:
            self._dock.shut_down()
        glance()


@pytest.mark.parametrize("place", range(15))
def test_a_dock_that_is_closed_while_a_slide_comes_leaves_it_free(
    dock: StudioDock, slide_path: Path, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = Closing(dock, place)
    monkeypatch.setattr(part, "glance", turns)
    dock.slide.open_slide(slide_path)
    assert turns.count > place
    assert dock.slide.session is None
    SlideStore.open(slide_path).close()  # nobody holds it any more


def test_the_window_lives_between_all_layers_that_come_and_go(
    dock: StudioDock, slide_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers, seen = dock.viewer.layers, list[int]()

    def look() -> None:
        seen.append(len(layers))
        glance()

    monkeypatch.setattr(part, "glance", look)
    dock.slide.open_slide(slide_path)
    assert OVERLAY_NAME in layers  # the marks of tiles too, before a tile is drawn
    assert set(seen) == set(range(len(layers) + 1))
    seen.clear()
    dock.slide.close_slide()
    assert seen == [5, 4, 3, 2, 1, 0]


@pytest.fixture
def scan_path(tmp_path: Path) -> Path:
    return write_pyramid(tmp_path / "scan.tif", [tissue(600, 600)], mpp=0.5)


def test_the_window_lives_while_a_scan_comes(
    dock: StudioDock, scan_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, bool]] = []

    def look() -> None:
        seen.append((len(dock.viewer.layers), scale_bar_of(dock.viewer).visible))
        glance()

    monkeypatch.setattr(shown, "glance", look)
    dock.slide.open_slide(scan_path)
    assert dock.workspace.target.name == "scan"
    assert {count for count, _ in seen} == set(range(6))
    assert {(1, False), (1, True)} <= set(seen)


@pytest.mark.parametrize("place", range(12))
def test_a_dock_that_is_closed_while_a_scan_comes_leaves_it_free(
    dock: StudioDock, scan_path: Path, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = Closing(dock, place)
    monkeypatch.setattr(shown, "glance", turns)
    dock.slide.open_slide(scan_path)
    assert turns.count > place
    assert "scan" not in dock.viewer.layers  # which goes when the scan is closed


def test_a_scale_bar_is_drawn_before_there_is_a_frame(
    dock: StudioDock, slide_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bar, seen = scale_bar_of(dock.viewer), list[tuple[bool, int]]()
    monkeypatch.setattr(part, "glance", lambda: seen.append((bar.visible, len(dock.viewer.layers))))
    dock.slide.open_slide(slide_path)
    assert (False, 1) in seen
    assert (True, 1) in seen


def test_the_section_is_there_while_a_slide_is_open(dock: StudioDock, slide_path: Path) -> None:
    assert dock.slide.box.isHidden()
    dock.slide.open_slide(slide_path)
    assert not dock.slide.box.isHidden()
    assert dock.workspace.target is dock.slide.session.layer
    assert "4096×4096 px · 0.5 µm/px" in dock.canvas.corner.text()
    dock.slide.box.close_slide.click()
    assert dock.slide.session is None
    assert dock.slide.box.isHidden()
    assert dock.workspace.target is None
    SlideStore.open(slide_path, read_only=False).close()


def test_a_scale_bar_in_micrometres(dock: StudioDock, session: SlideSession) -> None:
    assert scale_bar_of(dock.viewer).visible
    assert [str(unit) for unit in session.layer.units] == ["micrometer", "micrometer"]


def test_a_new_slide_is_made_and_opened(
    dock: StudioDock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def accept(dialog: NewSlideDialog) -> int:
        dialog.take_side(SIDE)
        dialog.seed.setValue(11)
        dialog.done(QDialog.DialogCode.Accepted)
        return QDialog.DialogCode.Accepted

    monkeypatch.setattr(NewSlideDialog, "exec", accept)
    press(dock, "new_slide")
    assert dock.slide.session.store.recipe.seed == 11
    assert dock.slide.session.store.path == tmp_path / "data" / "slides" / f"slide-1{SUFFIX}"
    assert dock.slide.places.recent() == [dock.slide.session.store.path]


def test_a_script_makes_a_slide(
    dock: StudioDock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"mine{SUFFIX}"
    new_slide(dock.viewer, path, width=SIDE, height=SIDE, caption="colon", seed=7)
    store = dock.slide.session.store
    assert (store.path, store.recipe.seed, store.recipe.caption) == (path, 7, "colon")
    monkeypatch.setattr(dock.controller, "status", EngineStatus(EngineState.LOADING))
    with pytest.raises(InvalidRequest, match="Ready"):
        new_slide(dock.viewer, tmp_path / f"other{SUFFIX}")


def test_open_asks_for_the_folder(
    dock: StudioDock, slide_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([None, slide_path])
    monkeypatch.setattr(part, "ask_slide", lambda *_: next(answers))
    press(dock, "open_slide")
    assert dock.slide.session is None
    press(dock, "open_slide")
    assert dock.slide.session.store.path == slide_path


def test_the_slide_is_free_when_the_dock_is_gone(
    dock: StudioDock, session: SlideSession, slide_path: Path
) -> None:
    dock.viewer.window.remove_dock_widget(dock)
    SlideStore.open(slide_path, read_only=False).close()


def test_keys_reach_the_slide(
    dock: StudioDock, session: SlideSession, engine: RecordingEngine, wait_for
) -> None:
    press_key(dock.viewer, "Shift-U")
    assert dock.slide.box.veil.isChecked()
    press_key(dock.viewer, "Shift-H")
    wait_for(lambda: session.status.paused)
    press_key(dock.viewer, "Shift-H")
    press_key(dock.viewer, "Shift-J")
    wait_for(lambda: len(engine.submitted) > 0)


def test_a_dropped_slide_opens_in_the_dock(
    dock: StudioDock, slide_path: Path, tmp_path: Path
) -> None:
    assert is_synthetic(slide_path)
    read = get_reader(str(slide_path))
    assert read is not None
    assert read(str(slide_path)) == [(None,)]
    assert dock.slide.session.store.path == slide_path
    assert get_reader([str(slide_path)]) is None
