"""The readouts of the variant in view, and the divider between before and after."""

from __future__ import annotations

from typing import Final

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QLabel, QSlider, QToolButton, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_histodiff.ui.bindings import command_button
from napari_histodiff.ui.commands import command
from napari_histodiff.ui.compare.readings import Light, Reading, lights_of
from napari_histodiff.ui.widgets.forms import name_label, row

__all__ = ["ReadingRow"]

#: Sign and words of a light: nobody needs to see its colour.
_SIGNS: Final = {
    Light.GOOD: ("✓", "inconspicuous"),
    Light.LOOK: ("▲", "look"),
    Light.BAD: ("✕", "conspicuous"),
    Light.UNKNOWN: ("·", "not known"),
}


class ReadingRow(QWidget):
    """Seam, stain, training and nuclei of a variant in small words, below them the divider.

    `divided` carries how far from the left the divider stands, 0-1.
    """

    divided = Signal(float)

    def __init__(self) -> None:
        super().__init__()
        self.seam, self.stain, self.training = QLabel(), QLabel(), QLabel()
        self.nuclei: QToolButton = command_button("check_nuclei", "Nuclei ?", share=False)
        self.divider = QSlider(Qt.Orientation.Horizontal)
        self.divider.setRange(0, 100)
        self.divider.setAccessibleName("Divider between before and after")
        self.divider.setToolTip("Left of the divider the tissue as it is, right of it the variant")
        self.divider.valueChanged.connect(lambda value: self.divided.emit(value / 100))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addLayout(row(self.seam, self.stain, self.training, self.nuclei, stretch=3))
        column.addLayout(
            row(
                name_label("Divide"),
                self.divider,
                command_button("difference", "Difference", share=False),
                command_button("grid", "Grid", share=False),
                stretch=1,
            )
        )
        self.set_reading(None)

    def set_reading(self, reading: Reading | None) -> None:
        """Show what is known of the variant in view; None hides the row."""
        self.setVisible(reading is not None)
        if reading is None:
            with signals_blocked(self.divider):
                self.divider.setValue(0)
            return
        widgets = {
            "seam": self.seam,
            "stain": self.stain,
            "training": self.training,
            "nuclei": self.nuclei,
        }
        for name, (light, words, explanation) in lights_of(reading).items():
            sign, meaning = _SIGNS[light]
            widgets[name].setText(f"{sign} {words}")
            widgets[name].setAccessibleName(f"{words}: {meaning}")
            tip = f"{meaning.capitalize()}. {explanation}"
            if name == "nuclei":
                tip = f"{command('check_nuclei').tooltip}\n{tip}"
            widgets[name].setToolTip(tip)
        for label, known in ((self.seam, reading.seam), (self.stain, reading.stain)):
            label.setVisible(known is not None)  # a frame that is new has no edge to look at
        self.nuclei.setEnabled(not reading.looking)
