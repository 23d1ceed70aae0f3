"""Steering in the dock: towards what a drawing is guided, and which steps are taken again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_histodiff.core.steering.guides import GUIDE_STRENGTH, GUIDES
from napari_histodiff.core.steering.steering import REFERENCE_STRENGTH, STEERING_LIMITS
from napari_histodiff.ui.widgets.forms import (
    NumberRow,
    Unfolding,
    button,
    line_label,
    name_label,
    named_label,
    note_label,
    row,
    whole_number,
)

if TYPE_CHECKING:
    from napari_histodiff.ui.generation.controller import Controller
    from napari_histodiff.ui.generation.plan import FramePlan
    from napari_histodiff.ui.generation.settings import Settings
    from napari_histodiff.ui.steering.reference import Reference

__all__ = ["SteeringBox"]

_TOO_FEW: Final = (
    "Taking steps again (RePaint) needs 3 steps or more: of two, the first begins with noise alone "
    "and the second ends at the image."
)


class SteeringBox(QWidget):
    """A part that unfolds; `changed` carries a dict of the setting the user changed."""

    changed = Signal(dict)

    def __init__(self) -> None:
        super().__init__()
        self._steers = self._refers = False
        self.guide = QComboBox()
        self.guide.setObjectName("guide")
        self.guide.addItem("nothing", "")
        for entry in GUIDES:
            self.guide.addItem(entry.more.removeprefix("more "), entry.name)
            self.guide.setItemData(
                self.guide.count() - 1, entry.explanation, Qt.ItemDataRole.ToolTipRole
            )
        self.guide.setToolTip(
            "What is to be drawn more of, or less, wherever pixels change: the segmenter looks at "
            "the picture while it is made, and its gradient moves it. Stronger than paint from "
            "about 2 on. Takes two to four times as long."
        )
        self.strength = NumberRow(
            "How much",
            GUIDE_STRENGTH,
            0.5,
            "Above 0 more, below 0 fewer or smaller; 1 is gentle, 2 is clear, 4 crowds the frame.",
        )
        self.repaint = whole_number(
            STEERING_LIMITS["repaint"],
            "RePaint: how often each piece of the steps is taken, so that new tissue comes to fit "
            "what is around it; 1 = once. For models that were not trained to inpaint. Takes "
            "as much longer as there are more steps.",
        )
        self.jump = whole_number(
            STEERING_LIMITS["jump_length"], "How many steps such a piece has, at the most."
        )
        self.again = QWidget()
        self.again.setLayout(
            row(
                name_label("Steps again", self.repaint),
                self.repaint,
                named_label("of", self.jump),
                self.jump,
                stretch=(1, 3),
            )
        )
        self.note = note_label()
        self.note.setText(_TOO_FEW)
        self.refer = button("Use frame", "Take what lies in the frame as reference, now")
        self.refer.setObjectName("use_reference")
        self.drop = button("None", "Make drawings like nothing any more")
        self.drop.setObjectName("drop_reference")
        self.shown = line_label()
        self.likeness = NumberRow(
            "How near",
            REFERENCE_STRENGTH,
            0.5,
            "How near to the reference's texture a drawing comes; 0 takes its stain alone. Layout, "
            "and with it the paint, stays; how many nuclei there are may follow the reference.",
        )
        self.content = QWidget()
        self.toggle = Unfolding(
            "Steer", "Guide a drawing by what the segmenter finds, take steps again", self.content
        )
        self.toggle.setObjectName("steer")
        inside = QVBoxLayout(self.content)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(3)
        inside.addLayout(row(name_label("Guide to", self.guide), self.guide, stretch=1))
        inside.addWidget(self.strength)
        inside.addLayout(
            row(name_label("Reference", self.refer), self.refer, self.drop, stretch=(1, 2))
        )
        for widget in (self.shown, self.likeness, self.again, self.note):
            inside.addWidget(widget)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addWidget(self.toggle)
        column.addWidget(self.content)
        self._connect()
        self.set_plan(None)
        self.set_reference(None)

    def serve(self, controller: Controller) -> None:
        """Let the controller take and drop references, and show which it has."""
        self.refer.clicked.connect(controller.take_reference)
        self.drop.clicked.connect(controller.drop_reference)
        controller.reference_changed.connect(self.set_reference)

    def set_reference(self, reference: Reference | None) -> None:
        """Show what drawings are made like."""
        self._refers = reference is not None
        self.shown.setText("" if reference is None else f"like {reference}")
        for widget in (self.shown, self.likeness, self.drop):
            widget.setVisible(self._refers)
        self._show_on()

    def set_settings(self, settings: Settings) -> None:
        """Show settings without telling anyone."""
        with signals_blocked(self):
            self.guide.setCurrentIndex(max(0, self.guide.findData(settings.guide)))
            self.repaint.setValue(settings.repaint)
            self.jump.setValue(settings.jump_length)
        self.strength.set_value(settings.guide_strength)
        self.strength.setEnabled(bool(settings.guide))
        self.jump.setEnabled(settings.repaint > 1)
        self.likeness.set_value(settings.reference_strength)
        self._steers = bool(settings.guide) or settings.repaint > 1
        self._show_on()

    def set_plan(self, plan: FramePlan | None) -> None:
        """Show what can act on the frame: steps again need known pixels, and enough of them."""
        self.again.setVisible(plan is not None and plan.resamples)
        self.note.setVisible(plan is not None and plan.knows_pixels and not plan.resamples)

    def take_typed(self) -> dict[str, Any]:
        """Return every number as it stands, confirmed by Enter or not."""
        with signals_blocked(self.repaint, self.jump):
            self.repaint.interpretText()
            self.jump.interpretText()
        return {
            "guide_strength": self.strength.take_typed(),
            "reference_strength": self.likeness.take_typed(),
            "repaint": self.repaint.value(),
            "jump_length": self.jump.value(),
        }

    def _connect(self) -> None:
        tell = self.changed.emit
        self.guide.currentIndexChanged.connect(
            lambda _: tell({"guide": self.guide.currentData() or ""})
        )
        self.strength.changed.connect(lambda v: tell({"guide_strength": v}))
        self.likeness.changed.connect(lambda v: tell({"reference_strength": v}))
        self.repaint.valueChanged.connect(lambda v: tell({"repaint": v}))
        self.jump.valueChanged.connect(lambda v: tell({"jump_length": v}))

    def _show_on(self) -> None:
        self.toggle.setText("Steer (on)" if self._steers or self._refers else "Steer")
