"""Does beforehand, while the model loads, what only the first slide of a process pays for.

That is about a second of processor time: napari's units and table library, compiled colours of
label layers, and the outlines of nuclei that layouts are made of.
"""

from __future__ import annotations

import importlib
import logging
import threading
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np
from napari.layers import Image, Labels
from qtpy.QtCore import QTimer

from napari_histodiff.layout.nucleus_templates import templates_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtCore import QObject

__all__ = ["preload", "preload_later"]

log = logging.getLogger(__name__)

#: Milliseconds that a new window is left alone, and between two looks whether all is loaded.
_DELAY: Final = 1000
_LOOK: Final = 250

#: Micrometres per pixel of level 0 of nearly every synthetic slide.
_MPP: Final = 0.5


def preload_later(parent: QObject, then: Callable[[], object] = lambda: None) -> None:
    """Call `preload` in a second and `then` when all is loaded, unless `parent` is gone by then."""
    first, looks = QTimer(parent), QTimer(parent)
    first.setSingleShot(True)
    looks.setInterval(_LOOK)

    def begin() -> None:
        thread = preload()

        def look() -> None:
            if not thread.is_alive():
                looks.stop()
                then()

        looks.timeout.connect(look)
        looks.start()

    first.timeout.connect(begin)
    first.start(_DELAY)


@cache
def preload() -> threading.Thread:
    """Begin what the first slide needs, once a process; return the thread that goes on with it."""
    # The units are made here: their library is not made for two threads that come first.
    Image(np.zeros((1, 1, 3), np.uint8), rgb=True, units=("um", "um"))
    # No daemon: a library half loaded may not survive the end of the process.
    thread = threading.Thread(target=_preload, name="histodiff-preload")
    thread.start()
    return thread


def _preload() -> None:
    try:
        templates_of(_MPP)
        importlib.import_module("vispy.visuals.line.dash_atlas").DashAtlas()  # kept by its patterns
        importlib.import_module("pandas")  # which napari imports for the first layer in a window
        Labels(np.zeros((1, 1), np.int32), units=("um", "um"))
    except Exception:  # whatever fails here fails where it is needed, and is told there
        log.exception("not all could be prepared")
