"""What is kept of the window while the slide that is open gets a finer level."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from napari_histodiff.core.backend import BackendInfo
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import decode_labels
from napari_histodiff.ui.slide.session import SlideSession
from napari_histodiff.ui.slide.target import READ_ONLY
from napari_histodiff.ui.text import for_people
from napari_histodiff.ui.viewport import camera_of, to_data

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_histodiff.slide.store import SlideStore
    from napari_histodiff.ui.workspace.workspace import Workspace

__all__ = ["KeptView", "finer_refusal"]

_LOADING = "The model is being loaded; it tells how far in it can draw."


def finer_refusal(store: SlideStore, info: BackendInfo | None) -> str:
    """Return why a slide can not get a finer level now; empty when it can."""
    if store.read_only:
        return READ_ONLY
    if info is None:
        return _LOADING
    try:
        store.recipe.check_finer(info)
    except InvalidRequest as error:
        return for_people(str(error))
    return ""


@dataclass(frozen=True, slots=True)
class KeptView:
    """What the user sees of a slide and does on it, by places of the slide.

    Attributes
    ----------
    mpp : float
        Micrometres per pixel of level 0, as it was when this was taken down.
    corner : tuple of float
        Where the slide's upper left corner lies in the world.
    middle : tuple of float
        Of the view, (y, x) in pixels of level 0.
    zoom : float
        Of the camera.
    is_at_finest : bool
        Whether level 0 was shown.
    paused : bool
        Whether drawing was held.
    target : napari Image or None
        The image worked on, when that is not the slide.
    frame : Region or None
        Where the frame is on the slide.
    paint : tuple of arrays or None
        Tissue, edit mask and nuclei, as labels, in that frame; None when nothing is painted.
    """

    mpp: float
    corner: tuple[float, ...]
    middle: tuple[float, float]
    zoom: float
    is_at_finest: bool
    paused: bool
    target: Image | None
    frame: Region | None
    paint: tuple[NDArray[Any], ...] | None

    @classmethod
    def of(cls, session: SlideSession, viewer: Any, workspace: Workspace) -> KeptView:
        """Take down what there is now."""
        camera, target = camera_of(viewer), workspace.target
        y, x = to_data(viewer, session.layer, camera.center) + 0.5
        on_slide = target is session.layer
        return cls(
            mpp=session.target.mpp,
            corner=session.layer.data_to_world((-0.5, -0.5)),
            middle=(float(y), float(x)),
            zoom=float(camera.zoom),
            is_at_finest=session.status.level == 0,
            paused=session.status.paused,
            target=None if on_slide else target,
            frame=workspace.document.region if on_slide else None,
            paint=_paint_of(workspace) if on_slide else None,
        )

    def place(self, layer: Image) -> None:
        """Put a layer of the slide where it lay; before anything else is placed on it."""
        shift = np.subtract(self.corner, layer.data_to_world((-0.5, -0.5)))
        layer.translate = np.asarray(layer.translate) + shift

    def restore(self, session: SlideSession, viewer: Any, workspace: Workspace) -> None:
        """Bring it back on the same slide in another layer, and draw what is worked on there.

        The frame keeps its pixels, and with them its paint; who looked at the finest level now
        looks at the one that was added. The frame is drawn down to that, or else the view.
        """
        steps = round(math.log2(self.mpp / session.target.mpp))
        y, x = (place * 2**steps for place in self.middle)
        session.go_to(y, x)
        camera_of(viewer).zoom = self.zoom * (2**steps if self.is_at_finest else 1)
        if self.paused:
            session.pause()
        place = session.view_box()
        if self.frame is not None:
            frame = replace(self.frame, level=self.frame.level + steps)
            workspace.document.set_frame(frame)
            place = session.store.spec.at_level(frame, 0)
        if self.paint is not None:
            tissue, mask, labels = self.paint
            instances, classes = decode_labels(labels)
            workspace.document.set_painting(classes, instances, mask != 0, tissue)
            workspace.document.edit_mask.put_parts(mask)
        if self.target is not None:
            workspace.use_layer(self.target)
        session.render_frame(place)


def _paint_of(workspace: Workspace) -> tuple[NDArray[Any], ...] | None:
    """Return tissue, edit mask and nuclei in the frame, None when none of them is painted."""
    layers = (layer for layer in workspace.own_layers if isinstance(layer, Labels))
    paint = tuple(np.array(layer.data) for layer in layers)
    return paint if any(array.any() for array in paint) else None
