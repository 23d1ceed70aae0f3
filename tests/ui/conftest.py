from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from npe2 import PluginManifest
from npe2.manifest.schema import DiscoverResults

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


@pytest.fixture(scope="session", autouse=True)
def plugins_are_found_once() -> Iterator[None]:
    """Read the manifests of all installed plugins once: napari reads them for each window."""
    look, found = PluginManifest.discover, list[DiscoverResults]()

    def discover(paths: Sequence[str | Path] = ()) -> Iterator[DiscoverResults]:
        if paths:
            return look(paths)
        if not found:
            found.extend(look())
        return iter(found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PluginManifest, "discover", discover)
        yield


@pytest.fixture(scope="session", autouse=True)
def layers_go_without_a_search() -> Iterator[None]:
    """Remove layers as napari did before it looked for garbage at each, for drivers of Windows."""
    with pytest.MonkeyPatch.context() as patch:
        if sys.platform != "win32":
            patch.setattr("napari._vispy.canvas.gc", SimpleNamespace(collect=lambda: None))
        yield


@pytest.fixture(autouse=True)
def what_a_window_leaves_is_no_garbage(request: pytest.FixtureRequest) -> Iterator[None]:
    """Look through what a window left once, when it is closed, and not again."""
    yield
    if "make_napari_viewer" in request.fixturenames:
        gc.collect()
        gc.freeze()


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
