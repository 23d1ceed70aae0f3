"""The keys of the commands: on the canvas, on our layers, and inside the dock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut

from napari_histodiff.ui.commands import COMMANDS, Command

__all__ = ["bind_dock", "bind_keymap"]


def bind_keymap(providers: Iterable[Any], commands: Iterable[Command], viewer: Any) -> None:
    """Bind commands on viewers or layers; a layer's own keys win over napari's for its kind."""
    for provider, command in product(providers, commands):
        provider.bind_key(command.key, _bound(command, viewer), overwrite=True)


def bind_dock(dock: Any) -> None:
    """Bind the keys with Ctrl or Alt inside the dock; plain letters belong to its text fields."""
    for command in COMMANDS:
        if command.key.startswith(("Control-", "Alt-")):
            shortcut = QShortcut(QKeySequence(_qt_keys(command.key)), dock)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(lambda c=command: c.act(dock))


def _bound(command: Command, viewer: Any) -> Callable[[Any], None]:
    def run(_: Any) -> None:
        command(viewer)

    run.__name__ = command.id
    run.__doc__ = f"{command.title}."
    return run


def _qt_keys(key: str) -> str:
    modifier, _, name = key.partition("-")
    names = {"Control": "Ctrl", "Enter": "Return"}
    return f"{names.get(modifier, modifier)}+{names.get(name, name)}"
