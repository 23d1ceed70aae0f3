"""The dock "Train on your own slides": fine-tunes a model without a command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from napari.utils.theme import get_theme
from qtpy.QtCore import QEvent, QObject, QSize, QTimer, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QApplication, QMessageBox

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.ui.command import real_viewer, studio
from napari_histodiff.ui.text import PLUGIN
from napari_histodiff.ui.training.controller import TrainingController, TrainingState
from napari_histodiff.ui.training.form import TrainingFoot, TrainingForm
from napari_histodiff.ui.training.process import LossTable
from napari_histodiff.ui.training.progress_box import TrainingProgressBox
from napari_histodiff.ui.training.settings import (
    BUNDLED,
    TrainingStore,
    suggested_output,
    training_command,
)
from napari_histodiff.ui.widgets.docked import DockedWidget
from napari_histodiff.ui.widgets.notices import show_notice
from napari_histodiff.ui.widgets.style import dock_style

if TYPE_CHECKING:
    from napari.viewer import Viewer

__all__ = ["SHEET_LAYER", "TRAINING_WIDGET", "TrainingDock", "open_training", "train"]

#: Name of the widget in `napari.yaml` and of its dock.
TRAINING_WIDGET: Final = "Train on your own slides"

#: Name of the layer that shows a sample sheet.
SHEET_LAYER: Final = "Training samples"

#: Milliseconds between two looks at the run.
_PUMP: Final = 250


class TrainingDock(DockedWidget):
    """Form, progress and result of a fine-tuning run, which is a process of its own.

    Parameters
    ----------
    napari_viewer : napari Viewer
        The viewer the dock stands in.
    store : TrainingStore, optional
        Another place to remember settings.
    command : callable, optional
        Another way to make the command line than `training_command`.
    """

    controller: TrainingController

    def __init__(
        self,
        napari_viewer: Viewer,
        *,
        store: TrainingStore | None = None,
        command: Callable[..., list[str]] = training_command,
    ) -> None:
        super().__init__()
        self.controller = TrainingController(store, command=command)
        self.viewer = real_viewer(napari_viewer)
        self._window: QObject | None = None
        self.form = TrainingForm()
        self.progress = TrainingProgressBox()
        self.foot = TrainingFoot()
        self.stack((self.form, self.progress), 4, below=(self.foot,))
        self.setMinimumWidth(340)
        self._connect()
        self._show_theme()
        self.viewer.events.theme.connect(self._show_theme)
        self._timer = QTimer(self)
        self._timer.setInterval(_PUMP)
        self._timer.timeout.connect(self.controller.pump)
        self._timer.start()
        # Not methods of this widget: they must outlive it.
        self.destroyed.connect(self.controller.close)
        QApplication.instance().aboutToQuit.connect(self.controller.close)
        self.form.set_settings(self.controller.settings)
        self._show_losses(self.controller.losses)
        self._show_sheet(self.controller.sheet)
        self._show_run()

    def sizeHint(self) -> QSize:
        """Ask for a narrow column."""
        return QSize(360, 820)

    def event(self, event: QEvent) -> bool:
        """Watch the window that the dock is shown in."""
        if event.type() == QEvent.Type.Show:
            self._watch_window()
        return bool(super().event(event))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Ask before napari's window closes on a running training."""
        if watched is self._window and event.type() == QEvent.Type.Close and not self._may_close():
            event.ignore()
            return True
        return bool(super().eventFilter(watched, event))

    def shut_down(self) -> None:
        """Stop looking and let a run save and end by itself; idempotent."""
        self._timer.stop()
        if self._window is not None:
            self._window.removeEventFilter(self)
            self._window = None
        self.controller.close()

    def _connect(self) -> None:
        c, form, foot = self.controller, self.form, self.foot
        c.state_changed.connect(self._show_run)
        c.settings_changed.connect(self._show_settings)
        c.losses_changed.connect(self._show_losses)
        c.sheet_changed.connect(self._show_sheet)
        c.noticed.connect(show_notice)
        form.changed.connect(lambda change: c.set(**change))
        form.new_output_requested.connect(c.new_output)
        foot.start_requested.connect(self.start)
        foot.stop_requested.connect(c.stop)
        foot.end_requested.connect(c.end_now)
        foot.use_requested.connect(c.use_model)
        c.model_chosen.connect(self._draw_with)
        foot.log_requested.connect(
            lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(c.folder.log)))
        )
        self.progress.sheet_clicked.connect(self.show_sheet_in_viewer)

    # ----------------------------------------------------------------- actions
    def _draw_with(self, model: Path) -> None:
        """Draw with a model in the Studio, which is opened when it is not there."""
        studio(self.viewer).actions.use_model(model)

    def start(self) -> None:
        """Start or resume with what is in the fields, confirmed or not."""
        self.controller.set(**self.form.take_typed())
        self.controller.start()

    def show_sheet_in_viewer(self) -> None:
        """Show the newest samples as an image layer."""
        from skimage.io import imread

        if self.controller.sheet is None:
            return
        pixels = imread(self.controller.sheet)
        if SHEET_LAYER in self.viewer.layers:
            self.viewer.layers[SHEET_LAYER].data = pixels
        else:
            self.viewer.add_image(pixels, name=SHEET_LAYER, rgb=True)

    # -------------------------------------------------------------------- show
    def _show_theme(self, *_: object) -> None:
        self.setStyleSheet(dock_style(self.viewer.theme))
        theme = get_theme(self.viewer.theme)
        self.progress.curve.set_colours(theme.text.as_hex(), theme.foreground.as_hex())

    def _show_settings(self, *_: object) -> None:
        self.form.set_settings(self.controller.settings)
        self._show_run()

    def _show_run(self, *_: object) -> None:
        c = self.controller
        state: TrainingState = c.state
        running = state.phase.running
        self.form.setEnabled(not running)
        self.foot.show_run(
            state,
            problem="" if running else c.problem(),
            resumes=c.can_resume,
            has_model=c.folder.has_model and not running,
            has_log=c.folder.log.is_file(),
        )

    def _show_losses(self, losses: LossTable) -> None:
        self.progress.set_losses(losses)
        self._show_progress_box()

    def _show_sheet(self, sheet: Path | None) -> None:
        self.progress.set_sheet(sheet)
        self._show_progress_box()

    def _show_progress_box(self) -> None:
        c = self.controller
        self.progress.setVisible(c.running or c.losses.samples > 0 or c.sheet is not None)

    # ------------------------------------------------------------------- close
    def _watch_window(self) -> None:
        window = self.window()
        if window is not self and window is not self._window:
            self._window = window
            window.installEventFilter(self)

    def _may_close(self) -> bool:
        if not self.controller.running:
            return True
        buttons = QMessageBox.StandardButton
        answer = QMessageBox.question(
            self,
            "A training is running",
            "Stop the training and close napari? It saves what it has learnt and can be resumed.",
            buttons.Ok | buttons.Cancel,
            buttons.Ok,
        )
        return bool(answer == buttons.Ok)


