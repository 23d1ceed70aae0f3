"""The slide, canvas or image being worked on, and the frame on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QLabel,
    QMenu,
    QSizePolicy,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import LIMITS
from napari_histodiff.ui.bindings import command_button, command_menu
from napari_histodiff.ui.widgets.forms import (
    RealNumber,
    Section,
    button,
    line_label,
    named_label,
    row,
    whole_number,
)
from napari_histodiff.ui.widgets.style import PLAIN, SUBTLE
from napari_histodiff.ui.workspace.frame import MAX_SIDE, MIN_SIDE

__all__ = ["CanvasBox"]

_MILLIMETRE: Final = 1000.0

_LEVEL_TIP: Final = (
    "How fine the frame is; To view takes what the view shows. Coarser edits reach farther, and "
    "the finer tissue under them is drawn anew. Paint belongs to the fineness it was painted at"
)


class CanvasBox(Section):
    """New slide or canvas, what is already there, labels; size and place of the frame."""

    size_changed = Signal(int, int)  # height, width
    pixel_size_told = Signal(float)  # um
    level_chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__("Canvas")
        self._new = command_menu("New", "Start on something empty", ("new_canvas", "new_slide"))
        self._open = command_menu("Open", "Open a slide", ("open_slide",))
        self._import = command_menu(
            "Import",
            "Take nuclei or tissue from elsewhere",
            ("import_labels", "import_tissue", "import_annotations"),
        )
        self.frame_width = whole_number((MIN_SIDE, MAX_SIDE), "", step=16)
        self.frame_height = whole_number((MIN_SIDE, MAX_SIDE), "", step=16)
        for side, box in (("Width", self.frame_width), ("Height", self.frame_height)):
            # Not Qt's own way to have no buttons: with the style of napari, Qt 6.12 leaves the
            # number one pixel then.
            box.setProperty("role", PLAIN)
            box.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
            box.setAccessibleName(f"{side} of the frame in pixels")
        self._here = command_button("frame_to_view", "To view", share=False)
        self.extent = line_label("Size of the frame on the tissue")
        self.extent.setProperty("role", SUBTLE)
        frame = row(
            named_label("Frame", self.frame_width),
            self.frame_width,
            QLabel("×"),
            self.frame_height,
            self.extent,
            self._here,
            stretch=4,
        )
        frame.setSpacing(2)
        self.pixel_size = RealNumber()
        self.pixel_size.setRange(*LIMITS["mpp"])
        self.pixel_size.setDecimals(4)
        self.pixel_size.setSingleStep(0.05)
        self.pixel_size.setKeyboardTracking(False)
        self.pixel_size.setToolTip(
            "Micrometres per pixel of the image, which does not tell: 0.5 at 20×, 0.25 at 40×"
        )
        set_pixel_size = button("Set", "Give the image this pixel size", share=False)
        set_pixel_size.setObjectName("set_pixel_size")
        set_pixel_size.clicked.connect(lambda: self.pixel_size_told.emit(self.pixel_size.value()))
        self.sizes = QWidget()
        self.sizes.setLayout(
            row(
                named_label("Pixel size", self.pixel_size),
                self.pixel_size,
                QLabel("µm/px"),
                set_pixel_size,
                stretch=1,
            )
        )
        begin = (self._new, self._open, command_button("use_image", "Use image", share=False))
        self.body.addLayout(
            row(
                *begin,
                self._import,
                command_button("export", "Export…", share=False),
                stretch=(),
            )
        )
        self.level = QComboBox()
        self.level.setToolTip(_LEVEL_TIP)
        self.level.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.levels = QWidget()
        room = command_button("slide_room", "Make room…", share=False)
        self.levels.setLayout(row(named_label("Edit at", self.level), self.level, room, stretch=1))
        self.body.addWidget(self.sizes)
        self.body.addLayout(frame)
        self.body.addWidget(self.levels)
        for box in (self.frame_width, self.frame_height):
            box.valueChanged.connect(self._resized)
        self.level.activated.connect(self.level_chosen)
        self.set_target("", 0, 0, 0.5)
        self.set_levels(())
        self.set_region(None, 0.5)

    def set_target(
        self,
        name: str,
        height: int,
        width: int,
        mpp: float,
        *,
        knows_mpp: bool = True,
        is_told: bool = False,
        magnification: float | None = None,
    ) -> None:
        """Show the image in use; an empty name means none."""
        size = f"{width}×{height} px · {mpp:.3g} µm/px{'' if knows_mpp else ' (assumed)'}"
        if magnification:
            size += f" · {magnification:g}×"
        self.corner.setText(size if name else "none yet")
        told = f"{name} does not tell its pixel size; say it below if it is not {mpp:g} µm"
        self.corner.setToolTip(f"{name}: {size}" if knows_mpp else told)
        self.sizes.setVisible(bool(name) and (is_told or not knows_mpp))
        with signals_blocked(self.pixel_size):
            self.pixel_size.setValue(mpp)

    def set_levels(self, mpps: Sequence[float]) -> None:
        """Offer the micrometres per pixel that the image can be edited at, the finest first."""
        self.levels.setVisible(len(mpps) > 1)
        with signals_blocked(self.level):
            self.level.clear()
            self.level.addItems([f"{mpp:g} µm per pixel" for mpp in mpps])

    def set_recent(self, menu: QMenu) -> None:
        """Give the menu of slides opened lately."""
        menu.setTitle("Recent")
        opening = self._open.menu()
        assert opening is not None
        opening.addMenu(menu)

    def set_snap(self, multiple: int) -> None:
        """Step in multiples of what the model needs."""
        for box in (self.frame_width, self.frame_height):
            box.setSingleStep(multiple)

    def set_region(self, region: Region | None, mpp: float) -> None:
        """Show a frame of `mpp` um per pixel without telling anyone; None means there is none."""
        for widget in (self.frame_width, self.frame_height, self._here):
            widget.setEnabled(region is not None)
        if region is None:
            return
        with signals_blocked(self.frame_width, self.frame_height, self.level):
            self.level.setCurrentIndex(region.level)
            self.frame_width.setValue(region.width)
            self.frame_height.setValue(region.height)
        microns = f"{region.width * mpp:.0f} × {region.height * mpp:.0f} µm"
        self.extent.setText(_extent(region.width * mpp, region.height * mpp))
        for box in (self.frame_width, self.frame_height):
            box.setToolTip(f"Pixels of the frame: {microns}, at ({region.x}, {region.y}) px")

    def _resized(self) -> None:
        self.size_changed.emit(self.frame_height.value(), self.frame_width.value())


def _extent(width: float, height: float) -> str:
    if width == height:  # the boxes beside it say that it is a square
        return f"{width:.0f} µm" if width < _MILLIMETRE else f"{width / _MILLIMETRE:.1f} mm"
    if max(width, height) < _MILLIMETRE:
        return f"{width:.0f}×{height:.0f}\N{THIN SPACE}µm"
    return f"{width / _MILLIMETRE:.1f}×{height / _MILLIMETRE:.1f}\N{THIN SPACE}mm"
