"""From the training form to a process and back; no Qt here, a timer calls `pump`."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from psygnal import Signal

from napari_histodiff.core.errors import HistodiffError
from napari_histodiff.engine.process import describe_exit
from napari_histodiff.ui.generation.states import Level, Notice
from napari_histodiff.ui.training.process import Bar, LossTable, TrainingProcess
from napari_histodiff.ui.training.settings import (
    RunFolder,
    TrainingSettings,
    TrainingStore,
    problem_of,
    suggested_output,
    training_command,
)

__all__ = ["TrainingController", "TrainingPhase", "TrainingState"]

#: Exit codes of a run that Ctrl-C ended: the shell's, and the signal's own.
_INTERRUPTED: Final = (130, -signal.SIGINT)

#: Seconds between two looks at the table and the sheets, and until "End now" is offered.
_LOOK: Final = 1.0
_PATIENCE: Final = 10.0


class TrainingPhase(StrEnum):
    """Where the run stands."""

    IDLE = "idle"
    STARTING = "starting"
    TRAINING = "training"
    STOPPING = "stopping"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self in (TrainingPhase.STARTING, TrainingPhase.TRAINING, TrainingPhase.STOPPING)


@dataclass(frozen=True, slots=True)
class TrainingState:
    """What the dock shows of a run.

    `share` is the part done, 0 to 1; `rate` is in training crops per second; `seconds_left` is None
    while unknown; `message` is what the run said last, or how it ended.
    """

    phase: TrainingPhase = TrainingPhase.IDLE
    samples: int = 0
    share: float = 0.0
    rate: float = 0.0
    seconds_left: float | None = None
    message: str = ""
    can_end_now: bool = False


class TrainingController:
    """One training run at a time, in a process of its own.

    Parameters
    ----------
    store : TrainingStore, optional
        Where settings are remembered.
    command : callable, optional
        Another way to make the command line than `training_command`.
    """

    state_changed = Signal(TrainingState)
    settings_changed = Signal(TrainingSettings)
    losses_changed = Signal(LossTable)
    sheet_changed = Signal(object)  # Path | None
    noticed = Signal(Notice)
    model_chosen = Signal(Path)

    def __init__(
        self,
        store: TrainingStore | None = None,
        *,
        command: Callable[..., list[str]] = training_command,
    ) -> None:
        self._store = store or TrainingStore()
        self._command = command
        self._process: TrainingProcess | None = None
        self._folder = RunFolder(Path())
        self._clock = _Clock()
        self._look_due = 0.0
        self._stop_asked = 0.0
        self.settings = self._store.load()
        self.state = TrainingState()
        self.losses = LossTable(Path())
        self.sheet: Path | None = None
        self._open_folder()

    @property
    def folder(self) -> RunFolder:
        """The folder of the run that is shown."""
        return self._folder

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    @property
    def pid(self) -> int | None:
        """Process id of the running training."""
        return None if self._process is None else self._process.pid

    @property
    def can_resume(self) -> bool:
        """Whether the output folder holds a run that can go on."""
        return bool(self.settings.output) and RunFolder(Path(self.settings.output)).has_checkpoint

    def set(self, **changes: Any) -> None:
        """Change settings by name; other images bring another output folder with them."""
        settings = replace(self.settings, **changes)
        other = settings.data != self.settings.data and settings.output == self.settings.output
        if other and settings.data and (not settings.output or self.can_resume):
            settings = replace(settings, output=suggested_output(settings.data))
        if settings == self.settings:
            return
        elsewhere = settings.output != self.settings.output
        self.settings = settings
        if elsewhere and not self.running:
            self._open_folder()
            self._set_state(TrainingState())
        self.settings_changed.emit(settings)

    def new_output(self) -> None:
        """Choose an output folder that holds no run."""
        self.set(output=suggested_output(self.settings.data))

    def problem(self) -> str:
        """Say what keeps the run from starting; empty when nothing does."""
        return problem_of(self.settings)

    def start(self) -> None:
        """Start the run, or go on with the one in the output folder."""
        problem = self.problem()
        if self.running or problem:
            self._notice(Level.WARNING, problem or "A training is running; stop it first.")
            return
        resume = self.can_resume
        self._store.save(self.settings)
        self._open_folder()
        self._clock = _Clock(self.settings)
        try:
            self._process = TrainingProcess(
                self._command(self.settings, resume=resume), self._folder.log, append=resume
            )
        except HistodiffError as error:
            self._notice(Level.ERROR, str(error))
            return
        self._set_state(TrainingState(TrainingPhase.STARTING))

    def stop(self) -> None:
        """Ask the run to save what it has learnt and end."""
        if self._process is not None and self.state.phase is not TrainingPhase.STOPPING:
            self._stop_asked = time.monotonic()
            self._process.stop()
            self._set_state(replace(self.state, phase=TrainingPhase.STOPPING, message=""))

    def end_now(self) -> None:
        """End the run without saving."""
        if self._process is not None:
            self._stop_asked = self._stop_asked or time.monotonic()
            self._process.kill()

    def use_model(self) -> None:
        """Hand the model of the output folder to whoever draws with it."""
        model = self._folder.model
        if not self._folder.has_model:
            self._notice(Level.WARNING, f"Expected a model in {model}, got none; train one first.")
        else:
            self.model_chosen.emit(model)

    def close(self) -> None:
        """Ask a run to save and end by itself, and remember the settings; idempotent."""
        if self._process is not None:
            self._process.leave()
            self._process = None
            self._notice(Level.INFO, "The training was asked to save and end; Resume goes on.")
        self._store.save(self.settings)

    def pump(self) -> None:
        """Look at the process and its files; call it on the GUI thread, a few times a second."""
        process = self._process
        if process is None:
            return
        code = process.poll()
        if code is not None or time.monotonic() >= self._look_due:
            self._look_due = time.monotonic() + _LOOK
            self._look()
        if code is None:
            self._show_progress(process)
        else:
            self._process = None
            self._ended(code, process.last_line)

    # ---------------------------------------------------------------- internal
    def _open_folder(self) -> None:
        self._folder = RunFolder(Path(self.settings.output))
        self.losses = LossTable(self._folder.path / "loss.csv")
        self.sheet = None
        self._stop_asked = 0.0
        self._look_due = 0.0
        if self.settings.output:
            self.losses.read()
            self.sheet = self._folder.newest_sheet()
        self.losses_changed.emit(self.losses)
        self.sheet_changed.emit(self.sheet)

    def _look(self) -> None:
        if self.losses.read():
            self.losses_changed.emit(self.losses)
        sheet = self._folder.newest_sheet()
        if sheet != self.sheet:
            self.sheet = sheet
            self.sheet_changed.emit(sheet)

    def _show_progress(self, process: TrainingProcess) -> None:
        phase, late = self.state.phase, False
        if phase is TrainingPhase.STOPPING:
            late = time.monotonic() - self._stop_asked > _PATIENCE
        elif process.bar is not None:
            phase = TrainingPhase.TRAINING
        state = replace(self.state, phase=phase, can_end_now=late)
        if phase is TrainingPhase.STARTING:
            state = replace(state, message=process.last_line)
        if process.bar is not None:
            state = self._clock.fill(state, process.bar)
        self._set_state(state)

    def _ended(self, code: int, last_line: str) -> None:
        samples = max(self.state.samples, self.losses.samples)
        where = self._folder.path
        if self._stop_asked or code in _INTERRUPTED:
            phase, level = TrainingPhase.STOPPED, Level.INFO
            message = f"Stopped after {samples:,} crops."
            if self.can_resume:
                message += " Resume goes on from there."
        elif code == 0:
            phase, level = TrainingPhase.FINISHED, Level.INFO
            message = f"The training is done; the model is in {self._folder.model}."
        else:
            phase, level = TrainingPhase.FAILED, Level.ERROR
            why = last_line if code > 0 and last_line else describe_exit(code)
            message = f"The training ended early: {why.rstrip('.')}. "
            message += (
                "Resume goes on from the last checkpoint" if self.can_resume else "Then start again"
            )
            message += f"; all it said is in {where / self._folder.log.name}."
        share = 1.0 if phase is TrainingPhase.FINISHED else self.state.share
        self._set_state(TrainingState(phase, samples, share, message=message))
        self._notice(level, message)

    def _set_state(self, state: TrainingState) -> None:
        if state != self.state:
            self.state = state
            self.state_changed.emit(state)

    def _notice(self, level: Level, message: str) -> None:
        self.noticed.emit(Notice(level, message))


class _Clock:
    """How far a run is and how long it will take, from its progress bars."""

    def __init__(self, settings: TrainingSettings | None = None) -> None:
        by_time = settings is not None and settings.by_time
        self._limit = 60.0 * settings.minutes if settings is not None and by_time else None
        self._begun: tuple[float, int] | None = None

    def fill(self, state: TrainingState, bar: Bar) -> TrainingState:
        """Return the state with its numbers."""
        now = time.monotonic()
        self._begun = self._begun or (now, bar.done)
        begun, first = self._begun
        lefts = [(bar.total - bar.done) / bar.rate] if bar.rate else []
        share = bar.done / max(1, bar.total)
        if self._limit is not None and bar.rate:
            seconds = now - begun + first / bar.rate  # a resumed run counts what it took before
            lefts.append(max(0.0, self._limit - seconds))
            share = max(share, seconds / self._limit)
        return replace(
            state,
            samples=bar.done,
            share=min(1.0, share),
            rate=bar.rate,
            seconds_left=min(lefts, default=None),
        )
