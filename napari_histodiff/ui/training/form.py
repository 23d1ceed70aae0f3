"""The form of a fine-tuning run, and the foot of its dock: start, stop, how far it is."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_histodiff.core.captions import ORGANS
from napari_histodiff.core.errors import HistodiffError
from napari_histodiff.datasets.folders import detect_format
from napari_histodiff.ui.text import duration_text
from napari_histodiff.ui.training.controller import TrainingPhase, TrainingState
from napari_histodiff.ui.training.settings import BUNDLED, LIMITS, TrainingSettings
from napari_histodiff.ui.widgets.forms import (
    Section,
    button,
    name_label,
    note_label,
    row,
    whole_number,
)
from napari_histodiff.ui.widgets.style import APPLY, MAIN, WRONG, set_role, show_running

__all__ = ["FolderRow", "TrainingFoot", "TrainingForm", "found_in", "progress_text"]

#: Pixel sizes that scanners give, and their names.
_SCANS: Final = ((0.25, "0.25 µm/px (40x scan)"), (0.5, "0.5 µm/px (20x scan)"))
_DEVICES: Final = ("auto", "cpu", "cuda:0", "mps")
_ANY_ORGAN: Final = "not said"
_FORMATS: Final = {
    "conic": "CoNIC arrays",
    "lizard": "Lizard labels",
    "geojson": "QuPath annotations",
    "folder": "images and maps",
}

#: Files looked at for the line below the folder; a whole archive would take minutes.
_GLANCE: Final = 5000


class FolderRow(QWidget):
    """Name, path and a button that asks for a folder; `changed` carries what the user chose."""

    changed = Signal(str)

    def __init__(self, name: str, hint: str, tip: str) -> None:
        super().__init__()
        self._question = tip
        self.edit = QLineEdit()
        self.edit.setPlaceholderText(hint)
        self.edit.setToolTip(tip)
        self.browse = button("…", tip, share=False)
        self.edit.setAccessibleName(name or hint)
        self.browse.setAccessibleName(f"Choose: {tip}")
        self.setLayout(row(name_label(name, self.edit), self.edit, self.browse, stretch=1))
        self.edit.editingFinished.connect(lambda: self.changed.emit(self.path))
        self.browse.clicked.connect(self._ask)

    @property
    def path(self) -> str:
        """The folder as it stands; "~" is the user's home."""
        text = str(self.edit.text()).strip()
        return str(Path(text).expanduser()) if text else ""

    def set_path(self, path: str) -> None:
        """Show a folder without telling anyone."""
        if path != self.path:
            with signals_blocked(self.edit):
                self.edit.setText(path)
        self.edit.setToolTip(path or self._question)

    def _ask(self) -> None:
        start = self.path or str(Path.home())
        chosen = QFileDialog.getExistingDirectory(self, self._question, start)
        if chosen:
            self.set_path(chosen)
            self.changed.emit(chosen)


