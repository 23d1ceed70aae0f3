"""Picks held-out tiles to judge a model on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.captions import Caption, caption_from_maps
from napari_histodiff.core.errors import TrainingError
from napari_histodiff.datasets.packing import LAYERS, Pack
from napari_histodiff.datasets.sources import PackItem
from napari_histodiff.diffusion.stain import stain_look

__all__ = ["Tile", "choose_tiles"]


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """One square of real tissue: image (s, s, 3) uint8, class map uint8, instance map int32.

    `caption` names organ, stain look and class levels, all measured on the tile itself.
    """

    name: str
    image: NDArray[np.uint8]
    class_map: NDArray[np.uint8]
    instance_map: NDArray[np.int32]
    mpp: float
    caption: str


def choose_tiles(packed: Pack, count: int, size: int = 256) -> list[Tile]:
    """Return `count` tiles, the sets in turn, each image's most cellular square that is valid.

    Raises
    ------
    TrainingError
        When the pack holds fewer such images.
    """
    queues = [list(_of_source(packed, source, size)) for source in _sources(packed)]
    tiles = [
        queue[i]
        for i in range(max(map(len, queues), default=0))
        for queue in queues
        if i < len(queue)
    ]
    if len(tiles) < count:
        raise TrainingError(
            f"expected {count} images with nuclei of at least {size} px, got {len(tiles)}; "
            "pack more images or ask for fewer tiles"
        )
    return tiles[:count]


def _sources(packed: Pack) -> list[str]:
    return sorted({item.source for item in packed.items if item.has_nuclei})


def _of_source(packed: Pack, source: str, size: int) -> Iterator[Tile]:
    for i, item in enumerate(packed.items):
        if item.source == source and item.has_nuclei:
            tile = _best_square(packed, i, item, size)
            if tile is not None:
                yield tile


def _best_square(packed: Pack, i: int, item: PackItem, size: int) -> Tile | None:
    layers = packed.layers[i]
    height, width = layers.shape[:2]
    best, place = 0.0, None
    for y in range(0, height - size + 1, 32):
        for x in range(0, width - size + 1, 32):
            window = layers[y : y + size : 4, x : x + size : 4]
            cellular = float(window[..., LAYERS.index("union")].mean())
            if window[..., LAYERS.index("valid")].mean() > 0.97 and cellular > best:
                best, place = cellular, (slice(y, y + size), slice(x, x + size))
    if place is None:
        return None
    classes = layers[place][..., LAYERS.index("class")]
    instances = packed.instances[i][place].astype(np.int32)
    levels = caption_from_maps(classes, instances).levels if item.has_classes else (None,) * 6
    image = packed.pixels[i][place]
    caption = Caption(organ=item.organ, stain=stain_look(image), levels=levels).to_text()
    return Tile(item.name, image, classes, instances, item.mpp, caption)
