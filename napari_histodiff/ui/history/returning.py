"""Going back to an edit of the history: to its image, its place, its paint and its settings."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_histodiff.core.errors import HistodiffError, InvalidRequest
from napari_histodiff.ui.generation.request import settings_of
from napari_histodiff.ui.generation.settings import SeedMode
from napari_histodiff.ui.viewport import look_at

if TYPE_CHECKING:
    from napari_histodiff.ui.actions import StudioActions
    from napari_histodiff.ui.generation.controller import Controller
    from napari_histodiff.ui.generation.history import HistoryEntry
    from napari_histodiff.ui.history.archive import Kept
    from napari_histodiff.ui.history.past import Past
    from napari_histodiff.ui.queue.edits import QueuedEdit
    from napari_histodiff.ui.widgets.history_box import HistoryBox
    from napari_histodiff.ui.workspace.pending import PendingStep
    from napari_histodiff.ui.workspace.workspace import Workspace

__all__ = ["Returning"]


class Returning:
    """Goes back to edits, also of earlier sessions.

    Parameters
    ----------
    viewer : napari Viewer
        Whose camera goes there.
    workspace, controller, past
        Of the dock.
    open_slide : callable
        Opens a slide or a scan by its path.
    tell : callable
        Called with what the user should know.
    """

    def __init__(
        self,
        viewer: Any,
        workspace: Workspace,
        controller: Controller,
        past: Past,
        open_slide: Callable[[Path], object],
        tell: Callable[[str], object],
    ) -> None:
        self._viewer = viewer
        self._workspace = workspace
        self._controller = controller
        self._past = past
        self._open_slide = open_slide
        self._tell = tell

    def serve(self, box: HistoryBox, actions: StudioActions) -> None:
        """Do what is asked for in the section of the history."""
        past = self._past
        box.restore_requested.connect(self.go)
        box.repeat_requested.connect(lambda kept: self.go(kept, pin_seed=True))
        box.save_requested.connect(lambda kept: self.read(kept, actions.ask_save))
        box.python_requested.connect(lambda kept: self.read(kept, actions.copy_python))
        box.star_requested.connect(lambda kept, on: past.star(kept, favourite=on))
        box.remove_requested.connect(past.remove)
        box.copy_requested.connect(actions.copy)

    def go(self, kept: Kept, *, pin_seed: bool = False) -> None:
        """Go to an edit; its seed is shown, and drawn with again only where that is asked for."""
        mode = {"seed_mode": SeedMode.FIXED} if pin_seed else {}

        def arrive(entry: HistoryEntry) -> None:
            self._arrive(entry)
            self._controller.set(**mode)

        self.read(kept, arrive)

    def read(self, kept: Kept, done: Callable[[HistoryEntry], object]) -> None:
        """Read an edit whole, in a thread where it is not in memory, and do something with it."""
        try:
            step = self._past.open(kept, done)
        except HistodiffError as error:
            self._tell(str(error))
            return
        if step is not None:
            step.then(self._read)

    def _read(self, step: PendingStep) -> None:
        if step.error is not None:
            self._tell(str(step.error))

    def _arrive(self, entry: HistoryEntry) -> None:
        layer = self._layer_of(entry.image, entry.image_path)
        if layer is None:
            self._controller.set(**settings_of(entry.request))
            place = entry.image_path or entry.image_name or "the image"
            self._tell(
                f"{place}, which this edit was made on, is not open; caption and settings are "
                "restored. Open it and click again to go to the place."
            )
            return
        self._workspace.use_layer(layer)
        self._controller.restore(entry)
        self._look(layer)

    def visit(self, edit: QueuedEdit) -> None:
        """Go to the place of an edit of the queue; what is drawn of it waits for Apply there.

        The paint is left as it is: what was painted since is not of that edit.
        """
        place = edit.place
        try:
            layer = self._layer_of(place.key, place.path)
            if layer is None:
                raise InvalidRequest(
                    f"expected {place.path or place.name} to be open, got it closed; open it and "
                    "go there again: what was drawn is in the history as well"
                )
            self._workspace.use_layer(layer)
            document = self._workspace.document
            document.set_frame(place.follow(place.frame, document.target))
        except HistodiffError as error:
            self._tell(str(error))
            return
        self._controller.results.show(edit.id)
        self._look(layer)

    def _look(self, layer: Any) -> None:
        document = self._workspace.document
        frame = document.target.spec.at_level(document.region, 0)
        corners = np.array([[frame.y, frame.x], [frame.bottom, frame.right]], np.float64)
        look_at(self._viewer, layer, corners)

    def _layer_of(self, key: Hashable, path: str) -> Any:
        """Return the layer of an image by its key, opened again where that is for us to do."""
        if key is None:
            return self._workspace.target
        layer = self._workspace.layer_of(key)
        # A picture that napari opened is for napari to open again, with the reader it had.
        is_picture = str(key).startswith(f"{path}#")
        if layer is None and path and not is_picture and Path(path).exists():
            self._open_slide(Path(path))
            layer = self._workspace.layer_of(key)
        return layer
