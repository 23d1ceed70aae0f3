"""The tool in the user's hand: which layer it works on, and in which of napari's modes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from napari_histodiff.core.errors import InvalidRequest

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_histodiff.ui.workspace.document import Document

__all__ = ["PALETTES", "TOOLS", "brush_layer", "check_palette", "check_tool", "take_tool"]

#: Tools by name, with napari's mode of the layer they work on.
TOOLS: Final = {
    "brush": "paint",
    "polygon": "polygon",
    "fill": "fill",
    "erase": "erase",
    "stamp": "pan_zoom",
    "scatter": "pan_zoom",
    "edit mask": "paint",
    "frame": "select",
    "pan": "pan_zoom",
}

#: What brush, polygon, fill and erase may paint.
PALETTES: Final = ("nuclei", "tissue")


def check_tool(name: str) -> None:
    """Refuse a name that is no tool.

    Raises
    ------
    InvalidRequest
        When there is no such tool.
    """
    if name not in TOOLS:
        raise InvalidRequest(f"expected a tool of {', '.join(TOOLS)}, got {name!r}; use one")


def check_palette(name: str) -> None:
    """Refuse a name that is no palette.

    Raises
    ------
    InvalidRequest
        When there is no such palette.
    """
    if name not in PALETTES:
        raise InvalidRequest(f"expected a palette of {', '.join(PALETTES)}, got {name!r}; use one")


def brush_layer(document: Document, viewer: Any) -> Labels:
    """Return the layer whose brush is in hand: nuclei or tissue, or the edit mask."""
    settings, mask = document.settings, document.edit_mask.layer
    on_mask = settings.tool == "edit mask"
    on_mask |= settings.tool == "erase" and viewer.layers.selection.active is mask
    if on_mask:
        return mask
    of_tissue = settings.palette == "tissue"
    return document.tissue.layer if of_tissue else document.nuclei.layer


def take_tool(name: str, document: Document, viewer: Any) -> None:
    """Select the layer a tool works on and put it into the tool's mode; it is the settings'."""
    layer = document.frame.layer if name == "frame" else brush_layer(document, viewer)
    viewer.layers.selection.active = layer
    layer.visible = True
    layer.mode = TOOLS[name]
    if name in ("stamp", "scatter"):
        document.brushes.take_over()
    elif layer is document.nuclei.layer:
        document.brushes.let_go()
    if name == "frame":
        layer.selected_data = {0}
