"""All tools of one document that are not napari's own, and what shows their work."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_histodiff.ui.painting.highlights import Highlights
from napari_histodiff.ui.painting.selection import NucleusSelection
from napari_histodiff.ui.painting.strokes import (
    Eraser,
    Lasso,
    hold_still,
    let_go,
    pan_while_held,
)
from napari_histodiff.ui.workspace.brushes import Brushes
from napari_histodiff.ui.workspace.paint_layers import EditMaskLayer, NucleiLayer, PaintSettings
from napari_histodiff.ui.workspace.tissue_layer import TissueLayer

if TYPE_CHECKING:
    from napari.layers import Labels, Layer

__all__ = ["OWN_TOOLS", "PaintTools"]

#: Tools that work in napari's pan mode, with their cursors.
OWN_TOOLS: Final = {
    "stamp": "cross",
    "scatter": "circle",
    "lasso": "cross",
    "select": "standard",
}


class PaintTools:
    """Stamp and scatter, eraser, lasso and selection on the layers of a document.

    Parameters
    ----------
    nuclei, tissue, edit_mask
        What is painted on.
    settings : PaintSettings
        What is in the user's hand.
    mpp : float
        Micrometres per pixel.
    rng : numpy.random.Generator
        Source of places and shapes.
    viewer : napari ViewerModel
        In whose world the mouse moves.
    add : callable
        Puts a layer right below the nuclei.
    """

    def __init__(
        self,
        nuclei: NucleiLayer,
        tissue: TissueLayer,
        edit_mask: EditMaskLayer,
        settings: PaintSettings,
        mpp: float,
        rng: np.random.Generator,
        viewer: Any,
        add: Callable[[Layer], None],
    ) -> None:
        self._settings = settings
        self._mpp = mpp
        self._layers = (nuclei.layer, tissue.layer, edit_mask.layer)
        self.brushes = Brushes(nuclei, tissue, settings, mpp, rng, viewer)
        self.selection = NucleusSelection(nuclei, settings, viewer)
        self.highlights = Highlights(nuclei, self.selection, add, viewer)
        Eraser(nuclei, viewer)
        Lasso(nuclei, self._layers[1:], settings, viewer)
        for layer in self._layers:
            layer.bind_key("Space", pan_while_held, overwrite=True)

    def use_mpp(self, mpp: float) -> None:
        """Draw on pixels of another size from now on, in micrometres."""
        self._mpp = mpp
        self.brushes.use_mpp(mpp)
        for layer in self._layers:
            if layer.mode == "pan_zoom" and not layer.mouse_pan:
                self.take_over(layer)
        self.highlights.refresh()

    def take_over(self, layer: Labels | None) -> None:
        """Have the tool in hand work on a layer; None = on no paint."""
        tool = self._settings.tool
        if tool != "select":
            self.selection.clear()
        if layer is None:
            return
        if tool in OWN_TOOLS:
            reach = 2 * self._settings.radius_um / self._mpp if tool == "scatter" else 1.0
            hold_still(layer, OWN_TOOLS[tool], reach)
        else:
            let_go(layer)
