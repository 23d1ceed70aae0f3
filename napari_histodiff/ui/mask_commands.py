"""The commands that change the edit mask as a whole."""

from __future__ import annotations

from functools import partial
from typing import Final

from napari_histodiff.ui.colormaps import PALETTE
from napari_histodiff.ui.command import Command, Studio

__all__ = ["MASK_COMMANDS"]


def _nuclei_of(class_id: int, dock: Studio) -> None:
    dock.masks.add_nuclei(class_id)


MASK_COMMANDS: Final = (
    Command(
        "mask_invert",
        "Invert the edit mask",
        lambda d: d.masks.invert(),
        "I",
        "Let pixels change where they may not, and the other way round",
        palette="edit mask",
    ),
    Command(
        "mask_grow",
        "Grow the edit mask",
        lambda d: d.masks.grow(),
        "Alt-Up",
        "Push the edge of the mask out by the step below",
    ),
    Command(
        "mask_shrink",
        "Shrink the edit mask",
        lambda d: d.masks.shrink(),
        "Alt-Down",
        "Pull the edge of the mask in by the step below",
    ),
    Command(
        "mask_whole",
        "Edit mask: the whole frame",
        lambda d: d.masks.whole(),
        "A",
        "Let every pixel of the frame change",
        palette="edit mask",
    ),
    Command(
        "mask_clear",
        "Clear the edit mask",
        lambda d: d.masks.clear(),
        "X",
        "Let no pixel change; nuclei and tissue stay",
        palette="edit mask",
    ),
    Command(
        "mask_selection",
        "Edit mask: add the selected shapes",
        lambda d: d.masks.add_selection(),
        "U",
        "Add the shapes selected on a Shapes layer, or a selected Labels layer",
        palette="edit mask",
    ),
    Command(
        "mask_pen_marks",
        "Edit mask: add pen marks",
        lambda d: d.masks.add_pen_marks(),
        tip="Add what looks like green, blue or red ink, to look through before it is redrawn",
    ),
    Command(
        "mask_artefact",
        "Edit mask: grow the stroke to the fold, tear or bubble",
        lambda d: d.masks.grow_to_artefact(),
        "Y",
        "Draw a line over a fold or tear, or around a bubble, with the brush, then press this: "
        "the mask grows as far as it goes, to look through before it is redrawn",
        palette="edit mask",
    ),
    Command(
        "recipe_replace",
        "Recipe: replace by painted nuclei",
        lambda d: d.recipes.replace_by_painted(),
        tip="What is outlined, or else the place of the painted nuclei, becomes the edit mask, "
        "whole nuclei with it: a lesion gives way to what you paint",
    ),
    Command(
        "recipe_same_layout",
        "Recipe: same layout, new tissue",
        lambda d: d.recipes.same_layout(),
        tip="Nuclei and tissue under the frame are found and painted; the mask, or else the whole "
        "frame, is then drawn anew after them",
    ),
    Command(
        "mask_these_nuclei",
        "Edit mask: the nuclei it touches",
        lambda d: d.masks.these_nuclei(),
        "W",
        "Dab on nuclei with the brush, then press this: the mask becomes those nuclei",
        palette="edit mask",
    ),
    Command(
        "mask_all_nuclei",
        "Edit mask: add all nuclei",
        lambda d: d.masks.add_nuclei(),
        "0",
        palette="edit mask",
    ),
    *(
        Command(
            f"mask_class_{entry.id}",
            f"Edit mask: add all {entry.name} nuclei",
            partial(_nuclei_of, entry.id),
            entry.key,
            palette="edit mask",
        )
        for entry in PALETTE
    ),
)
