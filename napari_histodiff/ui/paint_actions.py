"""What keys and buttons take in hand: for the frame's paint, or for an open sketch of a slide."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_histodiff.ui.actions import StudioActions
    from napari_histodiff.ui.slide.sketch_box import SketchHand
    from napari_histodiff.ui.workspace.paint_layers import PaintSettings

__all__ = ["PaintActions"]


class PaintActions:
    """Tools and tissue work on the sketch while its layer is the selected one.

    Parameters
    ----------
    actions : StudioActions
        Take things in hand for the paint in the frame.
    sketch : SketchHand
        The open sketch, if any.
    settings : PaintSettings
        What is in the user's hand.
    """

    def __init__(self, actions: StudioActions, sketch: SketchHand, settings: PaintSettings) -> None:
        self._actions = actions
        self._sketch = sketch
        self._settings = settings

    def select_tool(self, name: str) -> None:
        """Take a tool in hand."""
        with self._sketch.along():
            self._actions.select_tool(name)

    def select_tissue(self, tissue_id: int) -> None:
        """Paint a tissue."""
        with self._sketch.along(tissue_id):
            self._actions.select_tissue(tissue_id)

    def select_class(self, class_id: int) -> None:
        """Paint nuclei of a class, in the frame."""
        self._leave_sketch()
        self._actions.select_class(class_id)

    def select_palette(self, name: str) -> None:
        """Paint one of the palettes, in the frame."""
        self._leave_sketch()
        self._actions.select_palette(name)

    def step_brush(self, by: int) -> None:
        """Make the brush in hand wider, or narrower for -1."""
        if not self._sketch.step_brush(by):
            self._actions.step_brush(by)

    def _leave_sketch(self) -> None:
        # The palette may be the one in hand already: then nothing else would select its layer.
        if self._sketch.is_in_hand:
            self._actions.select_tool(self._settings.tool)
