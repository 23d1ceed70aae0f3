"""A layer that lifts nuclei off the tissue: a bright rim around outlines, and what is selected."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import CyclicLabelColormap
from numpy.typing import NDArray
from scipy import ndimage

from napari_histodiff.ui.painting.selection import NucleusSelection
from napari_histodiff.ui.workspace.paint_layers import NucleiLayer
from napari_histodiff.ui.workspace.transforms import put_on

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = ["HIGHLIGHTS_NAME", "Highlights", "rim_of"]

HIGHLIGHTS_NAME: Final = "Highlights"

#: What says where a layer lies.
_PLACE: Final = ("scale", "rotate", "shear", "affine", "units", "translate")

#: Labels of the layer: the rim around an outline, and the two rings around what is selected.
_RIM: Final = 1
_INNER: Final = 2
_OUTER: Final = 3

# White around outlines of any class reads on pink and on violet; a selected nucleus has a black and
# a yellow ring, so that not the colour alone tells it.
_COLOURS: Final = ((0, 0, 0, 0), (1, 1, 1, 0.85), (0, 0, 0, 1), (1, 0.92, 0.1, 1))


class Highlights:
    """Shows rims while nuclei are outlines, and rings around selected ones; no layer otherwise.

    Parameters
    ----------
    nuclei : NucleiLayer
        What is lifted off.
    selection : NucleusSelection
        What is selected.
    add : callable
        Puts a layer right below the nuclei.
    viewer : napari ViewerModel
        Where it is taken away from.
    """

    def __init__(
        self,
        nuclei: NucleiLayer,
        selection: NucleusSelection,
        add: Callable[[Layer], None],
        viewer: Any,
    ) -> None:
        self._nuclei = nuclei
        self._selection = selection
        self._add = add
        self._viewer = viewer
        self._layer: Labels | None = None
        nuclei.changed.connect(self.refresh)
        nuclei.layer.events.contour.connect(self.refresh)
        nuclei.layer.events.visible.connect(self.refresh)
        selection.changed.connect(self.refresh)

    @property
    def layer(self) -> Labels | None:
        """The layer, while there is something to show."""
        return self._layer if self._layer in self._viewer.layers else None

    def refresh(self, *_: object) -> None:
        """Draw rims and rings anew."""
        layer = self._nuclei.layer
        if layer not in self._viewer.layers:
            return
        shown = layer.visible and (layer.contour > 0 or self._selection.picked)
        if not shown:
            if self.layer is not None:
                self.layer.visible = False
            return
        marks = self._marks()
        if self.layer is None:
            self._layer = Labels(
                marks,
                name=HIGHLIGHTS_NAME,
                colormap=CyclicLabelColormap(colors=np.array(_COLOURS, float), background_value=0),
                **_place_of(self._nuclei.layer),
            )
            self._layer.editable = False
            self._add(self._layer)
            return
        assert self._layer is not None
        if self._layer.data.shape != marks.shape:
            self._layer.data = marks
        else:
            self._layer.data[:] = marks
            self._layer.refresh(extent=False, thumbnail=False)
        put_on(self._layer, _place_of(self._nuclei.layer))
        self._layer.visible = True

    def close(self) -> None:
        """Take the layer away."""
        if self.layer is not None:
            self._viewer.layers.remove(self.layer)

    def _marks(self) -> NDArray[np.uint8]:
        labels = self._nuclei.labels
        marks = np.zeros(labels.shape, np.uint8)
        if self._nuclei.layer.contour:
            marks[rim_of(labels)] = _RIM
        for picked in self._selection.picked:
            top, left = max(0, picked.rows.min() - 3), max(0, picked.cols.min() - 3)
            part = slice(top, picked.rows.max() + 4), slice(left, picked.cols.max() + 4)
            mask = np.zeros(marks[part].shape, np.bool_)
            mask[picked.rows - top, picked.cols - left] = True
            near = ndimage.binary_dilation(mask)
            marks[part][ndimage.binary_dilation(near, iterations=2) & ~near] = _OUTER
            marks[part][near & ~mask] = _INNER
        return marks


def _place_of(layer: Labels) -> dict[str, Any]:
    return {name: getattr(layer, name) for name in _PLACE}


def rim_of(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return the pixels of the background that touch a nucleus, (h, w) bool."""
    painted = labels != 0
    rim = np.zeros(painted.shape, np.bool_)
    rim[1:] |= painted[:-1]
    rim[:-1] |= painted[1:]
    rim[:, 1:] |= painted[:, :-1]
    rim[:, :-1] |= painted[:, 1:]
    rim &= ~painted
    return rim
