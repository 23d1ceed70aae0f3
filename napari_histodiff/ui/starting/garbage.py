"""Leaves what stands out of searches for garbage: napari searches whenever a layer is removed."""

from __future__ import annotations

import gc
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from qtpy.QtCore import QTimer

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = ["KeptObjects"]

#: Milliseconds after a layer that stood was removed until all is looked through again.
_AFTER: Final = 3000


class KeptObjects:
    """What a ready window is made of: half a million objects that live as long as it does.

    Looking through them takes a fifth of a second, which napari does at every layer that is
    removed, and Python now and then. Nothing is kept that would have gone: before a layer goes that
    was there, and from `close` on, all of it is looked through as before.

    Parameters
    ----------
    viewer : napari ViewerModel
        Whose layers come and go.
    """

    def __init__(self, viewer: Any) -> None:
        self._layers: WeakSet[Layer] = WeakSet()
        self._is_left_out = False
        self._viewer = viewer
        self._again = QTimer()
        self._again.setSingleShot(True)
        self._again.setInterval(_AFTER)
        self._again.timeout.connect(self.leave_out)
        viewer.layers.events.removing.connect(self._on_removing)

    def leave_out(self) -> None:
        """Look through everything once more, and then no more at what is left."""
        gc.collect()
        gc.freeze()
        self._layers = WeakSet(self._viewer.layers)
        self._is_left_out = True

    def close(self) -> None:
        """Look through all of it again from now on; idempotent."""
        with suppress(RuntimeError):  # Qt's part of it is gone, where the process ends first
            self._again.stop()
        if self._is_left_out:
            self._is_left_out = False
            gc.unfreeze()

    def _on_removing(self, event: Any) -> None:
        if self._viewer.layers[event.index] in self._layers:
            self.close()
            self._again.start()
