"""The tissues that places of an anatomy are, and what they are to whoever knows fewer of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.layout.fields import Pixels
from napari_histodiff.layout.star_lattice import StarLattice, everywhere, paint

__all__ = [
    "BLOOD",
    "FAT",
    "FAT_CELLS",
    "GLAND",
    "GLASS",
    "LUMEN",
    "LYMPHOID",
    "MUCUS",
    "MUSCLE",
    "SEPTUM",
    "STROMA",
    "VESSEL",
    "WHITE",
    "cell_by_cell",
    "known_to",
    "scaffold",
    "to_draw",
]

GLAND, STROMA, LUMEN, GLASS, MUSCLE, FAT, BLOOD, MUCUS, LYMPHOID, VESSEL = (
    TISSUE_NAMES.index(name)
    for name in (
        "gland",
        "stroma",
        "lumen",
        "glass",
        "muscle",
        "fat",
        "blood",
        "mucus",
        "lymphoid",
        "vessel",
    )
)

#: What lies between fat cells: fat to a model, stroma to nuclei and to the eye. No tissue of the
#: schema, so it leaves the layout as one of them.
SEPTUM: Final = len(TISSUE_NAMES)

#: Gap of fat cells in um, radii as a share of the pitch, largest stretch, roughness; see
#: `StarLattice`.
FAT_CELLS: Final = (2.5, (0.7, 1.0), 1.15, 0.05)

_PITCH: Final = 56.0  # um between the middles of painted fat cells
_THINNEST: Final = 4.0  # pixels of a membrane that models still draw whole
_SMALLEST: Final = 16  # pixels of a cell that such membranes leave room in

#: Tissues through which light goes unhindered.
WHITE: Final = (LUMEN, GLASS, FAT, VESSEL)

#: What each tissue is to models that do not know it; a vessel is its lumen.
_NEAREST: Final = MappingProxyType(
    {
        "muscle": "stroma",
        "fat": "lumen",
        "blood": "vessel",
        "mucus": "gland",
        "lymphoid": "stroma",
        "necrosis": "stroma",
        "vessel": "lumen",
    }
)


def known_to(parts: NDArray[np.uint8], names: Sequence[str]) -> NDArray[np.uint8]:
    """Return the tissue map of an anatomy's parts, ids of `TISSUE_NAMES` whose names are `names`.

    What the schema lacks is the nearest tissue that it has.
    """
    return _table(tuple(names))[parts]


def to_draw(parts: NDArray[np.uint8], names: Sequence[str]) -> NDArray[np.uint8]:
    """Return the same as a model draws it best: fat cell by cell, as spaces between membranes.

    Told that all of it is fat, models draw a white area without cells.
    """
    cells = np.where(parts == FAT, np.uint8(LUMEN), parts)
    return known_to(np.where(parts == SEPTUM, np.uint8(STROMA), cells), names)


def cell_by_cell(
    tissue_map: NDArray[np.uint8], region: Region, mpp: float, names: Sequence[str]
) -> NDArray[np.uint8]:
    """Return a painted tissue map as a model draws it best, with cells and membranes for fat.

    A function of the place and what is painted there: parts of a region have those of the whole,
    and nuclei that stand on membranes do so whatever seed is drawn.

    Parameters
    ----------
    tissue_map : (h, w) uint8
        Ids of `names`; without fat, where cells are too small to show (beyond 3.6 um per pixel), or
        where a model lacks glass or stroma, returned as it is.
    region : Region
        Its place, pixels of its own level.
    mpp : float
        Micrometres per such pixel.
    names : sequence of str
        The model's schema, "unspecified" first.
    """
    pitch = round(_PITCH / mpp)
    if pitch < _SMALLEST or not {"fat", "glass", "stroma"} <= set(names):
        return tissue_map
    fat = tissue_map == names.index("fat")
    if not fat.any():
        return tissue_map
    gap, radii, stretch, roughness = FAT_CELLS
    gap = max(gap / mpp, _THINNEST)
    pixels = Pixels(region.y, region.x, 1, region.height, region.width)
    lattice = StarLattice(0, 11, pitch, gap, radii, stretch, roughness, everywhere)
    cells = lattice.within(pixels.box)
    out = np.full(fat.shape, names.index("stroma"), np.uint8)
    paint(out, pixels, cells, [(cells.outer, np.full(len(cells), names.index("glass"), np.uint8))])
    return np.where(fat, out, tissue_map)


def scaffold(parts: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return where nuclei stand and where none do: gland, stroma, lumen and glass only."""
    return _SCAFFOLD[parts]


@lru_cache(maxsize=16)
def _table(names: tuple[str, ...]) -> NDArray[np.uint8]:
    table = np.zeros(SEPTUM + 1, np.uint8)
    for number, own in enumerate(TISSUE_NAMES):
        name = own
        while name not in names and name in _NEAREST:
            name = _NEAREST[name]
        table[number] = TISSUE_NAMES.index(name) if name in names else 0
    # Cells and what parts them are one tissue where there is a name for it.
    table[SEPTUM] = table[FAT] if table[FAT] == FAT else table[STROMA]
    table.setflags(write=False)
    return table


_SCAFFOLD: Final = _table(TISSUE_NAMES[: GLASS + 1])
