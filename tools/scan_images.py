"""Makes the pictures of editing a scan: a fold under a stroke, its mask and rim, drawn, outpainted.

    xvfb-run -a -s "-screen 0 1600x1000x24" python tools/scan_images.py

The scan is drawn by the model and a fold laid into it: the data sets' licences keep real tissue out
of the repository.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import napari
import numpy as np
import tifffile
from napari._qt.dialogs.qt_notification import NapariQtNotification
from numpy.typing import NDArray
from PIL import Image
from qtpy.QtCore import QEventLoop, QTimer

import napari_histodiff as hd
from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.scans.padded import Margins
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.generation.settings import SeedMode, SettingsStore
from napari_histodiff.ui.viewport import camera_of

IMAGES: Final = Path(__file__).resolve().parent.parent / "docs" / "images"
SIDE, MPP = 640, 0.5
FRAME: Final = Region(0, 192, 192, 256, 256)
PATIENCE: Final = 900.0


def main() -> None:
    """Write `docs/images/scan-*.jpg`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "biopsy.tif"
        per_cm = 1e4 / MPP
        tifffile.imwrite(
            path,
            folded(hd.load_model()(shape=(SIDE, SIDE), caption="colon", seed=3)),
            tile=(256, 256),
            compression="deflate",
            photometric="rgb",
            resolution=(per_cm, per_cm),
            resolutionunit="CENTIMETER",
        )
        Story(path, Path(folder)).tell()


def line() -> NDArray[np.float64]:
    """How far each pixel lies from the middle of the fold."""
    y, x = np.indices((SIDE, SIDE))
    far: NDArray[np.float64] = np.abs(x - 320 - 18 * np.sin(y / 40))
    far[(y < 225) | (y > 415)] = SIDE
    return far


def folded(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay a fold into tissue: two layers absorb twice as much."""
    density = -np.log(np.maximum(pixels, 1) / 255.0)
    there = line() < 14
    density[there] += np.roll(density, 40, 1)[there]
    result: NDArray[np.uint8] = (255 * np.exp(-density)).round().astype(np.uint8)
    return result


class Story:
    """A dock on the scan, led through the edit."""

    def __init__(self, path: Path, folder: Path) -> None:
        self._viewer = napari.Viewer(show=True)
        self._viewer.window.resize(1440, 900)
        store = SettingsStore(folder / "studio.json")
        self._dock = StudioDock(self._viewer, store=store)
        self._viewer.window.add_dock_widget(self._dock, name="Histodiff Studio", area="right")
        self._dock.slide.open_slide(path)
        self._dock.workspace.document.set_frame(FRAME)
        self._dock.controller.set(variants=1, seed=2, seed_mode=SeedMode.FIXED, suggest=False)

    def tell(self) -> None:
        """Go through it, a picture at each step."""
        dock, document = self._dock, self._dock.workspace.document
        self._until(lambda: dock.controller.status.info is not None)
        self._look(FRAME)
        dock.workspace.select_palette("edit mask")
        document.edit_mask.put(line()[FRAME.slices] < 3)
        self._picture("scan-fold")
        dock.masks.grow_to_artefact()
        self._until(lambda: not dock.workspace.doing.text)
        dock.masks.grow()
        self._picture("scan-mask")
        dock.controller.set(mask_strength=40.0, mask_step=5.0)
        dock.masks.grow()
        self._picture("scan-parts")
        self._draw()
        self._picture("scan-staged")
        self._apply()
        dock.slide.scans.make_room(Margins(right=192))
        document = dock.workspace.document
        document.set_frame(Region(0, 192, SIDE - 128, 256, 256))
        document.clear()
        self._look(document.region)
        self._draw()
        self._apply()
        self._picture("scan-beyond")
        dock.shut_down()
        self._viewer.close()

    def _draw(self) -> None:
        self._dock.actions.generate()
        self._until(lambda: self._dock.controller.staged.now is not None)

    def _apply(self) -> None:
        self._dock.actions.apply()
        self._until(lambda: not self._dock.workspace.doing.text)
        _wait(1)

    def _look(self, region: Region) -> None:
        camera = camera_of(self._viewer)
        target: Any = self._dock.workspace.document.target.layer
        middle = (region.y + region.height / 2, region.x + region.width / 2)
        camera.center = tuple(target.data_to_world(middle))
        camera.zoom = 4.5

    def _picture(self, name: str) -> None:
        self._dock.controller.refresh_plan()
        for told in self._viewer.window._qt_window.findChildren(NapariQtNotification):
            told.close()
        _wait(1.5)
        picture = self._viewer.screenshot(canvas_only=False, flash=False)
        shown = Image.fromarray(np.ascontiguousarray(picture[..., :3]))
        shown.save(IMAGES / f"{name}.jpg", quality=85, optimize=True)

    def _until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > end:
                raise SystemExit("expected the edit to be drawn by now, got nothing; look above")
            _wait(0.1)


def _wait(seconds: float) -> None:
    loop = QEventLoop()
    QTimer.singleShot(round(seconds * 1000), loop.quit)
    loop.exec()


if __name__ == "__main__":
    main()
