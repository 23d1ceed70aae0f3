"""Images side by side whose views move together; one of them is chosen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from qtpy.QtCore import QPointF, Qt, Signal
from qtpy.QtGui import QImage, QKeyEvent, QMouseEvent, QPainter, QPixmap, QResizeEvent, QWheelEvent
from qtpy.QtWidgets import (
    QFrame,
    QGraphicsScene,
    QGraphicsView,
    QGridLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["GridItem", "ImageGrid"]

#: How many times larger than fitting an image is shown at the most, and one step of it.
_CLOSEST: Final = 40.0
_STEP: Final = 1.25

#: Pixels that the mouse moves in a click.
_STILL: Final = 4

#: Width of the window over its height.
_WIDE: Final = 1.7

_CHOSEN: Final = "QFrame#cell { border: 3px solid #f0a04b; border-radius: 4px; }"
_OTHER: Final = "QFrame#cell { border: 3px solid transparent; }"

_DIGITS: Final = {getattr(Qt.Key, f"Key_{n}"): n for n in range(1, 10)}


@dataclass(frozen=True, slots=True, eq=False)
class GridItem:
    """One image, (h, w, 3) uint8, and what it is called; what is there before cannot be chosen."""

    label: str
    image: NDArray[np.uint8]
    choosable: bool = True


class ImageGrid(QWidget):
    """Cells in rows; `chosen` carries the place of the one that was, and `kept` that it stays.

    All cells show the same part: the wheel zooms about the mouse, a drag moves them.

    Parameters
    ----------
    items : sequence of GridItem
        Of one shape.
    """

    chosen = Signal(int)
    kept = Signal()

    def __init__(self, items: tuple[GridItem, ...]) -> None:
        super().__init__()
        self.items = items
        self.now = -1
        self._zoom, self._middle = 1.0, QPointF(0.5, 0.5)
        self._columns = _columns_for(len(items))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        self.cells: list[_Cell] = []
        numbers = iter(range(1, 10))
        for place, item in enumerate(items):
            key = next(numbers, None) if item.choosable else None
            cell = _Cell(item, "" if key is None else f"{key}  ")
            cell.view.zoomed.connect(self._zoom_about)
            cell.view.dragged.connect(self._move)
            cell.view.clicked.connect(lambda place=place: self.choose(place))
            cell.view.twice.connect(self.kept.emit)
            self.cells.append(cell)
            layout.addWidget(cell, *divmod(place, self._columns))

    @property
    def view(self) -> tuple[float, float, float]:
        """How many times larger than fitting, and the middle of the view, 0-1 in x and in y."""
        return self._zoom, self._middle.x(), self._middle.y()

    def look(self, zoom: float, x: float, y: float) -> None:
        """Show the same part of every image; see `view`."""
        self._zoom = min(max(zoom, 1.0), _CLOSEST)
        self._middle = QPointF(min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0))
        for cell in self.cells:
            cell.view.look(self._zoom, self._middle)

    def choose(self, place: int) -> None:
        """Choose an image by its place; nothing where it cannot be."""
        if not (0 <= place < len(self.items) and self.items[place].choosable):
            return
        for number, cell in enumerate(self.cells):
            cell.set_chosen(chosen=number == place)
        if place != self.now:
            self.now = place
            self.chosen.emit(place)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Choose by number and arrows, zoom by + - 0; Enter keeps."""
        if event is None:
            return
        key = Qt.Key(event.key())
        steps = {
            Qt.Key.Key_Left: -1,
            Qt.Key.Key_Right: 1,
            Qt.Key.Key_Up: -self._columns,
            Qt.Key.Key_Down: self._columns,
        }
        zooms = {Qt.Key.Key_Plus: _STEP, Qt.Key.Key_Equal: _STEP, Qt.Key.Key_Minus: 1 / _STEP}
        choosable = [place for place, item in enumerate(self.items) if item.choosable]
        if key in _DIGITS and _DIGITS[key] <= len(choosable):
            self.choose(choosable[_DIGITS[key] - 1])
        elif key in steps:
            self.choose(self.now + steps[key])
        elif key in zooms:
            self.look(self._zoom * zooms[key], self._middle.x(), self._middle.y())
        elif key == Qt.Key.Key_0:
            self.look(1.0, 0.5, 0.5)
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.kept.emit()
        else:
            super().keyPressEvent(event)

    def _zoom_about(self, factor: float, x: float, y: float) -> None:
        # What lies under the mouse stays there.
        zoom = min(max(self._zoom * factor, 1.0), _CLOSEST)
        keep = self._zoom / zoom
        middle = self._middle
        self.look(zoom, x + (middle.x() - x) * keep, y + (middle.y() - y) * keep)

    def _move(self, x: float, y: float) -> None:
        self.look(self._zoom, self._middle.x() - x, self._middle.y() - y)


