"""The foot of the training dock: start and stop, how far it is, and what the model is for."""

from __future__ import annotations

from typing import Final

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_histodiff.ui.forms import button, note_label, row
from napari_histodiff.ui.style import APPLY, WRONG
from napari_histodiff.ui.training_controller import (
    TrainingPhase,
    TrainingState,
    long_duration,
)

__all__ = ["TrainingFoot", "progress_text"]

_STYLE: Final = """
QPushButton { background: #2f6fd0; color: white; font-weight: bold; border-radius: 4px; }
QPushButton:hover { background: #3b80e6; }
QPushButton:disabled { background: #55585f; color: #b4b8bf; }
QPushButton[running="true"] { background: #a8552a; }
"""
_TICKS: Final = 1000


class TrainingFoot(QWidget):
    """Always in view below the form."""

    start_requested = Signal()
    stop_requested = Signal()
    end_requested = Signal()
    use_requested = Signal()
    log_requested = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._state = TrainingState()
        self.main = QPushButton()
        self.main.setMinimumHeight(32)
        self.bar = QProgressBar()
        self.bar.setFixedHeight(6)
        self.bar.setTextVisible(False)
        self.note = note_label()
        self.end = button("End now", "End at once; what was learnt since the last save is lost")
        self.use = button("Use this model", "Draw with it in the Studio")
        self.use.setObjectName(APPLY)
        self.log = button("Log", "Open everything the training said", share=False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.setSpacing(4)
        for widget in (self.main, self.bar, self.note, self.end):
            layout.addWidget(widget)
        layout.addLayout(row(self.use, self.log, stretch=0))
        self.main.clicked.connect(self._pressed)
        self.end.clicked.connect(self.end_requested)
        self.use.clicked.connect(self.use_requested)
        self.log.clicked.connect(self.log_requested)

    def show_run(
        self, state: TrainingState, *, problem: str, resumes: bool, has_model: bool, has_log: bool
    ) -> None:
        """Name the main button after what it will do, and say how far the run is."""
        self._state = state
        running = state.phase.running
        stopping = state.phase is TrainingPhase.STOPPING
        title = "Resume the training" if resumes else "Start training"
        if running:
            title = "Stopping…" if stopping else "Stop and save"
        self.main.setText(title)
        self.main.setEnabled(not stopping if running else not problem)
        if self.main.property("running") != running or not self.main.styleSheet():
            self.main.setProperty("running", running)
            self.main.setStyleSheet(_STYLE)  # Qt looks at properties only then
        self.bar.setVisible(running)
        self.bar.setRange(0, 0 if state.phase is TrainingPhase.STARTING else _TICKS)
        self.bar.setValue(round(_TICKS * state.share))
        self.end.setVisible(state.can_end_now)
        self.use.setVisible(has_model)
        self.log.setVisible(has_log)
        self.note.setText(_note(state, problem, resumes=resumes))

    def _pressed(self) -> None:
        if self._state.phase.running:
            self.stop_requested.emit()
        else:
            self.start_requested.emit()


def progress_text(state: TrainingState) -> str:
    """Return one line: crops, speed, time left."""
    parts = [f"{state.samples:,} crops", f"{state.rate:.3g} crops/s"]
    if state.seconds_left is not None:
        parts.append(f"{long_duration(state.seconds_left)} left")
    return " · ".join(parts)


def _note(state: TrainingState, problem: str, *, resumes: bool) -> str:
    if state.phase is TrainingPhase.STARTING:
        return (
            state.message or "Starting: reading the images and warming up, which can take minutes…"
        )
    if state.phase is TrainingPhase.TRAINING:
        return progress_text(state)
    if state.phase is TrainingPhase.STOPPING:
        return "Finishing the step at hand and saving what was learnt…"
    if state.phase is TrainingPhase.FAILED:
        return f'<span style="color:{WRONG}">{state.message}</span>'
    if state.message and not problem:
        return state.message
    if problem:
        return problem
    if resumes:
        return (
            "The output folder holds a training; Resume goes on with it. New takes another folder."
        )
    return "It runs beside napari, which stays free to use; drawing is slower meanwhile."
