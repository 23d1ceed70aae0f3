from __future__ import annotations

from pathlib import Path

import pytest
from npe2 import PluginManager, PluginManifest

from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.generation.presets import Preset
from napari_histodiff.ui.starting import samples
from napari_histodiff.ui.starting.painted import DEMO_CAPTION
from napari_histodiff.ui.starting.preferences import Preferences
from napari_histodiff.ui.text import PLUGIN
from tests.ui.conftest import OpenDock, WaitFor
from tests.ui.doubles import RecordingEngine

MANIFEST = Path(samples.__file__).parents[2] / "napari.yaml"


@pytest.fixture
def engine() -> RecordingEngine:
    return RecordingEngine()


@pytest.fixture
def dock(open_dock: OpenDock, engine: RecordingEngine) -> StudioDock:
    return open_dock(engine)


def test_an_empty_dock_says_where_to_begin(dock: StudioDock) -> None:
    assert not dock.welcome.isHidden()
    assert dock.welcome.resume.isHidden()
    dock.welcome.sample.click()
    assert dock.welcome.isHidden()
    assert dock.controller.settings.caption == DEMO_CAPTION
    assert dock.workspace.document.nuclei.counts()["epithelial"] > 20
    dock.viewer.layers.remove(dock.workspace.target)
    assert not dock.welcome.isHidden()


def test_the_last_session_is_offered(open_dock: OpenDock, wait_for: WaitFor) -> None:
    dock = open_dock(RecordingEngine())
    dock.workspace.new_canvas(256, 256)
    dock.shut_down()
    later = open_dock(RecordingEngine())
    wait_for(lambda: not later.welcome.resume.isHidden())
    assert "Canvas" in later.welcome.resume.text()
    later.welcome.resume.click()
    wait_for(lambda: later.workspace.target is not None)
    assert later.welcome.resume.isHidden()


def test_class_tissue_and_density_are_remembered(open_dock: OpenDock) -> None:
    dock = open_dock(RecordingEngine())
    dock.workspace.new_canvas(256, 256)
    dock.workspace.select_tissue(3)
    dock.workspace.select_class(5)
    dock.tools.density_changed.emit(1.5)
    dock.shut_down()
    later = open_dock(RecordingEngine())
    later.workspace.new_canvas(256, 256)
    paint = later.workspace.paint
    assert (paint.class_id, paint.tissue_id, paint.density) == (5, 3, 1.5)


def test_the_sample_slide_is_made_once_the_model_is_there(
    dock: StudioDock,
    engine: RecordingEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(samples, "preferences", lambda: Preferences(folder=str(tmp_path)))
    made: list[Path] = []
    opened: list[Path] = []
    monkeypatch.setattr(dock.slide, "make", lambda new: made.append(new.path))
    monkeypatch.setattr(dock.slide, "open_slide", opened.append)
    dock.welcome.slide.click()
    assert made == []
    engine.ready()
    dock.controller.pump()
    assert [path.parent for path in made] == [tmp_path / "samples"]
    made[0].mkdir(parents=True)
    dock.actions.open_sample_slide()
    assert opened == made


def test_napari_offers_the_samples(dock: StudioDock) -> None:
    manager = PluginManager.instance()
    if PLUGIN not in {manifest.name for manifest in manager.iter_manifests()}:
        manager.register(PluginManifest.from_file(MANIFEST), warn_disabled=False)
    dock.viewer.open_sample(PLUGIN, "painted_canvas")
    assert dock.workspace.target.name == "Canvas"
    assert len(dock.viewer.layers) == 1 + len(dock.workspace.own_layers)


def test_presets_are_seen_and_change_caption_and_steps(open_dock: OpenDock, tmp_path: Path) -> None:
    engine = RecordingEngine()
    dock = open_dock(engine, show=True)
    engine.ready()
    dock.controller.pump()
    shown = dock.settings.presets
    assert shown.width() >= shown.sizeHint().width()
    dock.presets.keep(Preset(name="mine", caption="skin", steps=9))
    menu = shown.menu()
    menu.fill()
    menu.fill()  # opened twice
    titles = [entry.text() for entry in menu.actions()]
    assert titles == [*dict.fromkeys(titles)]
    assert {"Colon", "Mine", "Delete"} <= set(titles)
    mine = next(entry for entry in menu.actions() if entry.text() == "Mine").menu()
    mine.actions()[0].trigger()
    assert (dock.controller.settings.caption, dock.controller.settings.steps) == ("skin", 9)
    gone = next(entry for entry in menu.actions() if entry.text() == "Delete").menu()
    gone.actions()[0].trigger()
    assert list((tmp_path / "presets").glob("*")) == []
