"""Steering in the dock: towards what a drawing is guided, and which steps are taken again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_histodiff.core.steering.guides import GUIDE_STRENGTH, GUIDES
from napari_histodiff.core.steering.steering import STEERING_LIMITS
from napari_histodiff.ui.widgets.forms import (
    NumberRow,
    button,
    name_label,
    named_label,
    note_label,
    row,
    whole_number,
)

if TYPE_CHECKING:
    from napari_histodiff.ui.generation.plan import FramePlan
    from napari_histodiff.ui.generation.settings import Settings

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
        self.toggle = button(
            "Steer", "Guide a drawing by what the segmenter finds, take steps again", checkable=True
        )
        self.toggle.setObjectName("steer")
        self.toggle.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
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
        self.content = QWidget()
        inside = QVBoxLayout(self.content)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(3)
        inside.addLayout(row(name_label("Guide to", self.guide), self.guide, stretch=1))
        for widget in (self.strength, self.again, self.note):
            inside.addWidget(widget)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addWidget(self.toggle)
        column.addWidget(self.content)
        self._connect()
        self._unfold(shown=False)
        self.set_plan(None)

    def set_settings(self, settings: Settings) -> None:
        """Show settings without telling anyone."""
        with signals_blocked(self):
            self.guide.setCurrentIndex(max(0, self.guide.findData(settings.guide)))
            self.repaint.setValue(settings.repaint)
            self.jump.setValue(settings.jump_length)
        self.strength.set_value(settings.guide_strength)
        self.strength.setEnabled(bool(settings.guide))
        self.jump.setEnabled(settings.repaint > 1)
        steers = bool(settings.guide) or settings.repaint > 1
        self.toggle.setText("Steer (on)" if steers else "Steer")

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
            "repaint": self.repaint.value(),
            "jump_length": self.jump.value(),
        }

    def _connect(self) -> None:
        tell = self.changed.emit
        self.toggle.toggled.connect(lambda on: self._unfold(shown=on))
        self.guide.currentIndexChanged.connect(
            lambda _: tell({"guide": self.guide.currentData() or ""})
        )
        self.strength.changed.connect(lambda v: tell({"guide_strength": v}))
        self.repaint.valueChanged.connect(lambda v: tell({"repaint": v}))
        self.jump.valueChanged.connect(lambda v: tell({"jump_length": v}))

    def _unfold(self, *, shown: bool) -> None:
        self.toggle.setArrowType(Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow)
        self.content.setVisible(shown)
