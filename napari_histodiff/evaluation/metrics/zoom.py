"""Whether two pyramid levels show the same tissue."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidImage

__all__ = ["zoom_error"]


def zoom_error(fine: NDArray[np.uint8], coarse: NDArray[np.uint8]) -> tuple[float, float]:
    """Return mean and greatest |box mean of `fine` - `coarse`| in grey levels, 0 to 255.

    Parameters
    ----------
    fine : (k h, k w, 3) uint8
        The finer level, k a whole number (2 for the next level).
    coarse : (h, w, 3) uint8
        The coarser level. Being rounded itself, it differs by up to 0.5 from exact box means.

    Both are NaN when the images have no pixels.

    Raises
    ------
    InvalidImage
        When `fine` is not a whole multiple of `coarse`, alike in both directions.
    """
    (height, width), (h, w) = fine.shape[:2], coarse.shape[:2]
    factor = height // h if h else 1
    if (height, width) != (factor * h, factor * w) or fine.shape[2:] != coarse.shape[2:]:
        raise InvalidImage(
            f"expected a fine level k times {coarse.shape}, got {fine.shape}; "
            "read both over the same region"
        )
    if not coarse.size:
        return float("nan"), float("nan")
    blocks = fine.reshape(h, factor, w, factor, -1).astype(np.float64).mean((1, 3))
    error = np.abs(blocks - coarse.reshape(h, w, -1))
    return float(error.mean()), float(error.max())
