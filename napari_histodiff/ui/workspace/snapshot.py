"""What lies in the frame at one moment, copied."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind

__all__ = ["FrameSnapshot", "make_snapshot"]


@dataclass(frozen=True, slots=True, eq=False)
class FrameSnapshot:
    """Pixels and paint of the frame; arrays are copies of the frame's shape.

    Attributes
    ----------
    kind : EditKind
        What the main button does here: GENERATE when no pixel exists or nothing says where to
        edit, OUTPAINT when a part has no pixels yet, INPAINT when an edit mask is painted.
    region : Region
        The frame in pixels of its level of the image.
    mpp : float
        Micrometres per pixel.
    image : (h, w, 3) uint8
        Pixels below, edits included.
    edit_mask : (h, w) bool
        Where pixels may change: the painted edit mask, for OUTPAINT with the pixel-less part.
    class_map : (h, w) uint8
    instance_map : (h, w) int32
        The painted nuclei, one id per connected blob.
    coverage : (h, w) bool
        Where pixels exist.
    """

    kind: EditKind
    region: Region
    mpp: float
    image: NDArray[np.uint8]
    edit_mask: NDArray[np.bool_]
    class_map: NDArray[np.uint8]
    instance_map: NDArray[np.int32]
    coverage: NDArray[np.bool_]

    @property
    def has_pixels(self) -> bool:
        """Whether any pixel exists below the frame."""
        return bool(self.coverage.any())


def make_snapshot(
    region: Region,
    mpp: float,
    image: NDArray[np.uint8],
    painted: NDArray[np.bool_],
    nuclei: tuple[NDArray[np.uint8], NDArray[np.int32]],
    coverage: NDArray[np.bool_],
) -> FrameSnapshot:
    """Decide the kind of edit and its edit mask from what is painted and what exists."""
    if not coverage.any():
        kind = EditKind.GENERATE
    elif not coverage.all():
        kind = EditKind.OUTPAINT
    else:
        kind = EditKind.INPAINT if painted.any() else EditKind.GENERATE
    edit_mask = painted | ~coverage if kind is EditKind.OUTPAINT else painted
    return FrameSnapshot(kind, region, mpp, image, edit_mask, *nuclei, coverage)
