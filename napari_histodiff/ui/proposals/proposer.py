"""Proposing nuclei and tissue: asks the judge, shows what it found, paints what is accepted.

No Qt here: the dock listens to the signals and calls the methods, a timer calls `pump`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from psygnal import Signal

from napari_histodiff.core.errors import HistodiffError
from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.generation.states import Level, Notice
from napari_histodiff.ui.painting.steps import one_step
from napari_histodiff.ui.proposals.layers import ProposalLayers
from napari_histodiff.ui.proposals.process import (
    Judge,
    JudgeDone,
    JudgeEvent,
    JudgeFailed,
    JudgeStep,
    Proposal,
)

if TYPE_CHECKING:
    from napari_histodiff.ui.workspace.workspace import Workspace

__all__ = ["Proposer", "ProposingState"]

log = logging.getLogger(__name__)

#: Micrometres per pixel beyond which nuclei of a slide are too small to be told apart; the finer
#: levels of the slide are there instead.
_COARSEST: Final = 0.75


@dataclass(frozen=True, slots=True, eq=False)
class ProposingState:
    """What the dock shows.

    Attributes
    ----------
    running : bool
        Whether the judge works; `done` of `total` passes are done, 0 of 0 while it loads.
    proposal : Proposal or None
        What waits to be accepted.
    least : float
        Nuclei less certain than this are hidden, 0-1.
    note : str
        One line in words.
    """

    running: bool = False
    done: int = 0
    total: int = 0
    proposal: Proposal | None = None
    least: float = 0.0
    note: str = ""


class Proposer:
    """One viewer's proposals, from the pixels under the frame to paint.

    Parameters
    ----------
    viewer : napari ViewerModel
        Where proposals are shown.
    workspace : Workspace
        The frame and its paint.
    command : sequence of str, optional
        Another program than the judge; see `proposals.process`.
    """

    state_changed = Signal(ProposingState)
    noticed = Signal(Notice)

    def __init__(
        self, viewer: Any, workspace: Workspace, command: Sequence[str] | None = None
    ) -> None:
        self.state = ProposingState()
        self.layers = ProposalLayers(viewer)
        self._workspace = workspace
        self._judge = Judge(command)
        self._target: Any = None
        self._region = Region(0, 0, 0, 0, 0)
        workspace.target_changed.connect(self._on_target)

    @property
    def pid(self) -> int | None:
        """Process id of the running judge."""
        return self._judge.pid

    def propose(self, *, ensemble: bool = False) -> None:
        """Ask the judge for the nuclei under the frame; a proposal that waits is dropped.

        With `ensemble` several proposals are compared, and where they disagree is a layer.
        """
        if self._judge.is_running:
            self._notice(Level.WARNING, "Nuclei are being proposed; cancel that or wait for it.")
            return
        workspace = self._workspace
        try:
            document = workspace.document
            summary = document.summary()
        except HistodiffError as error:
            self._notice(Level.WARNING, str(error))
            return
        if summary.problem:
            self._notice(Level.WARNING, summary.problem)
            return
        if not summary.has_pixels:
            self._notice(
                Level.WARNING,
                "There are no pixels under the frame; generate some or move it onto tissue.",
            )
            return
        if summary.region.level and summary.mpp > _COARSEST:
            self._notice(
                Level.WARNING,
                f"Nuclei can be proposed at {_COARSEST:g} µm per pixel or finer, the frame has "
                f"{summary.mpp:g}; choose a finer one in Edit at, then propose again.",
            )
            return
        target, region = document.target, summary.region
        try:
            image = target.read(region)
        except HistodiffError as error:
            self._notice(Level.WARNING, str(error))
            return
        self.discard()
        self._target, self._region = workspace.target, region
        self._judge.begin(image, summary.mpp, target.coverage(region), ensemble=ensemble)
        self._show(ProposingState(running=True, note="Getting ready to find nuclei…"))

    def cancel(self) -> None:
        """Stop the running judge; nothing when there is none."""
        if self._judge.is_running:
            self._judge.cancel()
            self._show(ProposingState(note="Cancelled."))

    def set_least(self, certainty: float) -> None:
        """Hide proposed nuclei less certain than this, 0-1."""
        proposal = self.state.proposal
        if proposal is not None and certainty != self.state.least:
            self.layers.filter(proposal, certainty)
            self._show(replace(self.state, least=certainty, note=proposal.text(certainty)))

    def go_back(self) -> int:
        """Bring the frame back to where the proposal is; returns the nuclei painted there."""
        document = self._workspace.document
        if document.region != self._region:
            document.set_frame(self._region)
        return sum(document.nuclei.counts().values())

    def accept(self, *, keep: bool) -> None:
        """Paint the proposed nuclei in view, and tissue where none is painted, as one undo step.

        With `keep`, painted nuclei stay and those that would touch them are left out.
        """
        proposal = self.state.proposal
        if proposal is None:
            return
        instances, classes = proposal.maps(self.state.least)
        try:
            self.go_back()
            document = self._workspace.document
            with one_step(document.paint_layers):
                painted = document.paint_nuclei(classes, instances, keep=keep)
                mine = document.tissue.tissue
                adds_tissue = bool(proposal.tissue_map[mine == 0].any())
                if adds_tissue:
                    document.paint_tissue(np.where(mine > 0, mine, proposal.tissue_map))
        except HistodiffError as error:
            self._notice(Level.ERROR, str(error))
            return
        chosen = np.zeros(len(proposal), np.bool_)
        chosen[: len(painted) - 1] = painted[1:]
        self.layers.accept(chosen)
        rings = int((chosen & proposal.uncertain).sum())
        note = f"{int(chosen.sum())} nuclei painted" + (f", {rings} with a ring" if rings else "")
        if adds_tissue:
            note += ", and tissue"
        self._show(ProposingState(note=note))

    def discard(self) -> None:
        """Drop the proposal, and the rings of the one accepted before."""
        self.layers.hide()
        if not self._judge.is_running:
            self._show(ProposingState())

    def pump(self) -> None:
        """Handle what the judge told since the last call; call it on the GUI thread."""
        for event in self._judge.events():
            self._handle(event)

    def close(self) -> None:
        """Kill the judge and wait for its end; idempotent."""
        self._judge.close()

    def _handle(self, event: JudgeEvent) -> None:
        if isinstance(event, JudgeStep):
            note = f"Pass {event.done} of {event.total}"
            self._show(ProposingState(True, event.done, event.total, note=note))
            return
        if isinstance(event, JudgeFailed):
            log.error("%s\n%s", event.message, event.details)
            self._show(ProposingState(note="No nuclei were proposed."))
            self._notice(Level.ERROR, event.message, event.details)
        elif isinstance(event, JudgeDone):
            self._stage(event.proposal)

    def _stage(self, proposal: Proposal) -> None:
        if not len(proposal) and not proposal.tissue_map.any():
            self._show(ProposingState(note="No nuclei were found under the frame."))
            return
        self.layers.show(proposal, self._target, self._region, self._workspace.own_layers)
        self._show(ProposingState(proposal=proposal, note=proposal.text()))

    def _on_target(self) -> None:
        if self._workspace.target is not self._target:
            self.cancel()
            self.discard()

    def _show(self, state: ProposingState) -> None:
        self.state = state
        self.state_changed.emit(state)

    def _notice(self, level: Level, message: str, details: str = "") -> None:
        self.noticed.emit(Notice(level, message, details))
