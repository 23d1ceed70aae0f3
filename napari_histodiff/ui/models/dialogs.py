"""Dialogs about the model that draws: its card, and how a model of other makers takes paint."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Final

from dask.utils import format_bytes
from napari.utils.notifications import show_warning
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QInputDialog,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from napari_histodiff.core.backend import BackendInfo
from napari_histodiff.core.foreign.convention import PRESETS, use_preset
from napari_histodiff.core.foreign.folder import needs_convention
from napari_histodiff.ui.text import count_text

__all__ = ["ask_folder", "ask_masks", "card_html", "show_card"]

_WORDS: Final = {
    "vocabulary": "words of our vocabulary (organ, stain, nuclei, tissue)",
    "text": "free text, read by the model's own text encoder",
    "none": "none: this model takes no caption",
}


def ask_folder(parent: QWidget | None) -> Path | None:
    """Let the user choose the folder of a model; None when they do not, or it is none."""
    folder = QFileDialog.getExistingDirectory(parent, "Folder of a model")
    if not folder:
        return None
    if not (Path(folder) / "model_index.json").is_file():
        show_warning(
            f"Expected a model in {folder}, got none; choose the folder pipeline of a training, or "
            "that of a model of diffusers."
        )
        return None
    return Path(folder)


def ask_masks(parent: QWidget | None, folder: Path) -> bool:
    """Let the user say how a model takes paint where nobody has; False when they do not.

    The answer is written beside the model, so that it is asked once.
    """
    if not needs_convention(folder):
        return True
    name, chosen = QInputDialog.getItem(
        parent,
        "How does this model take paint?",
        "This model draws after a control image, and its folder does not say how paint\n"
        "becomes one. Choose what it was trained with; the answer is kept beside it in\n"
        "histodiff.json, where colours and numbers can be changed.",
        PRESETS,
        0,
        False,
    )
    if chosen:
        use_preset(folder, name)
    return bool(chosen)


def card_html(info: BackendInfo) -> str:
    """Return what a model is, as rich text: a table of two columns."""
    seen = [f"{name} {count:,}" for name, count in info.class_counts.items() if count]
    if info.kind:  # of other makers, who do not say how many
        seen = [name for name, count in info.class_counts.items() if count]
    low, high = (f"{number:g}" for number in info.mpp)
    rows = {
        "Model": info.name,
        "Kind": info.kind or "drawn by this program's own network, in pixels",
        "Licence of the weights": info.licence,
        "Hash of the weights": info.revision,
        "Size of the weights": format_bytes(info.nbytes) if info.nbytes else "",
        "Trained at": f"{low} µm/px" if low == high else f"{low} to {high} µm/px",
        "Nuclei it was told of": ", ".join(seen) if "nuclei" in info.paint else "none",
        "Tissue it was told of": ", ".join(info.tissue_names[1:]) or "none",
        "Captions": _WORDS[info.captions],
        "Meant for": f"{count_text(info.steps, 'step')} at guidance {info.guidance_scale:g}",
        "Sees at once": f"{info.window} × {info.window} px",
        "Runs on": info.device,
    }
    lines = "".join(
        f"<tr><td><b>{name}</b>&nbsp;&nbsp;</td><td>{escape(text)}</td></tr>"
        for name, text in rows.items()
        if text
    )
    return f"<table cellspacing=4>{lines}</table>"


def show_card(parent: QWidget | None, info: BackendInfo) -> QDialog:
    """Show what a model is in a window of its own, which stays while one works."""
    dialog = QDialog(parent)
    dialog.setObjectName("model_card")
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setWindowTitle("About this model")
    text = QLabel(card_html(info))
    text.setWordWrap(True)
    text.setMinimumWidth(520)
    text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
    buttons.rejected.connect(dialog.close)
    layout = QVBoxLayout(dialog)
    layout.addWidget(text)
    layout.addWidget(buttons)
    dialog.show()
    return dialog
