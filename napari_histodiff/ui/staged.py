"""The variants that wait for Apply, shown over the image, and what was applied.

No Qt here. An image may take its time to change: the variant stays in view until it has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_histodiff.core.errors import HistodiffError
from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.preview import PreviewLayer
from napari_histodiff.ui.states import Staging
from napari_histodiff.ui.steps import Step

if TYPE_CHECKING:
    from napari_histodiff.ui.workspace import Workspace

__all__ = ["StagedVariants"]


class StagedVariants:
    """Shows variants, writes the one in view into the image, and takes that back.

    Parameters
    ----------
    viewer : napari ViewerModel
        Where the variant is shown.
    workspace : Workspace
        The image.
    complain : callable
        Called with what went wrong.
    """

    #: Other variants wait, or another one is in view: `Staging` or None.
    changed = Signal(object)

    def __init__(
        self, viewer: Any, workspace: Workspace, complain: Callable[[Exception], None]
    ) -> None:
        self.preview = PreviewLayer(viewer)
        self.now: Staging | None = None
        self._workspace = workspace
        self._complain = complain

    def put(self, staging: Staging | None) -> None:
        """Let these variants wait, in place of those that did; None = no more do."""
        self.now = staging
        if staging is None:
            self.preview.hide()
        else:
            self.show(staging.region, staging.image)
        self.changed.emit(staging)

    def show(self, region: Region, image: NDArray[np.uint8]) -> None:
        """Show what would be in a region, (h, w, 3) uint8, of the image worked on."""
        if self._workspace.target is not None:
            self.preview.show(self._workspace.target, region, image)

    def apply(self) -> None:
        """Write the variant in view into the image, as one undo step; it waits until it is there.

        When it cannot be written, it goes on waiting.
        """
        staging = self.now
        if staging is None:
            return
        request = staging.entry.request
        try:
            step = self._workspace.write(request.region, staging.image, request.edit_mask, request)
        except HistodiffError as error:
            self._complain(error)
            return
        step.then(lambda done: self._applied(staging, done))

    def undo(self) -> None:
        """Take back the last Apply, after what is still being written."""
        if self._workspace.can_undo:
            self._travel(self._workspace.undo)

    def redo(self) -> None:
        """Apply again what was undone, after what is still being written."""
        if self._workspace.can_redo:
            self._travel(self._workspace.redo)

    def _applied(self, staging: Staging, step: Step) -> None:
        if step.error is not None:
            self._complain(step.error)
        elif self.now is staging:
            self.put(None)

    def _travel(self, begin: Callable[[], Step]) -> None:
        try:
            step = begin()
        except HistodiffError as error:
            self._complain(error)
            return
        step.then(lambda done: None if done.error is None else self._complain(done.error))
