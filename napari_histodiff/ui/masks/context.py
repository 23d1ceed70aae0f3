"""What the model sees of an edit: cut out around the frame, and drawn as a second outline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
from napari.layers import Vectors
from numpy.typing import NDArray

from napari_histodiff.core.requests import EditKind
from napari_histodiff.inpainting.context import with_context
from napari_histodiff.ui.colormaps import FRAME_COLOUR
from napari_histodiff.ui.workspace.frame import MAX_SIDE
from napari_histodiff.ui.workspace.transforms import insert_above, place_on, put_on

if TYPE_CHECKING:
    from napari_histodiff.core.geometry import Region
    from napari_histodiff.ui.workspace.document import Document
    from napari_histodiff.ui.workspace.snapshot import FrameSnapshot, FrameSummary

__all__ = ["CONTEXT_NAME", "ContextOutline", "seen_by_model", "summary_of", "widened"]

CONTEXT_NAME: Final = "Context"

T = TypeVar("T", bound=np.generic)

#: Dashes along a side, and how much of each is drawn.
_DASHES: Final = 24
_DRAWN: Final = 0.55


def seen_by_model(
    document: Document, edit_mask: NDArray[np.bool_], context: float, frame: Region | None = None
) -> Region:
    """Return the frame with the margin that the model sees, `context` um around what changes.

    Parameters
    ----------
    document : Document
        The image and its frame.
    edit_mask : (h, w) bool
        Where pixels of the frame may change.
    context : float
        In um.
    frame : Region, optional
        Where the frame was; by default where it is.
    """
    target, region = document.target, frame or document.region
    return with_context(
        region,
        edit_mask,
        context / target.mpp_at(region.level),
        target.spec.bounds(region.level),
        multiple=document.snap,
        most=MAX_SIDE,
        is_there=lambda strip: not target.pending(strip) and target.covered(strip)[1],
    )


def summary_of(document: Document, context: float) -> FrameSummary:
    """Return what lies in the frame, where what the model sees around it stays as it is, too.

    Raises
    ------
    InvalidMap
        As `Document.summary`.
    """
    summary = document.summary()
    if summary.stays:
        return summary
    whole = np.broadcast_to(np.True_, document.region.shape)
    return replace(summary, stays=seen_by_model(document, whole, context) != document.region)


def widened(snapshot: FrameSnapshot, document: Document, context: float) -> FrameSnapshot:
    """Return what lies in the frame and around it; nothing around it may change.

    Paint around the frame is not told: the pixels that show it are known.
    """
    if context <= 0 or snapshot.kind not in (EditKind.INPAINT, EditKind.OUTPAINT):
        return snapshot
    seen = seen_by_model(document, snapshot.edit_mask, context, snapshot.region)
    if seen == snapshot.region:
        return snapshot
    inside = snapshot.region.relative_to(seen).slices

    def around(array: NDArray[T], fill: NDArray[T]) -> NDArray[T]:
        fill[inside] = array
        return fill

    return replace(
        snapshot,
        region=seen,
        image=around(snapshot.image, document.target.read(seen)),
        edit_mask=around(snapshot.edit_mask, np.zeros(seen.shape, np.bool_)),
        class_map=around(snapshot.class_map, np.zeros(seen.shape, np.uint8)),
        instance_map=around(snapshot.instance_map, np.zeros(seen.shape, np.int32)),
        coverage=around(snapshot.coverage, np.ones(seen.shape, np.bool_)),
        tissue_map=around(snapshot.tissue_map, np.zeros(seen.shape, np.uint8)),
        shares=None
        if snapshot.shares is None
        else around(snapshot.shares, np.zeros(seen.shape, np.float32)),
    )


class ContextOutline:
    """A dashed outline of what the model sees, where that is more than the frame.

    The layer is made when there is something to show, and hidden afterwards.

    Parameters
    ----------
    viewer : napari ViewerModel
        Where it is shown.
    made : callable
        Told of the layer when it is made.
    """

    def __init__(self, viewer: Any, made: Callable[[Any], None]) -> None:
        self._viewer = viewer
        self._made = made
        self._layer: Vectors | None = None
        self._shown: tuple[object, ...] = ()

    @property
    def layer(self) -> Vectors | None:
        """The layer, shown or hidden; None before there was one, or when the user removed it."""
        return self._layer if self._layer in self._viewer.layers else None

    def show_for(self, document: Document, context: float) -> None:
        """Draw what the model sees of the edit that is painted; nothing where that is the frame."""
        region = document.region
        if context <= 0 or document.target.pending(region):
            self.hide()
            return
        any_pixels, all_pixels = document.target.covered(region)
        if not any_pixels or document.edit_mask.layer.data.shape != region.shape:
            self.hide()
            return
        mask = document.edit_mask.mask
        if not all_pixels:
            mask |= ~document.target.coverage(region)
        self.show(document, seen_by_model(document, mask, context))

    def show(self, document: Document, seen: Region) -> None:
        """Draw a dashed outline around a region; nothing where that is the frame."""
        target, frame = document.target.layer, document.region
        shown = (target, seen, frame, tuple(target.scale), tuple(target.translate))
        if seen == frame:
            self.hide()
            return
        if shown == self._shown and self.layer is not None:
            return
        data, width = _dashes(seen), max(1.0, (max(frame.shape) << frame.level) / 300)
        place = place_on(target, 0, 0)
        layer = self.layer
        if layer is None:
            layer = Vectors(
                data,
                name=CONTEXT_NAME,
                edge_color=FRAME_COLOUR,
                vector_style="line",
                edge_width=width,
                **place,
            )
            insert_above(self._viewer, layer, [document.frame.layer])
            self._layer = layer
            self._made(layer)
        else:
            layer.data, layer.edge_width, layer.visible = data, width, True
            put_on(layer, place)
        self._shown = shown

    def hide(self) -> None:
        """Show nothing."""
        self._shown = ()
        if self.layer is not None:
            self.layer.visible = False

    def remove(self) -> None:
        """Take the layer out of the viewer, with the image it lay over."""
        layer, self._layer, self._shown = self.layer, None, ()
        if layer is not None:
            selected = set(self._viewer.layers.selection) - {layer}
            self._viewer.layers.remove(layer)
            self._viewer.layers.selection = {x for x in selected if x in self._viewer.layers}


def _dashes(region: Region) -> NDArray[np.float64]:
    """Return starts and directions of dashes around a region, (n, 2, 2), in pixels of level 0."""
    # Pixel (0, 0) covers -0.5 to 0.5 in napari's data coordinates.
    sides = (region.y, region.x, region.bottom, region.right)
    top, left, bottom, right = ((n << region.level) - 0.5 for n in sides)
    corners = np.array([[top, left], [top, right], [bottom, right], [bottom, left]])
    parts = []
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        step = (end - start) / _DASHES
        starts = start + np.arange(_DASHES)[:, None] * step
        parts.append(np.stack([starts, np.broadcast_to(step * _DRAWN, starts.shape)], axis=1))
    return np.concatenate(parts)
