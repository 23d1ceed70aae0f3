from __future__ import annotations

from pathlib import Path

import pytest

from napari_histodiff.slide.store import SlideStore
from napari_histodiff.ui.slide import recent, slide_dock_part
from napari_histodiff.ui.slide.recent import SUFFIX
from tests.ui.slide.widget_doubles import SIDE, recipe_of


@pytest.fixture
def places_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's own list of slides and folder out of it."""
    monkeypatch.setattr(recent, "config_file", lambda name: tmp_path / name)
    monkeypatch.setattr(recent.platformdirs, "user_data_path", lambda *a, **k: tmp_path / "data")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What napari's notifications say."""
    messages: list[str] = []
    monkeypatch.setattr(slide_dock_part, "show_warning", messages.append)
    monkeypatch.setattr(slide_dock_part, "show_info", messages.append)
    return messages


@pytest.fixture
def slide_path(tmp_path: Path) -> Path:
    """A slide of `SIDE` pixels a side that nobody has open."""
    path = tmp_path / f"one{SUFFIX}"
    SlideStore.create(path, recipe_of(SIDE, SIDE, seed=5)).close()
    return path
