"""A slide in memory with the methods of `SlideStore`, a layout of stripes, and a strict backend."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.backend import BackendInfo, OnStep
from napari_histodiff.core.box_mean import box_down
from napari_histodiff.core.colours import GLASS_COLOUR
from napari_histodiff.core.errors import StorageError
from napari_histodiff.core.geometry import PyramidSpec, Region, TileAddress
from napari_histodiff.core.listeners import Listeners
from napari_histodiff.core.noise import noise_field
from napari_histodiff.core.recipe import TILE, SlideRecipe
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.slide.storage.tile_table import TileState, summary
from tests.fakes import FAKE_INFO, FakeBackend, FakeFactory

__all__ = [
    "FakeLayout",
    "FakeStore",
    "PlaneBackend",
    "PlaneFactory",
    "draw_on_plane",
    "small_recipe",
]

_SETTLED = (TileState.SOURCE, TileState.GENERATED, TileState.EDITED)


def small_recipe(height: int = 2048, width: int = 2048, **settings: Any) -> SlideRecipe:
    """A slide of three levels that `FAKE_INFO` draws."""
    return SlideRecipe.plan(FAKE_INFO, height=height, width=width, mpp=0.25, **settings)


class FakeLayout:
    """Stripes of tissue with square nuclei, glass right of `glass_from` (pixels of level 0)."""

    sketch_reach = 64

    def __init__(self, glass_from: int = 1500) -> None:
        self.glass_from = glass_from

    def tissue(self, region: Region) -> NDArray[np.uint8]:
        y, x = _places(region)
        return np.where(x < self.glass_from, 1 + (y // 300 + x // 500) % 3, 4).astype(np.uint8)

    def tissue_to_draw(self, region: Region) -> NDArray[np.uint8]:
        return self.tissue(region)

    def nuclei(self, region: Region) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        y, x = _places(region)
        inside = (y % 64 < 20) & (x % 64 < 20) & (x < self.glass_from)
        classes = np.where(inside, 1 + (y // 64 + x // 64) % 6, 0)
        instances = np.where(inside, y // 64 % 1000 * 1000 + x // 64 % 1000 + 1, 0)
        return classes.astype(np.uint8), instances.astype(np.int32)

    def fibres(self, region: Region) -> NDArray[np.uint8]:
        y, x = _places(region)
        return ((y // 64 + x // 128) % 17).astype(np.uint8)

    def glass(self, region: Region) -> NDArray[np.bool_]:
        return np.broadcast_to(_places(region)[1] >= self.glass_from + 64, region.shape).copy()

    def colours(self, region: Region) -> NDArray[np.uint8]:
        y, x = _places(region)
        planes = [200 + 10 * self.tissue(region), y % 251 + 0 * x, x % 241 + 0 * y]
        picture = np.stack(planes, -1).astype(np.uint8)
        picture[self.glass(region)] = GLASS_COLOUR
        return picture


class FakeStore:
    """Tiles in dictionaries. Of edits: whole-pixel writes and undo, finer tiles become stale."""

    #: It does not grow.
    growth_to_undo = growth_to_redo = None

    def __init__(
        self,
        recipe: SlideRecipe | None = None,
        sketch: Any = None,
        *,
        layout: Any = None,
        read_only: bool = False,
        path: Path = Path("fake.ome.zarr"),
    ) -> None:
        self.recipe = recipe or small_recipe()
        self.sketch, self.layout = sketch, layout or FakeLayout()
        self.path, self.read_only = path, read_only
        self.reads: list[Region] = []
        self._lock = threading.RLock()
        self._listeners: Listeners[Region] = Listeners()
        self._tiles: dict[TileAddress, NDArray[np.uint8]] = {}
        self._averaged: dict[TileAddress, NDArray[np.uint8]] = {}
        self._labels: dict[TileAddress, NDArray[np.int32]] = {}
        self._states: dict[TileAddress, TileState] = {}
        self._changes: list[tuple[Region, int]] = []
        self._past: list[tuple[Region, dict[str, Any]]] = []
        self._future: list[tuple[Region, dict[str, Any]]] = []

    @property
    def spec(self) -> PyramidSpec:
        return self.recipe.spec

    @property
    def revision(self) -> int:
        return len(self._changes)

    def read(self, region: Region) -> NDArray[np.uint8]:
        self.spec.bounds(region.level)
        self.reads.append(region)
        with self._lock:
            return self._compose(region, self._tiles | self._averaged)

    def base(self, region: Region) -> NDArray[np.uint8]:
        with self._lock:
            for tile in self.spec.tiles(region):
                if self._states.get(tile) not in _SETTLED:
                    raise StorageError(f"expected {tile} to be drawn, got none; draw it first")
            return self._compose(region, self._tiles)

    def state(self, level: int) -> NDArray[np.uint8]:
        drawn = min(level, self.recipe.coarsest)
        shape, far = (self._grid(at) for at in (drawn, level))
        states = np.zeros(shape, np.uint8)
        with self._lock:
            for tile, state in self._states.items():
                if tile.level == drawn:
                    states[tile.row, tile.col] = state
        return states if level == drawn else summary(states, level - drawn, far)

    def _grid(self, level: int) -> tuple[int, int]:
        height, width = self.spec.bounds(level).shape
        return -(-height // TILE), -(-width // TILE)

    def put_generated(
        self,
        tile: TileAddress,
        pixels: NDArray[np.uint8],
        labels: NDArray[np.int32] | None = None,
        *,
        since: int | None = None,
    ) -> bool:
        region = self.spec.region(tile)
        assert pixels.shape == (*region.shape, 3)
        assert pixels.dtype == np.uint8
        with self._lock:
            changes = () if since is None else self._changes[since:]
            if self._states.get(tile) is TileState.EDITED or any(
                tile.level < below and self._is_near(tile, place) for place, below in changes
            ):
                return False
            self._tiles[tile] = pixels.copy()
            self._states[tile] = TileState.GENERATED
            if labels is not None:
                assert labels.shape == region.shape
                self._labels[tile] = labels.copy()
        self._listeners.emit(region)
        return True

    def write(self, request: EditRequest, pixels: NDArray[np.uint8], mask: Any = None) -> Region:
        region = request.region
        with self._lock:
            self._past.append((region, self._memory()))
            self._future.clear()
            self._edit(region, pixels, np.ones(region.shape, bool) if mask is None else mask)
        self._listeners.emit(region)
        return region

    def undo(self) -> Region | None:
        return self._travel(self._past, self._future)

    def redo(self) -> Region | None:
        return self._travel(self._future, self._past)

    @property
    def can_undo(self) -> bool:
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        return bool(self._future)

    def labels(self, region: Region) -> NDArray[np.int32]:
        out = np.zeros(region.shape, np.int32)
        with self._lock:
            for tile in self.spec.tiles(region):
                if tile in self._labels:
                    place = self.spec.region(tile)
                    part = place.intersect(region)
                    out[part.relative_to(region).slices] = self._labels[tile][
                        part.relative_to(place).slices
                    ]
        return out

    def edited(self, region: Region) -> NDArray[np.bool_]:
        """Edits here leave no mark of where they are."""
        return np.zeros(region.shape, np.bool_)

    @property
    def nbytes(self) -> int:
        return sum(pixels.nbytes for pixels in self._tiles.values())

    def evict(self, max_bytes: int) -> int:
        dropped = 0
        with self._lock:
            for tile in sorted(self._tiles):
                if self.nbytes <= max_bytes:
                    break
                if self._states[tile] in (TileState.GENERATED, TileState.STALE):
                    dropped += self._tiles.pop(tile).nbytes
                    del self._states[tile]
        return dropped

    def set_sketch(self, sketch: Any) -> list[Region]:
        self.sketch = sketch
        self._spoil(self.spec.bounds(self.recipe.coarsest), self.recipe.coarsest + 1)
        self._listeners.emit(self.spec.bounds(0))
        return [self.spec.bounds(0)]

    def edited_under(self, region: Region) -> list[TileAddress]:
        return [
            tile
            for level in range(min(region.level, self.recipe.coarsest + 1))
            for tile in self.spec.tiles(self.spec.at_level(region, level))
            if self._states.get(tile) is TileState.EDITED
        ]

    def subscribe(self, listener: Callable[[Region], None]) -> Callable[[], None]:
        return self._listeners.add(listener)

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def close(self) -> None:
        self._listeners = Listeners()

    def pixels(self) -> dict[TileAddress, bytes]:
        """Every tile's bytes, for comparing slides."""
        return {tile: pixels.tobytes() for tile, pixels in sorted(self._tiles.items())}

    def _compose(
        self, region: Region, tiles: dict[TileAddress, NDArray[np.uint8]]
    ) -> NDArray[np.uint8]:
        origin = (n >> region.level for n in self.recipe.origin)
        out = self.layout.colours(region.translate(*origin))
        for tile in sorted(tiles, key=lambda tile: -tile.level):
            place = self.spec.region(tile)
            if tile.level < min(region.level, self.recipe.coarsest):
                continue
            pixels = tiles[tile]
            for level in range(tile.level, region.level):
                place = self.spec.at_level(place, level + 1)
                pixels = box_down(pixels)
            if tile.level > region.level:
                scale = 1 << (tile.level - region.level)
                place = self.spec.at_level(place, region.level)
                pixels = pixels.repeat(scale, 0).repeat(scale, 1)
            part = place.intersect(region)
            part = part.intersect(self.spec.bounds(region.level))
            if not part.is_empty:
                out[part.relative_to(region).slices] = pixels[part.relative_to(place).slices]
        return out

    def _edit(self, region: Region, pixels: NDArray[np.uint8], mask: NDArray[np.bool_]) -> None:
        for tile in self.spec.tiles(region):
            place = self.spec.region(tile)
            now = self._compose(place, self._tiles)
            part = place.intersect(region)
            inner, outer = part.relative_to(region).slices, part.relative_to(place).slices
            now[outer] = np.where(mask[inner][..., None], pixels[inner], now[outer])
            self._tiles[tile], self._states[tile] = now, TileState.EDITED
        for level in range(region.level + 1, self.recipe.coarsest + 1):
            for tile in self.spec.tiles(self.spec.at_level(region, level)):
                place = self.spec.at_level(self.spec.region(tile), level - 1)
                below = self._compose(place, self._tiles | self._averaged)
                cut = self.spec.region(tile).shape
                self._averaged[tile] = box_down(below)[: cut[0], : cut[1]]
        self._spoil(region, region.level)

    def _spoil(self, region: Region, below: int) -> None:
        """Make what is drawn from a region stale: tiles of levels below one."""
        self._changes.append((region, below))
        for tile, state in list(self._states.items()):
            drawn_from = tile.level < below and self._is_near(tile, region)
            if drawn_from and state is TileState.GENERATED:
                self._states[tile] = TileState.STALE

    def _is_near(self, tile: TileAddress, region: Region) -> bool:
        near = self.spec.at_level(region, tile.level).pad(2 * self.recipe.margin + 4)
        return not self.spec.region(tile).intersect(near).is_empty

    def _memory(self) -> dict[str, Any]:
        names = ("_tiles", "_averaged", "_states")
        return {name: dict(getattr(self, name)) for name in names}

    def _travel(self, source: list[Any], target: list[Any]) -> Region | None:
        with self._lock:
            if not source:
                return None
            region, memory = source.pop()
            target.append((region, self._memory()))
            for name, value in memory.items():
                setattr(self, name, value)
            self._changes.append((region, region.level))
        self._listeners.emit(region)
        return region


