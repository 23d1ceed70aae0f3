from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest

from napari_histodiff.slide.store import SlideStore
from napari_histodiff.ui.generation.controller import Controller
from napari_histodiff.ui.generation.settings import SettingsStore
from napari_histodiff.ui.slide import part
from napari_histodiff.ui.slide.recent import SUFFIX
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.ui.slide.stage import wait_until
from tests.ui.slide.widget_doubles import SIDE, recipe_of


@pytest.fixture
def places_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's own list of slides and folder out of it."""
    monkeypatch.setattr(platformdirs, "user_config_path", lambda *_, **__: tmp_path)
    monkeypatch.setattr(platformdirs, "user_data_path", lambda *_, **__: tmp_path / "data")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What napari's notifications say."""
    messages: list[str] = []
    monkeypatch.setattr(part, "show_warning", messages.append)
    monkeypatch.setattr(part, "show_trouble", lambda error: messages.append(str(error)))
    monkeypatch.setattr(part, "show_info", messages.append)
    return messages


@pytest.fixture
def slide_path(tmp_path: Path) -> Path:
    """A slide of `SIDE` pixels a side that nobody has open."""
    path = tmp_path / f"one{SUFFIX}"
    SlideStore.create(path, recipe_of(SIDE, SIDE, seed=5)).close()
    return path


@pytest.fixture
def workspace(stage):
    """Works on the slide of the test's own `stage`."""
    workspace = Workspace(stage.viewer, seed=0)
    workspace.use_layer(stage.session.layer)
    return workspace


@pytest.fixture
def controller(stage, workspace, engine, tmp_path):
    """Of that workspace, with the test's own `engine`, ready."""
    store = SettingsStore(tmp_path / "studio.json")
    controller = Controller(stage.viewer, workspace, engine, store=store)
    controller.set(suggest=False)
    controller.start()
    wait_until(lambda: engine.info is not None)
    yield controller
    controller.close()
