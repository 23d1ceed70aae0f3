"""Reads a sketch of a slide from a picture: which tissue is where, in ids or in colours."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.datasets.pictures import read_picture
from napari_histodiff.datasets.tissue.maps import tissue_of_picture
from napari_histodiff.layout.sketch import Sketch

__all__ = ["MAX_SKETCH_SIDE", "read_sketch"]

#: A sketch is coarse: a slide of 131,072 pixels has 32 of them on each of these.
MAX_SKETCH_SIDE: Final = 4096


def read_sketch(path: str | Path, height: int, width: int) -> Sketch:
    """Read a picture of tissue ids and stretch it to a slide.

    A gray picture holds ids: 0 unspecified (left to the procedure), 1 gland, 2 stroma, 3 lumen, 4
    glass; of a black and white one black is unspecified and white is glass. In a colour picture
    each has its colour of `TISSUE_HEX`, and transparent pixels are 0; one with a palette is read by
    its colours, or by its indices when the colours are others.

    Parameters
    ----------
    path : path
        PNG or another lossless picture, at most `MAX_SKETCH_SIDE` pixels a side.
    height, width : int
        Of the slide in pixels of level 0; the picture covers all of it.

    Raises
    ------
    InvalidImage
        When it is no picture, or too large.
    InvalidMap
        When it holds other ids or colours.
    """
    picture = read_picture(Path(path), max_side=MAX_SKETCH_SIDE)
    classes = tissue_of_picture(picture, TISSUE_NAMES)
    pixel = max(1, min(height // classes.shape[0], width // classes.shape[1]))
    return Sketch(classes=_stretched(classes, height, width, pixel), pixel=pixel, origin=(0, 0))


def _stretched(
    classes: NDArray[np.uint8], height: int, width: int, pixel: int
) -> NDArray[np.uint8]:
    """Return the picture on sketch pixels of `pixel` slide pixels, by nearest pixel."""
    rows, cols = (
        np.minimum((2 * np.arange(-(-side // pixel)) + 1) * pixel * n // (2 * side), n - 1)
        for side, n in zip((height, width), classes.shape, strict=True)
    )
    return classes[np.ix_(rows, cols)]
