"""The image being worked on, and the frame on it."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QWidget

from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.forms import Section, button, quiet, row, whole_number
from napari_histodiff.ui.frame import MAX_SIDE, MIN_SIDE

__all__ = ["CanvasBox", "FrameBox"]


class CanvasBox(Section):
    """New canvas, or an image layer that is already there."""

    new_requested = Signal()
    use_requested = Signal()

    def __init__(self) -> None:
        super().__init__("Canvas")
        new = button("New canvas…", "Start on an empty slide (Shift+N)")
        use = button("Use selected image", "Work on the selected image layer (Shift+I)")
        self.body.addLayout(row(new, use))
        new.clicked.connect(self.new_requested)
        use.clicked.connect(self.use_requested)
        self.set_target("", 0, 0, 0.5)

    def set_target(self, name: str, height: int, width: int, mpp: float) -> None:
        """Show the image in use; an empty name means none."""
        if not name:
            self.corner.setText("none yet")
            return
        shown = name if len(name) <= 16 else name[:15] + "…"
        self.corner.setText(f"{shown} · {width} × {height} px · {mpp:g} µm/px")
        self.corner.setToolTip(name)


class FrameBox(Section):
    """Size of the frame; it is moved on the canvas."""

    size_changed = Signal(int, int)  # height, width
    to_view_requested = Signal()

    def __init__(self) -> None:
        super().__init__("Frame")
        tip = "Size of the frame in pixels, in steps of what the model needs"
        self._width = whole_number((MIN_SIDE, MAX_SIDE), tip, step=16)
        self._height = whole_number((MIN_SIDE, MAX_SIDE), tip, step=16)
        here = button("Move to view", "Put the frame in the middle of the view (Shift+F)")
        sizes = row(self._width, QLabel("×"), self._height, QLabel("px"))
        holder = QWidget()
        holder.setLayout(sizes)
        self.body.addLayout(row(holder, here, stretch=0))
        here.clicked.connect(self.to_view_requested)
        for box in (self._width, self._height):
            box.valueChanged.connect(
                lambda _: self.size_changed.emit(self._height.value(), self._width.value())
            )

    def set_snap(self, multiple: int) -> None:
        """Step in multiples of what the model needs."""
        for box in (self._width, self._height):
            box.setSingleStep(multiple)

    def set_region(self, region: Region | None, mpp: float) -> None:
        """Show a frame without telling anyone."""
        self.setEnabled(region is not None)
        if region is None:
            self.corner.setText("")
            return
        with quiet(self._width, self._height):
            self._width.setValue(region.width)
            self._height.setValue(region.height)
        self.corner.setText(f"{region.width * mpp:.0f} × {region.height * mpp:.0f} µm")
