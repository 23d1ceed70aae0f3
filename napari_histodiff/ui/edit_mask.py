"""The Edit mask layer: where pixels may change."""

from __future__ import annotations

from typing import Final

import numpy as np
from napari.layers import Labels, Layer
from numpy.typing import NDArray
from psygnal import Signal

from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.palette import edit_mask_colormap
from napari_histodiff.ui.placing import place_region

__all__ = ["EDIT_MASK_NAME", "EditMask"]

EDIT_MASK_NAME: Final = "Edit mask"

#: Of the brush at the finest level, in pixels.
_BRUSH: Final = 40


class EditMask:
    """A Labels layer of 0 and 1 over the frame, painted with napari's own tools.

    Parameters
    ----------
    target : Layer
        The image below.
    region : Region
        The frame, in pixels of its level of the image.
    painted : (h, w) uint8
        What is painted there already.
    """

    changed = Signal()

    def __init__(self, target: Layer, region: Region, painted: NDArray[np.uint8]) -> None:
        self.layer = Labels(
            painted,
            name=EDIT_MASK_NAME,
            colormap=edit_mask_colormap(),
            opacity=0.35,
            **place_region(target, region),
        )
        self.layer.brush_size = max(1, _BRUSH >> region.level)
        self.layer.selected_label = 1
        self.layer.events.paint.connect(lambda _: self.changed.emit())
        self.layer.events.set_data.connect(lambda _: self.changed.emit())

    @property
    def mask(self) -> NDArray[np.bool_]:
        """A copy of the painted pixels, (h, w) bool."""
        painted: NDArray[np.bool_] = np.asarray(self.layer.data) != 0
        return painted
