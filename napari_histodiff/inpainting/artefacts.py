"""Pen marks on a scan, proposed as an edit mask: a rule on colour, for a person to look at."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import binary_closing, gaussian_filter, label

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.maps import as_rgb
from napari_histodiff.inpainting.masks import grow

__all__ = ["find_pen_marks"]

#: Scale of smoothing, so that single nuclei do not count; the gap that is closed; the smallest
#: piece kept, as the side of a square; what is added around. In um.
_SMOOTH: Final = 6.0
_GAP: Final = 10.0
_SMALLEST: Final = 30.0
_AROUND: Final = 4.0

#: Optical density above which anything is there.
_PRESENT: Final = 0.25
#: Densities of red and blue beside green, which haematoxylin and eosin absorb most: of stained
#: tissue red is 0.3 to 0.6 and blue 0.6 to 0.8. Green and blue ink absorb more red than green; red
#: ink lets red pass, and absorbs blue as much as the reddest tissue or more.
_COLD: Final = 1.15
_RED: Final = (0.3, 0.66)


def find_pen_marks(image: ArrayLike, mpp: float = 0.5) -> NDArray[np.bool_]:
    """Return where green, blue or red ink lies on stained tissue or glass, (h, w) bool.

    Black ink is not told from dark nuclei. Ink with which margins are marked counts.

    Parameters
    ----------
    image : (h, w, 3) uint8
        Of a section stained with haematoxylin and eosin.
    mpp : float
        Micrometres per pixel.

    Raises
    ------
    InvalidRequest
        When the pixel size is none.
    InvalidImage
        When the image is no RGB image.
    """
    if not mpp > 0:
        raise InvalidRequest(f"expected a pixel size above 0, got {mpp!r}; give it in um")
    density = -np.log(np.maximum(as_rgb(image), 1).astype(np.float32) / 255)
    smooth = gaussian_filter(density, (_SMOOTH / mpp, _SMOOTH / mpp, 0))
    gap = max(1, round(_GAP / mpp / 2))
    # With what lies at the border repeated: closing would take it for empty beyond.
    ink = np.pad(_is_ink(smooth), 2 * gap, mode="edge")
    closed = binary_closing(ink, iterations=gap)[2 * gap : -2 * gap, 2 * gap : -2 * gap]
    return grow(_large(closed, (_SMALLEST / mpp) ** 2), _AROUND, mpp)


def _is_ink(smooth: NDArray[np.float32]) -> NDArray[np.bool_]:
    red, green, blue = (smooth[..., channel] for channel in range(3))
    cold = red > _COLD * green
    warm = (red < _RED[0] * green) & (blue > _RED[1] * green)
    ink: NDArray[np.bool_] = (smooth.mean(-1) > _PRESENT) & (cold | warm)
    return ink


def _large(found: NDArray[np.bool_], least: float) -> NDArray[np.bool_]:
    pieces, count = label(found)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sizes[0] = 0
    kept: NDArray[np.bool_] = (sizes >= least)[pieces]
    return kept
