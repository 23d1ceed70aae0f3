"""What went wrong, in a pathologist's words, and all that whoever helps wants to know of it."""

from __future__ import annotations

import logging
import platform
import traceback
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from napari.utils.notifications import Notification, NotificationSeverity, notification_manager
from qtpy import API_NAME, QT_VERSION
from qtpy.QtWidgets import QApplication

from napari_histodiff.ui.generation.states import Level, Notice
from napari_histodiff.ui.text import for_people

__all__ = [
    "copy_diagnostics",
    "diagnostics",
    "show_info",
    "show_notice",
    "show_trouble",
    "show_warning",
]

log = logging.getLogger(__name__)

_SEVERITIES: Final = {
    Level.INFO: NotificationSeverity.INFO,
    Level.WARNING: NotificationSeverity.WARNING,
    Level.ERROR: NotificationSeverity.ERROR,
}

#: What is installed that matters.
_PACKAGES: Final = ("napari-histodiff", "napari", "torch", "numpy", "dask", "superqt")

#: At the end of a notice: opened, napari's row is as high as the text and forgets what is around
#: it, so that its last lines, which say what to do, would be cut.
_ROOM: Final = "\n\n"

#: Notices told last that are copied along.
_LAST: Final = 10


def show_trouble(error: Exception) -> None:
    """Show what went wrong in napari's corner: cause, next step, *Copy diagnostics*."""
    details = "".join(traceback.format_exception(error))
    show_notice(Notice(Level.WARNING, str(error), details), log_details=False)


def show_notice(notice: Notice, *, log_details: bool = True) -> None:
    """Show a notice in napari's corner; its details go to the log and into the diagnostics."""
    if notice.details and log_details:
        log.error("%s", notice.details)
    actions: tuple[tuple[str, Callable[[Any], None]], ...] = ()
    if notice.level is not Level.INFO:
        actions = (("Copy diagnostics", lambda _: copy_diagnostics(notice.details)),)
    _show(notice.message, _SEVERITIES[notice.level], actions)


def show_info(message: str) -> None:
    """Show a message of window or library in napari's corner, in a pathologist's words."""
    _show(message, NotificationSeverity.INFO)


def show_warning(message: str) -> None:
    """Show a warning of window or library in napari's corner, in a pathologist's words."""
    _show(message, NotificationSeverity.WARNING)


def copy_diagnostics(details: str = "", **facts: Any) -> None:
    """Put the diagnostics on the clipboard."""
    QApplication.clipboard().setText(diagnostics(details, **facts))


def diagnostics(details: str = "", **facts: Any) -> str:
    """Return versions, facts, the last notices and a traceback, as text to send to who helps.

    Parameters
    ----------
    details : str
        A traceback, where there is one.
    **facts
        What else is known, such as the model in use.
    """
    known = {
        "system": platform.platform(),
        "python": platform.python_version(),
        "Qt": f"{QT_VERSION} ({API_NAME})",
        **{name: _version(name) for name in _PACKAGES},
        **facts,
    }
    lines = [f"{name}: {value}" for name, value in known.items()]
    told = [f"{n.date:%H:%M:%S} {n.severity}: {n.message.strip()}" for n in _records()]
    return "\n".join([*lines, *(["", "Told last:", *told] if told else []), "", details]).rstrip()


def _show(
    message: str,
    severity: NotificationSeverity,
    actions: tuple[tuple[str, Callable[[Any], None]], ...] = (),
) -> None:
    shown = Notification(for_people(message) + _ROOM, severity, actions)
    notification_manager.dispatch(shown)


def _records() -> list[Any]:
    return list(notification_manager.records)[-_LAST:]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
