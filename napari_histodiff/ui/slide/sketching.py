"""Painting the sketch of a slide: one small Labels layer over the whole of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.layout.sketch import Sketch
from napari_histodiff.slide.store import SlideStore
from napari_histodiff.ui.colormaps import tissue_colormap
from napari_histodiff.ui.workspace.transforms import place_on

__all__ = ["SKETCH_NAME", "SketchEditor"]

SKETCH_NAME: Final = "Tissue sketch"

#: Pixels that a sketch pixel has at least, of the finest level the slide was made with, and sketch
#: pixels a side at most.
_PIXEL: Final = 64
_MOST: Final = 2048


class SketchEditor:
    """Lays the sketch open for painting and brings it back to the slide.

    Parameters
    ----------
    viewer : napari ViewerModel
        Where the layer is added.
    slide : napari Image
        Shows the slide.
    store : SlideStore
        Whose sketch is meant.
    """

    def __init__(self, viewer: Any, slide: Image, store: SlideStore) -> None:
        self._viewer = viewer
        self._slide = slide
        self._store = store
        self._layer: Labels | None = None

    @property
    def layer(self) -> Labels | None:
        """The layer, or None while the sketch is not open."""
        return self._layer if self._layer in self._viewer.layers else None

    def open(self) -> Labels:
        """Add the layer with the present sketch, or bring forward the one that is open."""
        layer = self.layer
        if layer is None:
            pixel = _pixel_of(self._store)
            placing = place_on(self._slide, (pixel - 1) / 2, (pixel - 1) / 2)
            layer = self._layer = Labels(
                self._present(pixel),
                name=SKETCH_NAME,
                colormap=tissue_colormap(),
                opacity=0.45,
                **placing | {"scale": np.asarray(self._slide.scale) * pixel},
            )
            layer.brush_size = 6
            self._viewer.add_layer(layer)
        self._viewer.layers.selection.active = layer
        layer.selected_label = layer.selected_label or 1
        layer.mode = "paint"
        return layer

    def edited(self) -> list[TileAddress]:
        """Return the edited tiles that lie where the open sketch differs from the slide's.

        Of an edit, whose means are in coarser tiles too, only the finest tiles are named.

        Raises
        ------
        InvalidRequest
            When no sketch is open, or it holds a number that is no tissue.
        """
        classes, pixel = self._painted(), _pixel_of(self._store)
        differs = classes != self._present(pixel)
        above = self._store.recipe.coarsest + 1
        found: dict[TileAddress, None] = {}
        for region in _boxes(differs, pixel):
            inside = region.pad(pixel).intersect(self._store.spec.bounds(0))
            if not inside.is_empty:
                found.update(dict.fromkeys(self._store.edited_under(inside.at_level(above))))
        finest = min((tile.level for tile in found), default=0)
        return [tile for tile in found if tile.level == finest]

    def apply(self) -> list[Region]:
        """Make what is painted the slide's sketch and return what is to be drawn anew.

        Raises
        ------
        InvalidRequest
            As `edited`.
        StorageError
            When it cannot be stored.
        """
        classes, pixel = self._painted(), _pixel_of(self._store)
        return self._store.set_sketch(Sketch(classes, pixel, self._store.recipe.origin))

    def close(self) -> None:
        """Remove the layer; what is not applied is lost. Idempotent."""
        layer, self._layer = self.layer, None
        if layer is not None:
            self._viewer.layers.remove(layer)

    def _painted(self) -> NDArray[np.uint8]:
        layer = self.layer
        if layer is None:
            raise InvalidRequest(
                "expected an open sketch, got none; press Edit sketch and paint first"
            )
        top = int(layer.data.max(initial=0))
        if top >= len(TISSUE_NAMES):
            names = ", ".join(f"{n} {name}" for n, name in enumerate(TISSUE_NAMES) if n)
            raise InvalidRequest(
                f"expected a sketch of {names} and 0 for the procedure, got label {top}; "
                "paint over it with one of those"
            )
        return np.asarray(layer.data, np.uint8)

    def _present(self, pixel: int) -> NDArray[np.uint8]:
        """Return the slide's sketch on this editor's grid, by the middle of each of its pixels."""
        spec, sketch = self._store.spec, self._store.sketch
        shape = tuple(-(-side // pixel) for side in (spec.height, spec.width))
        if sketch is None:
            return np.zeros(shape, np.uint8)
        y, x = self._store.recipe.origin
        rows = np.arange(shape[0])[:, None] * pixel + pixel // 2 + y
        cols = np.arange(shape[1])[None, :] * pixel + pixel // 2 + x
        return sketch.at(rows, cols)


def _pixel_of(store: SlideStore) -> int:
    # The same place whatever finer levels were added: other pixels would lay the slide out anew.
    refined = store.recipe.refined
    longest = max(store.spec.height, store.spec.width) >> refined
    return max(_PIXEL, -(-longest // _MOST)) << refined


def _boxes(differs: NDArray[np.bool_], pixel: int) -> Iterator[Region]:
    """Yield runs of rows that differ, each as one rectangle in pixels of level 0."""
    rows = np.flatnonzero(differs.any(axis=1))
    if not rows.size:
        return
    for run in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1):
        strip = Region(0, int(run[0]), 0, len(run), differs.shape[1])
        yield Region.of_mask(differs[run], strip).enlarged(pixel)
