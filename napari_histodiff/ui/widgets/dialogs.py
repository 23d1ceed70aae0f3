"""Dialogs around forms, the colour among their fields, and what is asked about paint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.backends._qtpy.widgets import QBaseValueWidget
from magicgui.widgets.bases import ValueWidget
from qtpy.QtCore import Signal
from qtpy.QtGui import QColor, QShowEvent
from qtpy.QtWidgets import (
    QColorDialog,
    QDialog,
    QDialogButtonBox,
    QLabel,
    QLayout,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

if TYPE_CHECKING:
    from magicgui.widgets import Container

__all__ = ["ColourEdit", "FormDialog", "align_fields", "ask_keep", "ask_where"]


class FormDialog(QDialog):
    """A magicgui form with OK, which Enter presses, and Cancel, as Escape.

    Parameters
    ----------
    parent : QWidget, optional
        What it stands on.
    title : str
        Of its window.
    form : magicgui Container
        The fields.
    note : str
        What to know before OK.
    """

    def __init__(
        self, parent: QWidget | None, title: str, form: Container[Any], note: str = ""
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.form = form
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(form.native)
        if note:
            layout.addWidget(QLabel(note))
        layout.addWidget(buttons)
        layout.setSizeConstraint(QLayout.SizeConstraint.SetMinimumSize)

    def exec(self) -> int:
        """Ask, and leave the fields to whoever reads them.

        PyQt deletes a closed dialog that nobody holds, and with it all that stands on it.
        """
        try:
            result: int = super().exec()
        finally:
            self.form.native.setParent(None)
        return result

    def showEvent(self, event: QShowEvent | None) -> None:
        """Line the fields up, now that the labels have their font."""
        align_fields(self.form)
        super().showEvent(event)


def align_fields(form: Container[Any]) -> int:
    """Make the labels of a form as wide as the widest and return that width.

    magicgui does so before the labels have the font of the window.
    """
    labels = [field.native.parentWidget().layout().itemAt(0).widget() for field in form]
    for label in labels:
        label.ensurePolished()
    widest: int = max(label.sizeHint().width() for label in labels)
    for label in labels:
        label.setFixedWidth(widest)
    return widest


class _ColourButton(QPushButton):
    """Shows a colour, (red, green, blue) of 0 to 255, and lets the user choose another."""

    changed = Signal(tuple)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._colour = (255, 255, 255)
        self.clicked.connect(self._choose)

    def colour(self) -> tuple[int, int, int]:
        return self._colour

    def set_colour(self, colour: tuple[int, int, int]) -> None:
        red, green, blue = self._colour = colour
        self.setText(f"{red}, {green}, {blue}")
        self.setStyleSheet(f"background: rgb({red},{green},{blue}); color: black;")
        self.changed.emit(colour)

    def _choose(self) -> None:
        chosen = QColorDialog.getColor(QColor(*self._colour), self, self.accessibleName())
        if chosen.isValid():
            self.set_colour((chosen.red(), chosen.green(), chosen.blue()))


class _ColourBackend(QBaseValueWidget):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(_ColourButton, "colour", "set_colour", "changed", **kwargs)


class ColourEdit(ValueWidget[tuple[int, int, int]]):
    """A magicgui field for a colour, uint8 RGB."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(widget_type=_ColourBackend, **kwargs)


def ask_keep(parent: QWidget | None, painted: int) -> bool | None:
    """Ask what becomes of nuclei painted where others are proposed.

    Returns True to keep them and add what does not touch them, False to replace them, None when
    the user wants neither.
    """
    noun = "nucleus is" if painted == 1 else "nuclei are"
    return _ask_which(
        parent,
        "Propose nuclei",
        f"{painted} {noun} painted in the frame already.",
        "Either way it is one step that Ctrl+Z takes back.",
        ("Keep mine, add the rest", "Replace"),
    )


def ask_where(parent: QWidget | None) -> bool | None:
    """Ask where tissue goes that was saved with the frame at another place.

    Returns True to bring the frame there, False to take it into the frame where that is, None when
    the user wants neither.
    """
    return _ask_which(
        parent,
        "Import tissue",
        "This tissue was saved with the frame at another place.",
        "Tissue that is painted where it goes is replaced.",
        ("Move the frame there", "Take it into this frame"),
    )


def _ask_which(
    parent: QWidget | None, title: str, text: str, about: str, ways: tuple[str, str]
) -> bool | None:
    """Ask which of two ways to go; True for the first, which Enter takes, None for neither."""
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle(title)
    box.setText(text)
    box.setInformativeText(about)
    first = box.addButton(ways[0], QMessageBox.ButtonRole.AcceptRole)
    second = box.addButton(ways[1], QMessageBox.ButtonRole.DestructiveRole)
    box.addButton(QMessageBox.StandardButton.Cancel)
    box.setDefaultButton(first)
    box.exec()
    return {first: True, second: False}.get(box.clickedButton())
