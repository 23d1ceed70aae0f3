from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from napari.settings import get_settings
from napari.settings._base import EventedConfigFileSettings
from napari.utils._proxies import PublicOnlyProxy
from npe2 import PluginManifest
from npe2.manifest.schema import DiscoverResults

from napari_histodiff.core.engine import Engine
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.generation.settings import Settings, SettingsStore
from napari_histodiff.ui.starting.garbage import KeptObjects
from tests.ui.windows import Windows

if TYPE_CHECKING:
    from napari import Viewer

WaitFor = Callable[[Callable[[], bool]], None]
OpenDock = Callable[..., StudioDock]


@pytest.fixture(scope="session", autouse=True)
def modules_are_no_garbage() -> Iterator[None]:
    """Docks do not end what the session did: what is loaded stays out of searches for garbage."""
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


@pytest.fixture(scope="session")
def windows() -> Iterator[Windows]:
    """All windows of the process; napari writes no settings meanwhile and starts no threads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EventedConfigFileSettings, "save", lambda *_, **__: None)
        patch.setattr("napari._qt.threads.status_checker.StatusChecker.start", lambda _: None)
        get_settings().reset()
        made = Windows()
        yield made
        made.close()


@pytest.fixture
def make_napari_viewer(
    qtbot, windows: Windows, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Viewer]]:
    """Make viewers, as napari's own fixture does; one that is not shown was used before.

    A test that is marked `own_window` gets a new one, with napari's style.
    """

    def make(*, show: bool = False, **arguments: Any) -> Viewer:
        if not (show or arguments or request.node.get_closest_marker("own_window")):
            return windows.lend()
        viewer = windows.make(show=show, **arguments)
        if show:
            qtbot.wait_exposed(viewer.window._qt_window, timeout=5000)
        return viewer

    yield make
    get_settings().reset()
    call = getattr(request.node, "rep_call", None)
    windows.take_back(has_passed=call is not None and call.passed)


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
        # As napari gives it to plugins: what it tells of layers and windows is not these.
        given = PublicOnlyProxy(viewer)
        dock = StudioDock(given, engine=engine, store=store, judge=judge)
        viewer.window.add_dock_widget(dock, name="Histodiff Studio", area="right")
        opened.append(dock)
        return dock

    yield open_
    for dock in opened:
        dock.shut_down()
