"""Makes the pictures of editing a scan: a fold under a stroke, its mask and rim, drawn, outpainted.

    xvfb-run -a -s "-screen 0 1600x1000x24" python tools/scan_images.py

The scan is drawn by the model and a fold laid into it: the data sets' licences keep real tissue out
of the repository. With an open scan, CMU-1-Small-Region.svs of OpenSlide's test data (CC0 1.0), it
makes those of a scan that was opened, and of annotations painted on it, instead:

    xvfb-run -a -s "-screen 0 1600x1000x24" python tools/scan_images.py CMU-1-Small-Region.svs
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any, Final

import napari
import numpy as np
import tifffile
from napari._qt.dialogs.qt_notification import NapariQtNotification
from numpy.typing import NDArray
from PIL import Image
from skimage.measure import label
from waiting import until, wait

import napari_histodiff as hd
from napari_histodiff.core.colours import TISSUE_HEX, rgb_of
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.datasets.tracing import trace
from napari_histodiff.slide.exporting.features import feature, nucleus_style, write_features
from napari_histodiff.slide.scans.padded import Margins
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.generation.settings import SeedMode, SettingsStore
from napari_histodiff.ui.slide.files.forms import import_annotations
from napari_histodiff.ui.viewport import camera_of

IMAGES: Final = Path(__file__).resolve().parent.parent / "docs" / "images"
SIDE, MPP = 640, 0.5
FRAME: Final = Region(0, 192, 192, 256, 256)

#: Of the open scan: where its frame lies, and what is annotated, epidermis and dermis.
OPENED: Final = Region(0, 1040, 850, 512, 512)
ANNOTATED: Final = Region(0, 848, 656, 512, 704)


def main() -> None:
    """Write `docs/images/scan-*.jpg`, or `scan.jpg` and `annotations.jpg` of an open scan."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scan", type=Path, nargs="?")
    scan = parser.parse_args().scan
    with tempfile.TemporaryDirectory() as folder:
        if scan is not None:
            annotations = Path(folder) / "annotations.geojson"
            annotate(scan, annotations)
            # Beside a copy: what is painted on a scan is kept beside it.
            copy = Path(shutil.copy(scan, folder))
            OpenScan(copy, Path(folder)).show(annotations)
            return
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


def annotate(scan: Path, path: Path) -> None:
    """Write the nuclei and tissue that are found in a part of a scan, as QuPath would."""
    with hd.open_slide(scan) as slide:
        pixels, mpp = slide.read(ANNOTATED), slide.mpp
    model = hd.load_model()
    found = model.segmenters().judge.segment(pixels, mpp=mpp)
    tissue = model.propose_tissue(pixels, mpp=mpp)
    corner = (ANNOTATED.x, ANNOTATED.y)
    nuclei = label(found.instance_map, connectivity=1).astype(np.int32)
    classes = np.zeros(int(nuclei.max()) + 1, np.uint8)
    classes[nuclei] = found.class_map
    with write_features(path, packed=False, mark={}) as file:
        for number, rings in enumerate(trace(nuclei), 1):
            style = nucleus_style(classes[number])
            moved = [ring + corner for ring in rings]
            file.add(feature([moved], "cell", style, f"nucleus {number}"))
        for tissue_id in np.unique(tissue[tissue > 0]):
            places = label(tissue == tissue_id, connectivity=1).astype(np.int32)
            style = TISSUE_NAMES[tissue_id], rgb_of(TISSUE_HEX[tissue_id])
            for number, rings in enumerate(trace(places), 1):
                moved = [ring + corner for ring in rings]
                file.add(feature([moved], "annotation", style, f"{style[0]} {number}"))


class Window:
    """A dock on a scan."""

    def __init__(self, path: Path, folder: Path) -> None:
        self._viewer = napari.Viewer(show=True)
        self._viewer.window.resize(1440, 900)
        store = SettingsStore(folder / "studio.json")
        self._dock = StudioDock(self._viewer, store=store)
        self._viewer.window.add_dock_widget(self._dock, name="Histodiff Studio", area="right")
        self._dock.slide.open_slide(path)
        until(lambda: self._dock.controller.status.info is not None)

    def _close(self) -> None:
        self._dock.shut_down()
        self._viewer.close()

    def _look(self, region: Region, zoom: float = 4.5) -> None:
        camera = camera_of(self._viewer)
        target: Any = self._dock.workspace.document.target.layer
        middle = (region.y + region.height / 2, region.x + region.width / 2)
        camera.center = tuple(target.data_to_world(middle))
        camera.zoom = zoom

    def _picture(self, name: str) -> None:
        self._dock.controller.refresh_plan()
        for told in self._viewer.window._qt_window.findChildren(NapariQtNotification):
            told.close()
        wait(1.5)
        picture = self._viewer.screenshot(canvas_only=False, flash=False)
        shown = Image.fromarray(np.ascontiguousarray(picture[..., :3]))
        shown.save(IMAGES / f"{name}.jpg", quality=85, optimize=True)


class Story(Window):
    """Led through the edit."""

    def tell(self) -> None:
        """Go through it, a picture at each step."""
        dock, document = self._dock, self._dock.workspace.document
        document.set_frame(FRAME)
        dock.controller.set(variants=1, seed=2, seed_mode=SeedMode.FIXED, suggest=False)
        self._look(FRAME)
        dock.workspace.select_palette("edit mask")
        document.edit_mask.put(line()[FRAME.slices] < 3)
        self._picture("scan-fold")
        dock.masks.grow_to_artefact()
        until(lambda: not dock.workspace.doing.text)
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
        self._close()

    def _draw(self) -> None:
        self._dock.actions.generate()
        until(lambda: self._dock.controller.staged.now is not None)

    def _apply(self) -> None:
        self._dock.actions.apply()
        until(lambda: not self._dock.workspace.doing.text)
        wait(1)


class OpenScan(Window):
    """A scan as it was opened, and with annotations."""

    def show(self, annotations: Path) -> None:
        """Make both pictures."""
        dock, document = self._dock, self._dock.workspace.document
        document.set_frame(OPENED)
        self._look(OPENED, 1.4)
        self._picture("scan")
        job = import_annotations(self._viewer, annotations)
        until(lambda: job.is_over and not dock.workspace.doing.text)
        document.set_frame(ANNOTATED)
        dock.controller.set(
            caption="skin",
            region_captions=(("stroma", "high lymphocyte"), ("gland", "low neutrophil")),
        )
        self._look(ANNOTATED, 2.0)
        self._picture("annotations")
        self._close()


if __name__ == "__main__":
    main()
