"""Samples in napari's File > Open Sample: both are made on the spot, nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from napari.utils.notifications import show_info

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.recipe import SlideRecipe
from napari_histodiff.ui.slide.new_slide import NewSlide
from napari_histodiff.ui.starting.painted import DEMO_CAPTION, paint_demo
from napari_histodiff.ui.starting.preferences import preferences
from napari_histodiff.ui.viewport import show_whole

if TYPE_CHECKING:
    from napari_histodiff.core.backend import BackendInfo

__all__ = ["SAMPLES", "open_canvas", "open_slide"]

#: Side of the painted canvas, and of the slide, in pixels.
_CANVAS: Final = 512
_SLIDE: Final = 4096


def open_canvas(dock: Any, side: int = _CANVAS) -> None:
    """Start on a canvas with painted glands, stroma and inflammatory cells, and its caption."""
    dock.workspace.new_canvas(side, side)
    show_whole(dock.viewer, dock.workspace.target)
    document = dock.workspace.document
    document.set_frame(Region(0, 0, 0, side, side))
    classes, instances = paint_demo(*document.region.shape)
    document.set_painting(classes, instances, np.zeros(classes.shape, bool))
    dock.controller.set(caption=DEMO_CAPTION)


def open_slide(dock: Any) -> None:
    """Open a small synthetic slide, made when it is not there; waits for the model's name."""

    def begin(info: BackendInfo) -> None:
        # Another model draws another slide.
        name = f"sample-{info.name}-{info.revision}.ome.zarr".replace(" ", "-")
        path = preferences().place("samples") / name
        if path.exists():
            dock.slide.open_slide(path)
            return
        recipe = SlideRecipe.plan(info, height=_SLIDE, width=_SLIDE, seed=5, caption="colon")
        dock.slide.make(NewSlide(path, recipe, None))

    _when_loaded(dock.controller, begin)


def _when_loaded(controller: Any, begin: Callable[[BackendInfo], None]) -> None:
    if controller.status.info is not None:
        begin(controller.status.info)
        return
    show_info("The sample slide opens as soon as the model is loaded.")

    def look(status: Any) -> None:
        if status.info is not None:
            controller.status_changed.disconnect(look)
            begin(status.info)

    controller.status_changed.connect(look)


#: What opens each sample, by the name that the manifest has: no file of that name is needed.
SAMPLES: Final[dict[str, Callable[[Any], None]]] = {
    "canvas.histodiff-sample": open_canvas,
    "slide.histodiff-sample": open_slide,
}
