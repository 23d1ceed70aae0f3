"""The variants that wait for Apply, shown over the image, and what was applied.

No Qt here. The "Preview" layer shows what an edit would put on the slide. An image may take its
time to change: the variant stays in view until it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_histodiff.core.errors import HistodiffError
from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.generation.states import Staging
from napari_histodiff.ui.workspace.pending import PendingStep
from napari_histodiff.ui.workspace.transforms import place_region, put_on

if TYPE_CHECKING:
    from napari_histodiff.ui.workspace.workspace import Workspace

__all__ = ["PREVIEW_NAME", "PreviewLayer", "StagedVariants"]

PREVIEW_NAME: Final = "Preview"


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
    is_still : callable
        Whether nothing is being written; says so when something is.
    """

    #: Other variants wait, or another one is in view: `Staging` or None.
    changed = Signal(object)

    def __init__(
        self,
        viewer: Any,
        workspace: Workspace,
        complain: Callable[[Exception], None],
        is_still: Callable[[], bool],
    ) -> None:
        self.preview = PreviewLayer(viewer)
        self.now: Staging | None = None
        self._workspace = workspace
        workspace.target_changed.connect(self.preview.remove)
        self._complain = complain
        self._is_still = is_still

    def put(self, staging: Staging | None) -> None:
        """Let these variants wait, in place of those that did; None = no more do."""
        self.now = staging
        if staging is None:
            self.preview.hide()
        else:
            self.show(staging.region, staging.image)
        self.changed.emit(staging)

    def show(self, region: Region, image: NDArray[np.uint8], *, name: str = PREVIEW_NAME) -> None:
        """Show what would be in a region, (h, w, 3) uint8, of the image worked on."""
        workspace = self._workspace
        if workspace.target is not None:
            self.preview.show(workspace.target, region, image, below=workspace.paint_layers)
            self.preview.rename(name)

    def step(self, by: int) -> None:
        """Bring the variant `by` further into view."""
        if self.now is not None and self._is_still():
            self.put(self.now.moved(by))

    def discard(self) -> None:
        """Drop what is staged; the history keeps it."""
        if self.now is not None and self._is_still():
            self.put(None)

    def apply(self) -> None:
        """Write the variant in view into the image, as one undo step; it waits until it is there.

        When it cannot be written, it goes on waiting.
        """
        staging = self.now
        if staging is None or not self._is_still():
            return
        request = staging.request
        try:
            step = self._workspace.document.write(
                request.region, staging.image, request.edit_mask, request
            )
        except HistodiffError as error:
            self._complain(error)
            return
        step.then(lambda done: self._applied(staging, done))

    def undo(self) -> None:
        """Take back the last Apply, after what is still being written."""
        if self._workspace.can_undo:
            self._travel(lambda: self._workspace.document.undo())

    def redo(self) -> None:
        """Apply again what was undone, after what is still being written."""
        if self._workspace.can_redo:
            self._travel(lambda: self._workspace.document.redo())

    def _applied(self, staging: Staging, step: PendingStep) -> None:
        if step.error is not None:
            self._complain(step.error)
        elif self.now is staging:
            self.put(None)

    def _travel(self, begin: Callable[[], PendingStep]) -> None:
        try:
            step = begin()
        except HistodiffError as error:
            self._complain(error)
            return
        step.then(lambda done: None if done.error is None else self._complain(done.error))


class PreviewLayer:
    """Shows and hides one RGB layer over the image and under the paint.

    The layer stays in the viewer while it is hidden: taking a layer out of napari holds the window
    up for longer than writing the edit does.

    Parameters
    ----------
    viewer : napari ViewerModel
        Where the layer is added.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._layer: Any = None
        #: Where something is shown; empty while nothing is.
        self._place: tuple[object, ...] = ()

    @property
    def layer(self) -> Any:
        """The layer, shown or hidden; None before there was one, or when the user removed it."""
        return self._layer if self._layer in self._viewer.layers else None

    @property
    def shown(self) -> bool:
        """Whether something is shown, even if the user has it out of sight for a look below."""
        return bool(self._place) and self.layer is not None

    def show(
        self, target: Any, region: Region, image: NDArray[np.uint8], below: Iterable[Any] = ()
    ) -> None:
        """Put `image`, (h, w, 3) uint8, over `region`, of any level, of the `target` layer.

        The layers `below` which it comes are the paint; without any it comes on top.
        """
        place = (id(target), region, image.shape)
        layer = self.layer
        if self.shown and place == self._place:
            # In place, without thumbnail and extent: a few of these come every second.
            np.copyto(layer.data, image)
            layer.refresh(thumbnail=False, highlight=False, extent=False)
            return
        where = place_region(target, region)
        if layer is None:
            self._add(image, where)
        else:
            layer.data = np.array(image)
            put_on(layer, where)
        self._bring_below(below)
        self.layer.visible = True
        self._place = place

    def rename(self, name: str) -> None:
        """Call the layer by another name: of what kind the picture in it is."""
        if self.layer is not None and self.layer.name != name:
            self.layer.name = name

    def hide(self) -> None:
        """Show nothing any more."""
        self._place = ()
        if self.layer is not None:
            self.layer.visible = False

    def remove(self) -> None:
        """Take the layer out of the viewer, with the image it lay over."""
        layer, self._layer, self._place = self.layer, None, ()
        if layer is not None:
            selected = set(self._viewer.layers.selection) - {layer}
            self._viewer.layers.remove(layer)
            # Who listens may have removed others of them.
            self._viewer.layers.selection = {x for x in selected if x in self._viewer.layers}

    def toggle(self) -> None:
        """Show what is below for a look, or the preview again."""
        if self.shown:
            self.layer.visible = not self.layer.visible

    def _add(self, image: NDArray[np.uint8], where: dict[str, Any]) -> None:
        selected = set(self._viewer.layers.selection)
        self._layer = self._viewer.add_image(np.array(image), name=PREVIEW_NAME, rgb=True, **where)
        # A new layer takes the selection; the user keeps painting on theirs.
        self._viewer.layers.selection = selected

    def _bring_below(self, others: Iterable[Any]) -> None:
        layers, own = self._viewer.layers, self.layer
        there = layers.index(own)
        places = [layers.index(other) for other in others if other in layers]
        to = min(places, default=len(layers))
        if there not in (to - 1, to):
            layers.move(there, to)
