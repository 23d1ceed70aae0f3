"""Reads a sketch of a slide from a picture: which tissue is where, in ids or in colours."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.colours import SKETCH_HEX, rgb_of
from napari_histodiff.core.errors import InvalidMap
from napari_histodiff.core.maps import SKETCH_NAMES, as_tissue_map
from napari_histodiff.datasets.pictures import Picture, read_picture
from napari_histodiff.layout.sketch import Sketch

__all__ = ["MAX_SKETCH_SIDE", "read_sketch"]

#: What ids 1-4 were painted in up to version 0.1; still read, and no colour means two tissues.
_EARLIER_HEX: Final = ("#000000", "#8e44ad", "#f4a6c0", "#5dade2", "#ffffff")

#: A sketch is coarse: a slide of 131,072 pixels has 32 of them on each of these.
MAX_SKETCH_SIDE: Final = 4096

_OPAQUE: Final = 128

# Red, green and blue as one number.
_PLACES: Final = np.array([1 << 16, 1 << 8, 1], np.uint32)


def read_sketch(path: str | Path, height: int, width: int) -> Sketch:
    """Read a picture of tissue ids and stretch it to a slide.

    A gray picture holds ids: 0 unspecified (left to the procedure), 1 gland, 2 stroma, 3 lumen, 4
    glass; of a black and white one black is unspecified and white is glass. In a colour picture
    each has its colour of `SKETCH_HEX`, and transparent pixels are 0; one with a palette is read by
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
    classes = _classes(picture)
    pixel = max(1, min(height // classes.shape[0], width // classes.shape[1]))
    return Sketch(classes=_stretched(classes, height, width, pixel), pixel=pixel, origin=(0, 0))


def _classes(picture: Picture) -> NDArray[np.uint8]:
    shown, path = picture.shown, picture.path
    if picture.lossy:
        picture.ids()  # says why not
    if shown.ndim == 3 and shown.shape[2] in {3, 4} and shown.dtype == np.uint8:
        try:
            return _by_colour(shown, path)
        except InvalidMap:
            if picture.stored.ndim == 2 and picture.stored.max(initial=0) < len(SKETCH_NAMES):
                return picture.stored.astype(np.uint8)
            raise
    if shown.ndim == 3 and shown.shape[2] == 2:
        gray, alpha = np.moveaxis(shown, -1, 0)
        return _by_id(np.where(alpha < _OPAQUE, 0, gray), path)
    if shown.dtype == np.uint8 and shown.ndim == 2 and np.isin(shown, (0, 255)).all():
        return _by_colour(np.dstack([shown] * 3), path)
    return _by_id(picture.ids(), path)


def _by_id(ids: NDArray[np.generic], path: Path) -> NDArray[np.uint8]:
    try:
        return as_tissue_map(ids, len(SKETCH_NAMES))
    except InvalidMap as error:
        raise InvalidMap(f"{error}; in {path}: {_legend()}") from error


def _by_colour(pixels: NDArray[np.uint8], path: Path) -> NDArray[np.uint8]:
    packed = _packed(pixels)
    classes = np.full(packed.shape, len(SKETCH_HEX), np.uint8)
    for palette in (_EARLIER_HEX, SKETCH_HEX):
        for number, colour in enumerate(palette):
            classes[packed == _packed(np.array(rgb_of(colour), np.uint8))] = number
    if pixels.shape[2] == 4:
        classes[pixels[..., 3] < _OPAQUE] = 0
    other = packed[classes == len(SKETCH_HEX)]
    if other.size:
        found = ", ".join(f"#{colour:06x}" for colour in np.unique(other)[:3])
        raise InvalidMap(
            f"expected the colours of a sketch in {path}, got {found} on {other.size} pixels; use "
            f"{_legend()}, without smooth edges"
        )
    return classes


def _packed(pixels: NDArray[np.uint8]) -> NDArray[np.uint32]:
    packed: NDArray[np.uint32] = pixels[..., :3].astype(np.uint32) @ _PLACES
    return packed


def _legend() -> str:
    return ", ".join(
        f"{number} or {colour} for {name}"
        for number, (colour, name) in enumerate(zip(SKETCH_HEX, SKETCH_NAMES, strict=True))
    )


def _stretched(
    classes: NDArray[np.uint8], height: int, width: int, pixel: int
) -> NDArray[np.uint8]:
    """Return the picture on sketch pixels of `pixel` slide pixels, by nearest pixel."""
    rows, cols = (
        np.minimum((2 * np.arange(-(-side // pixel)) + 1) * pixel * n // (2 * side), n - 1)
        for side, n in zip((height, width), classes.shape, strict=True)
    )
    return classes[np.ix_(rows, cols)]
