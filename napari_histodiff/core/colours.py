"""Colours of nucleus classes, of tissue, and of glass, wherever they are shown."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_histodiff.core.maps import nuclei_mask, nuclei_union

__all__ = [
    "CLASS_HEX",
    "GLASS_COLOUR",
    "TISSUE_HEX",
    "UNKNOWN_HEX",
    "colour_layout",
    "colour_nuclei",
    "rgb_of",
]

# Found by search within the hues pathologists expect: any shade of one class differs from any shade
# of another by more than 11 CIEDE2000, also as seen with protanopia, deuteranopia and tritanopia.
#: "#rrggbb" of classes 1-6 in order.
CLASS_HEX: Final = ("#f7e030", "#d54806", "#365bd9", "#4dbfff", "#85115d", "#027755")

#: Nuclei whose class nobody told.
UNKNOWN_HEX: Final = "#9ea39f"

# Found by search in the same way: any two differ by more than 13 CIEDE2000, however they are seen.
#: "#rrggbb" of the ids of `TISSUE_NAMES`, in the window and in pictures, sketches of slides too;
#: 0 is unspecified.
TISSUE_HEX: Final = (
    "#000000",
    "#8e3fb0",
    "#e0659a",
    "#3bb3c4",
    "#f2e05a",
    "#ab4961",
    "#caa184",
    "#ee043f",
    "#a8e8d0",
    "#222373",
    "#36342f",
    "#05770b",
)

_PALE: Final = 0.45  # how much of its colour tissue keeps below nuclei

#: RGB of glass without tissue, at every level.
GLASS_COLOUR: Final = (243, 241, 244)


def colour_nuclei(class_map: ArrayLike, instance_map: ArrayLike | None = None) -> NDArray[np.uint8]:
    """Return (h, w, 3) uint8: nuclei in the colour of their class on white, edges darker."""
    classes = np.asarray(class_map)
    union = nuclei_union(classes, instance_map)
    edges = nuclei_mask(classes, instance_map)[-1] > 0
    table = np.array([rgb_of(UNKNOWN_HEX), *map(rgb_of, CLASS_HEX)], np.uint8)
    picture = np.where(union[..., None], table[classes], np.uint8(255))
    picture[edges] = (picture[edges] * 0.6).astype(np.uint8)
    return picture


def colour_layout(
    class_map: ArrayLike, instance_map: ArrayLike | None, tissue_map: ArrayLike
) -> NDArray[np.uint8]:
    """Return (h, w, 3) uint8: nuclei in the colour of their class on tissue in a pale one."""
    table = np.array([rgb_of(colour) for colour in TISSUE_HEX], np.float32)
    table[0] = 255
    pale = np.rint(255 - (255 - table) * _PALE).astype(np.uint8)
    union = nuclei_union(class_map, instance_map)
    return np.where(union[..., None], colour_nuclei(class_map, instance_map), pale[tissue_map])


def rgb_of(colour: str) -> tuple[int, int, int]:
    """Return red, green and blue (0-255) of "#rrggbb"."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue
