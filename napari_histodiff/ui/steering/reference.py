"""The region whose stain and texture a drawing is made like, taken from the frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.steering.steering import REFERENCE_SIDES
from napari_histodiff.ui.text import count_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_histodiff.ui.workspace.snapshot import FrameSnapshot

__all__ = ["Reference", "reference_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Pixels that were in the frame.

    Attributes
    ----------
    image : (h, w, 3) uint8
    mpp : float
        Micrometres per pixel.
    name : str
        Of the image they are of.
    """

    image: NDArray[np.uint8]
    mpp: float
    name: str

    def __str__(self) -> str:
        height, width = self.image.shape[:2]
        return f"{width} \u00d7 {height} px of {self.name}"


def reference_of(snapshot: FrameSnapshot, name: str) -> Reference:
    """Return the pixels of a frame as a reference; of a large one its middle.

    Raises
    ------
    InvalidRequest
        When a pixel is missing, or there are too few.
    """
    low, high = REFERENCE_SIDES
    missing = int((~snapshot.coverage).sum())
    if missing or min(snapshot.region.shape) < low:
        lacks = f"{count_text(missing, 'pixel')} missing" if missing else "too few"
        raise InvalidRequest(
            f"expected a frame of at least {low} \u00d7 {low} pixels with tissue all over as "
            f"reference, got one with {lacks}; move it onto tissue that is there"
        )
    rows, columns = (
        slice((side - min(side, high)) // 2, (side - min(side, high)) // 2 + min(side, high))
        for side in snapshot.region.shape
    )
    return Reference(snapshot.image[rows, columns].copy(), snapshot.mpp, name)
