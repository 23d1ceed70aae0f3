"""The main job on the real dock: painted glands in a stroma, a caption, two variants, Apply."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import napari
import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEventLoop, QTimer
from skimage.io import imsave

from napari_histodiff.core.colours import colour_nuclei
from napari_histodiff.core.engine import Engine, EngineState
from napari_histodiff.core.errors import HistodiffError, make_folder
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.generation.settings import SeedMode, SettingsStore
from napari_histodiff.ui.generation.states import Level, Notice, RunPhase
from napari_histodiff.ui.starting.samples import open_canvas
from napari_histodiff.ui.text import WIDGET

__all__ = ["run_demo"]

_SIDE: Final = 512
_WINDOW: Final = (1440, 900)
#: Seconds after which the demo without a user gives up: a slow machine needs minutes.
_PATIENCE: Final = 1800.0


def run_demo(
    output: Path | None = None, *, side: int = _SIDE, engine: Engine | None = None
) -> None:
    """Open napari with a painted example and generate it.

    Parameters
    ----------
    output : Path, optional
        Write painting, caption, variants, requests and screenshots of the window to this folder
        and close again. Without it the window stays open, the painting in it, generation running.
    side : int
        Side of the canvas in pixels.
    engine : Engine, optional
        Another engine than a worker process on this machine.

    Raises
    ------
    HistodiffError
        When the generation fails.
    StorageError
        When the folder cannot be written.
    """
    if output is not None:
        make_folder(output)
    viewer = napari.Viewer(title="napari-histodiff demo")
    viewer.window.resize(*_WINDOW)
    # The user's own settings are not the demo's to change.
    dock = StudioDock(viewer, engine=engine, store=_Forgetful())
    viewer.window.add_dock_widget(dock, name=WIDGET, area="right")
    _prepare(dock, side)
    if output is None:
        QTimer.singleShot(0, dock.actions.generate)
        napari.run()
        return
    try:
        _Script(viewer, dock, output).run()
    finally:
        dock.shut_down()
        viewer.close()


class _Forgetful(SettingsStore):
    """Settings that begin as the defaults and are not kept."""

    def __init__(self) -> None:
        # What is kept beside them, history and sessions, goes with the demo.
        self._folder = TemporaryDirectory(prefix="histodiff-demo-", ignore_cleanup_errors=True)
        super().__init__(Path(self._folder.name) / "studio.json")

    def save(self, _: Any) -> None:
        """Keep nothing."""


def _prepare(dock: StudioDock, side: int) -> None:
    open_canvas(dock, side)
    dock.controller.set(variants=2, seed=1, seed_mode=SeedMode.FIXED)


class _Script:
    """The demo without a user: press, wait, look, write."""

    def __init__(self, viewer: Any, dock: StudioDock, output: Path) -> None:
        self._viewer = viewer
        self._dock = dock
        self._output = output
        self._failure = ""
        dock.controller.noticed.connect(self._listen)

    def run(self) -> None:
        """Run to the end, or raise what went wrong."""
        controller = self._dock.controller
        self._wait(lambda: controller.status.state is EngineState.READY)
        controller.refresh_plan()
        self._screenshot("1_before")
        self._dock.actions.generate()
        self._wait(lambda: controller.staged.preview.shown)
        if controller.run_state.phase is RunPhase.RUNNING:
            self._screenshot("2_during")
        self._wait(lambda: controller.staged.now is not None)
        self._screenshot("3_staged")
        self._write_results()
        self._dock.actions.apply()
        controller.refresh_plan()
        self._screenshot("4_after")

    def _write_results(self) -> None:
        entry = self._dock.controller.history.entries[0]
        class_map = entry.request.class_map
        assert class_map is not None
        (self._output / "caption.txt").write_text(entry.request.caption + "\n", encoding="utf-8")
        self._image("painting", colour_nuclei(class_map, entry.request.instance_map))
        for index, image in enumerate(entry.images):
            self._image(f"variant_{index + 1}", image)
            controller = self._dock.controller
            controller.saving.save(self._output, controller.status.info, entry, index)
            self._wait(lambda: not self._dock.workspace.doing.text)
        self._check()

    def _image(self, name: str, pixels: NDArray[np.uint8]) -> None:
        imsave(self._output / f"{name}.png", pixels, check_contrast=False)

    def _screenshot(self, name: str) -> None:
        self._pause(0.5)  # let notifications and layouts settle
        self._viewer.screenshot(
            str(self._output / f"window_{name}.png"), canvas_only=False, flash=False
        )

    def _wait(self, until: Callable[[], bool]) -> None:
        end = time.monotonic() + _PATIENCE
        while not until():
            self._check()
            if time.monotonic() > end:
                raise HistodiffError(
                    f"expected the demo to end within {_PATIENCE / 60:.0f} minutes, got no "
                    "result; look at the worker's memory and try a faster machine"
                )
            self._pause(0.02)

    def _pause(self, seconds: float) -> None:
        loop = QEventLoop()
        QTimer.singleShot(round(seconds * 1000), loop.quit)
        loop.exec()

    def _listen(self, notice: Notice) -> None:
        if notice.level is Level.ERROR:
            self._failure = notice.message

    def _check(self) -> None:
        if self._failure:
            raise HistodiffError(self._failure)
