"""The tools by name, and taking one in hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from napari_histodiff.core.errors import InvalidRequest

if TYPE_CHECKING:
    from napari_histodiff.ui.place import Place

__all__ = ["TOOLS", "check_tool", "take_tool"]

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


def check_tool(name: str) -> None:
    """Refuse a name that is no tool.

    Raises
    ------
    InvalidRequest
        When there is no such tool.
    """
    if name not in TOOLS:
        raise InvalidRequest(f"expected a tool of {', '.join(TOOLS)}, got {name!r}; use one")


def take_tool(name: str, place: Place, viewer: Any) -> None:
    """Select the layer a tool works on and put it into the tool's mode."""
    mask = place.edit_mask.layer
    on_mask = name == "edit mask" or (name == "erase" and viewer.layers.selection.active is mask)
    layer = place.frame.layer if name == "frame" else mask if on_mask else place.nuclei.layer
    viewer.layers.selection.active = layer
    layer.visible = True
    layer.mode = TOOLS[name]
    if name in ("stamp", "scatter"):
        place.brushes.take_over()
    elif layer is place.nuclei.layer:
        place.brushes.let_go()
    if name == "frame":
        layer.selected_data = {0}
