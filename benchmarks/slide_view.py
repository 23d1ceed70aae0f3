"""A napari window with a slide in it, driven and watched by a benchmark."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import napari
import numpy as np
import psutil
from numpy.typing import NDArray
from qtpy.QtCore import QEventLoop, Qt, QTimer

from napari_histodiff.core.backend import BackendInfo
from napari_histodiff.core.engine import EngineState
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.recipe import SlideRecipe
from napari_histodiff.engine.local import LocalEngine
from napari_histodiff.layout.anatomy import GLASS
from napari_histodiff.layout.sketch import Sketch
from napari_histodiff.slide.store import SlideStore
from napari_histodiff.slide.streaming.tile_requests import to_plane
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.generation.settings import SettingsStore
from napari_histodiff.ui.slide.recent import SlidePlaces
from napari_histodiff.ui.slide.session import SlideSession
from napari_histodiff.ui.viewport import camera_of

__all__ = ["Lag", "SlideWindow", "resident", "turn"]

_PERIOD: Final = 0.005


def turn(milliseconds: int) -> None:
    """Let the event loop run for a while."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def resident() -> float:
    """Return the memory of this process, in MB."""
    return float(psutil.Process().memory_info().rss) / 1e6


class Lag:
    """How late a timer of 5 ms fires, in ms; what passes beyond those 5 ms."""

    def __init__(self) -> None:
        self._fired: list[float] = []
        self._late: list[NDArray[np.float64]] = []

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Measure; parts measured one after the other count together."""
        timer = QTimer()
        timer.setTimerType(Qt.TimerType.PreciseTimer)
        timer.timeout.connect(partial(_note, self._fired))
        timer.start(round(_PERIOD * 1000))
        yield
        timer.stop()
        self._late.append(np.clip(np.diff(self._fired) - _PERIOD, 0, None) * 1000)
        self._fired.clear()

    @property
    def values(self) -> NDArray[np.float64]:
        """All lags."""
        return np.concatenate(self._late)


class SlideWindow:
    """A window with the dock and a worker process; counts the frames of its canvas.

    Parameters
    ----------
    factory : str
        Import path of what makes the backend.
    folder : Path
        For settings and slides.
    """

    def __init__(self, factory: str, folder: Path) -> None:
        self._folder = folder
        self.viewer = napari.Viewer()
        self.viewer.window.resize(1560, 960)
        self.dock = StudioDock(
            self.viewer,
            engine=LocalEngine(factory),
            store=SettingsStore(folder / "studio.json"),
        )
        self.viewer.window.add_dock_widget(self.dock, area="right")
        self.dock.slide.places = SlidePlaces(folder / "slides.json")
        self.frames = 0
        self._tissue = np.empty((0, 2), np.int64)
        # The one widget that is painted with OpenGL; this fires when a frame is on the screen.
        self.viewer.window._qt_viewer.canvas.native.frameSwapped.connect(self._count)

    @property
    def session(self) -> SlideSession:
        """The open slide."""
        session = self.dock.slide.session
        if session is None:
            raise SystemExit("no slide is open")
        return session

    def warm_up(self) -> BackendInfo:
        """Wait until the worker has its model."""
        status = self.dock.controller.status
        while status.state is not EngineState.READY or status.info is None:
            if status.state is EngineState.DEAD:
                raise SystemExit(status.message)
            turn(50)
            status = self.dock.controller.status
        return status.info

    def make_slide(self, recipe: SlideRecipe, name: str, sketch: Sketch | None = None) -> None:
        """Do what the dialog's button does, until the slide is on the screen; none may be open."""
        path = self._folder / f"{name}.ome.zarr"
        SlideStore.create(path, recipe, sketch).close()
        self.dock.slide.open_slide(path)
        self.next_frame()

    def close_slide(self) -> None:
        """Close the slide."""
        self.dock.slide.close_slide()

    def next_frame(self) -> None:
        """Wait until a frame that was begun from now on is on the screen."""
        seen = self.frames
        self.wait(lambda: self.frames > seen)

    def wait(self, reached: Callable[[], bool], patience: float = 120.0) -> bool:
        """Run the event loop until something holds; return whether it did in time."""
        end = time.perf_counter() + patience
        while not reached():
            if time.perf_counter() > end:
                return False
            turn(2)
        return True

    def look(self, y: float, x: float, level: int) -> None:
        """Show a place of level 0 so that napari takes a level, a little enlarged."""
        camera_of(self.viewer).zoom = 0.8 / (self.session.store.spec.mpp * (1 << level))
        self.session.go_to(y, x)

    def tissue(self, rng: np.random.Generator) -> tuple[int, int]:
        """Return a place of level 0 with tissue all around it, of the slide asked first."""
        if not len(self._tissue):
            self._tissue = _places_of(self.session.store)
        y, x = rng.choice(self._tissue)
        return int(y), int(x)

    def is_drawn(self, region: Region) -> bool:
        """Whether every tile of a region of a drawn level is drawn."""
        whole = region.snap(256)
        states = self.session.store.state(region.level)
        part = states[whole.y // 256 : whole.bottom // 256, whole.x // 256 : whole.right // 256]
        return bool((part >= 2).all())

    def close(self) -> None:
        """Close everything."""
        self.dock.shut_down()
        self.viewer.close()

    def _count(self) -> None:
        self.frames += 1


def _places_of(store: SlideStore) -> NDArray[np.int64]:
    """Return places of level 0 with tissue some way around them, (n, 2) int64."""
    level = store.spec.levels - 1
    bounds = store.spec.bounds(level)
    inner = store.layout.tissue(to_plane(store.recipe, bounds)) != GLASS
    for axis in (0, 1):
        for shift in (-16, 16):
            inner &= np.roll(inner, shift, axis)
    return np.argwhere(inner) << level


def _note(fired: list[float]) -> None:
    fired.append(time.perf_counter())
