from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from napari_histodiff.core.engine import Engine
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.generation.settings import Settings, SettingsStore
from napari_histodiff.ui.starting.garbage import KeptObjects

WaitFor = Callable[[Callable[[], bool]], None]
OpenDock = Callable[..., StudioDock]


@pytest.fixture(scope="session", autouse=True)
def modules_are_no_garbage() -> Iterator[None]:
    """Leave what is loaded out of searches for garbage: napari searches whenever a layer goes.

    Docks would do it too, and end it when they are gone.
    """
    gc.collect()
    gc.freeze()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KeptObjects, "leave_out", lambda _: None)
        yield


@pytest.fixture
def wait_for(qtbot) -> WaitFor:
    """Let the window live until something holds; a generous limit, since workers share the CPU."""

    def wait(condition: Callable[[], bool], seconds: float = 60.0) -> None:
        qtbot.waitUntil(condition, timeout=round(seconds * 1000))

    return wait


@pytest.fixture
def open_dock(make_napari_viewer, tmp_path: Path) -> Iterator[OpenDock]:
    """Open the dock in a real window with an engine; both are closed afterwards."""
    opened: list[StudioDock] = []

    def open_(
        engine: Engine, judge: Sequence[str] | None = None, *, show: bool = False
    ) -> StudioDock:
        viewer = make_napari_viewer(show=show)
        store = SettingsStore(tmp_path / "studio.json")
        if not (tmp_path / "studio.json").exists():
            store.save(Settings(suggest=False))  # tests that are about suggestions say so
        dock = StudioDock(viewer, engine=engine, store=store, judge=judge)
        viewer.window.add_dock_widget(dock, name="Histodiff Studio", area="right")
        opened.append(dock)
        return dock

    yield open_
    for dock in opened:
        dock.shut_down()
