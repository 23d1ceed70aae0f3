"""What is asked before much is drawn, edits are drawn over, or tiles are dropped."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from qtpy.QtWidgets import QFileDialog, QInputDialog, QMessageBox, QPushButton, QWidget

from napari_histodiff.ui.slide.status import SlideCost
from napari_histodiff.ui.text import bytes_text, count_text, duration_text, microns_text

__all__ = ["ask_draw_all", "ask_growth", "ask_overwrite", "ask_place", "ask_redraw", "ask_space"]

_MEGABYTE: Final = 1_000_000


def ask_draw_all(parent: QWidget | None, cost: SlideCost, *, drawn: int, rate: float) -> bool:
    """Ask whether the whole slide shall be drawn.

    Parameters
    ----------
    parent : QWidget, optional
        What the question stands on.
    cost : SlideCost
        Of the whole slide.
    drawn : int
        Tiles that are drawn already.
    rate : float
        Tiles per second lately; 0 when unknown.
    """
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle("Draw the whole slide")
    left = max(0, cost.tiles - drawn)
    time = f", about {duration_text(left / rate)} at the present speed" if rate > 0 else ""
    box.setText(f"{count_text(left, 'tile')} to draw{time}.")
    box.setInformativeText(
        f"The slide then takes at most {bytes_text(cost.largest)} on the disk. You can go on "
        "working meanwhile, pause or stop; what is drawn stays."
    )
    draw = box.addButton("Draw all", QMessageBox.ButtonRole.AcceptRole)
    box.addButton(QMessageBox.StandardButton.Cancel)
    box.setDefaultButton(draw)
    return _pressed(box) is draw


def ask_growth(parent: QWidget | None, microns: float) -> bool:
    """Ask whether the slide shall become larger by so many um: much is drawn then.

    Parameters
    ----------
    parent : QWidget, optional
        What the question stands on.
    microns : float
        How far it grows.
    """
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle("Outpaint the slide")
    box.setText(f"Make the slide {microns_text(microns)} larger?")
    box.setInformativeText(
        "Tissue is drawn there when you look. What is drawn, edited, painted and waiting stays; "
        "Undo makes the slide smaller again."
    )
    grow = box.addButton("Outpaint", QMessageBox.ButtonRole.AcceptRole)
    box.addButton(QMessageBox.StandardButton.Cancel)
    box.setDefaultButton(grow)
    return _pressed(box) is grow


def ask_place(parent: QWidget | None, reason: object) -> Path | None:
    """Ask for a folder for the edits of a scan; None when they are not to be kept.

    Parameters
    ----------
    parent : QWidget, optional
        What the question stands on.
    reason : object
        Its text says why they cannot lie beside the scan.
    """
    QMessageBox.information(parent, "Where shall the edits lie?", f"{reason}.")
    chosen = QFileDialog.getExistingDirectory(parent, "Folder for the edits of this slide")
    return Path(chosen) if chosen else None


def ask_redraw(parent: QWidget | None, edited: int) -> bool:
    """Ask whether a sketch shall be applied though edited tiles lie where it changes."""
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle("Apply sketch")
    verb = "lies" if edited == 1 else "lie"
    box.setText(
        f"{count_text(edited, 'tile')} with edits of yours {verb} where the sketch changed."
    )
    box.setInformativeText("What you changed stays; the tissue around it is drawn anew.")
    apply = box.addButton("Apply", QMessageBox.ButtonRole.AcceptRole)
    cancel = box.addButton(QMessageBox.StandardButton.Cancel)
    box.setDefaultButton(cancel)
    return _pressed(box) is apply


def ask_overwrite(parent: QWidget | None, edited: int, mpp: float) -> bool:
    """Ask whether an edit shall be applied though finer ones, of so many tiles, lie under it.

    Parameters
    ----------
    parent : QWidget, optional
        What the question stands on.
    edited : int
        Tiles that hold finer edits.
    mpp : float
        Micrometres per pixel of the edit.
    """
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle("Apply")
    verb = "lies" if edited == 1 else "lie"
    box.setText(
        f"{count_text(edited, 'tile')} with finer edits of yours {verb} under this edit at "
        f"{mpp:g} µm per pixel."
    )
    box.setInformativeText(
        "It replaces them: the finer tissue there is drawn anew. Undo brings them back."
    )
    apply = box.addButton("Apply", QMessageBox.ButtonRole.AcceptRole)
    cancel = box.addButton(QMessageBox.StandardButton.Cancel)
    box.setDefaultButton(cancel)
    return _pressed(box) is apply


def ask_space(parent: QWidget | None, used: int) -> int | None:
    """Ask how many bytes the slide may keep; None when the user wants to leave it as it is."""
    most = max(1, used // _MEGABYTE)
    chosen, accepted = QInputDialog.getInt(
        parent,
        "Free space",
        f"The slide takes {bytes_text(used)}. Tiles that can be drawn again are dropped,\n"
        "the finest and longest unseen first; edits stay.\n\nKeep at most (MB):",
        most // 2,
        0,
        most,
    )
    return int(chosen) * _MEGABYTE if accepted else None


def _pressed(box: QMessageBox) -> QPushButton | None:
    box.exec()
    pressed: QPushButton | None = box.clickedButton()
    return pressed
