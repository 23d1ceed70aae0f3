"""Colours of the dock, taken from napari's theme."""

from __future__ import annotations

from string import Template
from typing import Any, Final

from napari.utils.theme import get_theme

__all__ = ["APPLY", "IGNORED", "SUBTLE", "WRONG", "dock_style"]

#: Words that change nothing, and warnings; readable on napari's dark and light theme.
IGNORED: Final = "#d9822b"
#: Words that exclude each other, and failures.
WRONG: Final = "#e5545a"
#: Value of the property `role` of the button that accepts a result.
APPLY: Final = "apply"
#: Value of the property `role` of words that stand back behind the others.
SUBTLE: Final = "subtle"

_STYLE: Final = Template("""
QToolButton {
  background: $primary; color: $text; border: none; border-radius: 3px; padding: 2px 3px;
}
QToolButton { min-width: 14px; }
QToolButton:hover { background: $secondary; }
QToolButton:checked { background: $current; }
QToolButton:disabled { background: $foreground; color: $highlight; }
QToolButton[role="$apply"] { background: #2b8a43; color: white; font-weight: bold; }
QToolButton[role="$apply"]:hover { background: #34a350; }
QToolButton[role="$apply"]:disabled { background: $foreground; color: $highlight; }
QLabel[role="$subtle"] { color: $dim; }
QPlainTextEdit, QListWidget { background: $foreground; border: none; border-radius: 3px; }
QPlainTextEdit { padding: 1px 3px; }
QPlainTextEdit:focus { border: 1px solid $current; }
QSpinBox, QDoubleSpinBox { min-width: 54px; }
QProgressBar { background: $foreground; border: none; border-radius: 3px; }
QProgressBar::chunk { background: $current; border-radius: 3px; }
""")


def dock_style(theme: str) -> str:
    """Return the style sheet of the dock for a napari theme."""
    colours: Any = get_theme(theme)
    names = ("primary", "secondary", "current", "foreground", "highlight", "text")
    red, green, blue = colours.text.as_rgb_tuple()[:3]
    return _STYLE.substitute(
        {name: getattr(colours, name).as_hex() for name in names},
        apply=APPLY,
        subtle=SUBTLE,
        dim=f"rgba({red}, {green}, {blue}, 62%)",
    )
