"""Large real frames with nuclei, for tests across window borders."""

from __future__ import annotations

from itertools import zip_longest
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.datasets.packing import LAYERS, Pack
from napari_histodiff.evaluation.options import Part
from napari_histodiff.evaluation.tiles import Tile, areas_of, tile_at

__all__ = ["frames_of"]

_LEAST_VALID: Final = 0.97

_Pixel = TypeVar("_Pixel", bound=np.generic)


def frames_of(packed: Pack, count: int, size: int, part: Part = "final") -> list[Tile]:
    """Return up to `count` frames of (size, size), the largest image of each source first.

    Images smaller than the frame are mirrored at their edges, a third of what is missing before
    and the rest after them, so that no mirror line falls on a border between windows. Images with
    holes are left out; there may be fewer frames than asked for, or none.
    """
    by_source: dict[str, list[Tile]] = {}
    for area in areas_of(packed, part):
        valid = packed.layers[area.item][area.rows, area.columns, LAYERS.index("valid")]
        if valid.mean() >= _LEAST_VALID:
            tile = tile_at(packed, area.item, area.rows, area.columns)
            by_source.setdefault(tile.source, []).append(tile)
    for tiles in by_source.values():
        tiles.sort(key=lambda tile: -tile.class_map.size)
    turns = zip_longest(*by_source.values())
    chosen = [tile for row in turns for tile in row if tile is not None][:count]
    return [_framed(tile, size) for tile in chosen]


def _framed(tile: Tile, size: int) -> Tile:
    return Tile(
        name=tile.name,
        source=tile.source,
        image=_fill(tile.image, size),
        class_map=_fill(tile.class_map, size),
        instance_map=_fill(tile.instance_map, size),
        mpp=tile.mpp,
        caption=tile.caption,
        has_classes=tile.has_classes,
    )


def _fill(array: NDArray[_Pixel], size: int) -> NDArray[_Pixel]:
    array = array[:size, :size]
    missing = [size - side for side in array.shape[:2]]
    pads = [(m // 3, m - m // 3) for m in missing] + [(0, 0)] * (array.ndim - 2)
    return np.pad(array, pads, mode="symmetric")
