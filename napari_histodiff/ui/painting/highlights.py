"""A layer that lifts nuclei off the tissue: a bright rim around outlines, and what is selected."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import CyclicLabelColormap
from numpy.typing import NDArray
from scipy import ndimage

from napari_histodiff.ui.painting.selection import NucleusSelection
from napari_histodiff.ui.text import SHOWN
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

#: Pixels from which on it is quicker to hand napari the whole picture, and lighter to remember.
_MANY: Final = 50_000

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
        # What the marks were drawn for: labels, whether with rims, and where rings are.
        self._seen = np.empty((0, 0), np.int32)
        self._with_rims = False
        self._rings: list[_Box] = []
        nuclei.changed.connect(self.refresh)
        nuclei.layer.events.contour.connect(self.refresh)
        nuclei.layer.events.visible.connect(self.refresh)
        selection.changed.connect(self.refresh)

    @property
    def layer(self) -> Labels | None:
        """The layer, while there is something to show."""
        return self._layer if self._layer in self._viewer.layers else None

    def refresh(self, *_: object) -> None:
        """Draw rims and rings anew where they changed."""
        layer = self._nuclei.layer
        if layer not in self._viewer.layers:
            return
        shown = layer.visible and (layer.contour > 0 or self._selection.picked)
        if not shown:
            if self.layer is not None:
                self.layer.visible = False
            return
        if self.layer is None:
            self._layer = Labels(
                self._draw_all(),
                name=HIGHLIGHTS_NAME,
                metadata={SHOWN: HIGHLIGHTS_NAME},
                colormap=CyclicLabelColormap(colors=np.array(_COLOURS, float), background_value=0),
                **_place_of(layer),
            )
            self._layer.editable = False
            self._add(self._layer)
            return
        assert self._layer is not None
        marked, labels = self._layer.data, self._nuclei.labels
        if marked.shape != labels.shape:
            self._layer.data = self._draw_all()
        elif self._seen.shape != labels.shape or self._with_rims != bool(layer.contour):
            marked[:] = self._draw_all()
            self._layer.refresh(extent=False, thumbnail=False)
        else:
            self._draw_changed(self._layer)
        put_on(self._layer, _place_of(layer))
        if not self._layer.visible:
            self._layer.visible = True

    def _draw_all(self) -> NDArray[np.uint8]:
        labels = self._nuclei.labels
        self._seen = labels.copy()
        self._with_rims = self._nuclei.layer.contour > 0
        self._rings = self._ring_boxes()
        return self._marks(_Box(0, 0, *labels.shape))

    def _draw_changed(self, layer: Labels) -> None:
        """Draw anew the rectangle around nuclei that changed, and rings before and after."""
        labels, rings = self._nuclei.labels, self._ring_boxes()
        boxes = [*self._rings, *rings]
        lines = _range_of((labels != self._seen).any(1))
        if lines.stop:
            across = _range_of((labels[lines] != self._seen[lines]).any(0))
            self._seen[lines, across] = labels[lines, across]
            boxes.append(_Box(lines.start - 1, across.start - 1, lines.stop + 1, across.stop + 1))
        self._rings = rings
        if not boxes:
            return
        box = _Box(*np.min([b[:2] for b in boxes], 0), *np.max([b[2:] for b in boxes], 0))
        box = box.within(labels.shape)
        marks, marked = self._marks(box), layer.data[box.slices]
        rows, cols = np.nonzero(marks != marked)
        if rows.size > _MANY:
            marked[:] = marks
            layer.refresh(extent=False, thumbnail=False)
        elif rows.size:
            layer.data_setitem((rows + box.top, cols + box.left), marks[rows, cols])

    def _ring_boxes(self) -> list[_Box]:
        return [
            _Box(p.rows.min() - 3, p.cols.min() - 3, p.rows.max() + 4, p.cols.max() + 4)
            for p in self._selection.picked
        ]

    def _marks(self, box: _Box) -> NDArray[np.uint8]:
        """Return the marks in a box that holds all rings, (h, w) uint8."""
        labels = self._nuclei.labels
        height, width = box.bottom - box.top, box.right - box.left
        marks = np.zeros((height, width), np.uint8)
        if self._nuclei.layer.contour:
            wide = _Box(box.top - 1, box.left - 1, box.bottom + 1, box.right + 1)
            wide = wide.within(labels.shape)
            rim = rim_of(labels[wide.slices])
            y, x = box.top - wide.top, box.left - wide.left
            marks[rim[y : y + height, x : x + width]] = _RIM
        for picked, ring in zip(self._selection.picked, self._rings, strict=True):
            ring = ring.within(labels.shape)
            mask = np.zeros_like(labels[ring.slices], np.bool_)
            mask[picked.rows - ring.top, picked.cols - ring.left] = True
            near = ndimage.binary_dilation(mask)
            y, x = ring.top - box.top, ring.left - box.left
            part = marks[y : y + mask.shape[0], x : x + mask.shape[1]]
            part[ndimage.binary_dilation(near, iterations=2) & ~near] = _OUTER
            part[near & ~mask] = _INNER
        return marks


class _Box(NamedTuple):
    """Rows and columns of a rectangle; the last ones are beyond it."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def within(self, shape: tuple[int, ...]) -> _Box:
        return _Box(
            max(0, self.top),
            max(0, self.left),
            min(shape[0], self.bottom),
            min(shape[1], self.right),
        )


def _range_of(changed: NDArray[np.bool_]) -> slice:
    """Return from the first to the last that changed; none where nothing did."""
    places = np.flatnonzero(changed)
    return slice(int(places[0]), int(places[-1]) + 1) if places.size else slice(0, 0)


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