def train(
    viewer: Viewer,
    data: str | Path,
    output: str | Path | None = None,
    mpp: float = 0.5,
    organ: str = "",
    start: str | Path = BUNDLED,
    minutes: int = 120,
    device: str = "auto",
) -> TrainingDock:
    """Start a fine-tuning run in the viewer's training dock and return the dock.

    Parameters
    ----------
    viewer : napari Viewer
        Whose dock shows how it goes.
    data : path
        Folder of images and labels.
    output : path, optional
        Folder for the model and its log; by default one that no run has used.
    mpp : float
        Micrometres per pixel of the images.
    organ : str
        What captions call it, unless the data tell.
    start : path
        "bundled" or a model folder.
    minutes : int
        How long it takes.
    device : str
        "auto" or a torch device.

    Raises
    ------
    TrainingError
        When something keeps it from starting; the message says what to do.
    """
    dock = open_training(viewer)
    dock.controller.set(
        data=str(data),
        output=suggested_output(str(data)) if output is None else str(output),
        mpp=mpp,
        organ=organ,
        start=str(start),
        by_time=True,
        minutes=minutes,
        device=device,
    )
    problem = dock.controller.problem()
    if problem:
        raise TrainingError(problem)
    dock.controller.start()
    return dock


def open_training(viewer: Viewer) -> TrainingDock:
    """Return the viewer's training dock, opened when it is not there."""
    docks = viewer.window.dock_widgets.values()
    dock = next((widget for widget in docks if isinstance(widget, TrainingDock)), None)
    if dock is None:
        dock = viewer.window.add_plugin_dock_widget(PLUGIN, TRAINING_WIDGET, tabify=True)[1]
        assert isinstance(dock, TrainingDock)
    return dock
