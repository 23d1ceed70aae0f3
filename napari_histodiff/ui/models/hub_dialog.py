"""A model of the Hugging Face Hub: named, looked at, accepted and downloaded while one works on."""

from __future__ import annotations

import threading
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dask.utils import format_bytes
from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_histodiff.core.errors import Cancelled, HistodiffError
from napari_histodiff.hub.download import Download, partial_folder
from napari_histodiff.hub.lookup import HubModel, look_up
from napari_histodiff.hub.places import HubName, downloaded, hub_name
from napari_histodiff.ui.text import for_people

if TYPE_CHECKING:
    from qtpy.QtGui import QCloseEvent

__all__ = ["HubDialog"]

_INTRODUCTION: Final = (
    "The name of a model as its page on huggingface.co shows it, <i>owner/name</i>. "
    "<b>Look up</b> asks the hub for its size and licence; its weights are fetched only when you "
    "accept the licence and press <b>Download</b>. Models that need code of their own, or are "
    "kept in pickles, are refused."
)
_LINK: Final = "#3b8eea"  # holds on dark and light themes
_POLL_MS: Final = 200
_STEPS: Final = 1000  # of the bar: bytes of large models do not fit its numbers


class _LookUp(threading.Thread):
    """Asks the hub, which may take long to answer."""

    def __init__(self, name: HubName) -> None:
        super().__init__(name="histodiff-hub", daemon=True)
        self._named = name
        self.found: HubModel | None = None
        self.error = ""

    def run(self) -> None:
        """Ask, and keep the answer."""
        try:
            self.found = look_up(self._named)
        except HistodiffError as error:
            self.error = for_people(str(error))
        except Exception as error:  # noqa: BLE001  shown; a silent dialog would wait for ever
            self.error = f"{type(error).__name__}: {error}"


