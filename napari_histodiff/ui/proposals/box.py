"""The button that proposes nuclei, and what to do with the proposal."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QProgressBar, QVBoxLayout, QWidget

from napari_histodiff.ui.bindings import command_button, set_command
from napari_histodiff.ui.proposals.proposer import ProposingState
from napari_histodiff.ui.widgets.forms import NumberRow, note_label, row
from napari_histodiff.ui.widgets.style import APPLY

__all__ = ["ProposalBox"]


class ProposalBox(QWidget):
    """Below the tools, in whose last row `main` stands; the offer is in view while one waits."""

    least_changed = Signal(float)

    def __init__(self) -> None:
        super().__init__()
        self._running = self._possible = False
        self.main = command_button("propose_nuclei", "Propose nuclei", share=False)
        self.note = note_label()
        self._bar = QProgressBar()
        self._bar.setFixedHeight(6)
        self._bar.setTextVisible(False)
        self.least = NumberRow(
            "Certainty", (0.0, 1.0), 0.01, "Hide proposed nuclei less certain than this"
        )
        self.accept = command_button("accept_nuclei", "Paint these")
        self.accept.setProperty("role", APPLY)
        self.offer = QWidget()
        inside = QVBoxLayout(self.offer)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(3)
        inside.addWidget(self.least)
        inside.addLayout(row(self.accept, command_button("discard_nuclei", "Discard")))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addWidget(self._bar)
        column.addWidget(self.note)
        column.addWidget(self.offer)
        self.least.changed.connect(self.least_changed)
        self.set_state(ProposingState())

    def set_possible(self, possible: bool) -> None:
        """Tell whether pixels lie under the frame."""
        self._possible = possible
        self._refresh()

    def set_state(self, state: ProposingState) -> None:
        """Show how far the judge is, or what it found."""
        self._running = state.running
        self._bar.setVisible(state.running)
        self._bar.setRange(0, state.total)
        self._bar.setValue(state.done)
        self.note.setText(state.note)
        self.note.setVisible(bool(state.note))
        self.offer.setVisible(state.proposal is not None)
        self.setVisible(state.running or bool(state.note) or state.proposal is not None)
        self.least.set_value(state.least)
        self._refresh()

    def _refresh(self) -> None:
        self.main.setText("Cancel" if self._running else "Propose nuclei")
        self.main.setEnabled(self._running or self._possible)
        set_command(self.main, "cancel_nuclei" if self._running else "propose_nuclei")
        if not self.main.isEnabled():
            self.main.setToolTip(
                "Needs pixels under the frame: use an image, or generate some first"
            )
