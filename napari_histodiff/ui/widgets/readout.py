"""What lies under the mouse, and how large tissue is shown: one line at the foot of the dock."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QSizePolicy
from superqt import QElidingLabel

from napari_histodiff.core.maps import CLASS_NAMES, N_CLASSES, TISSUE_NAMES
from napari_histodiff.ui.painting.pieces import piece_at
from napari_histodiff.ui.viewport import camera_of, magnification_of, to_data
from napari_histodiff.ui.widgets.style import SUBTLE

if TYPE_CHECKING:
    from napari_histodiff.ui.workspace.document import Document
    from napari_histodiff.ui.workspace.workspace import Workspace

__all__ = ["Readout", "under_text"]

_CLASSES = ("nucleus of unknown class", *(f"{name} nucleus" for name in CLASS_NAMES))


class Readout(QElidingLabel):
    """Magnification, place, nucleus and tissue under the mouse.

    Parameters
    ----------
    viewer : napari Viewer
        Whose mouse and camera are followed.
    workspace : Workspace
        What is worked on.
    """

    def __init__(self, viewer: Any, workspace: Workspace) -> None:
        super().__init__()
        self._viewer = viewer
        self._workspace = workspace
        self._place = ""
        self._area = _Areas()
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setProperty("role", SUBTLE)
        self.setAccessibleName("Under the mouse")
        self.setToolTip("Magnification of the view; place, nucleus and tissue under the mouse")
        viewer.mouse_move_callbacks.append(self._on_move)
        camera_of(viewer).events.zoom.connect(self._show)
        workspace.painting_changed.connect(self._area.forget)
        workspace.target_changed.connect(self._leave)
        self._show()

    def close_readout(self) -> None:
        """Listen to the viewer no more."""
        if self._on_move in self._viewer.mouse_move_callbacks:
            self._viewer.mouse_move_callbacks.remove(self._on_move)
        camera_of(self._viewer).events.zoom.disconnect(self._show)

    def _on_move(self, viewer: Any, event: Any) -> None:
        if self._workspace.target is not None and viewer.dims.ndisplay == 2:
            document = self._workspace.document
            place = to_data(viewer, document.target.layer, event.position)
            self._place = under_text(document, place, self._area.of)
            self._show()

    def _leave(self, *_: object) -> None:
        self._place = ""
        self._show()

    def _show(self, *_: object) -> None:
        parts = []
        if self._workspace.target is not None:
            target = self._workspace.document.target
            shown = magnification_of(self._viewer, target.layer, target.mpp)
            if shown is not None and target.knows_mpp:
                parts.append(f"{shown:.{2 if shown < 10 else 3}g}×")
        self.setText(" · ".join([*parts, self._place] if self._place else parts))


class _Areas:
    """Pixels of the nucleus looked at last."""

    def __init__(self) -> None:
        self._label = 0
        self._pixels = 0

    def forget(self) -> None:
        self._label = 0

    def of(self, labels: Any, y: int, x: int) -> int:
        if labels[y, x] != self._label:
            self._label, self._pixels = labels[y, x], piece_at(labels, y, x)[0].size
        return self._pixels


def under_text(
    document: Document, place: Any, area_of: Callable[[Any, int, int], int] | None = None
) -> str:
    """Return what lies at a place of an image, (y, x) in its finest pixels, in words.

    Parameters
    ----------
    document : Document
        The image, its frame and paint.
    place : (y, x)
        In pixels of the finest level, counted from the middle of the first one.
    area_of : callable, optional
        Counts the pixels of the nucleus at a pixel of labels; counted anew when None.
    """
    target, region = document.target, document.region
    y, x = (float(c) for c in place)
    if target.knows_mpp:
        words = [f"{(x + 0.5) * target.mpp:.1f}, {(y + 0.5) * target.mpp:.1f} µm"]
    else:
        words = [f"{x:.0f}, {y:.0f} px"]
    side = 1 << region.level
    row, col = (int(np.floor((c + 0.5) / side)) for c in (y, x))
    row, col = row - region.y, col - region.x
    if 0 <= row < region.height and 0 <= col < region.width:
        labels, tissue = document.nuclei.labels, document.tissue.layer.data
        label = int(labels[row, col])
        if label > 0:
            count = area_of or (lambda painted, y, x: piece_at(painted, y, x)[0].size)
            microns = count(labels, row, col) * document.mpp**2
            words.append(f"{_CLASSES[label % (N_CLASSES + 1)]}, {microns:.0f} µm²")
        if 0 < tissue[row, col] < len(TISSUE_NAMES):
            words.append(TISSUE_NAMES[tissue[row, col]])
    return " · ".join(words)
