"""Colours, names and keys of the nucleus classes and of tissue.

Nuclei labels are 7 * instance + class. napari shows label L in colour (L - 1) mod n + 1 of a cyclic
colormap of n colours and background 0 (0.7.1 to 0.9.2). With n a multiple of 7 a label's colour
follows its class; several shades of each class tell touching nuclei of that class apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from napari.utils.colormaps import AVAILABLE_COLORMAPS, Colormap, CyclicLabelColormap
from numpy.typing import NDArray

from napari_histodiff.core.colours import CLASS_HEX, TISSUE_HEX, UNKNOWN_HEX, rgb_of
from napari_histodiff.core.maps import CLASS_NAMES, N_CLASSES, TISSUE_NAMES
from napari_histodiff.core.steering.strengths import STRENGTHS

__all__ = [
    "CLASS_COLOURS",
    "EDIT_MASK_COLOUR",
    "FRAME_COLOUR",
    "PALETTE",
    "TISSUE_PALETTE",
    "UNKNOWN",
    "PaintClass",
    "edit_mask_colormap",
    "heat_colormap",
    "nuclei_colormap",
    "tissue_colormap",
]


@dataclass(frozen=True, slots=True)
class PaintClass:
    """A nucleus class or tissue as the user meets it: id, name, "#rrggbb" and key (or "")."""

    id: int
    name: str
    colour: str
    key: str


#: Classes 1-6 in order.
PALETTE: Final = tuple(
    PaintClass(i, name, colour, str(i))
    for i, (name, colour) in enumerate(zip(CLASS_NAMES, CLASS_HEX, strict=True), 1)
)

#: Tissue 1-11 in order; a digit has room for ten.
TISSUE_PALETTE: Final = tuple(
    PaintClass(i, name, colour, key)
    for i, (name, colour, key) in enumerate(
        zip(TISSUE_NAMES[1:], TISSUE_HEX[1:], "1234567890Q", strict=True), 1
    )
)

#: RGB (0-255) of classes 1-6 in order.
CLASS_COLOURS: Final = tuple(rgb_of(entry.colour) for entry in PALETTE)

#: Nuclei whose class nobody told: labels 7 * instance.
UNKNOWN: Final = PaintClass(0, "unknown", UNKNOWN_HEX, "")

EDIT_MASK_COLOUR: Final = "#7cff3a"

#: Of the weakest part of an edit mask.
EDIT_MASK_PALE: Final = "#e8f4ff"

FRAME_COLOUR: Final = "#2f6bff"

# Factors on the colour of nuclei whose instance id is 0, 1, 2 modulo 3.
_SHADES: Final = (1.0, 0.88, 1.1)


def heat_colormap() -> Colormap:
    """Return the colormap of maps that lie on tissue: clear where there is nothing to see."""
    shares = np.linspace(0, 1, 64)
    colours = np.array(AVAILABLE_COLORMAPS["inferno"].map(shares))
    colours[:, 3] = np.minimum(1, shares * 3) * 0.85
    return Colormap(colours, name="clear to inferno")


def nuclei_colormap() -> CyclicLabelColormap:
    """Return the colormap of the Nuclei layer: 3 shades of 7 classes, label 0 transparent."""
    colours: list[NDArray[np.float64]] = [np.zeros(4)]
    for shade in _SHADES:
        colours += [_rgba(entry.colour, shade) for entry in (*PALETTE, UNKNOWN)]
    # Position 7 is class 0 of the *next* instance (labels 7, 28, ...), one shade on.
    unknown = [_rgba(UNKNOWN.colour, shade) for shade in (*_SHADES[1:], _SHADES[0])]
    colours[N_CLASSES + 1 :: N_CLASSES + 1] = unknown
    return CyclicLabelColormap(colors=np.array(colours), background_value=0)


def edit_mask_colormap() -> CyclicLabelColormap:
    """Return the colormap of the Edit mask layer: 0 transparent, 1 the mask colour, 2-20 paler.

    A direct colormap would say the same, and compile for a second when the first slide opens.
    """
    full = _rgba(EDIT_MASK_COLOUR, 1.0)
    pale = np.append(np.array(rgb_of(EDIT_MASK_PALE)) / 255, 0.85)
    weaker = np.linspace(0, 1, STRENGTHS)[:, None]
    colours = full * (1 - weaker) + pale * weaker
    return CyclicLabelColormap(colors=np.concatenate([np.zeros((1, 4)), colours]))


def tissue_colormap() -> CyclicLabelColormap:
    """Return the colormap of a layer of tissue ids: 0 transparent, 1-11 as in the palette."""
    colours = [_rgba(entry.colour, 1.0) for entry in TISSUE_PALETTE]
    return CyclicLabelColormap(colors=np.array([np.zeros(4), *colours]), background_value=0)


def _rgba(colour: str, shade: float) -> NDArray[np.float64]:
    rgb = np.array(rgb_of(colour)) / 255
    return np.append(np.clip(rgb * shade, 0, 1), 1.0)
