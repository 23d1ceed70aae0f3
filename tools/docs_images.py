"""Makes pictures of the documentation anew: windows, guidances, captions by tissue, a failure.

    xvfb-run -a -s "-screen 0 1600x1000x24" python tools/docs_images.py

No real tissue is in them: the data sets' licences keep it out of the repository.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

import napari
import numpy as np
import psutil
from napari._qt.dialogs.qt_notification import NapariQtNotification
from PIL import Image
from waiting import until, wait

import napari_histodiff as hd
from napari_histodiff.core.colours import colour_nuclei
from napari_histodiff.ui.demo import run_demo
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.generation.settings import SettingsStore
from napari_histodiff.ui.generation.variation import Variation, Varied
from napari_histodiff.ui.starting.painted import DEMO_CAPTION, paint_demo
from napari_histodiff.ui.starting.samples import open_canvas
from napari_histodiff.ui.text import WIDGET

IMAGES: Final = Path(__file__).resolve().parent.parent / "docs" / "images"
WINDOWS: Final = {
    "1_before": "studio-before",
    "2_during": "studio-during",
    "3_staged": "studio-staged",
    "4_after": "studio-after",
}
GUIDANCES: Final = (1.0, 1.5, 2.5)


def main() -> None:
    """Write `docs/images/*.jpg`."""
    IMAGES.mkdir(exist_ok=True)
    # First: torch loaded after OpenGL takes the process down where both bring an LLVM.
    _draw_guidances()
    _draw_by_tissue()
    run_demo(Path("demo"))
    for source, name in WINDOWS.items():
        _save(Image.open(Path("demo") / f"window_{source}.png").convert("RGB"), name)
    with tempfile.TemporaryDirectory() as folder:
        _vary(Path(folder))
        _fail(Path(folder))


def _draw_guidances() -> None:
    class_map, instance_map = paint_demo(320, 320)
    model = hd.load_model()
    row = [colour_nuclei(class_map, instance_map)]
    row += [
        model(class_map, instance_map, caption=DEMO_CAPTION, guidance_scale=guidance, seed=1)
        for guidance in GUIDANCES
    ]
    _save(Image.fromarray(np.concatenate(row, axis=1)), "guidance")


def _draw_by_tissue() -> None:
    """A gland in stroma, with few and with many lymphocytes asked for in the stroma alone."""
    model = hd.load_model()
    y, x = np.mgrid[-1:1:400j, -1:1:400j]
    away = np.hypot(y / 0.8, (x - 0.1) / 0.62) * (1 + 0.08 * np.cos(5 * np.arctan2(y, x)))
    names = model.info.tissue_names
    tissue = np.where(away < 0.85, names.index("gland"), names.index("stroma"))
    tissue[away < 0.3] = names.index("lumen")
    few, many = (
        model(
            tissue_map=tissue.astype(np.uint8),
            caption="colon, low lymphocyte",
            region_captions={"stroma": f"colon, {level} lymphocyte"},
            seed=1,
        )
        for level in ("low", "high")
    )
    gap = np.full((len(few), 16, 3), 255, np.uint8)
    _save(Image.fromarray(np.concatenate([few, gap, many], axis=1)), "region-captions")


def _vary(folder: Path) -> None:
    """Four structures of the demo's painting side by side."""
    viewer, dock = _studio(folder)
    dock.controller.vary(Variation(Varied.STRUCTURE, count=4))
    until(lambda: dock.grid.window is not None)
    window = dock.grid.window
    assert window is not None
    window.resize(1280, 800)
    wait(2)
    window.grab().save(str(folder / "grid.png"))
    _save(Image.open(folder / "grid.png").convert("RGB"), "grid")
    dock.shut_down()
    viewer.close()


def _studio(folder: Path) -> tuple[napari.Viewer, StudioDock]:
    viewer = napari.Viewer(show=True)
    viewer.window.resize(1440, 900)
    dock = StudioDock(viewer, store=SettingsStore(folder / "studio.json"))
    viewer.window.add_dock_widget(dock, name=WIDGET, area="right")
    open_canvas(dock)
    dock.controller.set(variants=2, seed=1)
    until(lambda: dock.controller.status.info is not None)
    return viewer, dock


def _fail(folder: Path) -> None:
    """Draw, take the worker away as a machine without memory does, and look at what is said."""
    viewer, dock = _studio(folder)
    dock.actions.generate()
    until(lambda: dock.controller.staged.preview.shown)
    for child in psutil.Process().children(recursive=True):
        child.kill()
    told: list[NapariQtNotification] = []

    def notices() -> bool:
        told[:] = viewer.window._qt_window.findChildren(NapariQtNotification)
        return bool(told)

    until(notices)
    wait(1)  # until it has slid in: it grows from where it is
    told[-1].toggle_expansion()
    wait(3)
    picture = viewer.screenshot(canvas_only=False, flash=False)
    _save(Image.fromarray(np.ascontiguousarray(picture[..., :3])), "studio-failed")
    dock.shut_down()
    viewer.close()


def _save(picture: Image.Image, name: str) -> None:
    picture.save(IMAGES / f"{name}.jpg", quality=88, subsampling=0, optimize=True)


if __name__ == "__main__":
    main()
