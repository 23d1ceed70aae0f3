"""The whole slide in a corner of the dock: what is in view, what is drawn, click to go there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QPixmap
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget
from superqt.utils import qthrottled

from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.storage.tile_table import TileState
from napari_histodiff.ui.slide.layout_preview import to_image
from napari_histodiff.ui.text import microns_text

if TYPE_CHECKING:
    from napari_histodiff.ui.slide.session import SlideSession

__all__ = ["VEILS", "Minimap", "veil"]

#: RGBA laid over tiles by `TileState`: empty, source, generated, edited,
#: stale. A tile of a real source, or one nobody drew, has none.
VEILS: Final = (
    (0, 0, 0, 0),
    (0, 0, 0, 0),
    (40, 200, 90, 80),
    (60, 110, 255, 130),
    (255, 176, 0, 130),
)

#: Pixels of the screen from one line of a pattern to the next.
_PATTERN: Final = 5

#: Milliseconds between two repaints: each repaints the window, canvas included.
_INTERVAL: Final = 250

#: The view is shown at least this large, in pixels of the screen.
_LEAST_BOX: Final = 7.0

_FRAME: Final = QColor("#3b8eea")
_KEYS: Final = {
    Qt.Key.Key_Left: (0.0, -0.5),
    Qt.Key.Key_Right: (0.0, 0.5),
    Qt.Key.Key_Up: (-0.5, 0.0),
    Qt.Key.Key_Down: (0.5, 0.0),
}


def veil(coverage: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return what is laid over the map, (h, w, 4) uint8 RGBA, of the shape of the screen.

    Edited places are hatched and those out of date have a grid: the colour alone tells nothing.

    Parameters
    ----------
    coverage : (n, m) uint8
        Tile states.
    shape : tuple of int
        Rows and columns of the screen.
    """
    table = np.zeros((256, 4), np.uint8)
    table[: len(VEILS)] = VEILS
    rows, cols = (np.arange(n) for n in shape)
    across = np.ix_(rows * coverage.shape[0] // shape[0], cols * coverage.shape[1] // shape[1])
    states = coverage[across]
    laid = table[states]
    hatched = (rows[:, None] + cols) % _PATTERN == 0
    grid = (rows[:, None] % _PATTERN == 0) | (cols % _PATTERN == 0)
    for state, lines in ((TileState.EDITED, hatched), (TileState.STALE, grid)):
        laid[(states == state) & lines] = (*VEILS[state][:3], 255)
    return laid


class Minimap(QWidget):
    """Reads nothing but the session's overview; `went` carries (y, x) of level 0.

    Parameters
    ----------
    side : int
        The longer side, in pixels of the screen.
    """

    went = Signal(int, int)

    def __init__(self, side: int = 156) -> None:
        super().__init__()
        self._side = side
        self._session: SlideSession | None = None
        self._picture: QPixmap | None = None
        self._veil: QImage | None = None
        self._shows_veil = False
        self._view: Region | None = None
        self._size = (1, 1)
        self._mpp = 0.5
        self._look_soon = qthrottled(self._look, timeout=_INTERVAL, parent=self)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setFixedSize(side, side)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setAccessibleName("Map of the slide")
        self.setAccessibleDescription(
            "Shows what is in view; click or drag to go there, arrow keys move by half a view"
        )

    @property
    def shows_veil(self) -> bool:
        """Whether what is drawn is shown."""
        return self._shows_veil

    def set_session(self, session: SlideSession | None) -> None:
        """Show another slide, or none."""
        self._session = session
        self._picture = self._veil = self._view = None
        self._look_now()

    def set_veil(self, *, shown: bool) -> None:
        """Show or hide which places are drawn, edited and out of date."""
        self._shows_veil = shown
        self._look_now()

    def refresh(self) -> None:
        """Look at the session now, or when the last look is a quarter of a second ago."""
        self._look_soon()

    def slide_position(self, place: QPointF) -> tuple[int, int]:
        """Return (y, x) in pixels of level 0 of a place on this widget, inside the slide."""
        height, width = self._size
        y = place.y() / max(1, self.height()) * height
        x = place.x() / max(1, self.width()) * width
        return min(max(round(y), 0), height - 1), min(max(round(x), 0), width - 1)

    def sizeHint(self) -> QSize:
        """As large as it is drawn."""
        return self.size()

    # ------------------------------------------------------------------ events
    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the overview, the veil and the view."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor("#808080"))
        if self._picture is not None:
            painter.drawPixmap(self.rect(), self._picture)
        if self._veil is not None and self._shows_veil:
            painter.drawImage(self.rect(), self._veil)
        if self._view is not None:
            self._paint_view(painter, self._view)
        if self.hasFocus():
            painter.setPen(QPen(_FRAME, 2))
            painter.drawRect(self.rect().adjusted(1, 1, -1, -1))
        painter.end()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Go where the mouse is."""
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            self._go(event)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Follow the mouse while its button is down."""
        if event is not None and event.buttons() & Qt.MouseButton.LeftButton:
            self._go(event)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Arrows move by half a view, Home goes to the middle."""
        if event is None or self._view is None:
            super().keyPressEvent(event)
            return
        key = event.key()
        y, x = self._view.y + self._view.height / 2, self._view.x + self._view.width / 2
        if key == Qt.Key.Key_Home:
            y, x = self._size[0] / 2, self._size[1] / 2
        elif key in _KEYS:
            down, right = _KEYS[Qt.Key(key)]
            y, x = y + down * self._view.height, x + right * self._view.width
        else:
            super().keyPressEvent(event)
            return
        self._emit(round(y), round(x))

    def event(self, event: QEvent | None) -> bool:
        """Tell in the tooltip where the mouse is."""
        if event is not None and event.type() == QEvent.Type.ToolTip and self._session is not None:
            y, x = self.slide_position(QPointF(event.pos()))
            right, down = microns_text(x * self._mpp), microns_text(y * self._mpp)
            QToolTip.showText(event.globalPos(), f"{right} right, {down} down\nClick to go there")
            return True
        return bool(super().event(event))

    # ---------------------------------------------------------------- internal
    def _look_now(self) -> None:
        self._look_soon()
        self._look_soon.flush()

    def _look(self) -> None:
        session = self._session
        if session is not None:
            spec = session.store.spec
            self._size, self._mpp = (spec.height, spec.width), spec.mpp
            self._fit()
            ratio = self.devicePixelRatioF()
            self._picture = QPixmap.fromImage(
                to_image(session.overview()).scaled(
                    self.size() * ratio,
                    Qt.AspectRatioMode.IgnoreAspectRatio,
                    Qt.TransformationMode.SmoothTransformation,
                )
            )
            shape = self.height(), self.width()
            self._veil = to_image(veil(session.coverage(), shape)) if self._shows_veil else None
            self._view = session.view_box()
        self.update()

    def _fit(self) -> None:
        height, width = self._size
        longest = max(height, width)
        size = QSize(
            max(24, round(self._side * width / longest)),
            max(24, round(self._side * height / longest)),
        )
        if size != self.size():
            self.setFixedSize(size)

    def _paint_view(self, painter: QPainter, view: Region) -> None:
        across, down = self.width() / self._size[1], self.height() / self._size[0]
        box = QRectF(view.x * across, view.y * down, view.width * across, view.height * down)
        more = max(0.0, _LEAST_BOX - box.width()) / 2, max(0.0, _LEAST_BOX - box.height()) / 2
        box = box.adjusted(-more[0], -more[1], more[0], more[1])
        box = box.intersected(QRectF(self.rect()).adjusted(1, 1, -1, -1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(0, 0, 0, 150), 3))
        painter.drawRect(box)
        painter.setPen(QPen(QColor("white"), 1))
        painter.drawRect(box)

    def _go(self, event: QMouseEvent) -> None:
        if self._session is not None:
            self._emit(*self.slide_position(QPointF(event.pos())))

    def _emit(self, y: int, x: int) -> None:
        height, width = self._size
        self.went.emit(min(max(y, 0), height - 1), min(max(x, 0), width - 1))
