"""Tiles and frames of held-out tissue, and which of them settings may be chosen on.

Test images are split by name, once and for all: of each source, the first two images by name (the
first, where there are two; the left half, where there is one) are for *choosing* settings, the rest
for *final* figures, so that no published figure comes from an image a setting was chosen on. Large
real frames with nuclei serve tests across window borders.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.captions import Caption, caption_from_maps
from napari_histodiff.core.errors import TrainingError
from napari_histodiff.core.maps import CLASS_NAMES
from napari_histodiff.datasets.packing import LAYERS, Pack
from napari_histodiff.diffusion.stain import stain_look
from napari_histodiff.evaluation.options import Part

__all__ = ["Tile", "areas_of", "frames_of", "study_tiles", "tile_at"]

_VALID: Final = LAYERS.index("valid")
_LEAST_VALID: Final = 0.97
_LEAST_NUCLEI: Final = 4
_LEAST_TILES: Final = 4  # halves of them are compared


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """One square of real tissue: image (s, s, 3) uint8, class map uint8, instance map int32.

    Attributes
    ----------
    name, source : str
        Image and place it was cut from ("test_3 y0 x244"), and the set that image belongs to.
    mpp : float
        Micrometres per pixel.
    caption : str
        Organ, stain look and class levels, all measured on the tile itself.
    has_classes : bool
        Whether the set names classes; class 0 inside a nucleus means unknown either way.
    tissue_map : (s, s) uint8, optional
        Where the packed file says what lies between the nuclei.
    """

    name: str
    source: str
    image: NDArray[np.uint8]
    class_map: NDArray[np.uint8]
    instance_map: NDArray[np.int32]
    mpp: float
    caption: str
    has_classes: bool
    tissue_map: NDArray[np.uint8] | None = None

    @property
    def nuclei(self) -> int:
        """Number of nuclei."""
        return int(np.unique(self.instance_map[self.instance_map > 0]).size)


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle of image `item` of a pack that belongs to one part, as slices of its arrays."""

    item: int
    part: Part
    rows: slice
    columns: slice


def study_tiles(packed: Pack, count: int, size: int = 256, part: Part = "final") -> list[Tile]:
    """Return up to `count` tiles of `part`, sources in turn and within a source images in turn.

    Tiles are squares of `size` px, at least 97 % valid, with four nuclei or more; neighbours may
    share a sixteenth of their side. Where such squares cover less than half of what is valid
    (mosaics with holes), squares of half the side follow between them.

    Raises
    ------
    TrainingError
        When there are fewer than four.
    """
    by_source: dict[str, list[list[Tile]]] = {}
    for area in areas_of(packed, part):
        tiles = list(_of_area(packed, area, size))
        by_source.setdefault(packed.items[area.item].source, []).append(tiles)
    tiles = _in_turn([_in_turn(images) for images in by_source.values()])[:count]
    if len(tiles) < _LEAST_TILES:
        raise TrainingError(
            f"expected {_LEAST_TILES} tiles of {size} px with nuclei in the {part} images, got "
            f"{len(tiles)}; pack more images of the test split or choose smaller tiles"
        )
    return tiles


def areas_of(packed: Pack, part: Part) -> list[Area]:
    """Return the images (or halves of them) that belong to `part`, of sources with nuclei."""
    by_source: dict[str, list[int]] = {}
    for i, item in enumerate(packed.items):
        if item.annotated:
            by_source.setdefault(item.source, []).append(i)
    areas = [area for items in by_source.values() for area in _split(packed, items)]
    return [area for area in areas if part in (area.part, "all")]


def tile_at(packed: Pack, i: int, rows: slice, columns: slice) -> Tile:
    """Return a rectangle of image `i` of a pack with its maps and caption."""
    item, place = packed.items[i], (rows, columns)
    image = packed.pixels[i][place]
    layers = packed.layers[i][place]
    classes = layers[..., LAYERS.index("class")]
    instances = packed.instances[i][place].astype(np.int32)
    levels: tuple[int | None, ...] = (None,) * len(CLASS_NAMES)
    if item.has_classes:
        levels = caption_from_maps(classes, instances).levels
    return Tile(
        name=f"{item.name} y{rows.start} x{columns.start}",
        source=item.source,
        image=image,
        class_map=classes,
        instance_map=instances,
        mpp=item.mpp,
        caption=Caption(organ=item.organ, stain=stain_look(image), levels=levels).to_text(),
        has_classes=item.has_classes,
        tissue_map=layers[..., LAYERS.index("tissue")] if item.has_tissue else None,
    )


def _split(packed: Pack, items: list[int]) -> list[Area]:
    def area(i: int, part: Part, start: float = 0, stop: float = 1) -> Area:
        height, width = packed.pixels[i].shape[:2]
        return Area(i, part, slice(0, height), slice(int(start * width), int(stop * width)))

    if len(items) == 1:
        return [area(items[0], "choice", 0, 0.5), area(items[0], "final", 0.5, 1)]
    ordered = sorted(items, key=lambda i: packed.items[i].name)
    chosen = ordered[: min(2, len(items) // 2)]
    return [area(i, "choice" if i in chosen else "final") for i in ordered]


def _of_area(packed: Pack, area: Area, size: int) -> Iterator[Tile]:
    valid = packed.layers[area.item][area.rows, area.columns, _VALID] > 0
    taken: list[tuple[int, int, int]] = []
    _add_squares(valid, size, taken)
    if len(taken) * size**2 < valid.sum() / 2:
        _add_squares(valid, size // 2, taken)
    for y, x, side in taken:
        top, left = area.rows.start + y, area.columns.start + x
        place = slice(top, top + side), slice(left, left + side)
        tile = tile_at(packed, area.item, *place)
        if tile.nuclei >= _LEAST_NUCLEI:
            yield tile


def _add_squares(valid: NDArray[np.bool_], size: int, taken: list[tuple[int, int, int]]) -> None:
    """Append (y, x, size) of valid squares in row-major order that overlap by a sliver at most."""
    if min(valid.shape) < size:
        return
    sums = np.pad(valid.astype(np.int64), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    inside = sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size] + sums[:-size, :-size]
    free = inside >= _LEAST_VALID * size**2

    def block(y: int, x: int, side: int) -> None:
        before, after = size - size // 16, side - size // 16
        free[max(0, y - before + 1) : y + after, max(0, x - before + 1) : x + after] = False

    for square in taken:
        block(*square)
    while free.any():
        y, x = (int(v) for v in np.unravel_index(int(free.argmax()), free.shape))
        taken.append((y, x, size))
        block(y, x, size)


def _in_turn(queues: list[list[Tile]]) -> list[Tile]:
    return [tile for row in zip_longest(*queues) for tile in row if tile is not None]


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
