"""Widgets by the names they have for screen readers and tests, and keys as napari gets them."""

from __future__ import annotations

from typing import Any, TypeVar

from qtpy.QtGui import QAction
from qtpy.QtWidgets import QAbstractButton, QWidget

Kind = TypeVar("Kind", bound=QWidget)


def find(root: QWidget, name: str, kind: type[Kind] = QWidget) -> Kind:
    """Return the widget of a name below another."""
    found = root.findChild(kind, name)
    assert found is not None, f"no {kind.__name__} is called {name}"
    return found


def press(root: QWidget, name: str) -> None:
    """Click a button by its name, which is the id of its command, or its entry in a menu."""
    entries = {entry.property("command"): entry for entry in root.findChildren(QAction)}
    if name in entries:
        entries[name].trigger()
    else:
        find(root, name, QAbstractButton).click()


def press_key(viewer: Any, key: str) -> None:
    """Press a key on the canvas."""
    handler = viewer.window._qt_viewer._key_map_handler  # napari offers no public way
    assert handler.press_key(key), f"nothing is bound to {key}"
