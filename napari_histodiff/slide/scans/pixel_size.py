"""Which lengths of a pixel are believed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from napari_histodiff.datasets.tiff import COARSEST_STATED, COARSEST_TAGGED, plausible

__all__ = ["COARSEST_STATED", "COARSEST_TAGGED", "believed"]

_ABSENT: Final = "the file does not say how long a pixel is"


def believed(
    stated: Sequence[float], coarsest: float
) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    """Return the (y, x) micrometres per pixel where a microscope can have them, and notes.

    Parameters
    ----------
    stated : (y, x)
        As the file says; 0 where it does not.
    coarsest : float
        The longest pixel to believe: `COARSEST_STATED` where the length of a microscope is meant,
        `COARSEST_TAGGED` for a tag of printers, where 72 dpi mean 353 um.
    """
    y, x = stated
    if not y and not x:
        return None, (_ABSENT,)
    if plausible(x, y, coarsest) is None:
        return None, (f"the file says {y:.6g} x {x:.6g} um/px, which is not believed",)
    return (y, x), ()
