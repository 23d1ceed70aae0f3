"""The dock's section of an open slide: map, what is in work, drawing, growing, disk."""

from __future__ import annotations

from html import escape
from typing import Final

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.bindings import command_button
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
    line_label,
    name_label,
    note_label,
    row,
    whole_number,
)
from napari_histodiff.ui.widgets.style import SUBTLE, WARNING

__all__ = ["SlideBox"]

#: A slide grows at most by so many pixels at once.
_MOST_GROWTH: Final = 65_536

_SIDES: Final = (
    ("Left", "left", (0, 1, 0, 0)),
    ("Top", "top", (1, 0, 0, 0)),
    ("Bottom", "bottom", (0, 0, 1, 0)),
    ("Right", "right", (0, 0, 0, 1)),
)


class SlideBox(Section):
    """In view while a slide is open."""

    grow_requested = Signal(int, int, int, int)  # top, left, bottom, right in pixels of level 0

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
        self.by.setRange(multiple, max(multiple, _MOST_GROWTH))
        self.by.setSingleStep(multiple)
        self.by.setValue(multiple)

    def set_status(self, status: SlideStatus) -> None:
        """Show how far it is drawn and what is in work."""
        self.corner.setText(level_text(status))
        busy = status.queued + status.in_flight > 0
        self.queue.setText(queue_text(status) or self._rest_text(status))
        self.speed.setText(speed_text(status) if busy and not status.paused else "")
        held = "paused" if busy and status.paused else ""
        self.left.setText(held or time_text(status))
        self.tiles.setText(_tiles_text(status))
        self.tiles.setToolTip(
            f"{status.generated:,} drawn by the model, {status.edited:,} edited, "
            f"{status.stale:,} out of date"
        )
        self.pause.setText("Resume" if status.paused else "Pause")
        self.pause.setChecked(status.paused)
        self.failed.setVisible(status.failed > 0)
        failed = count_text(status.failed, "place")
        self.failed_text.setText(f"⚠ {failed} failed")
        self.message.setVisible(bool(status.message) and not status.failed)
        self.message.setText(f"⚠ {escape(status.message)}" if status.message else "")
        self.stop.setEnabled(busy)
        for widget in (self.pause, *self._draw, *self.grow_buttons, self.by, self.space):
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

    def toggle_coverage(self) -> None:
        """Show or hide on the map what is drawn."""
        self.map.set_veil(shown=not self.map.shows_veil)
        self.veil.setChecked(self.map.shows_veil)

    def set_place(self, view: Region, mpp: float) -> None:
        """Show where the middle of the view is."""
        self.place.setText(place_text(view, mpp))

    def set_disk(self, count: int) -> None:
        """Show how many bytes the slide takes."""
        self.disk.setText(f"{bytes_text(count)} on disk")

    # ------------------------------------------------------------------ layout
    def _make_readout(self) -> None:
        self.place, self.tiles, self.disk = line_label(), line_label(), line_label()
        self.queue, self.speed, self.left = line_label(), line_label(), line_label()
        self.place.setToolTip("Middle of the view, from the slide's left and top")
        for label in (self.tiles, self.disk):
            label.setProperty("role", SUBTLE)
        self.pause = command_button("slide_pause", "Pause", checkable=True)
        self.veil = command_button("slide_coverage", "Coverage", checkable=True)
        self.close_slide = command_button("slide_close", "✕", share=False)
        self.close_slide.setAccessibleName("Close the slide")
        self.heading.addWidget(self.close_slide)
        self.failed = QWidget()
        self.failed_text = QLabel()
        self.why = command_button("slide_why", "Why", share=False)
        self.retry = command_button("slide_retry", "Retry", share=False)
        self.failed.setLayout(row(self.failed_text, self.why, self.retry, stretch=0))
        self.message = note_label()
        for label in (self.failed_text, self.message):
            label.setProperty("role", WARNING)

    def _make_drawing(self) -> None:
        self.view = command_button("slide_view", "View")
        self.frame = command_button("slide_frame", "Frame")
        self.whole = command_button("slide_all", "All…")
        self.stop = command_button("slide_stop", "Stop", share=False)
        self._draw = (self.view, self.frame, self.whole)
        self.finer = command_button("slide_finer", "Zoom in further", share=False)

    def _make_growing(self) -> None:
        self.by = whole_number((1024, _MOST_GROWTH), "By so many pixels", step=1024)
        self.by.setGroupSeparatorShown(True)
        self.by.setAccessibleName("Pixels to grow by")
        self.grow_buttons = []
        for text, side, _ in _SIDES:
            made = button(text, f"Outpaint past the {side} of the slide", share=False)
            made.setObjectName(f"grow_{side}")
            made.setAccessibleName(f"Grow at the {side}")
            self.grow_buttons.append(made)
        self.space = command_button("slide_space", "Free space…", share=False)

    def _lay_out(self) -> None:
        facts = QVBoxLayout()
        facts.setSpacing(1)
        for label in (self.place, self.tiles, self.disk, self.queue, self.speed, self.left):
            facts.addWidget(label)
        facts.addStretch(1)
        facts.addLayout(row(self.pause, self.veil))
        beside = row(self.map, stretch=())
        beside.setSpacing(8)
        beside.addLayout(facts, 1)
        beside.setAlignment(self.map, Qt.AlignmentFlag.AlignTop)
        self.body.addLayout(beside)
        self.body.addWidget(self.failed)
        self.body.addWidget(self.message)
        self.body.addLayout(row(name_label("Draw"), *self._draw, self.stop, stretch=(1, 2, 3)))
        self.body.addWidget(self.sketch.tissues)
        self.body.addLayout(row(self.sketch, self.finer, stretch=0))
        self.body.addLayout(row(name_label("Outpaint", self.by), self.by, self.space, stretch=1))
        self.body.addLayout(row(name_label("at"), *self.grow_buttons, stretch=(1, 2, 3, 4)))

    def _connect(self) -> None:
        for made, (_, _, share) in zip(self.grow_buttons, _SIDES, strict=True):
            made.clicked.connect(lambda _=False, sides=share: self._grew(sides))

    def _rest_text(self, status: SlideStatus) -> str:
        if status.paused:
            return "Drawing is paused"
        return "Zoom in to draw" if status.level > self._coarsest else "All in view is drawn"

    def _grew(self, sides: tuple[int, int, int, int]) -> None:
        step = self.by.singleStep()
        by = -(-self.by.value() // step) * step
        self.grow_requested.emit(*(by * side for side in sides))


def _tiles_text(status: SlideStatus) -> str:
    drawn = count_text(status.generated + status.edited, "tile")
    return f"{drawn} drawn" + (f", {status.stale:,} out of date" if status.stale else "")
