"""The commands that paint: palettes, classes, tissue and tools."""

from __future__ import annotations

from functools import partial
from typing import Final

from napari_histodiff.ui.colormaps import PALETTE, TISSUE_PALETTE
from napari_histodiff.ui.command import Command, Studio

__all__ = ["PAINT_COMMANDS", "TOOLS"]

#: Name of a tool of the workspace, key, what it does.
TOOLS: Final = (
    ("brush", "P", "Paint freely; each stroke over nuclei is one nucleus"),
    ("polygon", "G", "Outline one nucleus or area; Enter or double-click closes it"),
    ("lasso", "L", "Drag around one nucleus or area; releasing the mouse fills it"),
    ("stamp", "S", "Click places one nucleus of natural size and shape"),
    ("scatter", "D", "Drag fills an area with nuclei at the density below"),
    ("erase", "E", "Click deletes a nucleus, dragging erases nuclei, tissue or edit mask"),
    ("select", "V", "Select nuclei to move, resize, delete or give another class"),
    ("fill", "F", "Give a whole nucleus another class, or fill an area"),
    ("frame", "R", "Move and resize the frame with the mouse"),
    ("pan", "Z", "Move the view; hold Space for the same with any tool"),
)


def _tool(name: str, dock: Studio) -> None:
    dock.paint.select_tool(name)


def _nucleus_class(class_id: int, dock: Studio) -> None:
    dock.paint.select_class(class_id)


def _tissue(tissue_id: int, dock: Studio) -> None:
    dock.paint.select_tissue(tissue_id)


PAINT_COMMANDS: Final = (
    Command(
        "import_labels",
        "Import labels",
        lambda d: d.actions.ask_import(),
        "Shift-M",
        "Take a Labels layer as nuclei",
    ),
    Command(
        "outlines",
        "Paint as outlines",
        lambda d: d.actions.toggle_outlines(),
        "Shift-O",
        "Paint as outlines or filled",
    ),
    Command(
        "fill_area",
        "Fill the area with nuclei",
        lambda d: d.actions.fill_area(),
        tip="Fill the edit mask, or the frame, with nuclei; tissue painted there says which",
    ),
    Command(
        "brush_smaller",
        "Smaller brush",
        lambda d: d.paint.step_brush(-1),
        "[",
        "Make brush, eraser or scatter narrower",
    ),
    Command(
        "brush_larger",
        "Larger brush",
        lambda d: d.paint.step_brush(1),
        "]",
        "Make brush, eraser or scatter wider",
    ),
    Command(
        "next_nucleus",
        "Select the next nucleus",
        lambda d: d.actions.step_nucleus(1),
        ".",
        "Select the next nucleus in the frame, as one reads",
    ),
    Command(
        "previous_nucleus",
        "Select the previous nucleus",
        lambda d: d.actions.step_nucleus(-1),
        ",",
        "Select the previous nucleus in the frame",
    ),
    Command(
        "delete_nuclei",
        "Delete the selected nuclei",
        lambda d: d.actions.edit_nuclei(lambda chosen: chosen.delete()),
        "Delete",
        "Remove the nuclei selected with the tool Select",
    ),
    Command(
        "larger_nuclei",
        "Make the selected nuclei larger",
        lambda d: d.actions.edit_nuclei(lambda chosen: chosen.resize(1)),
        "Shift-Up",
        "Add a pixel all around the selected nuclei",
    ),
    Command(
        "smaller_nuclei",
        "Make the selected nuclei smaller",
        lambda d: d.actions.edit_nuclei(lambda chosen: chosen.resize(-1)),
        "Shift-Down",
        "Take a pixel off the selected nuclei all around",
    ),
    Command(
        "clear_painting",
        "Clear painting",
        lambda d: d.actions.clear_painting(),
        "Shift-X",
        "Remove all paint in the frame: nuclei, tissue and edit mask",
    ),
    Command(
        "import_tissue",
        "Import tissue",
        lambda d: d.actions.ask_import_tissue(),
        tip="Take a Labels layer, a PNG or annotations of QuPath (GeoJSON) as tissue",
    ),
    Command(
        "suggest",
        "Suggest what is not painted",
        lambda d: d.controller.suggest(),
        "Shift-V",
        "Put tissue that fits the nuclei into the frame, and nuclei that fit tissue; again: others",
    ),
    Command(
        "change_paint",
        "Change the paint in words",
        lambda d: d.layouts.change(),
        tip="Change nuclei and tissue of the frame as the line says, by rules; draws nothing",
    ),
    Command(
        "invent",
        "Invent a layout",
        lambda d: d.layouts.invent(),
        tip="Make up tissue and nuclei for the frame, as the caption says or like what is painted",
    ),
    Command("cancel_layout", "Stop inventing", lambda d: d.layouts.cancel()),
    Command(
        "take_back_layout",
        "Take back the change or invention",
        lambda d: d.layouts.take_back(),
        tip="Bring back what was painted before, nuclei and tissue in one step",
    ),
    Command(
        "palette_nuclei",
        "Paint nuclei",
        lambda d: d.paint.select_palette("nuclei"),
        "N",
        "Paint nuclei: brush, polygon, fill and erase work on the layer Nuclei",
    ),
    Command(
        "palette_tissue",
        "Paint tissue",
        lambda d: d.paint.select_palette("tissue"),
        "T",
        "Paint what lies between nuclei: the tools work on the layer Tissue",
    ),
    Command(
        "palette_edit_mask",
        "Paint the edit mask",
        lambda d: d.paint.select_palette("edit mask"),
        "K",
        "Paint where pixels may change: the tools work on the layer Edit mask",
    ),
    *(
        Command(
            f"class_{entry.id}",
            f"Paint {entry.name} nuclei",
            partial(_nucleus_class, entry.id),
            entry.key,
            palette="nuclei",
        )
        for entry in PALETTE
    ),
    *(
        Command(
            f"tissue_{entry.id}",
            f"Paint {entry.name}",
            partial(_tissue, entry.id),
            entry.key,
            palette="tissue",
        )
        for entry in TISSUE_PALETTE
    ),
    *(
        Command(f"tool_{name.replace(' ', '_')}", f"Tool: {name}", partial(_tool, name), key, tip)
        for name, key, tip in TOOLS
    ),
)
