"""The buttons that ask where a frame is unlike the model, and where its nuclei are in doubt."""

from __future__ import annotations

from qtpy.QtWidgets import QProgressBar, QVBoxLayout, QWidget

from napari_histodiff.ui.anomaly.mapper import MappingState
from napari_histodiff.ui.bindings import command_button, set_command
from napari_histodiff.ui.widgets.forms import note_label, row

__all__ = ["AnomalyBox"]


class AnomalyBox(QWidget):
    """Below the proposals."""

    def __init__(self) -> None:
        super().__init__()
        self.main = command_button("map_anomaly", "Unlike the model?")
        self.doubt = command_button("doubt_nuclei", "Nuclei in doubt?")
        self.note = note_label()
        self._bar = QProgressBar()
        self._bar.setFixedHeight(6)
        self._bar.setTextVisible(False)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addLayout(row(self.main, self.doubt))
        column.addWidget(self._bar)
        column.addWidget(self.note)
        self.set_state(MappingState())

    def set_state(self, state: MappingState) -> None:
        """Show how far it is, or what was found."""
        self._bar.setVisible(state.running)
        self._bar.setRange(0, state.total)
        self._bar.setValue(state.done)
        self.note.setText(state.note)
        self.note.setVisible(bool(state.note))
        self.main.setText("Cancel" if state.running else "Unlike the model?")
        set_command(self.main, "cancel_anomaly" if state.running else "map_anomaly")
