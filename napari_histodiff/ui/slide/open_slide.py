"""Choosing a slide that is on the disk: by its folder, or among those opened lately."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QMenu, QWidget

from napari_histodiff.ui.slide.recent import SUFFIX, SlidePlaces

__all__ = ["RecentMenu", "ask_slide"]


def ask_slide(parent: QWidget | None, places: SlidePlaces) -> Path | None:
    """Let the user choose the folder of a slide; None when nothing was chosen."""
    latest = next(iter(places.recent()), places.folder / "slide")
    chosen = QFileDialog.getExistingDirectory(
        parent, f"Folder of a slide (it ends in {SUFFIX})", str(latest.parent)
    )
    return Path(chosen) if chosen else None


class RecentMenu(QMenu):
    """The slides opened lately that are still there, newest first.

    Parameters
    ----------
    parent : QWidget
        What it belongs to.
    places : SlidePlaces
        Where they are remembered.
    opened : callable
        Called with the path of the slide that was chosen.
    """

    def __init__(
        self, parent: QWidget, places: SlidePlaces, opened: Callable[[Path], object]
    ) -> None:
        super().__init__(parent)
        self._places = places
        self._opened = opened
        self.setToolTipsVisible(True)
        self.aboutToShow.connect(self.fill)

    def fill(self) -> None:
        """Look anew at what is there."""
        self.clear()
        for path in self._places.recent():
            action = self.addAction(path.name.removesuffix(SUFFIX).replace("&", "&&"))
            action.setToolTip(str(path))
            action.triggered.connect(lambda _=False, chosen=path: self._opened(chosen))
        if self.isEmpty():
            self.addAction("No slide was opened yet").setEnabled(False)
