"""The "Preview" layer: what an edit would put on the slide, before it is there."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.placing import place_region

__all__ = ["PREVIEW_NAME", "PreviewLayer"]

PREVIEW_NAME: Final = "Preview"


class PreviewLayer:
    """Shows and hides one RGB layer over the frame.

    Parameters
    ----------
    viewer : napari ViewerModel
        Where the layer is added, above all others.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._layer: Any = None
        self._place: tuple[object, ...] = ()

    @property
    def layer(self) -> Any:
        """The layer, or None while nothing is shown."""
        return self._layer if self._layer in self._viewer.layers else None

    def show(self, target: Any, region: Region, image: NDArray[np.uint8]) -> None:
        """Put `image`, (h, w, 3) uint8, over `region`, of any level, of the `target` layer."""
        place = (id(target), region, image.shape)
        layer = self.layer
        if layer is not None and place == self._place:
            # In place, without thumbnail and extent: a few of these come every second.
            np.copyto(layer.data, image)
            layer.refresh(thumbnail=False, highlight=False, extent=False)
            return
        self.hide()
        selected = set(self._viewer.layers.selection)
        self._layer = self._viewer.add_image(
            np.array(image),
            name=PREVIEW_NAME,
            rgb=True,
            **place_region(target, region),
        )
        self._place = place
        # A new layer takes the selection; the user keeps painting on theirs.
        self._viewer.layers.selection = selected

    def hide(self) -> None:
        """Remove the layer, if it is there."""
        layer = self.layer
        self._layer = None
        if layer is not None:
            selected = set(self._viewer.layers.selection) - {layer}
            self._viewer.layers.remove(layer)
            self._viewer.layers.selection = selected

    def toggle(self) -> None:
        """Show what is below for a look, or the preview again."""
        if self.layer is not None:
            self.layer.visible = not self.layer.visible
