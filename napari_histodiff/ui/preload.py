"""Does beforehand, while the model loads, what only the first slide of a process pays for.

That is about a second of processor time: napari's units and table library, compiled colours of
label layers, and the outlines of nuclei that layouts are made of.
"""

from __future__ import annotations

import importlib
import logging
import threading
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from napari.layers import Image, Labels
from qtpy.QtCore import QTimer

from napari_histodiff.layout.nucleus_templates import templates_of
from napari_histodiff.ui.viewport import scale_bar_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qtpy.QtCore import QObject

__all__ = ["preload", "preload_later"]

log = logging.getLogger(__name__)

#: Milliseconds that a new window is left alone, and between two looks whether all is loaded.
_DELAY: Final = 1000
_LOOK: Final = 250

#: What a scale bar says, and by what napari tells how high its lines are.
_LETTERS: Final = "ÅÉÑŐjgpqy0123456789.µmnkc "

#: Milliseconds between two steps, and what comes after the last one.
_PAUSE: Final = 20
_OVER: Final = object()

#: Micrometres per pixel of level 0 of nearly every synthetic slide.
_MPP: Final = 0.5


def preload_later(
    parent: QObject, viewer: Any = None, then: Callable[[], object] = lambda: None
) -> None:
    """Call `preload` in a second and `then` when all is loaded, unless `parent` is gone by then.

    The scale bar of a viewer is made after that, in steps: first its letters, one by one.
    """
    first, looks, steps = QTimer(parent), QTimer(parent), QTimer(parent)
    left = chain(_letters_of(viewer), _scale_bar_unseen(viewer))
    first.setSingleShot(True)
    looks.setInterval(_LOOK)

    def begin() -> None:
        thread = preload()

        def look() -> None:
            if not thread.is_alive():
                looks.stop()
                then()
                steps.start(_PAUSE)

        looks.timeout.connect(look)
        looks.start()

    steps.timeout.connect(lambda: steps.stop() if next(left, _OVER) is _OVER else None)
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


def _letters_of(viewer: Any) -> Iterator[object]:
    """Make one letter after another as napari draws it, which it keeps: 5 ms each."""
    try:
        info = viewer.window._qt_viewer.canvas._font_info
        font = info.font_manager.get_font(info.face)
        for letter in _LETTERS:
            yield font[letter]
    except Exception:  # another napari, or no window any more: they are made when they are drawn
        log.debug("letters are not made beforehand", exc_info=True)


def _scale_bar_unseen(viewer: Any) -> Iterator[object]:
    """Have napari draw its scale bar part by part, unseen, in a window without layers.

    It keeps what draws it, which the first slide would wait for otherwise.
    """
    if viewer is None or viewer.layers or (bar := scale_bar_of(viewer)).visible:
        return
    opacity, bar.opacity, bar.visible = bar.opacity, 0.0, True
    parts = _parts_of(viewer, bar)
    try:
        for part in parts:
            part.visible = False
        for part in parts:
            part.visible = True
            yield part  # the window is drawn now
    finally:
        for part in parts:
            part.visible = True
        bar.opacity = opacity
        if not viewer.layers:  # else one has just come, and shows it
            bar.visible = False


def _parts_of(viewer: Any, bar: Any) -> tuple[Any, ...]:
    try:
        drawn = viewer.window._qt_viewer.canvas._viewer_overlay_to_visual[bar][0]
        return drawn.box, drawn.node.line, drawn.node.text
    except Exception:  # another napari, which draws it when it is shown
        log.debug("the scale bar is not drawn beforehand", exc_info=True)
        return ()


def _preload() -> None:
    try:
        templates_of(_MPP)
        importlib.import_module("vispy.visuals.line.dash_atlas").DashAtlas()  # kept by its patterns
        importlib.import_module("pandas")  # which napari imports for the first layer in a window
        Labels(np.zeros((1, 1), np.int32), units=("um", "um"))
    except Exception:  # whatever fails here fails where it is needed, and is told there
        log.exception("not all could be prepared")
