"""What an empty dock says: where to begin, and where one stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtWidgets import QFrame, QLabel, QToolButton, QVBoxLayout

from napari_histodiff.ui.bindings import command_button
from napari_histodiff.ui.widgets.forms import row

if TYPE_CHECKING:
    from napari_histodiff.ui.project.folder import SavedProject

__all__ = ["Welcome"]

_TEXT: Final = (
    "<b>Draw H&amp;E tissue.</b> Start on an empty canvas, open a slide or an image, or look at a "
    "sample first: nuclei are painted there already, press <i>Generate</i>."
)


class Welcome(QFrame):
    """Shown while no image is worked on; its buttons run commands."""

    def __init__(self) -> None:
        super().__init__()
        text = QLabel(_TEXT)
        text.setWordWrap(True)
        self.canvas = _button("new_canvas", "New canvas…")
        self.open = _button("open_slide", "Open slide or image…")
        self.use = _button("use_image", "Use image")
        self.sample = _button("sample_canvas", "Sample")
        self.slide = _button("sample_slide", "Sample slide")
        self.resume = _button("resume", "Go on where you stopped")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 6)
        layout.setSpacing(4)
        layout.addWidget(text)
        layout.addWidget(self.resume)
        layout.addLayout(row(self.canvas, self.open))
        layout.addLayout(row(self.use, self.sample, self.slide))
        self.set_offer(None)

    def set_offer(self, project: SavedProject | None) -> None:
        """Offer to go on with an earlier session; None = there is none."""
        self.resume.setVisible(project is not None)
        if project is not None:
            self.resume.setText(f"Go on where you stopped: {project.title}")


def _button(command_id: str, text: str) -> QToolButton:
    made = command_button(command_id, text)
    made.setObjectName(f"welcome_{command_id}")  # the command has a button of its own
    return made
