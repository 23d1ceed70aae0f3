"""A layout and a way of drawing that are simple functions of the place, for tests of the store."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.core.recipe import TILE, SlideRecipe
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.layout.sketch import Sketch
from napari_histodiff.slide.storage.tile_table import TileState
from napari_histodiff.slide.store import SlideStore
from tests.fakes import FAKE_INFO

MARGIN = 24

_STROMA, _LUMEN, _FAT = (TISSUE_NAMES.index(name) for name in ("stroma", "lumen", "fat"))

#: The model of `recipe`, which draws two levels finer than it asks for.
MODEL = replace(FAKE_INFO, name="test", revision="1", mpp=(0.125, 2.5))


class PlainLayout:
    """Colours that follow from the place and the sketch pixel under it; stripes of fat, stroma."""

    def __init__(self, recipe: SlideRecipe, sketch: Sketch | None) -> None:
        self._sketch, self._refined = sketch, recipe.refined

    @property
    def sketch_reach(self) -> int:
        return 0

    def colours(self, region: Region) -> NDArray[np.uint8]:
        y = np.arange(region.y, region.bottom)[:, None]
        x = np.arange(region.x, region.right)[None, :]
        planes = np.stack(np.broadcast_arrays(y % 251, x % 241, (y + x) % 239), -1)
        if self._sketch is not None:
            planes[..., 2] += 5 * self._sketch.at(y << region.level, x << region.level)
        return planes.astype(np.uint8)

    def tissue(self, region: Region) -> NDArray[np.uint8]:
        # A place keeps its tissue when finer levels are added.
        y = np.arange(region.y, region.bottom)[:, None] << region.level >> self._refined
        return np.broadcast_to(np.where(y // 200 % 2, _FAT, _STROMA), region.shape).astype(np.uint8)

    def tissue_to_draw(self, region: Region) -> NDArray[np.uint8]:
        tissue = self.tissue(region)
        return np.where(tissue == _FAT, np.uint8(_LUMEN), tissue)


def recipe(height: int = 700, width: int = 600, coarsest: int = 2, **more: Any) -> SlideRecipe:
    stains = ((0.37, 0.75, 0.35, 0.24, 0.34, 0.16, -0.95),) * (coarsest + 1)
    return SlideRecipe(
        height=height,
        width=width,
        coarsest=coarsest,
        margin=MARGIN,
        stains=stains,
        model="test",
        revision="1",
        **more,
    )


def make(folder: Path, **more: Any) -> SlideStore:
    return SlideStore.create(folder / "slide.ome.zarr", recipe(**more), layout=PlainLayout)


def reopen(slide: SlideStore, **more: Any) -> SlideStore:
    slide.close()
    return SlideStore.open(slide.path, layout=PlainLayout, **more)


def drawn(slide: SlideStore, tile: TileAddress) -> NDArray[np.uint8]:
    """Return what the "model" draws: any pixel it may read changes all of the tile."""
    region = slide.spec.region(tile)
    around = Region(tile.level, tile.row * TILE, tile.col * TILE, TILE, TILE).pad(MARGIN)
    if tile.level == slide.recipe.coarsest:
        y, x = slide.recipe.origin
        plane = around.translate(y >> tile.level, x >> tile.level)
        seen = slide.layout.colours(plane)
    else:
        above = slide.spec.at_level(around, tile.level + 1)
        seen = slide.base(above).repeat(2, axis=0).repeat(2, axis=1)
        cut = around.relative_to(slide.spec.at_level(above, tile.level)).slices
        seen = seen[cut]
    inside = region.relative_to(around).slices
    # As the noise of a place, the texture of a level stays when finer ones are added.
    level = (tile.level - slide.recipe.refined) % 2**32
    key = zlib.crc32(np.ascontiguousarray(seen).tobytes()) ^ level
    texture = np.random.default_rng(key).integers(0, 8, (TILE, TILE, 3), np.uint8)
    return seen[inside] // 2 + texture[: region.height, : region.width] * 16


def missing(slide: SlideStore) -> list[TileAddress]:
    """Return the tiles to draw, coarse before fine."""
    found = []
    for level in reversed(range(slide.recipe.coarsest + 1)):
        states = slide.state(level)
        absent = (states == TileState.EMPTY) | (states == TileState.STALE)
        found += [TileAddress(level, int(r), int(c)) for r, c in np.argwhere(absent)]
    return found


def draw(slide: SlideStore, tile: TileAddress) -> bool:
    return slide.put_generated(tile, drawn(slide, tile))


def draw_all(slide: SlideStore) -> None:
    for tile in missing(slide):
        draw(slide, tile)


def request(region: Region, **more: Any) -> EditRequest:
    return EditRequest(kind=EditKind.GENERATE, region=region, **more)


def pixels(shape: tuple[int, int], key: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(key).integers(0, 256, (*shape, 3), np.uint8)


def tissue(shape: tuple[int, int], key: int = 0) -> NDArray[np.uint8]:
    """Return painted tissue of the first few kinds, which every model knows; some unspecified."""
    return np.random.default_rng(key).integers(0, 5, shape, np.uint8)


def edit(
    slide: SlideStore, region: Region, key: int = 0, mask: NDArray[np.bool_] | None = None
) -> Region:
    drawn_as = request(region, tissue_map=tissue(region.shape, key))
    return slide.write(drawn_as, pixels(region.shape, key), mask)


def everything(slide: SlideStore) -> dict[str, NDArray[Any]]:
    """Return all there is to read of a slide."""
    found: dict[str, NDArray[Any]] = {}
    for level in range(slide.spec.levels):
        found[f"state {level}"] = slide.state(level)
        found[f"pixels {level}"] = slide.read(slide.spec.bounds(level))
    for level in range(slide.recipe.coarsest + 1):
        found[f"labels {level}"] = slide.labels(slide.spec.bounds(level))
        found[f"tissue {level}"] = slide.tissue(slide.spec.bounds(level))
    return found


def same(one: dict[str, NDArray[Any]], other: dict[str, NDArray[Any]]) -> bool:
    return list(one) == list(other) and all(np.array_equal(one[k], other[k]) for k in one)
