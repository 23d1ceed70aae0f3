"""napari's windows for tests: one that is cleaned and used again, and such as are made anew."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from copy import deepcopy
from typing import Any
from unittest.mock import patch

import napari
import numpy as np
from napari._qt.dialogs.qt_notification import NapariQtNotification
from napari._qt.qt_main_window import _QtMainWindow
from napari._qt.qt_viewer import QtViewer
from napari.utils.events.event import EmitterGroup, EventEmitter
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication, QDialog, QWidget

__all__ = ["Windows"]


class Windows:
    """Gives out the viewers of a process: those that nobody sees are cleaned and used again.

    A window takes napari a fifth of a second to make and to take down, and its style a third of
    the time of all that is done in it: more than most tests need for what they are about.
    """

    def __init__(self) -> None:
        self._free: list[_Kept] = []
        self._lent: list[_Kept] = []
        self._own: list[napari.Viewer] = []

    def lend(self) -> napari.Viewer:
        """Return a viewer that is like a new one, without style, for who does not show it."""
        kept = self._free.pop() if self._free else _Kept()
        self._lent.append(kept)
        instances = _QtMainWindow._instances  # the last one is napari's current one
        instances.append(instances.pop(instances.index(kept.viewer.window._qt_window)))
        return kept.viewer

    def make(self, **arguments: Any) -> napari.Viewer:
        """Return a viewer that nobody used, closed by `take_back`."""
        viewer = _viewer(**arguments)
        self._own.append(viewer)
        return viewer

    def take_back(self, *, has_passed: bool) -> None:
        """Close what was made; clean what was lent, or close it where that is not possible.

        Raises
        ------
        AssertionError
            When a window that was lent was shown, or one that was closed is still there.
        """
        while self._own:
            _close(self._own.pop())
        seen = 0
        while self._lent:
            kept = self._lent.pop()
            is_seen = _is_open(kept.viewer) and kept.viewer.window._qt_window.isVisible()
            seen += is_seen
            if has_passed and not is_seen and _is_open(kept.viewer) and kept.clean():
                self._free.append(kept)
            else:
                _close(kept.viewer)
        gc.collect()
        gc.freeze()  # what is left is no garbage: nobody looks through it again
        left = len(QtViewer._instances) - len(self._free)
        assert not seen, "expected windows that nobody sees, got a shown one; make it by show=True"
        assert not (has_passed and left), f"expected no window after the test, got {left}"

    def close(self) -> None:
        """Close all that are kept."""
        while self._free:
            _close(self._free.pop().viewer)


def _viewer(*, show: bool, **arguments: Any) -> napari.Viewer:
    return napari.Viewer(show=show, **{"show_welcome_screen": False} | arguments)


def _is_open(viewer: napari.Viewer) -> bool:
    return hasattr(viewer.window, "_qt_window")


def _close(viewer: napari.Viewer) -> None:
    if not _is_open(viewer):
        viewer.close()
        return
    with patch.object(viewer.window._qt_window, "_save_current_window_settings"):
        viewer.close()


class _Kept:
    """A viewer without style, and what it was like when it was new.

    That is the values of its models, who listens to them, keys and what the mouse calls.
    """

    def __init__(self) -> None:
        self.viewer = viewer = _viewer(show=False)
        for widget in (viewer.window._qt_window, viewer.window._qt_viewer):
            widget.setStyleSheet("")
            widget.setStyleSheet = lambda _: None
        self._size = viewer.window._qt_window.size()
        self._dialogs = _told(viewer)
        parts = list(_parts(viewer))
        self._values = [
            (part, name, deepcopy(getattr(part, name)))
            for part in parts
            for name, field in getattr(type(part), "model_fields", {}).items()
            if not field.frozen and not hasattr(getattr(part, name), "events")
        ]
        self._listeners = [
            (signal, _listeners(signal)) for part in parts for signal in _signals(part.events)
        ]
        self._callbacks = [(held, list(held)) for held in _mouse_callbacks(viewer)]
        self._keymap = dict(viewer.keymap)

    def clean(self) -> bool:
        """Make the viewer like new again; returns whether it is."""
        viewer = self.viewer
        _take_docks_away(viewer.window)
        for widget in _told(viewer) - self._dialogs:
            widget.deleteLater()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        QApplication.processEvents()
        for signal, before in self._listeners:
            _disconnect_others(signal, before)
        for held, callbacks in self._callbacks:
            held[:] = callbacks
        viewer.keymap.clear()
        viewer.keymap.update(self._keymap)
        viewer._mouse_drag_gen.clear()
        viewer._persisted_mouse_event.clear()
        viewer.layers.clear()
        viewer.window._qt_window.resize(self._size)
        for part, name, value in self._values:
            if not _same(getattr(part, name), value):
                setattr(part, name, deepcopy(value))
        return not viewer.layers and all(
            _same(getattr(part, name), value) for part, name, value in self._values
        )


def _take_docks_away(window: Any) -> None:
    """Delete docks with what is in them, which napari would style once more on its own."""
    for dock in list(window._wrapped_dock_widgets.values()):
        window._wrapped_dock_widgets.pop(dock.name)
        window._qt_window.removeDockWidget(dock)
        dock.deleteLater()
    window._unnamed_dockwidget_count = 1


def _told(viewer: napari.Viewer) -> set[QWidget]:
    """Dialogs and notifications in a window."""
    main = viewer.window._qt_window
    return {*main.findChildren(QDialog), *main.findChildren(NapariQtNotification)}


def _parts(model: Any) -> Iterator[Any]:
    """Yield a model of napari's, and the models, lists and dictionaries inside of it."""
    yield model
    for name in type(model).model_fields:
        value = getattr(model, name)
        if not hasattr(value, "events"):
            continue
        if hasattr(type(value), "model_fields"):
            yield from _parts(value)
            continue
        yield value
        if hasattr(value, "selection"):
            yield value.selection
        for each in value.values() if hasattr(value, "values") else ():
            yield from _parts(each)


def _signals(group: Any) -> list[Any]:
    """All signals of a group of napari's or psygnal's."""
    if isinstance(group, EmitterGroup):
        return [group, *group.emitters.values()]
    return [group.all, *(group[name] for name in group)]


def _listeners(signal: Any) -> list[Any]:
    return list(signal.callbacks if isinstance(signal, EventEmitter) else signal._slots)


def _disconnect_others(signal: Any, before: list[Any]) -> None:
    """Leave a signal those who listened before, and what napari makes when it is first needed."""
    known = {id(listener) for listener in before}
    for listener in _listeners(signal):
        if id(listener) in known or _module(listener).startswith("napari."):
            continue
        if isinstance(signal, EventEmitter):
            signal.disconnect(listener)
        else:
            signal._slots.remove(listener)


def _module(listener: Any) -> str:
    """Where the owner of a listener is from, or the function; nowhere if it is gone."""
    if isinstance(listener, tuple):  # napari's: a weak reference and the name of a method
        owner = listener[0]()
    else:
        function = listener.dereference() if hasattr(listener, "dereference") else listener
        owner = getattr(function, "__self__", function)
    return getattr(owner, "__module__", "") or ""


def _mouse_callbacks(viewer: napari.Viewer) -> list[list[Any]]:
    kinds = ("move", "drag", "wheel", "double_click")
    return [getattr(viewer, f"mouse_{kind}_callbacks") for kind in kinds]


def _same(one: Any, other: Any) -> bool:
    return bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else bool(one == other)
