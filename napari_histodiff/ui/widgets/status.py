"""The status line of the engine, and the running edit in napari's own activity dock."""

from __future__ import annotations

from typing import Any, Final

from napari.utils import progress
from qtpy.QtGui import QMovie
from qtpy.QtWidgets import QLabel, QMenu, QPushButton, QWidget

from napari_histodiff.core.engine import EngineState
from napari_histodiff.core.listeners import Throttle
from napari_histodiff.ui.bindings import set_command
from napari_histodiff.ui.generation.states import EngineStatus, RunPhase, RunState
from napari_histodiff.ui.widgets.forms import line_label, row

__all__ = ["Activity", "StatusLine"]

#: Dot colours that hold on dark and light themes; the words beside them say the same.
_COLOURS: Final = {
    EngineState.STARTING: "#d9a400",
    EngineState.LOADING: "#d9a400",
    EngineState.READY: "#2ea043",
    EngineState.BUSY: "#3b8eea",
    EngineState.DEAD: "#e5484d",
    EngineState.CLOSED: "#8a8a8a",
}


class StatusLine(QWidget):
    """A coloured dot, the state in words, a restart button when that helps, and the model menu."""

    def __init__(self) -> None:
        super().__init__()
        self._dot = QLabel()
        self.text = line_label()
        self.restart = QPushButton("Restart")
        self.restart.setObjectName("restart_engine")
        set_command(self.restart, "restart_engine")
        self.model = QPushButton("Model")
        self.model.setToolTip("Draw with another model, or train one on your own slides")
        self.model.setMenu(
            self._menu(
                ("Bundled model", "bundled_model"),
                ("Model folder...", "model_folder"),
                ("Model of the Hugging Face Hub...", "hub_model"),
                ("Compare with a model folder...", "compare_model"),
                ("Compare with the bundled model", "compare_bundled"),
                ("Stop comparing", "stop_comparing"),
                ("Use an engine on another machine…", "remote_engine"),
                ("Train on your own slides...", "train"),
                ("About this model...", "model_card"),
                ("Copy diagnostics", "copy_diagnostics"),
            )
        )
        self.project = QPushButton("Project")
        self.project.setToolTip("Keep all you work on in a folder, or go on with one")
        self.project.setMenu(
            self._menu(
                ("Open project…", "open_project"),
                ("Save project…", "save_project"),
                ("Go on where you stopped", "resume"),
            )
        )
        self.setLayout(row(self._dot, self.text, self.restart, self.project, self.model, stretch=1))

    def _menu(self, *entries: tuple[str, str]) -> QMenu:
        menu = QMenu(self)
        for text, command_id in entries:
            set_command(menu.addAction(text), command_id)
        return menu

    def set_status(self, status: EngineStatus) -> None:
        """Show a state."""
        self._dot.setText(f'<span style="color:{_COLOURS[status.state]}">●</span>')
        self.text.setText(status.text())
        self.restart.setVisible(status.restartable)
        tip = status.message
        if status.info is not None:
            i = status.info
            tip = "\n".join(
                filter(
                    None,
                    (
                        tip,
                        f"Model: {i.name} ({i.revision})",
                        f"Weights: {i.licence}",
                        f"Draws on: {i.device}",
                        f"Trained for {i.mpp[0]:g} to {i.mpp[1]:g} µm/px",
                    ),
                )
            )
        self.setToolTip(tip)


#: Seconds between updates: napari's bar runs the whole event loop at each.
_INTERVAL: Final = 1.0


class Activity:
    """One progress bar of napari per running edit; call from the GUI thread.

    Parameters
    ----------
    host : QWidget
        A widget of the window whose activity dock is meant.
    """

    def __init__(self, host: QWidget) -> None:
        self._host = host
        self._bar: Any = None
        self._done = 0
        self._throttle = Throttle(_INTERVAL)

    def set_run(self, state: RunState) -> None:
        """Follow the running edit."""
        if state.phase is RunPhase.IDLE:
            self.close()
            return
        if not state.total:
            return
        if self._bar is None:
            self._bar, self._done = progress(total=state.total, desc="Histodiff"), 0
            self._rest_spinner()
        if state.phase is RunPhase.CANCELLING:
            self._bar.set_description("Histodiff: cancelling")
        if state.done > self._done and self._throttle.ready():
            self._bar.update(state.done - self._done)
            self._done = state.done

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _rest_spinner(self) -> None:
        """Show napari's spinner as a still picture.

        Each of its frames repaints the whole window, canvas included; measured with
        `benchmarks/bench_gui_lag.py`, that doubled the lag of every other event.
        """
        for label in self._host.window().findChildren(QLabel):
            movie = label.movie()
            if isinstance(movie, QMovie):
                movie.setPaused(True)
