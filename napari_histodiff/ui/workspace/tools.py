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
    "lasso": "pan_zoom",
    "fill": "fill",
    "erase": "erase",
    "select": "pan_zoom",
    "stamp": "pan_zoom",
    "scatter": "pan_zoom",
    "frame": "select",
    "pan": "pan_zoom",
}

#: What brush, polygon, fill and erase may paint.
PALETTES: Final = ("nuclei", "tissue", "edit mask")


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


def brush_layer(document: Document) -> Labels:
    """Return the layer of the palette in hand: nuclei, tissue or edit mask."""
    layers = {"tissue": document.tissue.layer, "edit mask": document.edit_mask.layer}
    return layers.get(document.settings.palette, document.nuclei.layer)


def take_tool(name: str, document: Document, viewer: Any) -> None:
    """Select the layer a tool works on and put it into the tool's mode; it is the settings'."""
    layer = document.frame.layer if name == "frame" else brush_layer(document)
    viewer.layers.selection.active = layer
    layer.visible = True
    if layer is document.edit_mask.layer and name != "pan":
        document.edit_mask.show_filled()
    layer.mode = TOOLS[name]
    document.tools.take_over(layer if name != "frame" else None)
    if name == "frame":
        layer.selected_data = {0}
    document.anchors.tell(layer, name)
