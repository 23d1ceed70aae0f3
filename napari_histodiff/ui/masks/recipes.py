"""Recipes: several steps of an edit behind one button, each of which can be looked at and changed.

They end with an edit mask and paint in the frame; the user looks, changes and presses *Inpaint*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.inpainting.masks import around_nuclei, nuclei_under, shrink
from napari_histodiff.ui.generation.states import Level, Notice
from napari_histodiff.ui.masks.mask_tools import MaskTools, Unchanged

if TYPE_CHECKING:
    from napari_histodiff.ui.generation.controller import Controller
    from napari_histodiff.ui.proposals.proposer import Proposer, ProposingState
    from napari_histodiff.ui.workspace.document import Document
    from napari_histodiff.ui.workspace.workspace import Workspace

__all__ = ["Recipes"]

#: How far painted nuclei may lie apart to be one place, and what of the tissue around them changes
#: with them; in um.
_APART: Final = 14.0
_AROUND: Final = 6.0


class Recipes:
    """The recipes of one viewer.

    Parameters
    ----------
    workspace, controller, masks, proposer
        Of the dock.
    """

    def __init__(
        self, workspace: Workspace, controller: Controller, masks: MaskTools, proposer: Proposer
    ) -> None:
        self._workspace = workspace
        self._controller = controller
        self._masks = masks
        self._proposer = proposer
        self._waits = False
        proposer.state_changed.connect(self._on_proposing)

    def replace_by_painted(self) -> None:
        """Let the mask be what gives way to painted nuclei: what is outlined, or their place.

        Nuclei that the mask cuts are taken into it whole.
        """
        painted = False

        def place(document: Document, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
            nonlocal painted
            _, instances = document.nuclei.maps()
            if not mask.any():
                mask = around_nuclei(instances, around=_APART, mpp=document.mpp)
                if not mask.any():
                    raise Unchanged(
                        "Outline what shall be replaced with the edit mask, or paint the nuclei "
                        "that shall be there, then choose Replace by painted nuclei again."
                    )
                mask = shrink(mask, _APART - _AROUND, document.mpp)
            ids = nuclei_under(instances, mask)
            painted = bool(ids)
            around = self._controller.settings.mask_around
            return mask | around_nuclei(instances, ids=ids, around=around, mpp=document.mpp)

        if self._masks.change(place):
            self._workspace.select_palette("nuclei")
            self._tell(
                "The edit mask is what will be replaced; look at its edge, then press Inpaint."
                if painted
                else "The edit mask is what will be replaced: paint nuclei and tissue in it, or "
                "say in the caption what shall be there, then press Inpaint."
            )

    def same_layout(self) -> None:
        """Have nuclei and tissue under the frame found and painted, to be drawn anew after them.

        The mask stays where there is one, and is the whole frame otherwise. What is painted stays.
        """
        if self._proposer.state.proposal is not None:
            self._waits = True
            self._on_proposing(self._proposer.state)
            return
        self._proposer.propose()
        self._waits = self._proposer.state.running

    def _on_proposing(self, state: ProposingState) -> None:
        if not self._waits or state.running:
            return
        self._waits = False
        if state.proposal is None:  # why is said by whoever proposes
            return
        self._proposer.accept(keep=True)
        whole = self._masks.change(lambda document, mask: mask if mask.any() else ~mask)
        if whole:
            self._tell(
                "Nuclei and tissue that were found are painted, and the edit mask is what will be "
                "drawn anew after them; look through both, then press Inpaint."
            )

    def _tell(self, words: str) -> None:
        self._controller.noticed.emit(Notice(Level.INFO, words))