class TrainingForm(QWidget):
    """Everything that is asked before a run; `changed` carries a dict of what the user changed."""

    changed = Signal(dict)
    new_output_requested = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._shown = ""
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._make_data())
        layout.addWidget(self._make_run())
        self._connect()
        self.set_settings(TrainingSettings())

    def set_settings(self, settings: TrainingSettings) -> None:
        """Show settings without telling anyone."""
        bundled = settings.start == BUNDLED
        scans = [mpp for mpp, _ in _SCANS]
        if settings.data != self._shown:
            self._shown = settings.data
            self.found.setText(found_in(settings.data))
            self.found.setVisible(bool(self.found.text()))
        self.data.set_path(settings.data)
        self.start.set_path("" if bundled else settings.start)
        self.output.set_path(settings.output)
        boxes = (
            *(self.scan, self.mpp, self.organ, self.origin),
            *(self.length, self.unit, self.device),
        )
        with signals_blocked(*boxes):
            asked = self.scan.currentIndex() == len(scans) and settings.mpp == self._mpp()
            known = settings.mpp in scans and not asked
            self.scan.setCurrentIndex(scans.index(settings.mpp) if known else len(scans))
            self.mpp.setValue(settings.mpp)
            self.organ.setCurrentText(settings.organ or _ANY_ORGAN)
            self.origin.setCurrentIndex(0 if bundled else 1)
            self.unit.setCurrentIndex(0 if settings.by_time else 1)
            limits = LIMITS["minutes" if settings.by_time else "samples"]
            self.length.setRange(*(int(limit) for limit in limits))
            self.length.setSingleStep(15 if settings.by_time else 1000)
            self.length.setValue(settings.minutes if settings.by_time else settings.samples)
            self.device.setCurrentText(settings.device)
        self.mpp.setVisible(not known)
        self.start.setVisible(not bundled)

    def take_typed(self) -> dict[str, Any]:
        """Return every field as it stands, confirmed by Enter or not."""
        with signals_blocked(self.mpp, self.length):
            self.mpp.interpretText()
            self.length.interpretText()
        by_time = self.unit.currentIndex() == 0
        return {
            "data": self.data.path,
            "mpp": self._mpp(),
            "organ": self._organ(),
            "start": BUNDLED if self.origin.currentIndex() == 0 else self.start.path,
            "output": self.output.path,
            "by_time": by_time,
            "minutes" if by_time else "samples": int(self.length.value()),
            "device": str(self.device.currentText()).strip() or "auto",
        }

    # ------------------------------------------------------------------ layout
    def _make_data(self) -> Section:
        section = Section("Your slides")
        self.data = FolderRow("Folder", "images and labels", "Folder of images and their labels")
        self.found = note_label()
        self.found.hide()
        self.scan = QComboBox()
        self.scan.addItems([*(name for _, name in _SCANS), "other"])
        self.scan.setToolTip("Micrometres per pixel of the images")
        self.mpp = QDoubleSpinBox()
        self.mpp.setDecimals(3)
        self.mpp.setRange(*LIMITS["mpp"])
        self.mpp.setSingleStep(0.05)
        self.mpp.setSuffix(" µm/px")
        self.mpp.setKeyboardTracking(False)
        self.mpp.setAccessibleName("Micrometres per pixel")
        section.corner.setText("images with labelled nuclei")
        section.corner.setToolTip(
            "Lizard .mat, CoNIC .npy, QuPath GeoJSON beside the images, or folders images/, "
            "instances/ and classes/; which one is found out"
        )
        section.body.addWidget(self.data)
        self.organ = QComboBox()
        self.organ.addItems([_ANY_ORGAN, *ORGANS])
        self.organ.setToolTip("What captions will call it, unless captions.csv says otherwise")
        section.body.addWidget(self.found)
        section.body.addLayout(
            row(name_label("Pixel size", self.scan), self.scan, self.mpp, stretch=(1, 2))
        )
        section.body.addLayout(row(name_label("Organ", self.organ), self.organ, stretch=1))
        return section

    def _make_run(self) -> Section:
        section = Section("Training")
        self.origin = QComboBox()
        self.origin.addItems(["start from the bundled model", "start from a model folder"])
        self.origin.setToolTip("Whose knowledge the training begins with")
        self.start = FolderRow("", "model folder", "Model folder to start from")
        self.length = whole_number(LIMITS["minutes"], "Two hours are a good first try")
        self.unit = QComboBox()
        self.unit.addItems(["minutes", "training crops"])
        self.unit.setAccessibleName("Unit of the length")
        self.device = QComboBox()
        self.device.setEditable(True)
        self.device.addItems(list(_DEVICES))
        self.device.setToolTip("auto takes a GPU when there is one, else the processor")
        self.output = FolderRow("Save in", "output folder", "Folder for the model and its log")
        self.fresh = button("New", "An output folder that holds no training yet", share=False)
        self.output.layout().addWidget(self.fresh)
        body = section.body
        body.addLayout(row(name_label("Model", self.origin), self.origin, stretch=1))
        body.addWidget(self.start)
        body.addLayout(
            row(name_label("Length", self.length), self.length, self.unit, stretch=(1, 2))
        )
        body.addLayout(row(name_label("Device", self.device), self.device, stretch=1))
        body.addWidget(self.output)
        return section

    def _connect(self) -> None:
        tell: Callable[[dict[str, object]], None] = self.changed.emit
        self.data.changed.connect(lambda path: tell({"data": path}))
        self.output.changed.connect(lambda path: tell({"output": path}))
        self.start.changed.connect(lambda path: tell({"start": path}))
        self.scan.currentIndexChanged.connect(self._scan_chosen)
        self.organ.currentIndexChanged.connect(lambda _: tell({"organ": self._organ()}))
        self.mpp.valueChanged.connect(lambda value: tell({"mpp": round(value, 3)}))
        self.origin.currentIndexChanged.connect(
            lambda index: tell({"start": self.start.path if index else BUNDLED})
        )
        self.length.valueChanged.connect(
            lambda value: tell({"samples" if self.unit.currentIndex() else "minutes": value})
        )
        self.unit.currentIndexChanged.connect(lambda index: tell({"by_time": index == 0}))
        self.device.currentTextChanged.connect(lambda text: tell({"device": text or "auto"}))
        self.fresh.clicked.connect(self.new_output_requested)

    def _mpp(self) -> float:
        index = self.scan.currentIndex()
        return _SCANS[index][0] if index < len(_SCANS) else round(float(self.mpp.value()), 3)

    def _organ(self) -> str:
        return str(self.organ.currentText()) if self.organ.currentIndex() else ""

    def _scan_chosen(self, index: int) -> None:
        self.mpp.setVisible(index == len(_SCANS))
        self.changed.emit({"mpp": self._mpp()})


