"""The main job on the real dock: painted glands in a stroma, a caption, two variants, Apply."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import napari
import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEventLoop, QTimer
from skimage.draw import ellipse
from skimage.io import imsave

from napari_histodiff.core.colours import colour_nuclei
from napari_histodiff.core.engine import Engine, EngineState
from napari_histodiff.core.errors import HistodiffError, make_folder
from napari_histodiff.core.maps import CLASS_NAMES, decode_labels, label_of
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.generation.settings import SeedMode, SettingsStore
from napari_histodiff.ui.generation.states import Level, Notice, RunPhase
from napari_histodiff.ui.text import WIDGET
from napari_histodiff.ui.workspace.placement import Indices, Scatter

__all__ = ["DEMO_CAPTION", "paint_demo", "run_demo"]

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
    _prepare(viewer, dock, side)
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


def _prepare(viewer: Any, dock: StudioDock, side: int) -> None:
    dock.workspace.new_canvas(side, side)
    class_map, instance_map = paint_demo(side, side)
    dock.workspace.document.set_painting(class_map, instance_map, np.zeros(class_map.shape, bool))
    dock.controller.set(caption=DEMO_CAPTION, variants=2, seed=1, seed_mode=SeedMode.FIXED)
    viewer.reset_view()


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


DEMO_CAPTION: Final = (
    "colon, high epithelial cells, low lymphocytes, low connective cells, gland, stroma"
)

#: (centre y, x, radius y, x as shares of the side, rotation in radians) of the glands.
_GLANDS: Final = ((0.37, 0.29, 0.28, 0.20, 0.35), (0.69, 0.70, 0.24, 0.25, -0.5))
#: Centre and radius of the lymphocyte cluster, as shares of the side.
_CLUSTER: Final = (0.19, 0.77, 0.17)
#: Micrometres between epithelial nuclei along a gland's wall.
_PITCH: Final = 5.6
#: Share of a tall nucleus that must be free for it to be placed.
_LEAST_FREE: Final = 0.75
#: Nuclei per mm^2.
_DENSITY: Final = {"connective": 3600.0, "lymphocyte": 9000.0, "plasma": 400.0, "eosinophil": 150.0}


def paint_demo(
    height: int, width: int, *, mpp: float = 0.5, seed: int = 1
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Paint glands, stroma and inflammatory cells; the same arguments give the same painting.

    Parameters
    ----------
    height, width : int
        Size in pixels.
    mpp : float
        Micrometres per pixel.
    seed : int
        Another seed shuffles the nuclei, not the glands.

    Returns
    -------
    class_map, instance_map : (h, w) uint8, (h, w) int32
        What stands where.
    """
    rng = np.random.default_rng(seed)
    labels = np.zeros((height, width), np.int32)
    painter = _Painter(labels, mpp, rng)
    stroma = np.ones(labels.shape, bool)
    for gland in _GLANDS:
        painter.palisade(gland, 0.92)
        painter.palisade(gland, 0.76)
        stroma &= _ellipse(labels.shape, gland) > 1.15**2
    y, x, radius = _CLUSTER
    cluster = _ellipse(labels.shape, (y, x, radius, radius, 0.0)) < 1
    painter.scatter("lymphocyte", cluster & stroma)
    painter.scatter("plasma", stroma)
    painter.scatter("eosinophil", stroma)
    painter.scatter("connective", stroma & ~cluster)
    instance_map, class_map = decode_labels(labels)
    return class_map, instance_map


class _Painter:
    """Places nuclei on one label map, numbering them from 1."""

    def __init__(self, labels: NDArray[np.int32], mpp: float, rng: np.random.Generator) -> None:
        self._labels = labels
        self._mpp = mpp
        self._rng = rng
        self._count = 0

    def palisade(self, gland: tuple[float, ...], at: float) -> None:
        """Line a gland's wall at `at` of its radius with tall nuclei that point to the lumen."""
        height, width = self._labels.shape
        y, x, ry, rx, turn = gland
        semi_y, semi_x = ry * height * at, rx * width * at
        around = 2 * math.pi * math.sqrt((semi_y**2 + semi_x**2) / 2) * self._mpp
        for k in range(int(around / _PITCH)):
            angle = 2 * math.pi * k * _PITCH / around
            wave = 0.07 * math.sin(3 * angle + 9 * turn) + 0.04 * math.sin(5 * angle)
            off = 1 + wave + self._rng.normal(0, 0.02)
            dy, dx = semi_y * off * math.sin(angle), semi_x * off * math.cos(angle)
            centre = (
                y * height + dy * math.cos(turn) + dx * math.sin(turn),
                x * width - dy * math.sin(turn) + dx * math.cos(turn),
            )
            outwards = math.atan2(centre[0] - y * height, centre[1] - x * width)
            self._put_tall(centre, outwards + self._rng.normal(0, 0.2))

    def scatter(self, name: str, area: NDArray[np.bool_]) -> None:
        """Scatter nuclei of a class over an area."""
        class_id = CLASS_NAMES.index(name) + 1
        scatter = Scatter(self._labels, class_id, _DENSITY[name], self._mpp, self._rng)
        for nucleus in scatter.fill(area):
            self._write(nucleus, class_id)

    def _put_tall(self, centre: tuple[float, float], direction: float) -> None:
        """Place an epithelial nucleus of 9 x 4.6 um along `direction`, beside its neighbours."""
        long = self._rng.normal(4.5, 0.5) / self._mpp
        short = self._rng.normal(2.3, 0.25) / self._mpp
        nucleus = ellipse(*centre, short, long, shape=self._labels.shape, rotation=-direction)
        free = self._labels[nucleus] == 0
        if free.mean() > _LEAST_FREE:
            self._write((nucleus[0][free], nucleus[1][free]), CLASS_NAMES.index("epithelial") + 1)

    def _write(self, nucleus: Indices, class_id: int) -> None:
        if nucleus[0].size:
            self._count += 1
            self._labels[nucleus] = label_of(self._count, class_id)


def _ellipse(shape: tuple[int, ...], gland: tuple[float, ...]) -> NDArray[np.float64]:
    """Return the squared radius of each pixel in units of an ellipse's own."""
    height, width = shape
    cy, cx, ry, rx, turn = gland
    y, x = np.mgrid[:height, :width].astype(np.float64)
    y, x = y - cy * height, x - cx * width
    along_y = y * math.cos(turn) - x * math.sin(turn)
    along_x = y * math.sin(turn) + x * math.cos(turn)
    squared: NDArray[np.float64] = (along_y / (ry * height)) ** 2 + (along_x / (rx * width)) ** 2
    return squared