@dataclass(frozen=True)
class PlaneFactory(FakeFactory):
    """Makes a `PlaneBackend`; picklable. Other weights by `revision`."""

    revision: str = FAKE_INFO.revision

    def __call__(self) -> PlaneBackend:
        super().__call__()
        return PlaneBackend(self)


class PlaneBackend(FakeBackend):
    """Pixels that depend on all conditions, on each side as far away as the margin reaches."""

    settings: PlaneFactory

    def __init__(self, settings: PlaneFactory | None = None) -> None:
        super().__init__(settings or PlaneFactory())

    @property
    def info(self) -> BackendInfo:
        return replace(FAKE_INFO, revision=self.settings.revision)

    def _render(self, request: EditRequest, on_step: OnStep | None) -> NDArray[np.uint8]:
        if request.target is None or self.settings.fault == "shape":
            return super()._render(request, on_step)
        steps = EditRequest(
            kind=EditKind.GENERATE,
            region=Region(0, 0, 0, 8, 8),
            caption=request.caption,
            steps=request.steps,
        )
        super()._render(steps, on_step)
        return draw_on_plane(request)[None]


def draw_on_plane(request: EditRequest, margin: int = FAKE_INFO.margin) -> NDArray[np.uint8]:
    """Draw a request's target; a wrong condition anywhere in its margin changes bytes."""
    target = request.drawn
    total = np.moveaxis((noise_field(request.seed, target) * 40).astype(np.int64), 0, -1)
    conditions = [request.class_map, request.instance_map, request.tissue_map]
    for dy, dx in ((0, 0), (margin, margin), (-margin, -margin), (margin, -margin)):
        part = target.translate(dy, dx).relative_to(request.region).slices
        for weight, plane in enumerate(conditions, start=3):
            if plane is not None:
                total = total + weight * plane[part][..., None].astype(np.int64)
        if request.coarse is not None:
            total = total + request.coarse[part]
    drawn = (total + round(1000 * request.mpp) + len(request.caption)) % 256
    if request.image is not None and request.edit_mask is not None:
        part = target.relative_to(request.region).slices
        drawn = np.where(request.edit_mask[part][..., None], drawn, request.image[part])
    return drawn.astype(np.uint8)


def _places(region: Region) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    y = np.arange(region.y, region.bottom)[:, None] << region.level
    x = np.arange(region.x, region.right)[None, :] << region.level
    return y, x
