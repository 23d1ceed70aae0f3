"""The window of the grid: what waits for Apply, and what lies there now, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QDialog, QDialogButtonBox, QVBoxLayout, QWidget

from napari_histodiff.core.errors import HistodiffError
from napari_histodiff.ui.compare.grid.cells import GridItem, ImageGrid
from napari_histodiff.ui.compare.grid.vary_form import VaryDialog
from napari_histodiff.ui.generation.variation import Series, Varied
from napari_histodiff.ui.widgets.forms import note_label
from napari_histodiff.ui.widgets.notices import show_warning

if TYPE_CHECKING:
    from napari_histodiff.ui.generation.controller import Controller
    from napari_histodiff.ui.generation.history import HistoryEntry
    from napari_histodiff.ui.generation.states import Staging
    from napari_histodiff.ui.workspace.workspace import Workspace

__all__ = ["VariantGrid"]

_SHARE: Final = 0.8  # of the screen

_HINT: Final = (
    "Click or 1 to 9 chooses, Enter keeps, Esc goes back. The wheel or + and - zoom all of them, "
    "a drag moves them, 0 shows them whole."
)


@dataclass(frozen=True, slots=True, eq=False)
class _Choice:
    entry: HistoryEntry
    index: int


class VariantGrid:
    """Shows what can be chosen in a window of its own; layers and camera stay as they are.

    What is chosen is the variant in view; of a sweep, its guidance is set as well.

    Parameters
    ----------
    parent : QWidget
        What the window stands on.
    workspace, controller
        Of the dock.
    """

    def __init__(self, parent: QWidget, workspace: Workspace, controller: Controller) -> None:
        self._parent = parent
        self._workspace, self._controller = workspace, controller
        self._series: Series | None = None
        self._choices: list[_Choice | None] = []
        self._at_first: tuple[Staging | None, float] = (None, 1.0)
        #: The window that is open.
        self.window: QDialog | None = None
        self.grid: ImageGrid | None = None
        controller.series_drawn.connect(self.show_series)
        controller.staging_changed.connect(self._on_staging)
        workspace.target_changed.connect(self.close)

    def show(self) -> None:
        """Show the variants that wait, or the series that was drawn last; says so without any."""
        staging = self._controller.staged.now
        if staging is None:
            show_warning("No variants wait; generate some first, or vary one thing.")
            return
        if self._series is not None and staging.entry in self._series.entries:
            self.show_series(self._series)
            return
        self._series = None
        entry = staging.entry
        labels = [f"Variant {number + 1}" for number in range(staging.count)]
        self._open(labels, [_Choice(entry, number) for number in range(staging.count)])

    def show_series(self, series: Series) -> None:
        """Show drawings in which one thing varies."""
        self._series = series
        self._open(list(series.labels), [_Choice(entry, 0) for entry in series.entries])

    def ask(self) -> None:
        """Ask what is to vary, and draw it; the price is said before."""
        dialog = VaryDialog(self._parent, self._controller.price)
        if dialog.exec() == QDialog.DialogCode.Accepted:
            try:
                self._controller.vary(dialog.variation())
            except HistodiffError as error:
                show_warning(str(error))

    def close(self, *_: object) -> None:
        """Close the window, if it is open."""
        window, self.window, self.grid = self.window, None, None
        if window is not None:
            window.hide()  # to close a dialog is to reject it
            window.deleteLater()

    # ---------------------------------------------------------------- plumbing
    def _open(self, labels: list[str], choices: list[_Choice]) -> None:
        self.close()
        models = {choice.entry.request.model_name for choice in choices}
        if len(models) > 1:
            named = zip(labels, choices, strict=True)
            labels = [f"{label}, {choice.entry.request.model_name}" for label, choice in named]
        images = [choice.entry.images[choice.index] for choice in choices]
        items = [GridItem(*pair) for pair in zip(labels, images, strict=True)]
        before = self._before(choices[0].entry)
        if before is not None:
            items.insert(0, before)
        self._choices = [*([None] if before is not None else []), *choices]
        now = self._controller.staged.now
        self._at_first = (now, self._controller.settings_here.guidance_scale)
        self.grid = ImageGrid(tuple(items))
        self.window = _Window(self._parent, self.grid)
        if now is not None:
            self._mark(now)
        self.grid.chosen.connect(self._choose)
        self.grid.kept.connect(self.close)
        self.window.rejected.connect(self._go_back)
        self.window.accepted.connect(self.close)
        self.window.show()
        self.grid.setFocus()

    def _before(self, entry: HistoryEntry) -> GridItem | None:
        """What lies below, when there are pixels."""
        target, region = self._workspace.document.target, entry.request.region
        if entry.request.image is not None:
            return GridItem("Before", entry.request.image, choosable=False)
        try:
            if target.pending(region) or not target.covered(region)[0]:
                return None
            return GridItem("Before", target.read(region), choosable=False)
        except HistodiffError:
            return None

    def _mark(self, staging: Staging) -> None:
        for place, choice in enumerate(self._choices):
            is_it = choice is not None and choice.entry is staging.entry
            if is_it and choice is not None and choice.index == staging.index:
                assert self.grid is not None
                self.grid.choose(place)

    def _choose(self, place: int) -> None:
        choice = self._choices[place]
        if choice is None:
            return
        self._controller.stage(choice.entry, choice.index)
        if self._series is not None and self._series.what is Varied.GUIDANCE:
            self._controller.set(guidance_scale=choice.entry.request.guidance_scale)

    def _go_back(self) -> None:
        """Show again what was in view when the window was opened."""
        staging, guidance = self._at_first
        self.close()
        if staging is not None and self._controller.staged.now is not None:
            self._controller.stage(staging.entry, staging.index)
            self._controller.set(guidance_scale=guidance)

    def _on_staging(self, staging: Staging | None) -> None:
        if staging is None:
            self.close()
        elif self.grid is not None:
            self._mark(staging)


class _Window(QDialog):
    """The grid with what its keys do; Escape goes back."""

    def __init__(self, parent: QWidget, grid: ImageGrid) -> None:
        super().__init__(parent)
        self.setWindowTitle("Side by side")
        self.setWindowFlag(Qt.WindowType.WindowMaximizeButtonHint)
        keep = QDialogButtonBox.StandardButton
        buttons = QDialogButtonBox(keep.Ok | keep.Cancel)
        named: dict[Any, str] = {keep.Ok: "Keep the chosen one", keep.Cancel: "Go back"}
        for which, words in named.items():
            button = buttons.button(which)
            assert button is not None
            button.setText(words)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        hint = note_label()
        hint.setText(_HINT)
        column = QVBoxLayout(self)
        column.addWidget(grid, 1)
        column.addWidget(hint)
        column.addWidget(buttons)
        screen = QApplication.primaryScreen()
        if screen is not None:
            room = screen.availableGeometry()
            self.resize(round(_SHARE * room.width()), round(_SHARE * room.height()))
