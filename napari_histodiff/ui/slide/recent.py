"""Where slides are kept and how one is chosen: by its folder, or among those opened lately."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from qtpy.QtWidgets import QDialog, QFileDialog, QMenu, QWidget

from napari_histodiff.files import config_file, data_folder, read_config, write_config
from napari_histodiff.slide.scans.opening import is_slide_folder

__all__ = ["SUFFIX", "RecentMenu", "SlideDialog", "SlidePlaces", "ask_slide"]

#: How the folder of a slide ends.
SUFFIX: Final = ".ome.zarr"

_MOST: Final = 12

_FILTERS: Final = (
    "Slides (*.svs *.ndpi *.mrxs *.scn *.bif *.svslide *.vms *.dcm *.tif *.tiff *.btf *.qptiff "
    "*.zarr *.zip *.png *.jpg *.jpeg)",
    "All files (*)",
)


class SlidePlaces:
    """Remembered in a JSON file of the user's configuration folder.

    Parameters
    ----------
    path : Path, optional
        Another file than the user's own.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or config_file("slides.json")

    @property
    def folder(self) -> Path:
        """The folder a new slide goes into: the last one used, else one of the user's data."""
        kept = self._read().get("folder")
        if isinstance(kept, str) and kept:
            return Path(kept)
        return data_folder("slides")

    def recent(self) -> list[Path]:
        """Return the slides opened lately that are still there, newest first."""
        kept = self._read().get("recent")
        if not isinstance(kept, list):
            return []
        listed = (Path(item) for item in kept if isinstance(item, str))
        return [path for path in listed if path.exists()]

    def add(self, slide: Path) -> None:
        """Remember a slide as the newest."""
        slide = slide.absolute()
        others = [path for path in self.recent() if path != slide]
        self._write(recent=[str(path) for path in (slide, *others)][:_MOST])

    def use_folder(self, folder: Path) -> None:
        """Remember the folder that new slides go into."""
        self._write(folder=str(folder.absolute()))

    def free_name(self, folder: Path) -> str:
        """Return a name, without the ending, that no slide in a folder has."""
        number = 1
        while (folder / f"slide-{number}{SUFFIX}").exists():
            number += 1
        return f"slide-{number}"

    def _read(self) -> dict[str, object]:
        return read_config(self._path)

    def _write(self, **values: object) -> None:
        write_config(self._path, {**self._read(), **values})


class SlideDialog(QFileDialog):
    """Chooses a slide, be it a file or a folder.

    Parameters
    ----------
    parent : QWidget, optional
        What it stands on.
    folder : Path
        Where to begin.
    """

    def __init__(self, parent: QWidget | None, folder: Path) -> None:
        super().__init__(parent, "Open slide", str(folder), ";;".join(_FILTERS))
        self.setOption(QFileDialog.Option.DontUseNativeDialog)  # which takes files or folders only
        self.setFileMode(QFileDialog.FileMode.ExistingFile)

    def accept(self) -> None:
        """Take a folder that is a slide; of others show what is in them."""
        chosen = [Path(name) for name in self.selectedFiles()]
        if len(chosen) == 1 and chosen[0].is_dir() and is_slide_folder(chosen[0]):
            self.done(QDialog.DialogCode.Accepted)
        else:
            super().accept()


def ask_slide(parent: QWidget | None, places: SlidePlaces) -> Path | None:
    """Let the user choose a slide or a scan; None when nothing was chosen."""
    latest = next(iter(places.recent()), places.folder / "slide")
    dialog = SlideDialog(parent, latest.parent)
    try:
        if dialog.exec() != QDialog.DialogCode.Accepted:
            return None
        return Path(dialog.selectedFiles()[0])
    finally:
        dialog.deleteLater()


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
