"""Reading every stored tile of a slide and saying what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import TileAddress
from napari_histodiff.core.recipe import TILE
from napari_histodiff.slide.averages import box_down
from napari_histodiff.slide.chunks import DamagedChunk, decode
from napari_histodiff.slide.parts import SlideParts
from napari_histodiff.slide.states import SETTLED, TileState
from napari_histodiff.slide.tile_table import IS_AVERAGED, PLANE_FLAGS

__all__ = ["VerifyReport", "verify"]

#: How far a pixel may be from the mean of the four below it.
_TOLERANCE = 1

# More tiles than this are counted, not listed.
_LISTED = 20


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What reading every tile of a slide showed.

    Attributes
    ----------
    counts : dict of str to int
        Tiles of the levels that the model draws, by `TileState`.
    damaged : tuple of TileAddress
        Tiles with a chunk that fails its checksum.
    missing : tuple of TileAddress
        Tiles with a chunk that is gone.
    unequal : tuple of TileAddress
        Tiles that are farther than 1/255 from the means of the level below.
    compared : int
        How many tiles were compared with the level below.
    """

    counts: dict[str, int]
    damaged: tuple[TileAddress, ...]
    missing: tuple[TileAddress, ...]
    unequal: tuple[TileAddress, ...]
    compared: int

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.damaged or self.missing or self.unequal)

    def __str__(self) -> str:
        lines = [f"{count:8d} tiles {name.lower()}" for name, count in self.counts.items()]
        lines.append(f"{self.compared:8d} tiles compared with the level below")
        advice = {
            "damaged": "open the slide for writing and look there: they are restored or drawn anew",
            "missing": "open the slide for writing and look there: they are restored or drawn anew",
            "not the mean of the level below": "drop drawn tiles with evict, and draw them again",
        }
        found = (self.damaged, self.missing, self.unequal)
        for (name, what), tiles in zip(advice.items(), found, strict=True):
            if tiles:
                lines.append(f"{len(tiles):8d} tiles {name}; {what}")
                lines += [f"         {tile}" for tile in tiles[:_LISTED]]
        if self.is_whole:
            lines.append("nothing is damaged")
        return "\n".join(lines)


def verify(slide: SlideParts) -> VerifyReport:
    """Read every tile that a slide knows of; see `SlideStore.verify`."""
    states = slide.table.states[: slide.recipe.coarsest + 1]
    counts = {
        state.name: sum(int(np.count_nonzero(level == state)) for level in states)
        for state in TileState
    }
    damaged, missing = [], []
    for tile in _stored(slide):
        found = [_condition(slide, plane, tile) for plane in _planes(slide, tile)]
        if "damaged" in found:
            damaged.append(tile)
        elif "missing" in found:
            missing.append(tile)
    bad = {*damaged, *missing}
    compared, unequal = 0, []
    for tile in _stored(slide):
        if tile.level == 0 or tile in bad:
            continue
        difference = _difference(slide, tile, bad)
        compared += difference is not None
        if difference is not None and difference > _tolerance(slide, tile):
            unequal.append(tile)
    return VerifyReport(counts, tuple(damaged), tuple(missing), tuple(unequal), compared)


def _stored(slide: SlideParts) -> Iterator[TileAddress]:
    for level in range(slide.spec.levels):
        yield from slide.table.addresses(level, slide.table.checks[level] != 0)


def _planes(slide: SlideParts, tile: TileAddress) -> list[str]:
    info = slide.info(tile)
    return ["image", *(plane for plane in PLANE_FLAGS if info.has(plane))]


def _condition(slide: SlideParts, plane: str, tile: TileAddress) -> str:
    data = slide.disk.raw(slide.disk.key(plane, tile))
    if data is None:
        return "missing"
    try:
        decode(plane, data)
    except DamagedChunk:
        return "damaged"
    return "whole"


def _tolerance(slide: SlideParts, tile: TileAddress) -> int:
    # Levels that are never drawn are exact means.
    return _TOLERANCE if tile.level <= slide.recipe.coarsest else 0


def _difference(slide: SlideParts, tile: TileAddress, bad: set[TileAddress]) -> int | None:
    """Return how far a tile is from the means of what is below; None when nothing comparable is."""
    image = slide.disk.load("image", tile, slide.info(tile).check)
    if image is None or (tile.level <= slide.recipe.coarsest and not _settled(slide, tile)):
        return None
    half = TILE // 2
    largest = None
    for child in slide.spec.tiles(slide.spec.at_level(slide.spec.region(tile), tile.level - 1)):
        if child in bad or not _comparable(slide, child):
            continue
        pixels = slide.disk.load("image", child, slide.info(child).check)
        if pixels is None:
            continue
        height, width = slide.spec.region(child).shape
        means = box_down(pixels[:height, :width]).astype(np.int16)
        y, x = child.row % 2 * half, child.col % 2 * half
        there = image[y : y + means.shape[0], x : x + means.shape[1]]
        apart = _weighed(slide, child, np.abs(there - means))
        largest = max(largest or 0, int(apart.max(initial=0)))
    return largest


def _weighed(slide: SlideParts, child: TileAddress, apart: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return the differences where the level above really follows from this tile."""
    coarsest = slide.recipe.coarsest
    if child.level < coarsest:
        return apart
    steps = child.level - coarsest
    side = TILE >> steps
    flags = slide.table.flags[coarsest]
    rows = ((child.row * TILE + 2 * np.arange(apart.shape[0])) // side).clip(0, flags.shape[0] - 1)
    cols = ((child.col * TILE + 2 * np.arange(apart.shape[1])) // side).clip(0, flags.shape[1] - 1)
    averaged = flags[rows[:, None], cols[None, :]] & IS_AVERAGED != 0
    there: NDArray[np.int16] = apart[averaged]
    return there


def _comparable(slide: SlideParts, tile: TileAddress) -> bool:
    if tile.level > slide.recipe.coarsest:
        return slide.info(tile).check != 0
    return _settled(slide, tile)


def _settled(slide: SlideParts, tile: TileAddress) -> bool:
    return slide.info(tile).state in SETTLED
