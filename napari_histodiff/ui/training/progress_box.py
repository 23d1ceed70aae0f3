"""How a run goes: the loss curve, the best model so far, and the newest samples."""

from __future__ import annotations

import importlib
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Qt, QTimer, Signal
from qtpy.QtGui import QColor, QFontInfo, QMouseEvent, QPixmap, QResizeEvent
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_histodiff.ui.text import short_count
from napari_histodiff.ui.training.process import LossTable
from napari_histodiff.ui.widgets.forms import Section, line_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["LossCurve", "SheetView", "TrainingProgressBox"]


class SheetView(QLabel):
    """A picture as wide as the dock; a click asks for it in the viewer."""

    clicked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._picture = QPixmap()
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setToolTip("Show in the viewer")

    def set_picture(self, path: Path | None) -> None:
        """Show a picture file; one that is only half written leaves the last in place."""
        picture = QPixmap() if path is None else QPixmap(str(path))
        if path is None or not picture.isNull():
            self._picture = picture
            self._scale()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the picture as wide as the dock."""
        super().resizeEvent(event)
        self._scale()

    def mouseReleaseEvent(self, _: QMouseEvent) -> None:
        """Ask for the picture in the viewer."""
        self.clicked.emit()

    def _scale(self) -> None:
        self.setVisible(not self._picture.isNull())
        if self._picture.isNull() or self.width() < 2:
            return
        mode = Qt.TransformationMode.SmoothTransformation
        scaled = self._picture.scaledToWidth(self.width(), mode)
        self.setPixmap(scaled)
        self.setFixedHeight(scaled.height())


class TrainingProgressBox(Section):
    """Curve, best validation loss and newest sheet of a run."""

    sheet_clicked = Signal()

    def __init__(self) -> None:
        super().__init__("Progress")
        self.curve = LossCurve()
        self.best = line_label("The weights that do best on held-out images are kept")
        self.sheet = SheetView()
        self.sheet_note = line_label(
            "Each column is one crop of your images; a click enlarges them"
        )
        for widget in (self.curve, self.best, self.sheet, self.sheet_note):
            self.body.addWidget(widget)
        self.sheet.clicked.connect(self.sheet_clicked)
        self.set_losses(LossTable(Path()))
        self.set_sheet(None)

    def set_losses(self, losses: LossTable) -> None:
        """Draw the curves and name the best point."""
        self.curve.set_losses(losses.train_curve(), losses.validation_curve())
        best = losses.best
        self.best.setVisible(best is not None)
        if best is not None:
            samples, loss = best
            self.best.setText(f"Best so far: {loss:.4g} after {samples:,} crops, kept")

    def set_sheet(self, path: Path | None) -> None:
        """Show a sample sheet."""
        self.sheet.set_picture(path)
        self.sheet_note.setVisible(path is not None)
        if path is not None:
            self.sheet_note.setText(f"Nuclei, real, drawn after {_samples_of(path):,} crops")


def _samples_of(sheet: Path) -> int:
    digits = sheet.stem.rpartition("_")[2]
    return int(digits) if digits.isdigit() else 0


#: Colours of training and validation loss on a dark and on a light ground, at 4.5:1 and more.
_ON_DARK: Final = ("#6cb0ff", "#f0a04b")
_ON_LIGHT: Final = ("#1a53a8", "#8a4700")

#: Part of the words' size that the letters in the plot have.
_SMALL: Final = 0.85

#: Milliseconds between two looks whether matplotlib is there.
_LOOK: Final = 50


class LossCurve(QWidget):
    """Training loss as a line and validation loss as dots, both over training crops; log scale.

    matplotlib draws it. That takes a second to load: in a thread, once there is something to draw.
    """

    def __init__(self) -> None:
        super().__init__()
        self.train = np.empty((0, 2))
        self.checks = np.empty((0, 2))
        self.figure: Figure | None = None
        self._text, self._ground = "#d0d0d0", "#333840"
        self.words = QLabel("The loss curve comes with the first log")
        self.words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._looks = QTimer(self)
        self._looks.setInterval(_LOOK)
        self._looks.timeout.connect(self._look)
        inside = QVBoxLayout(self)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.addWidget(self.words)
        self.setAccessibleName("Loss over training crops")
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        """Ask for a low strip."""
        return QSize(320, 190)

    def set_colours(self, text: str, ground: str) -> None:
        """Take words and ground of a theme, as "#rrggbb"."""
        self._text, self._ground = text, ground
        self._draw()

    def set_losses(self, train: NDArray[np.float64], checks: NDArray[np.float64]) -> None:
        """Show two (n, 2) tables of crops and loss."""
        self.train, self.checks = train[train[:, 1] > 0], checks[checks[:, 1] > 0]
        self.setAccessibleDescription(self._said())
        if self.figure is None and len(self.train) + len(self.checks):
            _load_matplotlib()
            self._looks.start()
        self._draw()

    def _look(self) -> None:
        if not _load_matplotlib().is_alive():
            self._looks.stop()
            self._make_canvas()
            self._draw()

    def _make_canvas(self) -> None:
        from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
        from matplotlib.figure import Figure

        self.figure = Figure(layout="constrained")
        canvas: QWidget = FigureCanvasQTAgg(self.figure)
        # The wheel scrolls the dock, over the curve as elsewhere.
        canvas.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        canvas.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.words.hide()
        self.layout().addWidget(canvas)

    def _draw(self) -> None:
        if self.figure is None:
            return
        from matplotlib import rc_context

        text, ground = self._text, self._ground
        names = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
        size = _SMALL * QFontInfo(self.font()).pointSizeF()
        with rc_context(dict.fromkeys(names, text) | {"font.size": size, "axes.facecolor": ground}):
            self.figure.clear()
            self.figure.set_facecolor(ground)
            self._plot(self.figure.add_subplot())
        self.figure.canvas.draw_idle()

    def _plot(self, axes: Axes) -> None:
        from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

        line, dots = _ON_DARK if QColor(self._ground).lightnessF() < 0.5 else _ON_LIGHT
        axes.plot(*self.train.T, color=line, label="training")
        if len(self.checks):
            axes.plot(*self.checks.T, "o-", color=dots, ms=3, lw=0.8, label="validation")
            best = self.checks[self.checks[:, 1].argmin()]
            axes.plot(*best, "o", mec=dots, mfc="none", ms=9, label="best")
        axes.set(xlabel="training crops", ylabel="loss", yscale="log", xlim=(0, None))
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda crops, _: short_count(crops)))
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda loss, _: f"{loss:.3g}"))
        axes.legend(loc="upper right", frameon=False)

    def _said(self) -> str:
        said = []
        if len(self.train):
            crops, loss = self.train[-1]
            said.append(f"Training loss {loss:.3g} after {crops:,.0f} crops.")
        if len(self.checks):
            crops, loss = self.checks[self.checks[:, 1].argmin()]
            said.append(f"Best validation loss {loss:.3g} after {crops:,.0f} crops.")
        return " ".join(said)


@cache
def _load_matplotlib() -> Thread:
    """Begin to load what the curve needs, once a process; return the thread that does."""
    # No daemon: a library half loaded may not survive the end of the process.
    thread = Thread(target=_import_canvas, name="histodiff-matplotlib")
    thread.start()
    return thread


def _import_canvas() -> None:
    with suppress(ImportError):  # it fails again, and is told, where it is needed
        for needed in ("matplotlib.figure", "matplotlib.backends.backend_qtagg"):
            importlib.import_module(needed)
