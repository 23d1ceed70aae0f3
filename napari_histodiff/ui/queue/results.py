"""What was drawn, put in view where it belongs: never over another image or another place."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_histodiff.ui.generation.states import RunPhase, RunState, Staging
from napari_histodiff.ui.queue.edits import EditState, QueuedEdit
from napari_histodiff.ui.workspace.frame import at_its_level

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_histodiff.ui.generation.staged import StagedVariants
    from napari_histodiff.ui.queue.drawing import Drawing
    from napari_histodiff.ui.workspace.workspace import Workspace

__all__ = ["Results"]


class Results:
    """Which edit of the queue is staged, and which wait in the list until somebody looks.

    Parameters
    ----------
    workspace : Workspace
        The image worked on.
    drawing : Drawing
        The edits.
    staged : StagedVariants
        What is in view.
    """

    def __init__(self, workspace: Workspace, drawing: Drawing, staged: StagedVariants) -> None:
        self._workspace = workspace
        self._drawing = drawing
        self._staged = staged
        #: The edit whose variants are staged, by its id in the queue; empty for any other.
        self.shown = ""
        drawing.previewed.connect(self._preview)
        drawing.run_changed.connect(self._on_run)
        staged.changed.connect(self._on_staging)
        # What is staged belongs to another image, or to another place of one that grew.
        workspace.target_changed.connect(self.set_aside)

    def make_room(self, edit: QueuedEdit) -> None:
        """Take away what an edit replaces: variants in view at its place, and its failures."""
        now = self._staged.now
        if now is not None and self._is_here(edit):
            if now.region.intersect(edit.request.region).is_empty:
                self.set_aside()
            else:
                self._staged.discard()
        for old in self._drawing.queue.edits:
            if old.state is EditState.FAILED and old.place == edit.place:
                self._drawing.remove(old.id)

    def offer(self, edit_id: str) -> None:
        """Stage an edit that is drawn, unless others are, or it is of another image."""
        if self._staged.now is None:
            self.show(edit_id)

    def show(self, edit_id: str) -> None:
        """Stage an edit that is drawn, in place of what was; not on another image than its own."""
        edit = self._drawing.queue.find(edit_id)
        if edit is None or edit.entry is None or not self._is_here(edit):
            return
        target = self._workspace.document.target
        entry = at_its_level(edit.entry, target.mpps)
        staging = Staging(entry).shifted(*edit.place.shift_on(target))
        staging = replace(staging, frame=edit.place.follow(edit.place.frame, target))
        level, spec = staging.region.level, target.spec
        # An image that became smaller may lack the place.
        if level < spec.levels and spec.bounds(level).contains(staging.region):
            self.set_aside()
            self._staged.put(staging)

    def set_aside(self) -> None:
        """Take what is staged out of view; the list of edits has it, or the history."""
        self.shown = ""
        if self._staged.now is not None:
            self._staged.put(None)

    def _is_here(self, edit: QueuedEdit) -> bool:
        """Whether an edit is of the image worked on."""
        there = self._workspace.target is not None
        return there and self._workspace.document.target.key == edit.place.key

    def _preview(self, edit: QueuedEdit, image: NDArray[np.uint8]) -> None:
        if self._staged.now is None and self._is_here(edit):
            target = self._workspace.document.target
            self._staged.show(edit.place.follow(edit.request.region, target), image)

    def _on_run(self, run: RunState) -> None:
        if run.phase is RunPhase.IDLE and self._staged.now is None:
            self._staged.preview.hide()

    def _on_staging(self, staging: Staging | None) -> None:
        """Take an edit out of the list when its variants were applied or discarded."""
        if staging is None and self.shown:
            self._drawing.remove(self.shown)
        staged = () if staging is None else tuple(entry.id for entry in staging.entries)
        ready = (e for e in self._drawing.queue.ready if e.entry and e.entry.id in staged)
        self.shown = next((edit.id for edit in ready), "")
