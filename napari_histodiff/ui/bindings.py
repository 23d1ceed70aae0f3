"""Buttons, menu entries and keys that run commands.

napari ignores the manifest's `keybindings`, so the dock binds `COMMANDS` itself: on the canvas, on
our layers, and inside the dock.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from functools import partial
from itertools import product
from typing import Any, Final

from qtpy.QtCore import QObject, Qt
from qtpy.QtGui import QAction, QKeySequence, QShortcut
from qtpy.QtWidgets import QAbstractButton, QMenu, QToolButton, QWidget

from napari_histodiff.ui.command import Command, Studio, studio
from napari_histodiff.ui.commands import COMMANDS, command, run
from napari_histodiff.ui.widgets.forms import button

__all__ = [
    "bind_buttons",
    "bind_dock",
    "bind_keymap",
    "command_button",
    "command_menu",
    "set_command",
]

#: Name under which a button or a menu entry keeps the id of its command.
_PROPERTY: Final = "command"


# --------------------------------------------------------------------- buttons
def command_button(
    command_id: str, text: str, *, checkable: bool = False, share: bool = True
) -> QToolButton:
    """Make a flat button that runs a command in the dock it stands in; as `forms.button`."""
    made = button(text, "", checkable=checkable, share=share)
    made.setObjectName(command_id)
    set_command(made, command_id)
    return made


def command_menu(text: str, tip: str, command_ids: Iterable[str]) -> QToolButton:
    """Make a flat button with a menu of commands, by their titles."""
    made = button(text, tip, share=False)
    made.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
    menu = QMenu(made)
    menu.setToolTipsVisible(True)
    for command_id in command_ids:
        set_command(menu.addAction(f"{command(command_id).title}…"), command_id)
    made.setMenu(menu)
    return made


def set_command(item: QAbstractButton | QAction, command_id: str) -> None:
    """Have a button or menu entry run a command, and say so."""
    item.setProperty(_PROPERTY, command_id)
    item.setToolTip(command(command_id).tooltip)


def bind_buttons(widget: QWidget, dock: Studio) -> None:
    """Let all buttons and menu entries in a widget run their commands on a dock."""
    for made in widget.findChildren(QAbstractButton):
        if made.property(_PROPERTY):
            made.clicked.connect(partial(_run_of, made, dock))
    for entry in widget.findChildren(QAction):
        if entry.property(_PROPERTY):
            entry.triggered.connect(partial(_run_of, entry, dock))


def _run_of(item: QObject, dock: Studio, *_: object) -> None:
    run(item.property(_PROPERTY), dock)


# ------------------------------------------------------------------------ keys
def bind_keymap(providers: Iterable[Any], viewer: Any) -> None:
    """Bind all keys on viewers or layers; a layer's own keys win over napari's for its kind."""
    by_key: dict[str, list[Command]] = {}
    for made in COMMANDS:
        if made.key:
            by_key.setdefault(made.key, []).append(made)
    for provider, (key, commands) in product(providers, by_key.items()):
        provider.bind_key(key, _bound(commands, viewer), overwrite=True)


def bind_dock(dock: Any) -> None:
    """Bind buttons, and the keys with Ctrl or Alt: plain letters belong to the text fields."""
    bind_buttons(dock, dock)
    for made in COMMANDS:
        if made.key.startswith(("Control-", "Alt-")):
            shortcut = QShortcut(QKeySequence(made.key_text.replace("Enter", "Return")), dock)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(partial(run, made.id, dock))


def _bound(
    commands: Sequence[Command], viewer: Any
) -> Callable[[Any], Generator[None, None, None] | None]:
    """Return what runs the command that the key has with the palette in hand, if it has one."""

    def call(_: Any) -> None:
        dock = studio(viewer)
        # A sketch has tissue alone, whatever the palette of the frame's paint is.
        palette = "tissue" if dock.slide.hand.is_in_hand else dock.workspace.paint.palette
        for made in commands:
            if made.palette in ("", palette):
                made.act(dock)
                return

    def hold(_: Any) -> Generator[None, None, None]:
        release = commands[0].act(studio(viewer))
        yield  # until the key is let go
        if callable(release):
            release()

    bound = hold if commands[0].held else call
    bound.__name__ = commands[0].id
    bound.__doc__ = f"{'; '.join(made.title for made in commands)}."
    return bound
