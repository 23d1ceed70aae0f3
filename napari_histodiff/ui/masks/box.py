"""The edit mask in the dock: what makes it, and how far."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QMenu, QToolButton, QVBoxLayout, QWidget

from napari_histodiff.core.requests import LIMITS
from napari_histodiff.core.steering.start import Fill
from napari_histodiff.ui.bindings import command_button, set_command
from napari_histodiff.ui.colormaps import PALETTE
from napari_histodiff.ui.generation.settings import WINDOW_LIMITS, Settings
from napari_histodiff.ui.widgets.forms import NumberRow, Unfolding, button, row

__all__ = ["MaskBox"]

if TYPE_CHECKING:
    from napari_histodiff.ui.generation.plan import FramePlan

#: What an edit starts from, as the menu says it.
_STARTS: Final = {
    Fill.ORIGINAL: ("as it is", "What is there shows through, the more the lower Strength is"),
    Fill.BLUR: ("blur", "The tissue around, blurred into the mask: nothing of what was there"),
    Fill.BORDER: ("border", "The colours at the edge of the mask, carried inwards"),
    Fill.NOISE: ("noise", "Nothing: all is drawn anew, as with Strength 1"),
}

_START_TIP: Final = "What an edit of Strength below 1 starts from under the mask, beside noise."


class MaskBox(QWidget):
    """Buttons that change the edit mask; `changed` carries a dict of the number that was chosen."""

    changed = Signal(dict)

    def __init__(self) -> None:
        super().__init__()
        self.step = NumberRow(
            "Step µm",
            WINDOW_LIMITS["mask_step"],
            0.5,
            "How far Grow and Shrink move the edge of the mask, in µm",
        )
        self.around = NumberRow(
            "Around µm",
            WINDOW_LIMITS["mask_around"],
            0.5,
            "How far around nuclei pixels may change, in µm, where the mask is made from nuclei",
        )
        self.feather = NumberRow(
            "Feather µm",
            LIMITS["feather"],
            0.5,
            "How far inside the mask old and new tissue fade into each other, in µm; 0 = a sharp "
            "edge. Only for inpainting; outside the mask nothing changes.",
        )
        self.strength = NumberRow(
            "Redraw",
            WINDOW_LIMITS["mask_strength"],
            5,
            "How much of the tissue is redrawn where the mask is painted next, in percent of "
            "Strength in the settings: 100 = as much as it says; less keeps more of what is there, "
            "and is shown paler. Paint or fill over a part of the mask to change it.",
            is_alone=False,
        )
        self.context = NumberRow(
            "Context µm",
            WINDOW_LIMITS["context"],
            8,
            "How far around the mask the model sees, in µm, also beyond the frame: the dashed "
            "outline. More fits in better and takes longer.",
        )
        self.start = QComboBox()
        self.start.setAccessibleName("Start from")
        for fill, (name, tip) in _STARTS.items():
            self.start.addItem(name, fill)
            self.start.setItemData(self.start.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.start.activated.connect(lambda index: self._tell("fill", list(_STARTS)[index]))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        self.lengths = QWidget()
        column.addLayout(
            row(
                command_button("mask_grow", "Grow", share=False),
                command_button("mask_shrink", "Shrink", share=False),
                command_button("mask_invert", "Invert", share=False),
                command_button("mask_whole", "All", share=False),
                command_button("mask_clear", "None", share=False),
                self._recipes_button(),
                stretch=(),
            )
        )
        column.addLayout(
            row(
                command_button("mask_selection", "Shapes", share=False),
                command_button("mask_these_nuclei", "Nuclei", share=False),
                self._nuclei_button(),
                command_button("mask_artefact", "Artefact", share=False),
                command_button("mask_pen_marks", "Pen marks", share=False),
                stretch=(),
            )
        )
        unfolding = Unfolding("Lengths", "How far the mask moves, fades and sees", self.lengths)
        column.addLayout(row(self.strength, self.start, stretch=0))
        column.addLayout(row(unfolding))
        inside = QVBoxLayout(self.lengths)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(3)
        for slider in (self.step, self.around, self.feather, self.context):
            inside.addWidget(slider)
        column.addWidget(self.lengths)
        self._rows = {
            "mask_step": self.step,
            "mask_around": self.around,
            "feather": self.feather,
            "context": self.context,
            "mask_strength": self.strength,
        }
        for name, slider in self._rows.items():
            slider.changed.connect(partial(self._tell, name))

    def set_settings(self, settings: Settings) -> None:
        """Show the lengths, without telling anyone."""
        for name, slider in self._rows.items():
            slider.set_value(getattr(settings, name))
        self.start.setCurrentIndex(list(_STARTS).index(settings.fill))

    def set_plan(self, plan: FramePlan) -> None:
        """Show whether it makes a difference what the edit starts from, and if not, why."""
        self.start.setEnabled(not plan.unstarted)
        self.start.setToolTip(" ".join(filter(None, (_START_TIP, plan.unstarted))))

    def _tell(self, name: str, value: float | Fill) -> None:
        self.changed.emit({name: value})

    def _nuclei_button(self) -> QToolButton:
        made, menu = _menu_button("Class", "Add all nuclei of a class in the frame to the mask")
        for entry in PALETTE:
            set_command(menu.addAction(entry.name.capitalize()), f"mask_class_{entry.id}")
        menu.addSeparator()
        set_command(menu.addAction("All nuclei"), "mask_all_nuclei")
        return made

    def _recipes_button(self) -> QToolButton:
        made, menu = _menu_button("Recipes", "Several steps of an edit at once")
        menu.setToolTipsVisible(True)
        set_command(menu.addAction("Replace by painted nuclei"), "recipe_replace")
        set_command(menu.addAction("Same layout, new tissue"), "recipe_same_layout")
        return made


def _menu_button(text: str, tip: str) -> tuple[QToolButton, QMenu]:
    made = button(text, tip, share=False)
    made.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
    menu = QMenu(made)
    made.setMenu(menu)
    return made, menu
