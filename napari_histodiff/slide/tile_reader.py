"""Putting a region together: stored pixels, else coarser ones, else the layout's colours."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.box_mean import repeat_up
from napari_histodiff.core.errors import StorageError
from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.core.recipe import TILE, SlideRecipe
from napari_histodiff.slide.storage.chunks import EDITED_HERE, ChunkReader, DamagedChunk
from napari_histodiff.slide.storage.dependencies import outside
from napari_histodiff.slide.storage.tile_table import HAS_BASE, SETTLED, TileInfo, TileState

__all__ = ["Layout", "TileReader", "full_tile"]


class Layout(Protocol):
    """What the store asks of `layout.SlideLayout`; regions are on the endless plane."""

    @property
    def sketch_reach(self) -> int:
        """How many pixels of level 0 beyond a changed sketch pixel the layout may change."""

    def colours(self, region: Region) -> NDArray[np.uint8]:
        """Return the picture shown where nothing is drawn, (h, w, 3) uint8."""


#: Answers what is known of a tile.
Lookup = Callable[[TileAddress], TileInfo]

#: Called with the plane and place of a chunk that is damaged or missing.
Repair = Callable[[str, TileAddress], None]


def full_tile(tile: TileAddress) -> Region:
    """Return the pixels of a tile, also those beyond the slide's border."""
    return Region(tile.level, tile.row * TILE, tile.col * TILE, TILE, TILE)


