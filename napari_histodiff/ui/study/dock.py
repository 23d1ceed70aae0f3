"""The dock "Reader study": its trials are shown in napari's canvas, to be zoomed into."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtWidgets import (
    QApplication,
    QFileDialog,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
)

from napari_histodiff.studies.reading.answers import RATING_WORDS
from napari_histodiff.ui.command import real_viewer
from napari_histodiff.ui.study.controller import Asked, ReadingController
from napari_histodiff.ui.text import for_people
from napari_histodiff.ui.widgets.docked import DockedWidget
from napari_histodiff.ui.widgets.forms import Section, button, name_label, note_label, row
from napari_histodiff.ui.widgets.style import WRONG, dock_style, set_role

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from qtpy.QtGui import QKeyEvent

__all__ = ["READING_LAYER", "READING_WIDGET", "ReadingDock"]

#: Name of the widget in `napari.yaml` and of its dock.
READING_WIDGET: Final = "Reader study"

#: Name of the layer that shows a trial.
READING_LAYER: Final = "Reader study"

_PUMP: Final = 20  # milliseconds between two looks at the thread
_GAP: Final = 0.06  # between two images, of their side

#: Keys of a pair in napari's spelling and as Qt calls them, and the side they choose.
_SIDES: Final = {"Left": 0, "1": 0, "Right": 1, "2": 1}
_QT_SIDES: Final = {Qt.Key.Key_Left: "Left", Qt.Key.Key_Right: "Right"}


class ReadingDock(DockedWidget):
    """Asks one reader which tissue is real; answers go into the file of the study at once.

    The keys work in the canvas and in the dock: ← → or 1 2 for pairs, 1 to 6 for single images, and
    / to write a reason.

    Parameters
    ----------
    napari_viewer : napari Viewer
        Whose canvas shows the images; other layers are hidden meanwhile.
    controller : ReadingController, optional
    """

    def __init__(
        self, napari_viewer: Viewer, *, controller: ReadingController | None = None
    ) -> None:
        super().__init__()
        self.viewer = real_viewer(napari_viewer)
        self.controller = controller or ReadingController()
        self._hidden: list[Any] = []
        self._lay_out()
        self._connect()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._timer = QTimer(self)
        self._timer.setInterval(_PUMP)
        self._timer.timeout.connect(self.controller.pump)
        self._timer.start()

    def sizeHint(self) -> QSize:
        """Ask for a narrow column."""
        return QSize(320, 420)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Answer by key while the dock has the focus."""
        name = _QT_SIDES.get(event.key(), event.text())
        if event.isAutoRepeat() or not self._press(name):
            super().keyPressEvent(event)

    def shut_down(self) -> None:
        """Stop asking, show the other layers again and take the trial out; idempotent."""
        self._timer.stop()
        self.controller.close()
        self._clear()

    def begin(self) -> None:
        """Open the study that is named, as the reader that is named."""
        self._tell("")
        self.controller.open(Path(self.file.text()).expanduser(), self.name.text())

    # ------------------------------------------------------------------ layout
    def _lay_out(self) -> None:
        start = Section("Study")
        self.file = QLineEdit()
        self.file.setPlaceholderText("file of histodiff study new")
        self.file.setAccessibleName("File of the study")
        self.browse = button("…", "Choose the file of a study", share=False)
        self.name = QLineEdit()
        self.name.setPlaceholderText("initials do")
        self.name.setAccessibleName("Your name")
        self.start = QPushButton("Begin")
        self.start.setToolTip("Begin, or go on where somebody of that name left off")
        start.body.addLayout(row(name_label("File"), self.file, self.browse, stretch=1))
        start.body.addLayout(row(name_label("Reader"), self.name, self.start, stretch=1))
        self.trial = Section("")
        self.question = QLabel()
        self.question.setWordWrap(True)
        self.place = QLabel()
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(5)
        self.reason = QLineEdit()
        self.reason.setPlaceholderText("Why? Optional: / to write, Enter to leave")
        self.reason.setAccessibleName("Reason")
        self.trial.body.addWidget(self.question)
        self.trial.body.addWidget(self.bar)
        self.trial.body.addWidget(self.place)
        self.sides = [
            self._choice(f"The {side} one is real", key, side=i)
            for i, (side, key) in enumerate((("left", "←  1"), ("right", "→  2")))
        ]
        self.ratings = [
            self._choice(word, str(i), rating=i) for i, word in enumerate(RATING_WORDS, start=1)
        ]
        self.trial.body.addWidget(self.reason)
        self.trial.hide()
        self.error = note_label()
        set_role(self.error, WRONG)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(8, 4, 4, 6)
        for widget in (start, self.trial, self.error):
            outer.addWidget(widget)
        outer.addStretch(1)
        self.setMinimumWidth(280)

    def _choice(self, text: str, key: str, **said: int) -> QPushButton:
        made = QPushButton(f"{text}   [{key}]")
        made.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # the keys are the dock's
        made.clicked.connect(lambda *_: self._say(**said))
        self.trial.body.addWidget(made)
        return made

    def _connect(self) -> None:
        self.browse.clicked.connect(self._choose_file)
        self.start.clicked.connect(lambda *_: self.begin())
        self.name.returnPressed.connect(self.begin)
        self.reason.returnPressed.connect(self.setFocus)
        self.controller.asked.connect(self._show)
        self.controller.failed.connect(self._tell)
        self.controller.busy.connect(self._show_busy)
        self.viewer.events.theme.connect(self._show_theme)
        self._show_theme()
        # Not a method of this widget: it must outlive it.
        self.destroyed.connect(self.controller.close)
        QApplication.instance().aboutToQuit.connect(self.controller.close)

    def _choose_file(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "File of a reader study", self.file.text())
        if chosen:
            self.file.setText(chosen)

    # -------------------------------------------------------------------- show
    def _show(self, asked: Asked) -> None:
        self._tell("")
        self.trial.show()
        trial = asked.trial
        pair = trial is not None and len(trial.images) == 2
        for choice in self.sides:
            choice.setVisible(pair)
        for choice in self.ratings:
            choice.setVisible(trial is not None and not pair)
        self.reason.setVisible(trial is not None)
        self.reason.clear()
        self.bar.setMaximum(max(1, asked.seat.total))
        self.bar.setValue(asked.seat.done)
        if trial is None:
            self.question.setText("<b>Thank you.</b> All answers are kept.")
            self.place.setText(f"{asked.seat.total} of {asked.seat.total}")
            self._clear()
            return
        practice = ", practice, not counted" if trial.practice else ""
        self.place.setText(f"{asked.seat.done + 1} of {asked.seat.total}{practice}")
        asking = "Which one is real?" if pair else "Is this tissue real?"
        self.question.setText(f"<b>{asking}</b>")
        self._show_pictures(asked)
        self.setFocus()
        self.controller.shown()

    def _show_pictures(self, asked: Asked) -> None:
        shown = _side_by_side(asked.pictures)
        if READING_LAYER in self.viewer.layers:
            layer = self.viewer.layers[READING_LAYER]
            layer.data = shown
        else:
            self._hidden = [layer for layer in self.viewer.layers if layer.visible]
            for layer in self._hidden:
                layer.visible = False
            layer = self.viewer.add_image(shown, name=READING_LAYER, rgb=True)
            for key in ("Left", "Right", *map(str, range(1, len(RATING_WORDS) + 1)), "/"):
                layer.bind_key(key, self._presser(key), overwrite=True)
        layer.visible = True
        self.viewer.layers.selection.active = layer
        self.viewer.reset_view()

    def _show_busy(self, busy: bool) -> None:
        for choice in (*self.sides, *self.ratings, self.start):
            choice.setEnabled(not busy)

    def _show_theme(self, *_: object) -> None:
        self.setStyleSheet(dock_style(self.viewer.theme))

    def _tell(self, error: str) -> None:
        self.error.setText(for_people(error))

    def _clear(self) -> None:
        if READING_LAYER in self.viewer.layers:
            self.viewer.layers.remove(READING_LAYER)
        for layer in self._hidden:
            layer.visible = True
        self._hidden = []

    # ----------------------------------------------------------------- answers
    def _presser(self, key: str) -> Callable[[object], None]:
        def press(_layer: object) -> None:
            self._press(key)

        return press  # napari reads the function's name

    def _press(self, key: str) -> bool:
        """Answer by a key in napari's spelling; False where it means nothing here."""
        asked = self.controller.current
        if asked is None or asked.trial is None:
            return False
        if key == "/":
            self.reason.setFocus()
            return True
        if len(asked.trial.images) == 2:
            if key not in _SIDES:
                return False
            self._say(side=_SIDES[key])
        elif key.isdecimal() and 1 <= int(key) <= len(RATING_WORDS):
            self._say(rating=int(key))
        else:
            return False
        return True

    def _say(self, *, side: int | None = None, rating: int | None = None) -> None:
        self.controller.answer(side=side, rating=rating, reason=self.reason.text().strip())


def _side_by_side(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return pictures of one size beside each other, (h, w, 4) uint8; nothing shows between."""
    height, width = pictures[0].shape[:2]
    step = width + round(_GAP * width)
    shown = np.zeros((height, (len(pictures) - 1) * step + width, 4), np.uint8)
    for i, picture in enumerate(pictures):
        shown[:, i * step : i * step + width, :3] = picture
        shown[:, i * step : i * step + width, 3] = 255
    return shown
