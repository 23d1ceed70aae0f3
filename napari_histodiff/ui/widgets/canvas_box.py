"""The slide, canvas or image being worked on, and the frame on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QLabel, QMenu, QSizePolicy, QToolButton, QWidget

from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.widgets.forms import Section, button, quiet, row, whole_number
from napari_histodiff.ui.workspace.frame import MAX_SIDE, MIN_SIDE

__all__ = ["CanvasBox"]

_LEVEL_TIP: Final = (
    "How fine the frame is; To view takes what the view shows. Coarser edits reach farther, and "
    "the finer tissue under them is drawn anew. Paint belongs to the fineness it was painted at"
)


class CanvasBox(Section):
    """New slide or canvas, what is already there, labels; size and place of the frame."""

    new_slide_requested = Signal()
    open_slide_requested = Signal()
    new_requested = Signal()
    use_requested = Signal()
    import_requested = Signal()
    size_changed = Signal(int, int)  # height, width
    to_view_requested = Signal()
    level_chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__("Canvas")
        slide = button("New slide…", "Make a slide of any size, drawn where you look (Shift+G)")
        kept = button("Open slide…", "Open a slide that was made before (Shift+L)")
        self._recent = button("Recent ▾", "Slides opened lately")
        self._recent.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        self._recent.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        new = button("New canvas…", "Start on an empty slide (Shift+N)")
        use = button("Use image", "Work on the selected image layer (Shift+I)")
        bring = button("Import labels…", "Take a Labels layer as nuclei (Shift+M)")
        self._width = whole_number((MIN_SIDE, MAX_SIDE), "", step=16)
        self._height = whole_number((MIN_SIDE, MAX_SIDE), "", step=16)
        self._here = button(
            "To view",
            "Put the frame in the middle of the view, as fine as that shows (Shift+F)",
            share=False,
        )
        frame = row(
            QLabel("Frame"), self._width, QLabel("×"), self._height, self._here, stretch=(1, 3)
        )
        self.body.addLayout(row(slide, kept, self._recent))
        self.body.addLayout(row(new, use, bring))
        self._level = QComboBox()
        self._level.setToolTip(_LEVEL_TIP)
        self._level.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._levels = QWidget()
        self._levels.setLayout(row(QLabel("Edit at"), self._level, stretch=1))
        self.body.addLayout(frame)
        self.body.addWidget(self._levels)
        slide.clicked.connect(self.new_slide_requested)
        kept.clicked.connect(self.open_slide_requested)
        new.clicked.connect(self.new_requested)
        use.clicked.connect(self.use_requested)
        bring.clicked.connect(self.import_requested)
        self._here.clicked.connect(self.to_view_requested)
        for box in (self._width, self._height):
            box.valueChanged.connect(self._resized)
        self._level.activated.connect(self.level_chosen)
        self.set_target("", 0, 0, 0.5)
        self.set_levels(())
        self.set_region(None, 0.5)

    def set_target(
        self, name: str, height: int, width: int, mpp: float, *, knows_mpp: bool = True
    ) -> None:
        """Show the image in use; an empty name means none."""
        size = f"{width} × {height} px · {mpp:.3g} µm/px{'' if knows_mpp else ' (assumed)'}"
        self.corner.setText(size if name else "none yet")
        told = f"{name} does not tell its pixel size; set the layer's scale and units if it is not"
        self.corner.setToolTip(name if knows_mpp else f"{told} {mpp:g} µm")

    def set_levels(self, mpps: Sequence[float]) -> None:
        """Offer the micrometres per pixel that the image can be edited at, the finest first."""
        self._levels.setVisible(len(mpps) > 1)
        with quiet(self._level):
            self._level.clear()
            self._level.addItems([f"{mpp:g} µm per pixel" for mpp in mpps])

    def set_recent(self, menu: QMenu) -> None:
        """Give the menu of slides opened lately."""
        self._recent.setMenu(menu)

    def set_snap(self, multiple: int) -> None:
        """Step in multiples of what the model needs."""
        for box in (self._width, self._height):
            box.setSingleStep(multiple)

    def set_region(self, region: Region | None, mpp: float) -> None:
        """Show a frame of `mpp` um per pixel without telling anyone; None means there is none."""
        for widget in (self._width, self._height, self._here):
            widget.setEnabled(region is not None)
        if region is None:
            return
        with quiet(self._width, self._height, self._level):
            self._level.setCurrentIndex(region.level)
            self._width.setValue(region.width)
            self._height.setValue(region.height)
        microns = f"{region.width * mpp:.0f} × {region.height * mpp:.0f} µm"
        for box in (self._width, self._height):
            box.setToolTip(f"Size of the frame: {microns}, at ({region.x}, {region.y}) px")

    def _resized(self) -> None:
        self.size_changed.emit(self._height.value(), self._width.value())
