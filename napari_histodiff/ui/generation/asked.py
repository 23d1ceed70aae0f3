"""An edit as it stood when somebody asked for it: what changes afterwards is for the next one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_histodiff.ui.generation.estimates import Estimate
from napari_histodiff.ui.generation.request import request_of
from napari_histodiff.ui.generation.settings import Settings
from napari_histodiff.ui.generation.variation import Variation, varied
from napari_histodiff.ui.masks.context import widened
from napari_histodiff.ui.queue.edits import Place, QueuedEdit
from napari_histodiff.ui.queue.series import edits_of
from napari_histodiff.ui.steering.reference import Reference

if TYPE_CHECKING:
    from napari_histodiff.core.backend import BackendInfo
    from napari_histodiff.ui.workspace.document import Document
    from napari_histodiff.ui.workspace.snapshot import FrameSnapshot

__all__ = ["Asked"]


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What was chosen for an edit, and where.

    Attributes
    ----------
    document : Document
        The image.
    place : Place
        Of the frame.
    title : str
        What it does, "Inpaint".
    settings : Settings
        Those that counted on the image.
    reference : Reference or None
        What it is made like.
    variation : Variation or None
        What varies; None where the drawings are variants of one.
    estimate : Estimate or None
        What all of it takes.
    """

    document: Document
    place: Place
    title: str
    settings: Settings
    reference: Reference | None
    variation: Variation | None
    estimate: Estimate | None

    def edits(
        self, snapshots: Sequence[FrameSnapshot], info: BackendInfo | None
    ) -> dict[str, QueuedEdit]:
        """Return the edits that are to be drawn, by what each is called.

        Parameters
        ----------
        snapshots : sequence of FrameSnapshot
            The frame as it was; once for each variant where what was suggested differs.
        info : BackendInfo or None
            The model.

        Raises
        ------
        InvalidImage
            When what lies around the frame cannot be read.
        InvalidRequest
            When something is missing or out of range, or nothing can vary here.
        """
        target, settings = self.document.target, self.settings
        seen = [widened(one, self.document, settings.context) for one in snapshots]
        own = [request_of(one, settings, info, self.reference) for one in seen]
        conditioned = [target.with_slide_conditions(one) for one in own]
        wanted = varied(conditioned, self.variation, info)
        estimate = self.estimate
        return edits_of(
            self.title,
            wanted,
            self.place,
            tissues=[one.tissue_map for one in seen],
            estimate=None if estimate is None else estimate.times(1 / len(wanted)),
        )