def found_in(folder: str) -> str:
    """Say in which format a folder is and which files it holds; empty when in none."""
    if not folder:
        return ""
    try:
        name = _FORMATS[detect_format(Path(folder))]
    except (HistodiffError, OSError):
        return ""
    counts: Counter[str] = Counter()
    for _, _, names in os.walk(folder):
        counts.update(Path(name).suffix.lower() for name in names)
        if counts.total() > _GLANCE:
            break
    kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items()) if kind)
    return f"Found {name}: {kinds}{' …' if counts.total() > _GLANCE else ''}"


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
        self.main.setProperty("role", MAIN)
        self.bar = QProgressBar()
        self.bar.setFixedHeight(6)
        self.bar.setTextVisible(False)
        self.note = note_label()
        self.end = button("End now", "End at once; what was learnt since the last save is lost")
        self.use = button("Use this model", "Draw with it in the Studio")
        self.use.setProperty("role", APPLY)
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
        show_running(self.main, running=running)
        self.bar.setVisible(running)
        self.bar.setRange(0, 0 if state.phase is TrainingPhase.STARTING else _TICKS)
        self.bar.setValue(round(_TICKS * state.share))
        self.end.setVisible(state.can_end_now)
        self.use.setVisible(has_model)
        self.log.setVisible(has_log)
        self.note.setText(_note(state, problem, resumes=resumes))
        set_role(self.note, WRONG if state.phase is TrainingPhase.FAILED else "")

    def _pressed(self) -> None:
        if self._state.phase.running:
            self.stop_requested.emit()
        else:
            self.start_requested.emit()


def progress_text(state: TrainingState) -> str:
    """Return one line: crops, speed, time left."""
    parts = [f"{state.samples:,} crops", f"{state.rate:.3g} crops/s"]
    if state.seconds_left is not None:
        parts.append(f"{duration_text(state.seconds_left)} left")
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
        return f"✕ {state.message}"
    if state.message and not problem:
        return state.message
    if problem:
        return problem
    if resumes:
        return (
            "The output folder holds a training; Resume goes on with it. New takes another folder."
        )
    return "It runs beside napari, which stays free to use; drawing is slower meanwhile."
