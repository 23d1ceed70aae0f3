"""What is to vary in a series, and what that costs, before it is drawn."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from magicgui.widgets import ComboBox, Container, Label, LineEdit, SpinBox
from qtpy.QtWidgets import QDialogButtonBox, QWidget

from napari_histodiff.core.errors import HistodiffError, InvalidRequest
from napari_histodiff.ui.generation.variation import GUIDANCES, MOST, Variation, Varied
from napari_histodiff.ui.text import for_people
from napari_histodiff.ui.widgets.dialogs import FormDialog

if TYPE_CHECKING:
    from napari_histodiff.ui.generation.estimates import Estimate

__all__ = ["VaryDialog", "values_of"]

_WORDS: Final = {
    "the guidance": Varied.GUIDANCE,
    "the structure that is suggested": Varied.STRUCTURE,
    "the stain": Varied.STAIN,
}


class VaryDialog(FormDialog):
    """Asks what varies; the noise stays, so that nothing else does.

    Parameters
    ----------
    parent : QWidget, optional
        What it stands on.
    price : callable
        Returns what a series costs, None where that is not known.
    """

    def __init__(
        self, parent: QWidget | None, price: Callable[[Variation], Estimate | None]
    ) -> None:
        self._price = price
        self._what = ComboBox(
            name="what", label="vary", choices=list(_WORDS.items()), value=Varied.GUIDANCE
        )
        self._values = LineEdit(
            name="values",
            label="values",
            value=", ".join(f"{value:g}" for value in GUIDANCES),
            tooltip="Guidance scales, with commas between them; 1 = no guidance",
        )
        self._count = SpinBox(name="count", label="how many", value=4, min=2, max=MOST)
        self._cost = Label(name="cost", label="costs", value="")
        fields = [self._what, self._values, self._count, self._cost]
        super().__init__(
            parent,
            "Vary one thing",
            Container(widgets=fields),
            "Frame, seed and paint stay. All drawings are kept in the history.",
        )
        for field in fields[:3]:
            field.changed.connect(self._show)
        self._show()

    def variation(self) -> Variation:
        """Return what was chosen.

        Raises
        ------
        InvalidRequest
            When values are no numbers, out of range, too few or too many.
        """
        what = Varied(self._what.value)  # PySide keeps the word of it alone
        if what is Varied.GUIDANCE:
            return Variation(what, values=values_of(self._values.value))
        return Variation(what, count=self._count.value)

    def _show(self, *_: object) -> None:
        sweeps = self._what.value == Varied.GUIDANCE
        self._values.enabled, self._count.enabled = sweeps, not sweeps
        box = self.findChild(QDialogButtonBox)
        button = None if box is None else box.button(QDialogButtonBox.StandardButton.Ok)
        try:
            variation = self.variation()
        except HistodiffError as error:
            words, possible = for_people(str(error)), False
        else:
            cost = self._price(variation)
            known = "not known before the model is loaded" if cost is None else str(cost).lower()
            words, possible = f"{len(variation)} drawings: {known}", True
        self._cost.value = words
        if button is not None:
            button.setEnabled(possible)


def values_of(text: str) -> tuple[float, ...]:
    """Return the numbers in a text, with commas, spaces or semicolons between them.

    Commas beside semicolons are decimal ones.

    Raises
    ------
    InvalidRequest
        When something else is in it.
    """
    try:
        listed = text.replace(",", ".") if ";" in text else text
        return tuple(float(word) for word in re.split(r"[,;\s]+", listed.strip(" ,;")))
    except ValueError:
        raise InvalidRequest(
            f"expected numbers with commas between them, got {text!r}; write for example 1, 1.5, 2"
        ) from None
