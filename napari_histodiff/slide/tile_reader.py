"""Putting a region together: stored pixels, else coarser ones, else what the store lies on."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.box_mean import repeat_up
from napari_histodiff.core.errors import StorageError
from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.core.recipe import TILE
from napari_histodiff.slide.base import Base, StoreRecipe
from napari_histodiff.slide.storage.chunks import EDITED_HERE, PLANES, ChunkReader, DamagedChunk
from napari_histodiff.slide.storage.dependencies import outside
from napari_histodiff.slide.storage.tile_table import (
    HAS_BASE,
    SETTLED,
    UNTOUCHED,
    TileInfo,
    TileState,
)

__all__ = ["TileReader", "full_tile"]


#: Answers what is known of a tile.
Lookup = Callable[[TileAddress], TileInfo]

#: Answers the plane of a tile, None where nothing is stored.
Stored = Callable[[str, TileAddress], NDArray[Any] | None]

#: Called with the plane and place of a chunk that is damaged or missing.
Repair = Callable[[str, TileAddress], None]


def full_tile(tile: TileAddress) -> Region:
    """Return the pixels of a tile, also those beyond the slide's border."""
    return Region(tile.level, tile.row * TILE, tile.col * TILE, TILE, TILE)


class TileReader:
    """Reads pixels of a slide; all it remembers is when each tile was read last.

    Parameters
    ----------
    recipe, base, chunk_reader
        The slide.
    lookup : callable
        What is known of a tile.
    averaged : callable
        Which tiles of the coarsest drawn level the levels above it hold means of.
    repair : callable
        What to do about a damaged chunk.
    over : callable
        Which coarser tiles at the place of one were edited, the finest first.
    shows_edits : callable
        Whether edits show in a region of a scan.
    """

    def __init__(
        self,
        recipe: StoreRecipe,
        base: Base,
        chunk_reader: ChunkReader,
        lookup: Lookup,
        averaged: Callable[[], NDArray[np.bool_]],
        repair: Repair,
        over: Callable[[TileAddress], list[TileAddress]],
        shows_edits: Callable[[Region], bool],
    ) -> None:
        self._recipe = recipe
        self._spec = recipe.spec
        self._base = base
        self._chunk_reader = chunk_reader
        self._lookup = lookup
        self._averaged = averaged
        self._repair = repair
        self._over = over
        self._shows_edits = shows_edits
        self._clock = itertools.count(1)
        # Pages of these that no tile was read of take no memory.
        bounds = [self._spec.bounds(level).snap(TILE) for level in range(self._spec.levels)]
        self._read_at = [np.zeros((b.height // TILE, b.width // TILE), np.int64) for b in bounds]

    def read(self, region: Region) -> NDArray[np.uint8]:
        """Return what shows in a region, (h, w, 3) uint8; see `SlideStore.read`."""
        # A scan is read at once where nobody edited it, and not tile by tile.
        if self._base.has_pixels and not self._shows_edits(region):
            return self._base.colours(region)
        return self._put_together(region, self.part)

    def base(self, region: Region) -> NDArray[np.uint8]:
        """Return what finer levels are drawn from, (h, w, 3) uint8; see `SlideStore.base`."""
        return self._put_together(region, self._base_part)

    def labels(self, region: Region) -> NDArray[np.int32]:
        """Return the stored nuclei of a region, (h, w) int32; see `SlideStore.labels`."""
        return self.numbers("labels", region)

    def numbers(self, plane: str, region: Region) -> NDArray[Any]:
        """Return a stored plane of numbers of a region, (h, w); 0 where nothing is stored."""
        result = np.zeros(region.shape, PLANES[plane].dtype)
        for tile in self._spec.tiles(region):
            stored = self._stored(plane, tile)
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

    def part(self, tile: TileAddress, region: Region) -> NDArray[np.uint8]:
        """Return what shows in a region that lies within one tile."""
        if tile.level > self._recipe.coarsest:
            return self._far_part(tile, region)
        inside = _inside(tile, region)
        image = self._stored("image", tile)
        # Looked up after that: a tile that is damaged is given up on the way.
        if image is not None and self.counts_whole(self._lookup(tile).state):
            return image[inside]
        edits = None if image is None else self._stored("edits", tile)
        if image is None or edits is None:
            return self.coarser(tile, region)
        edited = edits[inside] != 0
        if edited.all():
            return image[inside]
        return np.where(edited[..., None], image[inside], self.coarser(tile, region))

    @property
    def shows_edits_only(self) -> bool:
        """Whether no stored pixels show but those of edits, because a scan has all others."""
        return self._base.has_pixels

    def counts_whole(self, state: TileState) -> bool:
        """Return whether all of a tile's stored pixels show, not only those of edits."""
        return state != TileState.EMPTY and not self._base.has_pixels

    def coarser(
        self,
        tile: TileAddress,
        region: Region,
        lookup: Lookup | None = None,
        chunks: Stored | None = None,
    ) -> NDArray[np.uint8]:
        """Return what shows in a region within one tile when that has no pixels of its own.

        Parameters
        ----------
        tile : TileAddress
            Which.
        region : Region
            Within it.
        lookup, chunks : callable, optional
            What is known and stored of the tiles over it, where that is about to change; only
            pixels of a scan are under such edits.
        """
        if self._base.has_pixels:
            pixels = self._tile_colours(tile, region)
            lookup, chunks = lookup or self._lookup, chunks or self._stored
            return self._with_coarser_edits(tile, region, pixels, lookup, chunks)
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

    def lay_over(self, region: Region, pixels: NDArray[np.uint8]) -> None:
        """Put the edits of a scan over what something else shows of a region, in place."""
        for tile in self._spec.tiles(region):
            piece = self._spec.region(tile).intersect(region)
            if not self._shows_edits(piece):
                continue
            part = pixels[piece.relative_to(region).slices]
            part[:] = self._with_coarser_edits(tile, piece, part, self._lookup, self._stored)
            image, edits = (
                self._stored(plane, tile) if self._lookup(tile).has("edits") else None
                for plane in ("image", "edits")
            )
            if image is not None and edits is not None:
                inside = _inside(tile, piece)
                edited = edits[inside] != 0
                part[edited] = image[inside][edited]

    def _with_coarser_edits(
        self,
        tile: TileAddress,
        region: Region,
        pixels: NDArray[np.uint8],
        lookup: Lookup,
        stored: Stored,
    ) -> NDArray[np.uint8]:
        """Return pixels of a scan with edits of coarser levels enlarged, the finest on top."""
        parents = self._over(tile) if lookup == self._lookup else _parents(tile, self._recipe)
        if not parents:
            return pixels
        free = np.ones(region.shape, np.bool_)
        for parent in parents:
            level, info = parent.level, lookup(parent)
            if info.state in UNTOUCHED:  # it holds means of finer edits at most
                continue
            edits = stored("edits", parent)
            if edits is None:
                continue
            above = self._spec.at_level(region, level)
            inside = _inside(parent, above)
            edited = _enlarged(edits[inside] & EDITED_HERE != 0, above, region) & free
            # Else not looked up: it is the mean of finer edits, made anew from this tile when torn.
            if not edited.any():
                continue
            image = stored("base" if info.flags & HAS_BASE else "image", parent)
            if image is not None:
                enlarged = _enlarged(image[inside], above, region)
                pixels = np.where(edited[..., None], enlarged, pixels)
                free &= ~edited
        return pixels

    def _put_together(
        self, region: Region, part: Callable[[TileAddress, Region], NDArray[np.uint8]]
    ) -> NDArray[np.uint8]:
        bounds = self._spec.bounds(region.level)
        result = np.empty((*region.shape, 3), np.uint8)
        for strip in outside(region, bounds):
            result[strip.relative_to(region).slices] = self._base.colours(strip)
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
        """Return what the base shows of a region within one tile, which is kept."""
        key = (self, tile)
        found = self._chunk_reader.cache.get(key)
        if found is None:
            found = self._base.colours(full_tile(tile))
            self._chunk_reader.cache[key] = found
        pixels: NDArray[np.uint8] = found[_inside(tile, region)]
        return pixels

    def _drawn_pixels(self, region: Region) -> NDArray[np.bool_]:
        """Return which pixels of a level follow from a drawn tile, (h, w) bool."""
        side = TILE >> (region.level - self._recipe.coarsest)
        rows = np.arange(region.y, region.bottom) // side
        cols = np.arange(region.x, region.right) // side
        return self._averaged()[rows[:, None], cols[None, :]]


def _parents(tile: TileAddress, recipe: StoreRecipe) -> list[TileAddress]:
    """Return the tiles of coarser levels at the place of one, the finest first."""
    steps = range(1, recipe.coarsest - tile.level + 1)
    return [TileAddress(tile.level + n, tile.row >> n, tile.col >> n) for n in steps]


def _inside(tile: TileAddress, region: Region) -> tuple[slice, slice]:
    return region.relative_to(full_tile(tile)).slices


def _enlarged(pixels: NDArray[Any], above: Region, region: Region) -> NDArray[Any]:
    """Return the pixels of a finer region out of those of a coarser one around it."""
    large = repeat_up(pixels, 1 << (above.level - region.level))
    return large[region.relative_to(above.at_level(region.level)).slices]
