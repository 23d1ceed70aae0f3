"""The status line: what the engine is doing, on which device, with how much memory."""

from __future__ import annotations

from typing import Final

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QMenu, QPushButton, QWidget

from napari_histodiff.core.engine import EngineState
from napari_histodiff.ui.forms import row
from napari_histodiff.ui.states import EngineStatus

__all__ = ["StatusLine"]

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

    restart_requested = Signal()
    bundled_requested = Signal()
    model_requested = Signal()
    training_requested = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._dot = QLabel()
        self._text = QLabel()
        self._restart = QPushButton("Restart")
        self._restart.setToolTip("Start the engine again (Shift+E)")
        self._restart.clicked.connect(self.restart_requested)
        self.model = QPushButton("Model")
        self.model.setToolTip("Draw with another model, or train one on your own slides")
        self.model.setMenu(self._menu())
        self.setLayout(row(self._dot, self._text, self._restart, self.model, stretch=1))

    def _menu(self) -> QMenu:
        menu = QMenu(self)
        for text, signal in (
            ("Bundled model", self.bundled_requested),
            ("Model folder...", self.model_requested),
            ("Train on your own slides...", self.training_requested),
        ):
            menu.addAction(text).triggered.connect(lambda _=False, chosen=signal: chosen.emit())
        return menu

    def set_status(self, status: EngineStatus) -> None:
        """Show a state."""
        self._dot.setText(f'<span style="color:{_COLOURS[status.state]}">●</span>')
        self._text.setText(status.text())
        self._restart.setVisible(status.restartable)
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
                        f"Trained for {i.mpp[0]:g} to {i.mpp[1]:g} µm/px",
                    ),
                )
            )
        self.setToolTip(tip)
