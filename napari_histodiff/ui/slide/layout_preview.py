"""A small picture of how a slide will be laid out, drawn beside the form while one types."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Final

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QLabel
from superqt.utils import qdebounced

from napari_histodiff.core.errors import HistodiffError
from napari_histodiff.core.recipe import SlideRecipe
from napari_histodiff.layout import SlideLayout
from napari_histodiff.layout.sketch import Sketch
from napari_histodiff.ui.text import for_people

__all__ = ["LayoutPainter", "LayoutPreview", "paint_layout", "to_image"]

#: Draws the layout of a whole slide, (h, w, 3) uint8.
LayoutPainter = Callable[[SlideRecipe, Sketch | None], NDArray[np.uint8]]

#: Milliseconds of quiet before a picture is drawn.
_QUIET: Final = 150

_SIDE: Final = 264


def paint_layout(recipe: SlideRecipe, sketch: Sketch | None) -> NDArray[np.uint8]:
    """Return the layout of a whole slide at its coarsest level, (h, w, 3) uint8."""
    top = recipe.spec.levels - 1
    y, x = (side >> top for side in recipe.origin)
    return SlideLayout(recipe, sketch).colours(recipe.spec.bounds(top).translate(y, x))


def to_image(pixels: NDArray[np.uint8]) -> QImage:
    """Return pixels, (h, w, 3) or (h, w, 4) uint8, as a picture of its own memory."""
    kept = np.ascontiguousarray(pixels)
    height, width, channels = kept.shape
    form = QImage.Format.Format_RGB888 if channels == 3 else QImage.Format.Format_RGBA8888
    return QImage(kept.tobytes(), width, height, channels * width, form).copy()


class LayoutPreview(QLabel):
    """Shows the layout of the recipe set last; drawing never holds up the window.

    Parameters
    ----------
    painter : callable, optional
        Another way to draw a layout than `paint_layout`; called in a thread.
    """

    _drawn = Signal(object)  # Future of a picture

    def __init__(self, painter: LayoutPainter = paint_layout) -> None:
        super().__init__()
        self._painter = painter
        self._wanted: tuple[SlideRecipe, Sketch | None] | None = None
        self._is_drawing = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="layout-preview")
        self._draw_soon = qdebounced(self._draw, timeout=_QUIET, parent=self)
        self._drawn.connect(self._take)
        self.setFixedSize(_SIDE, _SIDE)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setWordWrap(True)
        self.setAccessibleName("Layout of the slide")
        self.setToolTip("How tissue will lie on the slide; the model draws it from this")

    def show_layout(self, recipe: SlideRecipe | None, sketch: Sketch | None = None) -> None:
        """Draw a layout after a moment of quiet; None leaves the picture empty."""
        if recipe is None:
            self._wanted = None
            self._draw_soon.cancel()
            self.clear()
        elif self._wanted is None or (recipe, id(sketch)) != (
            self._wanted[0],
            id(self._wanted[1]),
        ):
            self._wanted = (recipe, sketch)
            self._draw_soon()

    def stop(self) -> None:
        """Draw nothing more; idempotent."""
        self._draw_soon.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _draw(self) -> None:
        if self._is_drawing:
            self._draw_soon()  # one at a time; the newest waits
        elif self._wanted is not None:
            self._is_drawing = True
            self._thread.submit(self._painter, *self._wanted).add_done_callback(self._hand_over)

    def _hand_over(self, drawing: Future[NDArray[np.uint8]]) -> None:
        with suppress(RuntimeError):  # the window may be gone by now
            self._drawn.emit(drawing)  # from the painting thread; Qt calls `_take` in its own

    def _take(self, drawing: Future[NDArray[np.uint8]]) -> None:
        self._is_drawing = False
        if self._wanted is None or drawing.cancelled():
            return
        try:
            self.setPixmap(self._fitting(drawing.result()))
        except HistodiffError as error:
            self.setText(for_people(str(error)))

    def _fitting(self, pixels: NDArray[np.uint8]) -> QPixmap:
        ratio = self.devicePixelRatioF()
        side = round(_SIDE * ratio)
        picture = QPixmap.fromImage(to_image(pixels)).scaled(
            side,
            side,
            Qt.AspectRatioMode.KeepAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )
        picture.setDevicePixelRatio(ratio)
        return picture
