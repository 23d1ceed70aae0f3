"""The main button, its price or its reason, and the variants that wait for Apply."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_histodiff.ui.generation.plan import FramePlan
from napari_histodiff.ui.generation.states import RunPhase, RunState, Staging
from napari_histodiff.ui.widgets.forms import button, note_label, row
from napari_histodiff.ui.widgets.style import APPLY

__all__ = ["RunBox"]

_UNDO_TIP = "Take back the last Apply (Shift+Z)"
_REDO_TIP = "Apply again (Shift+Y)"
_APPLY_TIP = "Write this variant into the image (Alt+Enter)"
_DISCARD_TIP = "Drop the variants; the history keeps them (Alt+Backspace)"

_MAIN_STYLE = """
QPushButton { background: #2f6fd0; color: white; font-weight: bold; border-radius: 4px; }
QPushButton:hover { background: #3b80e6; }
QPushButton:disabled { background: #55585f; color: #b4b8bf; }
QPushButton[phase="running"] { background: #a8552a; }
"""


class RunBox(QWidget):
    """Always in view at the foot of the dock."""

    generate_requested = Signal()
    cancel_requested = Signal()
    variant_requested = Signal(int)  # by how many
    apply_requested = Signal()
    discard_requested = Signal()
    compare_requested = Signal()
    undo_requested = Signal()
    redo_requested = Signal()
    save_requested = Signal()
    resample_requested = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._phase = RunPhase.IDLE
        self._plan = FramePlan("Generate", False, "")
        self._doing = ""
        self.main = QPushButton("Generate")
        self.main.setStyleSheet(_MAIN_STYLE)
        self.main.setMinimumHeight(32)
        self.note = note_label()
        self._bar = QProgressBar()
        self._bar.setFixedHeight(6)
        self._bar.setTextVisible(False)
        self.resample = button("", "Make a copy at a pixel size that the model knows (Shift+Q)")
        self._staging = _StagingBar(self)
        self._undo = button("Undo", _UNDO_TIP)
        self._redo = button("Redo", _REDO_TIP)
        self._can = (False, False)
        save = button("Save…", "Save image, maps and request (Shift+S)")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.main)
        layout.addWidget(self._bar)
        layout.addWidget(self.note)
        layout.addWidget(self.resample)
        layout.addWidget(self._staging)
        layout.addLayout(row(self._undo, self._redo, save))
        self.main.clicked.connect(self._pressed)
        self.resample.clicked.connect(self.resample_requested)
        self._undo.clicked.connect(self.undo_requested)
        self._redo.clicked.connect(self.redo_requested)
        save.clicked.connect(self.save_requested)
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
        self._phase = state.phase
        running = state.phase is not RunPhase.IDLE
        self._bar.setVisible(running)
        self._bar.setRange(0, state.total if state.total else 0)
        self._bar.setValue(state.done)
        self._refresh()
        if running:
            steps = f"Step {state.done} of {state.total}" if state.total else "Waiting to start"
            self.note.setText(state.message or steps)

    def set_staging(self, staging: Staging | None) -> None:
        """Offer variants for Apply or Discard."""
        self._staging.set_staging(staging)

    def set_undo(self, *, can_undo: bool, can_redo: bool) -> None:
        """Tell whether there is something to undo and redo."""
        self._can = (can_undo, can_redo)
        self._refresh_undo()

    def set_doing(self, text: str) -> None:
        """Say what is being done to the image; nothing else can be, until it is."""
        self._doing = text
        self._staging.set_doing(text)
        self._refresh_undo()
        self._refresh()

    def _refresh_undo(self) -> None:
        both = zip((self._undo, self._redo), self._can, (_UNDO_TIP, _REDO_TIP), strict=True)
        for made, possible, tip in both:
            made.setEnabled(possible and not self._doing)
            made.setToolTip(self._doing or tip)

    def _refresh(self) -> None:
        titles = {RunPhase.RUNNING: "Cancel", RunPhase.CANCELLING: "Cancelling…"}
        self.main.setText(titles.get(self._phase, self._plan.title))
        idle = self._phase is RunPhase.IDLE
        may_begin = self._plan.enabled and not self._doing
        self.main.setEnabled(may_begin if idle else self._phase is RunPhase.RUNNING)
        self.main.setToolTip("Ctrl+Enter" if idle else "Ctrl+.")
        if self.main.property("phase") != str(self._phase):
            self.main.setProperty("phase", str(self._phase))
            self.main.setStyleSheet(_MAIN_STYLE)  # Qt looks at properties only then
        if idle:
            self.note.setText(self._doing or self._plan.note)

    def _pressed(self) -> None:
        if self._phase is RunPhase.IDLE:
            self.generate_requested.emit()
        elif self._phase is RunPhase.RUNNING:
            self.cancel_requested.emit()


class _StagingBar(QWidget):
    """Previous, "2 of 4", next, compare, Apply, Discard."""

    def __init__(self, box: RunBox) -> None:
        super().__init__()
        self._back = button("◀", "Previous variant (Alt+Left)", share=False)
        self._next = button("▶", "Next variant (Alt+Right)", share=False)
        self._which = QLabel()
        self._which.setAlignment(Qt.AlignmentFlag.AlignCenter)
        compare = button("Before", "Hide or show the preview to compare (Shift+B)")
        self._discard = button("Discard", _DISCARD_TIP)
        self._apply = button("Apply", _APPLY_TIP)
        self._apply.setObjectName(APPLY)
        self._several = False
        self._doing = ""
        self.setLayout(
            row(
                self._back,
                self._which,
                self._next,
                compare,
                self._discard,
                self._apply,
                stretch=(3, 4, 5),
            )
        )
        self._back.clicked.connect(lambda: box.variant_requested.emit(-1))
        self._next.clicked.connect(lambda: box.variant_requested.emit(1))
        compare.clicked.connect(box.compare_requested)
        self._discard.clicked.connect(box.discard_requested)
        self._apply.clicked.connect(box.apply_requested)

    def set_staging(self, staging: Staging | None) -> None:
        self.setVisible(staging is not None)
        if staging is not None:
            self._which.setText(f"{staging.index + 1} of {staging.count}")
            self._several = staging.count > 1
            self._refresh()

    def set_doing(self, text: str) -> None:
        self._doing = text
        self._refresh()

    def _refresh(self) -> None:
        for step in (self._back, self._next):
            step.setEnabled(self._several and not self._doing)
        for made, tip in ((self._discard, _DISCARD_TIP), (self._apply, _APPLY_TIP)):
            made.setEnabled(not self._doing)
            made.setToolTip(self._doing or tip)
