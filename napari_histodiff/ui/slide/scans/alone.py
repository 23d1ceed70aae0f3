"""Edits opened without their scan: which scan they need, or a look at the edited places only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.layers import Image
from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from napari_histodiff.slide.lazy_levels import pyramid
from napari_histodiff.slide.overlays.overlay import ScanOverlay
from napari_histodiff.slide.overlays.recipe import SUFFIX, read_scan_recipe

__all__ = ["EditsAlone", "ask_scan"]


def ask_scan(parent: QWidget | None, edits: Path) -> Path | bool:
    """Ask for the scan that edits were made on.

    Parameters
    ----------
    parent : QWidget, optional
        What the question stands on.
    edits : Path
        Their folder.

    Returns
    -------
    Path or bool
        The file that was chosen; True = the edited places alone shall be shown; False = neither.

    Raises
    ------
    StorageError
        When the folder holds no edits of a scan, or is damaged.
    """
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle("Edits without their scan")
    box.setText(f"These edits were made on {read_scan_recipe(edits).describe()}.")
    box.setInformativeText(
        "It does not lie beside them. Choose it, wherever it is and whatever it is called now, to "
        "see all of it and go on; or look at the edited places only."
    )
    choose = box.addButton("Choose the scan…", QMessageBox.ButtonRole.AcceptRole)
    alone = box.addButton("Edited places only", QMessageBox.ButtonRole.ActionRole)
    box.addButton(QMessageBox.StandardButton.Cancel)
    box.setDefaultButton(choose)
    box.exec()
    pressed = box.clickedButton()
    if pressed is alone:
        return True
    if pressed is not choose:
        return False
    name, _ = QFileDialog.getOpenFileName(parent, "The scan of these edits", str(edits.parent))
    return Path(name) if name else False


class EditsAlone:
    """Shows the edited tiles of a scan that is not at hand, until the layer is removed.

    Parameters
    ----------
    viewer : napari ViewerModel
        Where the layer is added.
    edits : Path
        Their folder.

    Raises
    ------
    StorageError
        When the folder holds no edits of a scan, or is damaged.
    """

    def __init__(self, viewer: Any, edits: Path) -> None:
        self.overlay = ScanOverlay.open(edits)
        self._viewer = viewer
        self.layer = Image(
            pyramid(self.overlay),
            multiscale=True,
            rgb=True,
            name=f"{edits.name.removesuffix(SUFFIX)} (edited places)",
            scale=(self.overlay.spec.mpp,) * 2,
            units=("um", "um"),
        )
        viewer.add_layer(self.layer)
        viewer.layers.events.removed.connect(self._on_removed)

    def close(self) -> None:
        """Let go of the edits; idempotent."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self.overlay.close()

    def _on_removed(self, event: Any) -> None:
        if event.value is self.layer:
            self.close()