def _columns_for(count: int) -> int:
    """Return in how many columns squares are largest in a window as wide as screens are."""
    return max(range(1, count + 1), key=lambda n: min(_WIDE / n, 1 / math.ceil(count / n)))


class _Cell(QFrame):
    """An image and its words, framed when it is chosen."""

    def __init__(self, item: GridItem, key: str) -> None:
        super().__init__()
        self.setObjectName("cell")
        self._label, self._key = item.label, key
        self.view = _View(item.image)
        self.words = QLabel()
        self.words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        column = QVBoxLayout(self)
        column.setContentsMargins(2, 2, 2, 2)
        column.setSpacing(2)
        column.addWidget(self.view, 1)
        column.addWidget(self.words)
        self.set_chosen(chosen=False)

    def set_chosen(self, *, chosen: bool) -> None:
        """Frame the cell, and say so in words."""
        self.setStyleSheet(_CHOSEN if chosen else _OTHER)
        self.words.setText(f"{self._key}{'✓ ' if chosen else ''}{self._label}")
        self.setAccessibleName(f"{self._label}{', chosen' if chosen else ''}")


class _View(QGraphicsView):
    """One image. Places are told as shares of it, 0-1 in x and y."""

    zoomed = Signal(float, float, float)
    dragged = Signal(float, float)
    clicked = Signal()
    twice = Signal()

    def __init__(self, image: NDArray[np.uint8]) -> None:
        height, width = image.shape[:2]
        pixels = image.tobytes()
        shown = QImage(pixels, width, height, 3 * width, QImage.Format.Format_RGB888)
        scene = QGraphicsScene()
        scene.addPixmap(QPixmap.fromImage(shown))
        super().__init__(scene)
        self._scene, self._size = scene, (width, height)
        self._zoom, self._middle = 1.0, QPointF(0.5, 0.5)
        self._pressed: QPointF | None = None
        self._last = QPointF()
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setMinimumSize(120, 120)
        off = Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        self.setHorizontalScrollBarPolicy(off)
        self.setVerticalScrollBarPolicy(off)
        self.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        self.setTransformationAnchor(QGraphicsView.ViewportAnchor.NoAnchor)
        self.setResizeAnchor(QGraphicsView.ViewportAnchor.NoAnchor)

    def look(self, zoom: float, middle: QPointF) -> None:
        """Show a part of the image; 1 = it fits."""
        self._zoom, self._middle = zoom, middle
        width, height = self._size
        room = self.viewport()
        assert room is not None
        fits = min(room.width() / width, room.height() / height)
        self.resetTransform()
        self.scale(fits * zoom, fits * zoom)
        self.centerOn(middle.x() * width, middle.y() * height)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Show the same part at another size."""
        super().resizeEvent(event)
        self.look(self._zoom, self._middle)

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        """Zoom all images."""
        if event is not None:
            at = self._share(self.mapToScene(event.position().toPoint()))
            self.zoomed.emit(_STEP ** (event.angleDelta().y() / 120), at.x(), at.y())
            event.accept()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Begin a click or a drag."""
        if event is not None:
            self._pressed = self._last = event.position()

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Move all images."""
        if event is None or self._pressed is None:
            return
        by = event.position() - self._last
        if (event.position() - self._pressed).manhattanLength() > _STILL:
            self._last = event.position()
            scale, (width, height) = self.transform().m11(), self._size
            self.dragged.emit(by.x() / scale / width, by.y() / scale / height)

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        """Choose the image, when nothing was dragged."""
        if event is None or self._pressed is None:
            return
        moved = (event.position() - self._pressed).manhattanLength()
        self._pressed = None
        if moved <= _STILL:
            self.clicked.emit()

    def mouseDoubleClickEvent(self, event: QMouseEvent | None) -> None:
        """Keep what the first click chose."""
        self.twice.emit()

    def _share(self, at: QPointF) -> QPointF:
        return QPointF(at.x() / self._size[0], at.y() / self._size[1])