class HubDialog(QDialog):
    """Asks for a model and downloads it; work in the window goes on meanwhile.

    `chosen` is emitted with the folder of a model that lies on this machine, whole.
    """

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("hub_dialog")
        self.setWindowTitle("Model of the Hugging Face Hub")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._lookup: _LookUp | None = None
        self._model: HubModel | None = None
        self._download: Download | None = None
        self._make_widgets()
        self._timer = QTimer(self)
        self._timer.setInterval(_POLL_MS)
        self._timer.timeout.connect(self._poll)

    def _make_widgets(self) -> None:
        introduction = QLabel(_INTRODUCTION)
        introduction.setWordWrap(True)
        self.name = QLineEdit()
        self.name.setObjectName("hub_model_name")
        self.name.setPlaceholderText("owner/name")
        self.name.setAccessibleName("Name of the model on the hub")
        self.name.textEdited.connect(self._forget)
        self.ask = self._button("Look up", "hub_look_up", self._look_up)
        self.ask.setDefault(True)
        self.details = QLabel()
        self.details.setObjectName("hub_details")
        self.details.setWordWrap(True)
        self.details.setOpenExternalLinks(True)
        self.details.setMinimumWidth(560)
        self.accepted_licence = QCheckBox()
        self.accepted_licence.setObjectName("hub_accept")
        self.accepted_licence.toggled.connect(self._show)
        self.bar = QProgressBar()
        self.bar.setRange(0, _STEPS)
        self.progress = QLabel()
        self.start = self._button("Download", "hub_download", self._start)
        self.stop = self._button("Stop", "hub_stop", self._stop)
        close = self._button("Close", "hub_close", self.close)
        first, last = QHBoxLayout(), QHBoxLayout()
        first.addWidget(self.name, 1)
        first.addWidget(self.ask)
        last.addWidget(self.progress, 1)
        for button in (self.start, self.stop, close):
            last.addWidget(button)
        layout = QVBoxLayout(self)
        layout.addWidget(introduction)
        layout.addLayout(first)
        for widget in (self.details, self.accepted_licence, self.bar):
            layout.addWidget(widget)
        layout.addLayout(last)
        self._show()

    def _button(self, text: str, name: str, pressed: object) -> QPushButton:
        button = QPushButton(text)
        button.setObjectName(name)
        button.setAutoDefault(False)
        button.clicked.connect(pressed)
        return button

    # ------------------------------------------------------------------ look up
    def _look_up(self) -> None:
        name = hub_name(self.name.text().strip())
        if name is None:
            self._tell("Expected the name of a model as owner/name; copy it from its page.")
            return
        folder = downloaded(name)
        if folder is not None:
            self._use(folder)
            return
        self._lookup = _LookUp(name)
        self._lookup.start()
        self._tell(f"Asking the hub about {name}…")
        self._timer.start()
        self._show()

    def _forget(self) -> None:
        """Another name: what was found and accepted counts no more."""
        self._lookup = self._model = None
        self.accepted_licence.setChecked(False)
        self._tell("")
        self._show()

    def _found(self, model: HubModel) -> None:
        self._model = model
        begun = partial_folder(model).is_dir()
        rows = {
            "Model": str(model.name),
            "Kind": model.class_name,
            "Size": f"{format_bytes(model.nbytes)} in {len(model.files)} files",
            "Licence": model.licence_words(),
            "Files": ", ".join(file.name for file in model.files),
            "To be stored in": str(model.folder),
            "Begun": "a part has arrived before; the download goes on from there" * begun,
            "Closed": "its authors let only those in who asked them, on its page" * model.gated,
        }
        lines = "".join(
            f"<tr><td><b>{name}</b>&nbsp;&nbsp;</td><td>{escape(text)}</td></tr>"
            for name, text in rows.items()
            if text
        )
        page = escape(model.page)
        link = f'<a href="{page}" style="color:{_LINK}">{page}</a>'
        self.details.setText(f"<table cellspacing=4>{lines}</table>{link}")
        self.accepted_licence.setText(f"I have read the licence ({model.licence}) and accept it")
        self._show()

    # ----------------------------------------------------------------- download
    def _start(self) -> None:
        if self._model is None or not self.accepted_licence.isChecked():
            return
        try:
            self._download = Download(self._model)
        except HistodiffError as error:
            self.progress.setText(for_people(str(error)))
            return
        self.progress.setText("")
        self._timer.start()
        self._show()

    def _stop(self) -> None:
        if self._download is not None:
            self._download.cancel()

    def _ended(self, download: Download) -> None:
        self._download = None
        self._timer.stop()
        try:
            folder = download.result()
        except Cancelled:
            self.progress.setText("Stopped; what has arrived is kept for the next time.")
        except HistodiffError as error:
            self.progress.setText("")
            self._tell(for_people(str(error)))
        else:
            self._use(folder)
            return
        self._show()

    def _use(self, folder: Path) -> None:
        self.chosen.emit(folder)
        self.close()

    # -------------------------------------------------------------------- shown
    def _poll(self) -> None:
        lookup, download = self._lookup, self._download
        if lookup is not None and not lookup.is_alive():
            self._lookup = None
            self._timer.stop()
            if lookup.found is None:
                self._tell(lookup.error)
                self._show()
            else:
                self._found(lookup.found)
        if download is None:
            return
        if not download.is_running:
            self._ended(download)
            return
        done, total = download.done, download.model.nbytes
        self.bar.setValue(int(_STEPS * done / max(total, 1)))
        self.progress.setText(f"{format_bytes(done)} of {format_bytes(total)}")

    def _tell(self, text: str) -> None:
        self.details.setText(escape(text))

    def _show(self) -> None:
        found, running = self._model is not None, self._download is not None
        self.name.setEnabled(not running)
        self.ask.setEnabled(not running and self._lookup is None)
        self.accepted_licence.setVisible(found)
        self.accepted_licence.setEnabled(not running)
        self.start.setEnabled(found and not running and self.accepted_licence.isChecked())
        self.bar.setVisible(running)
        self.stop.setVisible(running)

    def closeEvent(self, event: QCloseEvent | None) -> None:
        """Stop a download; what has arrived is kept."""
        self._timer.stop()
        self._stop()
        super().closeEvent(event)
