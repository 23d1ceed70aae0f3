"""What is rarely asked for: a look at doubts, a change of the paint in words, a made-up layout."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QCompleter, QLineEdit, QProgressBar, QVBoxLayout, QWidget

from napari_histodiff.layout.changes import EXAMPLES, PHRASES_TO_TYPE
from napari_histodiff.ui.anomaly.box import AnomalyBox
from napari_histodiff.ui.anomaly.mapper import AnomalyMapper, MappingState
from napari_histodiff.ui.bindings import command_button, set_command
from napari_histodiff.ui.layouts.maker import LayoutMaker, MakingState
from napari_histodiff.ui.widgets.forms import NumberRow, Section, note_label, row

__all__ = ["CheckAndChange", "LayoutBox"]


class CheckAndChange(Section):
    """Where frame and nuclei are in doubt, and what changes the paint; opens when it has news.

    Parameters
    ----------
    mapper : AnomalyMapper
        What its questions are answered by.
    maker : LayoutMaker
        What paint is changed and layouts are made by.
    """

    def __init__(self, mapper: AnomalyMapper, maker: LayoutMaker) -> None:
        super().__init__("Check and change")
        self.doubts, self.layouts = AnomalyBox(), LayoutBox(maker)
        self.body.addWidget(self.doubts)
        self.body.addWidget(self.layouts)
        mapper.state_changed.connect(self._mapped)
        maker.state_changed.connect(self._made)

    def _mapped(self, state: MappingState) -> None:
        self.doubts.set_state(state)
        self._open_for(state.running or bool(state.note))

    def _made(self, state: MakingState) -> None:
        self._open_for(state.total > 0 or bool(state.said))

    def _open_for(self, news: bool) -> None:
        if news:
            self.set_folded(folded=False)


class LayoutBox(QWidget):
    """A line for a change in words, and the button that makes up a layout.

    Parameters
    ----------
    maker : LayoutMaker
        What it says is done by.
    """

    def __init__(self, maker: LayoutMaker) -> None:
        super().__init__()
        self._maker = maker
        self.edit = QLineEdit()
        self.edit.setObjectName("change_text")
        self.edit.setPlaceholderText(EXAMPLES[0])
        self.edit.setAccessibleName("Change of the paint in words")
        examples = "\n".join(EXAMPLES)
        self.edit.setToolTip(f"Say what is to become of the paint, for example:\n{examples}")
        completer = QCompleter(list(PHRASES_TO_TYPE), self.edit)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        self.edit.setCompleter(completer)
        self.change = command_button("change_paint", "Change paint", share=False)
        self.back = command_button("take_back_layout", "Take back", share=False)
        self.invent = command_button("invent", "Invent", share=False)
        self.like = QCheckBox("Like this frame")
        self.like.setObjectName("invent_like_frame")
        self.like.setToolTip(
            "As many nuclei of each class and as much of each tissue as painted in the frame, in "
            "another arrangement; else as the caption says"
        )
        self.density = NumberRow(
            "Density", (0.25, 2.0), 0.05, "Nuclei of an invented layout; 1 = as in real tissue"
        )
        self.density.set_value(1.0)
        self.bar = QProgressBar()
        self.bar.setFixedHeight(6)
        self.bar.setTextVisible(False)
        self.note = note_label()
        self.note.setObjectName("layout_note")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addLayout(row(self.edit, self.change, stretch=0))
        column.addLayout(row(self.invent, self.like, self.back))
        column.addWidget(self.density)
        column.addWidget(self.bar)
        column.addWidget(self.note)
        self.edit.textChanged.connect(self._typed)
        self.edit.returnPressed.connect(maker.change)
        self.like.toggled.connect(self._chosen)
        self.density.changed.connect(self._dense)
        maker.state_changed.connect(self.set_state)
        self.set_state(maker.state)

    def set_state(self, state: MakingState) -> None:
        """Show how far it is, or what was done."""
        running = state.total > 0
        self.bar.setVisible(running)
        self.bar.setRange(0, state.total)
        self.bar.setValue(state.done)
        self.invent.setText("Cancel" if running else "Invent")
        set_command(self.invent, "cancel_layout" if running else "invent")
        self.change.setEnabled(not running)
        self.back.setEnabled(state.can_take_back and not running)
        self.note.setText(state.said)
        self.note.setVisible(bool(state.said))

    def _typed(self, text: str) -> None:
        self._maker.text = text

    def _chosen(self, on: bool) -> None:
        self._maker.like_frame = on

    def _dense(self, density: float) -> None:
        self._maker.density = density
