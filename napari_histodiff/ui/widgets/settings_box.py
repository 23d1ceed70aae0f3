"""Guidance, steps, strength, seed and variants; whether what is not painted is suggested."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QGridLayout, QToolButton
from superqt.utils import signals_blocked

from napari_histodiff.core.requests import LIMITS
from napari_histodiff.ui.generation.settings import SeedMode, Settings
from napari_histodiff.ui.steering.box import SteeringBox
from napari_histodiff.ui.widgets.forms import (
    NumberRow,
    Section,
    button,
    name_label,
    named_label,
    row,
    whole_number,
)

if TYPE_CHECKING:
    from napari_histodiff.ui.generation.plan import FramePlan

__all__ = ["SettingsBox"]

_MODES = {
    SeedMode.RANDOM: "random",
    SeedMode.NEXT: "next",
    SeedMode.FIXED: "fixed",
}


class SettingsBox(Section):
    """The numbers of an edit; `changed` carries a dict of the setting the user changed."""

    changed = Signal(dict)

    def __init__(self) -> None:
        super().__init__("Settings")
        self.guidance = NumberRow(
            "Guidance",
            LIMITS["guidance_scale"],
            0.1,
            "How strictly paint and caption are followed. 1 = no guidance and half the time; high "
            "values oversaturate. A slide has a guidance of its own: that it was drawn at, so that "
            "edits match what is around them, until you choose another.",
        )
        self.strength = NumberRow(
            "Strength",
            LIMITS["strength"],
            0.05,
            "How much of the tissue under the edit mask is redrawn: 1 = all of it, low values "
            "keep its look. Only for inpainting.",
        )
        self.steps = whole_number(
            LIMITS["steps"], "2 is usual. More take longer, from 5 on about four times."
        )
        self.variants = whole_number(LIMITS["variants"], "How many different results to draw.")
        self.seed = whole_number(LIMITS["seed"], "Same seed, paint and settings: same tissue.")
        self.seed_mode = QComboBox()
        self.seed_mode.addItems(list(_MODES.values()))
        self.seed_mode.setAccessibleName("Where the seed comes from")
        self.seed_mode.setToolTip(
            "random: a new seed for every run; next: one higher each run; fixed: the same tissue "
            "again. The seed shown is the one last used."
        )
        self.suggest = QCheckBox("Suggest what is not painted")
        self.suggest.setToolTip(
            "Before drawing, put tissue that fits the painted nuclei into the frame, nuclei where "
            "only tissue is painted, and both from the caption where nothing is. What is painted "
            "stays. Off: the model is told of the paint alone."
        )
        self.presets = button(
            "Presets ▾", "Captions and settings by name, built-in and your own", share=False
        )
        self.presets.setObjectName("presets")
        self.presets.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        self.presets.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.heading.addWidget(self.presets)
        numbers = QGridLayout()  # each row a slider and a box, so that the main path is short
        numbers.setHorizontalSpacing(4)
        numbers.setVerticalSpacing(3)
        for line, (slider, name, box) in enumerate(
            (
                (self.guidance, "Steps", self.steps),
                (self.strength, "Variants", self.variants),
            )
        ):
            for column, widget in enumerate((slider, named_label(name, box), box)):
                numbers.addWidget(widget, line, column)
        numbers.setColumnStretch(0, 1)
        self.body.addLayout(numbers)
        self.body.addLayout(
            row(name_label("Seed", self.seed), self.seed, self.seed_mode, stretch=1)
        )
        self.steering = SteeringBox()
        self.body.addWidget(self.suggest)
        self.body.addWidget(self.steering)
        self._connect()

    def set_settings(self, settings: Settings) -> None:
        """Show settings, those that count on the image worked on, without telling anyone."""
        self.guidance.set_value(settings.guidance_scale)
        self.strength.set_value(settings.strength)
        with signals_blocked(self):
            self.steps.setValue(settings.steps)
            self.variants.setValue(settings.variants)
            self.seed.setValue(settings.seed)
            self.seed_mode.setCurrentText(_MODES[settings.seed_mode])
            self.suggest.setChecked(settings.suggest)
        self.steering.set_settings(settings)

    def set_plan(self, plan: FramePlan) -> None:
        """Show what can act on the frame: strength, where pixels lie under the edit."""
        self.strength.setEnabled(plan.repaints)
        self.steering.set_plan(plan)

    def take_typed(self) -> dict[str, Any]:
        """Return every number as it stands, confirmed by Enter or not."""
        whole = {"steps": self.steps, "variants": self.variants, "seed": self.seed}
        with signals_blocked(*whole.values()):
            for box in whole.values():
                box.interpretText()
        return {
            "guidance_scale": self.guidance.take_typed(),
            "strength": self.strength.take_typed(),
            **{name: box.value() for name, box in whole.items()},
            **self.steering.take_typed(),
        }

    def _connect(self) -> None:
        self.guidance.changed.connect(lambda v: self.changed.emit({"guidance_scale": v}))
        self.strength.changed.connect(lambda v: self.changed.emit({"strength": v}))
        self.steps.valueChanged.connect(lambda v: self.changed.emit({"steps": v}))
        self.variants.valueChanged.connect(lambda v: self.changed.emit({"variants": v}))
        self.seed.valueChanged.connect(
            lambda v: self.changed.emit({"seed": v, "seed_mode": SeedMode.FIXED})
        )
        self.suggest.toggled.connect(lambda v: self.changed.emit({"suggest": v}))
        self.steering.changed.connect(self.changed.emit)
        modes = list(_MODES)
        self.seed_mode.currentIndexChanged.connect(
            lambda i: self.changed.emit({"seed_mode": modes[i]})
        )
