"""The dock's section of an open slide: map, what is in work, drawing, growing, disk."""

from __future__ import annotations

from html import escape
from typing import Final

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.slide.minimap import Minimap
from napari_histodiff.ui.slide.sketch_box import SketchBox
from napari_histodiff.ui.slide.status import (
    SlideStatus,
    level_text,
    place_text,
    queue_text,
    speed_text,
    time_text,
)
from napari_histodiff.ui.text import bytes_text, count_text
from napari_histodiff.ui.widgets.forms import (
    Section,
    button,
    name_label,
    note_label,
    row,
    whole_number,
)
from napari_histodiff.ui.widgets.style import IGNORED, SUBTLE

__all__ = ["SlideBox"]

#: A slide grows at most by so many pixels at once.
_MOST_GROWTH: Final = 65_536

_SIDES: Final = (
    ("◀", "left", (0, 1, 0, 0)),
    ("▲", "top", (1, 0, 0, 0)),
    ("▼", "bottom", (0, 0, 1, 0)),
    ("▶", "right", (0, 0, 0, 1)),
)


class SlideBox(Section):
    """In view while a slide is open."""

    pause_requested = Signal()
    view_requested = Signal()
    frame_requested = Signal()
    all_requested = Signal()
    stop_requested = Signal()
    retry_requested = Signal()
    why_requested = Signal()
    grow_requested = Signal(int, int, int, int)  # top, left, bottom, right in pixels of level 0
    finer_requested = Signal()
    space_requested = Signal()
    close_requested = Signal()

    def __init__(self) -> None:
        super().__init__("Slide")
        self._coarsest = 0
        self.map = Minimap()
        self.sketch = SketchBox()
        self._make_readout()
        self._make_drawing()
        self._make_growing()
        self._lay_out()
        self._connect()
        self.set_status(SlideStatus())

    def set_slide(self, name: str, *, multiple: int, coarsest: int) -> None:
        """Tell what is open.

        Parameters
        ----------
        name : str
            Of the slide.
        multiple : int
            Pixels of level 0 in whose multiples it grows.
        coarsest : int
            The coarsest level that the model draws.
        """
        self._coarsest = coarsest
        self.corner.setToolTip(name)
        self._by.setRange(multiple, max(multiple, _MOST_GROWTH))
        self._by.setSingleStep(multiple)
        self._by.setValue(multiple)

    def set_status(self, status: SlideStatus) -> None:
        """Show how far it is drawn and what is in work."""
        self.corner.setText(level_text(status))
        busy = status.queued + status.in_flight > 0
        self._queue.setText(queue_text(status) or self._rest_text(status))
        self._speed.setText(speed_text(status) if busy and not status.paused else "")
        held = "paused" if busy and status.paused else ""
        self._left.setText(held or time_text(status))
        self._tiles.setText(_tiles_text(status))
        self._tiles.setToolTip(
            f"{status.generated:,} drawn by the model, {status.edited:,} edited, "
            f"{status.stale:,} out of date"
        )
        self.pause.setText("Resume" if status.paused else "Pause")
        self.pause.setChecked(status.paused)
        self._failed.setVisible(status.failed > 0)
        failed = count_text(status.failed, "place")
        self._failed_text.setText(f'<span style="color:{IGNORED}">⚠ {failed} failed</span>')
        self._message.setVisible(bool(status.message) and not status.failed)
        self._message.setText(f'<span style="color:{IGNORED}">{escape(status.message)}</span>')
        self.stop.setEnabled(busy)
        for widget in (self.pause, *self._draw, *self._grow, self._by, self.space):
            widget.setEnabled(not status.read_only)
        self.sketch.set_possible(not status.read_only)

    def set_finer(self, mpp: float, refusal: str) -> None:
        """Tell whether the slide can get a finer level.

        Parameters
        ----------
        mpp : float
            Micrometres per pixel of the finest level so far.
        refusal : str
            Why it can not; empty when it can.
        """
        self.finer.setEnabled(not refusal)
        self.finer.setToolTip(
            refusal or f"Add a level of {mpp / 2:g} µm per pixel, and draw the frame there"
        )

    def set_place(self, view: Region, mpp: float) -> None:
        """Show where the middle of the view is."""
        self._place.setText(place_text(view, mpp))

    def set_disk(self, count: int) -> None:
        """Show how many bytes the slide takes."""
        self._disk.setText(f"{bytes_text(count)} on disk")

    # ------------------------------------------------------------------ layout
    def _make_readout(self) -> None:
        self._place, self._tiles, self._disk = _line(), _line(), _line()
        self._queue, self._speed, self._left = _line(), _line(), _line()
        self._place.setToolTip("Middle of the view, from the slide's left and top")
        for label in (self._tiles, self._disk):
            label.setObjectName(SUBTLE)
        self.pause = button(
            "Pause", "Hold the drawing of tiles, or go on with it (Shift+H)", checkable=True
        )
        self.veil = button(
            "Coverage",
            "Show on the map what is drawn (green), edited (blue) and out of date (amber) "
            "(Shift+U)",
            checkable=True,
        )
        self.close_slide = button(
            "✕", "Close the slide; everything drawn stays on the disk", share=False
        )
        self.close_slide.setAccessibleName("Close the slide")
        self.heading.addWidget(self.close_slide)
        self._failed = QWidget()
        self._failed_text = QLabel()
        self.why = button("Why", "What went wrong", share=False)
        self.retry = button("Retry", "Draw the failed places again", share=False)
        self._failed.setLayout(row(self._failed_text, self.why, self.retry, stretch=0))
        self._message = note_label()

    def _make_drawing(self) -> None:
        self.view = button("View", "Draw all that is in view, down to the finest level (Shift+K)")
        self.frame = button("Frame", "Draw all in the frame, down to the finest level (Shift+J)")
        self.whole = button("All…", "Draw every tile of the slide; says first what it takes")
        self.stop = button("Stop", "Forget what waits; what is drawn stays", share=False)
        self._draw = (self.view, self.frame, self.whole)
        self.finer = button("Zoom in further", "Add a finer level", share=False)

    def _make_growing(self) -> None:
        self._by = whole_number((1024, _MOST_GROWTH), "By so many pixels", step=1024)
        self._by.setGroupSeparatorShown(True)
        self._by.setAccessibleName("Pixels to grow by")
        self._grow = []
        for sign, side, _ in _SIDES:
            made = button(sign, f"Outpaint past the {side}", share=False)
            made.setAccessibleName(f"Grow at the {side}")
            self._grow.append(made)
        self.space = button("Free space…", "Drop tiles that can be drawn again", share=False)

    def _lay_out(self) -> None:
        facts = QVBoxLayout()
        facts.setSpacing(1)
        for label in (self._place, self._tiles, self._disk, self._queue, self._speed, self._left):
            facts.addWidget(label)
        facts.addStretch(1)
        facts.addLayout(row(self.pause, self.veil))
        beside = row(self.map, stretch=())
        beside.setSpacing(8)
        beside.addLayout(facts, 1)
        beside.setAlignment(self.map, Qt.AlignmentFlag.AlignTop)
        self.body.addLayout(beside)
        self.body.addWidget(self._failed)
        self.body.addWidget(self._message)
        self.body.addLayout(row(name_label("Draw"), *self._draw, self.stop, stretch=(1, 2, 3)))
        self.body.addLayout(row(name_label("Detail"), self.finer, stretch=1))
        self.body.addLayout(row(name_label("Outpaint"), self._by, *self._grow, stretch=1))
        self.body.addWidget(self.sketch.tissues)
        self.body.addLayout(row(self.sketch, self.space, stretch=0))

    def _connect(self) -> None:
        self.pause.clicked.connect(self.pause_requested)
        self.veil.toggled.connect(lambda shown: self.map.set_veil(shown=shown))
        self.close_slide.clicked.connect(self.close_requested)
        self.why.clicked.connect(self.why_requested)
        self.retry.clicked.connect(self.retry_requested)
        self.view.clicked.connect(self.view_requested)
        self.frame.clicked.connect(self.frame_requested)
        self.whole.clicked.connect(self.all_requested)
        self.stop.clicked.connect(self.stop_requested)
        self.space.clicked.connect(self.space_requested)
        self.finer.clicked.connect(self.finer_requested)
        for made, (_, _, share) in zip(self._grow, _SIDES, strict=True):
            made.clicked.connect(lambda _=False, sides=share: self._grew(sides))

    def _rest_text(self, status: SlideStatus) -> str:
        if status.paused:
            return "Drawing is paused"
        return "Zoom in to draw" if status.level > self._coarsest else "Nothing to draw"

    def _grew(self, sides: tuple[int, int, int, int]) -> None:
        step = self._by.singleStep()
        by = -(-self._by.value() // step) * step
        self.grow_requested.emit(*(by * side for side in sides))


def _tiles_text(status: SlideStatus) -> str:
    drawn = count_text(status.generated + status.edited, "tile")
    return f"{drawn} drawn" + (f", {status.stale:,} stale" if status.stale else "")


def _line() -> QLabel:
    """Make a line of the readout that never widens the dock."""
    label = QLabel()
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return label
