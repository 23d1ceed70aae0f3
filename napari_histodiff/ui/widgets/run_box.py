"""The main button, its price or its reason, and the variants that wait for Apply."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_histodiff.ui.bindings import command_button, set_command
from napari_histodiff.ui.commands import command
from napari_histodiff.ui.compare.reading_row import ReadingRow
from napari_histodiff.ui.generation.plan import FramePlan
from napari_histodiff.ui.generation.states import RunPhase, RunState, Staging
from napari_histodiff.ui.widgets.forms import note_label, row
from napari_histodiff.ui.widgets.style import APPLY, MAIN, show_running

__all__ = ["RunBox", "StagingBar"]


class RunBox(QWidget):
    """Always in view at the foot of the dock."""

    def __init__(self) -> None:
        super().__init__()
        self._phase = RunPhase.IDLE
        self._plan = FramePlan("Generate", False, "")
        self._doing, self._can_stop = "", False
        self._state = RunState()
        self.main = QPushButton("Generate")
        self.main.setObjectName("generate")
        self.main.setProperty("role", MAIN)
        self.main.setMinimumHeight(32)
        self.after = QPushButton()
        self.after.setObjectName("generate_after")
        self.after.setMinimumHeight(32)
        set_command(self.after, "generate")
        self.note = note_label()
        self._bar = QProgressBar()
        self._bar.setFixedHeight(6)
        self._bar.setTextVisible(False)
        self.resample = command_button("resample", "")
        self.staging = StagingBar()
        self.readings = ReadingRow()
        self.undo = command_button("undo", "Undo")
        self.redo = command_button("redo", "Redo")
        self.live = command_button("live", "Live", checkable=True)
        self._live = ""
        self._can = (False, False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 0)
        layout.setSpacing(3)
        layout.addLayout(row(self.main, self.after))
        layout.addWidget(self._bar)
        layout.addWidget(self.note)
        layout.addWidget(self.resample)
        layout.addWidget(self.readings)
        layout.addWidget(self.staging)
        vary = command_button("vary", "Vary…")
        save = command_button("save", "Save…")
        layout.addLayout(row(self.live, self.undo, self.redo, vary, save))
        self.set_plan(self._plan)
        self.set_run(RunState())
        self.set_staging(None)
        self.set_undo(can_undo=False, can_redo=False)

    def set_plan(self, plan: FramePlan) -> None:
        """Name the main button after what it will do."""
        self._plan = plan
        self.resample.setVisible(plan.resample_to is not None)
        self.resample.setText(f"Resample to {plan.resample_to or 0:g} µm/px")
        self._refresh()

    def set_run(self, state: RunState) -> None:
        """Show how far the running edit is; the main button is Cancel meanwhile."""
        self._phase, self._state = state.phase, state
        running = state.phase is not RunPhase.IDLE
        self._bar.setVisible(running)
        self._bar.setRange(0, state.total if state.total else 0)
        self._bar.setValue(state.done)
        self._refresh()

    def set_live(self, text: str) -> None:
        """Say what is to be said of live painting, above the price of the real edit."""
        self._live = text
        self._refresh()

    def set_staging(self, staging: Staging | None) -> None:
        """Offer variants for Apply or Discard."""
        self.staging.set_staging(staging)

    def set_undo(self, *, can_undo: bool, can_redo: bool) -> None:
        """Tell whether there is something to undo and redo."""
        self._can = (can_undo, can_redo)
        self._refresh_undo()

    def set_doing(self, text: str, can_stop: bool = False) -> None:
        """Say what is being done to the image; nothing else can be, until it is.

        Where it can be stopped, the main button is Cancel meanwhile.
        """
        self._doing, self._can_stop = text, can_stop
        self.staging.set_doing(text)
        self._refresh_undo()
        self._refresh()

    def _refresh_undo(self) -> None:
        for made, possible in zip((self.undo, self.redo), self._can, strict=True):
            made.setEnabled(possible and not self._doing)
            made.setToolTip(self._doing or command(made.objectName()).tooltip)

    def _refresh(self) -> None:
        idle = self._phase is RunPhase.IDLE
        may_begin = self._plan.enabled and not self._doing
        stops = self._can_stop if idle else self._phase is RunPhase.RUNNING
        cancelling = self._phase is RunPhase.CANCELLING
        named = "Cancelling…" if cancelling else "Cancel" if stops else self._plan.title
        self.main.setText(named)
        self.main.setEnabled(stops or (idle and may_begin))
        self.after.setVisible(not idle)
        self.after.setEnabled(may_begin)
        self.after.setText(f"{self._plan.title.partition(' (')[0]} next")
        after = "Draw this frame as it is now, after what is drawn and waits"
        self.after.setToolTip(self._doing or after)
        set_command(self.main, "generate" if idle and not stops else "cancel")
        show_running(self.main, running=stops)
        if idle:
            parts = (self._live, self._plan.note)
            self.note.setText(self._doing or " ".join(part for part in parts if part))
        else:
            self.note.setText(" ".join(part for part in (self._state.text(), self._doing) if part))


class StagingBar(QWidget):
    """Previous, "2 of 4", next, compare, Discard, Apply."""

    def __init__(self) -> None:
        super().__init__()
        self._back = command_button("previous_variant", "◀", share=False)
        self._next = command_button("next_variant", "▶", share=False)
        self._back.setAccessibleName("Previous variant")
        self._next.setAccessibleName("Next variant")
        self.which = QLabel()
        self.which.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.discard = command_button("discard", "Discard")
        self.apply = command_button("apply", "Apply")
        self.apply.setProperty("role", APPLY)
        self._several = False
        self._doing = ""
        self.setLayout(
            row(
                self._back,
                self.which,
                self._next,
                command_button("compare", "Before"),
                self.discard,
                self.apply,
                stretch=(3, 4, 5),
            )
        )

    def set_staging(self, staging: Staging | None) -> None:
        """Show which variant is in view; None hides the bar."""
        self.setVisible(staging is not None)
        if staging is not None:
            total = len(staging.variants)
            where = f"{staging.position + 1} of {total}"
            self.which.setText(f"{where}\n{staging.model}" if staging.model else where)
            self.which.setToolTip(f"Drawn by {staging.model}" if staging.model else "")
            self._several = total > 1
            self._refresh()

    def set_doing(self, text: str) -> None:
        """Say what is being done to the image, which neither may interrupt."""
        self._doing = text
        self._refresh()

    def _refresh(self) -> None:
        for step in (self._back, self._next):
            step.setEnabled(self._several and not self._doing)
        for made in (self.discard, self.apply):
            made.setEnabled(not self._doing)
            made.setToolTip(self._doing or command(made.objectName()).tooltip)
