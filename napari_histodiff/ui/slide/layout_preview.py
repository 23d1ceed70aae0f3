"""A small picture of how a slide will be laid out, drawn beside the form while one types."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QLabel

from napari_histodiff.core.errors import HistodiffError
from napari_histodiff.core.recipe import SlideRecipe
from napari_histodiff.layout import SlideLayout
from napari_histodiff.layout.sketch import Sketch

__all__ = ["LayoutPainter", "LayoutPreview", "paint_layout", "to_image"]

#: Draws the layout of a whole slide, (h, w, 3) uint8.
LayoutPainter = Callable[[SlideRecipe, Sketch | None], NDArray[np.uint8]]

#: Milliseconds of quiet before a picture is drawn, and between two looks whether it is there.
_QUIET: Final = 150
_LOOK: Final = 20

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

    def __init__(self, painter: LayoutPainter = paint_layout) -> None:
        super().__init__()
        self._painter = painter
        self._wanted: tuple[SlideRecipe, Sketch | None] | None = None
        self._drawing: Future[NDArray[np.uint8]] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="layout-preview")
        self._quiet = QTimer(self)
        self._quiet.setSingleShot(True)
        self._quiet.setInterval(_QUIET)
        self._quiet.timeout.connect(self._draw)
        self._look = QTimer(self)
        self._look.setInterval(_LOOK)
        self._look.timeout.connect(self._take)
        self.setFixedSize(_SIDE, _SIDE)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setWordWrap(True)
        self.setAccessibleName("Layout of the slide")
        self.setToolTip("How tissue will lie on the slide; the model draws it from this")

    def show_layout(self, recipe: SlideRecipe | None, sketch: Sketch | None = None) -> None:
        """Draw a layout after a moment of quiet; None leaves the picture empty."""
        if recipe is None:
            self._wanted = None
            self._quiet.stop()
            self.clear()
        elif self._wanted is None or (recipe, id(sketch)) != (
            self._wanted[0],
            id(self._wanted[1]),
        ):
            self._wanted = (recipe, sketch)
            self._quiet.start()

    def stop(self) -> None:
        """Draw nothing more; idempotent."""
        self._quiet.stop()
        self._look.stop()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _draw(self) -> None:
        if self._drawing is not None:
            self._quiet.start()  # one at a time; the newest waits
        elif self._wanted is not None:
            self._drawing = self._thread.submit(self._painter, *self._wanted)
            self._look.start()

    def _take(self) -> None:
        if self._drawing is None or not self._drawing.done():
            return
        drawing: Future[Any] = self._drawing
        self._drawing = None
        self._look.stop()
        if self._wanted is None:
            return
        try:
            self.setPixmap(self._fitting(drawing.result()))
        except HistodiffError as error:
            self.setText(str(error))

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
