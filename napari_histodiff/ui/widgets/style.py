"""Colours of the dock: those of napari's theme, and a few that are readable on each."""

from __future__ import annotations

from string import Template
from typing import TYPE_CHECKING, Any, Final

from napari.utils.theme import get_theme

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

__all__ = [
    "APPLY",
    "MAIN",
    "PLAIN",
    "SUBTLE",
    "WARNING",
    "WRONG",
    "dock_style",
    "inks",
    "set_role",
    "show_running",
]

#: Values of the property `role`: the button that accepts a result, and the main one.
APPLY: Final = "apply"
MAIN: Final = "main"
#: Of a box for a number without buttons: keys and wheel step it.
PLAIN: Final = "plain"
#: Of words that stand back behind the others; that warn; that tell of a failure.
SUBTLE: Final = "subtle"
WARNING: Final = "warning"
WRONG: Final = "wrong"

#: Ink of warnings and failures on a dark and on a light ground, at 4.5:1 and more.
_ON_DARK: Final = {WARNING: "#f0a04b", WRONG: "#ff8a8a"}
_ON_LIGHT: Final = {WARNING: "#8a4700", WRONG: "#ad1f1f"}

#: How much of the text's colour subtle words have; the rest is the ground.
_SUBTLE: Final = 0.8

_STYLE: Final = Template("""
QToolButton {
  background: $primary; color: $text; border: 1px solid transparent; border-radius: 3px;
  padding: 1px 2px;
}
QToolButton { min-width: 14px; }
QToolButton::menu-indicator { image: none; }
QToolButton:hover { background: $secondary; }
QToolButton:checked { background: $current; border-color: $text; }
QToolButton:focus { border: 1px dotted $text; }
QToolButton:disabled { background: $foreground; color: $highlight; }
QToolButton[role="apply"], QPushButton[role="apply"] {
  background: #1f7a38; color: white; font-weight: bold;
}
QToolButton[role="apply"]:hover { background: #19652e; }
QToolButton[role="apply"]:disabled { background: $foreground; color: $highlight; }
QPushButton[role="main"] {
  background: #2a66c2; color: white; font-weight: bold; border-radius: 4px;
}
QPushButton[role="main"]:hover { background: #2359ad; }
QPushButton[role="main"]:focus { border: 1px dotted white; }
QPushButton[role="main"]:disabled { background: #55585f; color: #d6d8dc; }
QPushButton[role="main"][running="true"] { background: #9c4c22; }
QLabel[role="subtle"] { color: $subtle; }
QLabel[role="warning"] { color: $warning; }
QLabel[role="wrong"] { color: $wrong; font-weight: bold; }
QPlainTextEdit, QListWidget { background: $foreground; border: none; border-radius: 3px; }
QPlainTextEdit { padding: 1px 3px; }
QPlainTextEdit:focus { border: 1px solid $text; }
QSpinBox, QDoubleSpinBox { min-width: 24px; }
QSpinBox[role="plain"]::up-button, QSpinBox[role="plain"]::down-button { width: 0px; }
QSpinBox[role="plain"]::up-arrow, QSpinBox[role="plain"]::down-arrow {
  image: none; width: 0px; height: 0px;
}
QProgressBar { background: $foreground; border: none; border-radius: 3px; }
QProgressBar::chunk { background: $current; border-radius: 3px; }
""")


def dock_style(theme: str) -> str:
    """Return the style sheet of the dock for a napari theme."""
    colours: Any = get_theme(theme)
    names = ("primary", "secondary", "current", "foreground", "highlight", "text")
    known = {name: getattr(colours, name).as_hex() for name in names}
    return _STYLE.substitute(known, **inks(theme))


def inks(theme: str) -> dict[str, str]:
    """Return the colours of subtle words, warnings and failures on a napari theme, "#rrggbb"."""
    colours: Any = get_theme(theme)
    text, ground = (c.as_rgb_tuple()[:3] for c in (colours.text, colours.background))
    mixed = (round(_SUBTLE * t + (1 - _SUBTLE) * g) for t, g in zip(text, ground, strict=True))
    is_dark = sum(ground) < sum(text)
    subtle = "#" + "".join(f"{part:02x}" for part in mixed)
    return {SUBTLE: subtle, **(_ON_DARK if is_dark else _ON_LIGHT)}


def set_role(widget: QWidget, role: str) -> None:
    """Give a widget a role, and the look that goes with it."""
    _set(widget, "role", role)


def show_running(button: QWidget, *, running: bool) -> None:
    """Give a main button the look of one that stops what runs, or its own again."""
    _set(button, "running", "true" if running else "false")


def _set(widget: QWidget, name: str, value: str) -> None:
    if widget.property(name) != value:
        widget.setProperty(name, value)
        style = widget.style()
        if style is not None:  # it looks at properties only then
            style.unpolish(widget)
            style.polish(widget)
