"""Makes the pictures of slides in the documentation anew; draws what shows of a slide first.

    xvfb-run -a -s "-screen 0 1600x1000x24" python tools/slide_images.py colon.ome.zarr --workers 2

The folder is kept: a second run draws what is missing. No real tissue is in the pictures.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any, Final

import napari
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from waiting import until, wait

import napari_histodiff as hd
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.recipe import SlideRecipe
from napari_histodiff.rendering import render_slide
from napari_histodiff.slide.store import SlideStore
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.generation.settings import SettingsStore
from napari_histodiff.ui.viewport import camera_of

IMAGES: Final = Path(__file__).resolve().parent.parent / "docs" / "images"
SIDE: Final = 8192
CENTRE: Final = (1400, 3700)
VIEW: Final = 400
#: Height and width of what is drawn around the centre, in pixels of each level.
DRAWN: Final = {1: (1300, 2200), 0: (900, 900)}


def main() -> None:
    """Write `docs/images/slide.jpg` and `slide-zooms.jpg`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slide", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    if not options.slide.exists():
        recipe = SlideRecipe.plan(
            hd.load_model().info, height=SIDE, width=SIDE, caption="colon, gland", seed=3
        )
        SlideStore.create(options.slide, recipe).close()
    with SlideStore.open(options.slide, read_only=True) as slide:
        recipe = slide.recipe
    parts: dict[int, Region | None] = {recipe.coarsest: None}
    for level, (height, width) in DRAWN.items():
        y, x = (centre >> level for centre in CENTRE)
        parts[level] = Region(level, y - height // 2, x - width // 2, height, width)
    for level, part in parts.items():
        report = render_slide(options.slide, region=part, levels=[level], workers=options.workers)
        print(f"{report.tiles} tiles drawn in {report.seconds:.0f} s, {report.blank} of them glass")
    with SlideStore.open(options.slide, read_only=True) as slide:
        zooms = [_zoom(slide, level) for level in reversed(range(slide.spec.levels))]
    _save(np.concatenate(zooms, axis=1), "slide-zooms")
    with tempfile.TemporaryDirectory() as folder:
        _window(options.slide, Path(folder))


def _zoom(slide: SlideStore, level: int) -> NDArray[np.uint8]:
    y, x = (centre // 2**level - VIEW // 2 for centre in CENTRE)
    bounds = slide.spec.bounds(level)
    y, x = (max(0, min(n, side - VIEW)) for n, side in zip((y, x), bounds.shape, strict=True))
    return slide.read(Region(level, y, x, VIEW, VIEW))


def _window(path: Path, folder: Path) -> None:
    viewer = napari.Viewer(show=True)
    viewer.window.resize(1440, 900)
    dock = StudioDock(viewer, store=SettingsStore(folder / "studio.json"))
    viewer.window.add_dock_widget(dock, name="Histodiff Studio", area="right")
    dock.slide.open_slide(path)
    wait(3)
    session: Any = dock.slide.session
    camera_of(viewer).zoom *= 6
    session.go_to(*CENTRE)
    until(lambda: dock.controller.status.info is not None)
    wait(6)
    picture = viewer.screenshot(canvas_only=False, flash=False)
    _save(np.ascontiguousarray(picture[..., :3]), "slide")
    dock.shut_down()
    viewer.close()


def _save(pixels: NDArray[np.uint8], name: str) -> None:
    picture = Image.fromarray(pixels)
    picture.save(IMAGES / f"{name}.jpg", quality=88, subsampling=0, optimize=True)


if __name__ == "__main__":
    main()