class TileReader:
    """Reads pixels of a slide; all it remembers is when each tile was read last.

    Parameters
    ----------
    recipe, layout, chunk_reader
        The slide.
    lookup : callable
        What is known of a tile.
    averaged : callable
        Which tiles of the coarsest drawn level the levels above it hold means of.
    repair : callable
        What to do about a damaged chunk.
    """

    def __init__(
        self,
        recipe: SlideRecipe,
        layout: Layout,
        chunk_reader: ChunkReader,
        lookup: Lookup,
        averaged: Callable[[], NDArray[np.bool_]],
        repair: Repair,
    ) -> None:
        self._recipe = recipe
        self._spec = recipe.spec
        self._layout = layout
        self._chunk_reader = chunk_reader
        self._lookup = lookup
        self._averaged = averaged
        self._repair = repair
        self._clock = itertools.count(1)
        # Pages of these that no tile was read of take no memory.
        bounds = [self._spec.bounds(level).snap(TILE) for level in range(self._spec.levels)]
        self._read_at = [np.zeros((b.height // TILE, b.width // TILE), np.int64) for b in bounds]

    def read(self, region: Region) -> NDArray[np.uint8]:
        """Return what shows in a region, (h, w, 3) uint8; see `SlideStore.read`."""
        return self._put_together(region, self.part)

    def base(self, region: Region) -> NDArray[np.uint8]:
        """Return what finer levels are drawn from, (h, w, 3) uint8; see `SlideStore.base`."""
        return self._put_together(region, self._base_part)

    def labels(self, region: Region) -> NDArray[np.int32]:
        """Return the stored nuclei of a region, (h, w) int32; see `SlideStore.labels`."""
        result = np.zeros(region.shape, np.int32)
        for tile in self._spec.tiles(region):
            stored = self._stored("labels", tile)
            if stored is None:
                continue
            piece = self._spec.region(tile).intersect(region)
            result[piece.relative_to(region).slices] = stored[_inside(tile, piece)]
        return result

    def edited(self, region: Region) -> NDArray[np.bool_]:
        """Return which pixels of a region the user changed at its own level, (h, w) bool."""
        result = np.zeros(region.shape, np.bool_)
        for tile in self._spec.tiles(region):
            stored = self._stored("edits", tile) if self._lookup(tile).has("edits") else None
            if stored is not None:
                piece = self._spec.region(tile).intersect(region)
                result[piece.relative_to(region).slices] = (
                    stored[_inside(tile, piece)] & EDITED_HERE != 0
                )
        return result

    def colours(self, region: Region) -> NDArray[np.uint8]:
        """Return the layout's colours of a region of the slide."""
        y, x = self._recipe.origin
        return self._layout.colours(region.translate(y >> region.level, x >> region.level))

    def part(self, tile: TileAddress, region: Region) -> NDArray[np.uint8]:
        """Return what shows in a region that lies within one tile."""
        if tile.level > self._recipe.coarsest:
            return self._far_part(tile, region)
        inside = _inside(tile, region)
        image = self._stored("image", tile)
        # Looked up after that: a tile that is damaged is given up on the way.
        if image is not None and self._lookup(tile).state != TileState.EMPTY:
            return image[inside]
        below = self.coarser(tile, region)
        edits = self._stored("edits", tile)
        if image is None or edits is None:
            return below
        return np.where(edits[inside][..., None] != 0, image[inside], below)

    def coarser(self, tile: TileAddress, region: Region) -> NDArray[np.uint8]:
        """Return what shows in a region within one tile when that has no pixels of its own."""
        for level in range(tile.level + 1, self._recipe.coarsest + 1):
            steps = level - tile.level
            parent = TileAddress(level, tile.row >> steps, tile.col >> steps)
            if self._lookup(parent).state == TileState.EMPTY:
                continue
            stored = self._stored("image", parent)
            if stored is None:
                continue
            above = self._spec.at_level(region, level)
            return _enlarged(stored[_inside(parent, above)], above, region)
        steps = self._recipe.coarsest - tile.level
        averaged = self._averaged()[tile.row >> steps, tile.col >> steps]
        if not averaged or self._recipe.coarsest + 1 == self._spec.levels:
            return self._tile_colours(tile, region)
        # Dropped to save space, but its means were kept.
        above = self._spec.at_level(region, self._recipe.coarsest + 1)
        parent = TileAddress(above.level, tile.row >> steps + 1, tile.col >> steps + 1)
        return _enlarged(self._far_part(parent, above), above, region)

    def _put_together(
        self, region: Region, part: Callable[[TileAddress, Region], NDArray[np.uint8]]
    ) -> NDArray[np.uint8]:
        bounds = self._spec.bounds(region.level)
        result = np.empty((*region.shape, 3), np.uint8)
        for strip in outside(region, bounds):
            result[strip.relative_to(region).slices] = self.colours(strip)
        for tile in self._spec.tiles(region):
            piece = self._spec.region(tile).intersect(region)
            result[piece.relative_to(region).slices] = part(tile, piece)
        return result

    def _base_part(self, tile: TileAddress, region: Region) -> NDArray[np.uint8]:
        info = self._lookup(tile)
        if info.state in SETTLED:
            plane = "base" if info.flags & HAS_BASE else "image"
            stored = self._stored(plane, tile)
            if stored is not None:
                return stored[_inside(tile, region)]
        raise StorageError(
            f"expected a drawn tile at {tile}, got none that finer levels can be drawn from; "
            "draw it first"
        )

    def last_read(self, level: int) -> NDArray[np.int64]:
        """Return when each tile of a level was read last, (rows, cols) int64; 0 = never."""
        return self._read_at[level].copy()

    def _stored(self, plane: str, tile: TileAddress) -> NDArray[Any] | None:
        """Return a stored tile; None when there is none, or it had to be given up."""
        self._read_at[tile.level][tile.row, tile.col] = next(self._clock)
        for attempt in range(2):
            info = self._lookup(tile)
            known = info.check if plane == "image" else info.has(plane)
            if not known and tile.level <= self._recipe.coarsest:
                return None
            try:
                stored = self._chunk_reader.load(plane, tile, info.check if plane == "image" else 0)
            except DamagedChunk:
                stored = None
            if stored is not None or attempt:
                return stored
            self._repair(plane, tile)
        return None

    def _far_part(self, tile: TileAddress, region: Region) -> NDArray[np.uint8]:
        """Return a part of a level that follows from the coarsest drawn one."""
        drawn = self._drawn_pixels(region)
        stored = self._stored("image", tile) if drawn.any() else None
        if stored is None:
            return self._tile_colours(tile, region)
        pixels = stored[_inside(tile, region)]
        if drawn.all():
            return pixels
        return np.where(drawn[..., None], pixels, self._tile_colours(tile, region))

    def _tile_colours(self, tile: TileAddress, region: Region) -> NDArray[np.uint8]:
        """Return the layout's colours of a region within one tile, which are kept."""
        key = (self, tile)
        found = self._chunk_reader.cache.get(key)
        if found is None:
            found = self.colours(full_tile(tile))
            self._chunk_reader.cache[key] = found
        pixels: NDArray[np.uint8] = found[_inside(tile, region)]
        return pixels

    def _drawn_pixels(self, region: Region) -> NDArray[np.bool_]:
        """Return which pixels of a level follow from a drawn tile, (h, w) bool."""
        side = TILE >> (region.level - self._recipe.coarsest)
        rows = np.arange(region.y, region.bottom) // side
        cols = np.arange(region.x, region.right) // side
        return self._averaged()[rows[:, None], cols[None, :]]


def _inside(tile: TileAddress, region: Region) -> tuple[slice, slice]:
    return region.relative_to(full_tile(tile)).slices


def _enlarged(pixels: NDArray[np.uint8], above: Region, region: Region) -> NDArray[np.uint8]:
    """Return the pixels of a finer region out of those of a coarser one around it."""
    steps = above.level - region.level
    y, x = region.y - (above.y << steps), region.x - (above.x << steps)
    large = repeat_up(pixels, 1 << steps)
    return large[y : y + region.height, x : x + region.width]
