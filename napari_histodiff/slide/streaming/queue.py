"""What a tile feed draws next: its state and decisions, without threads, engine or clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.engine import Job
from napari_histodiff.core.geometry import PyramidSpec, Region, TileAddress
from napari_histodiff.core.recipe import TILE, SlideRecipe
from napari_histodiff.slide.base import StoreRecipe
from napari_histodiff.slide.reader import TileStates
from napari_histodiff.slide.streaming.planning import (
    AT_REST,
    Motion,
    block_tiles,
    blocks,
    centre_of,
    coarse_view,
    dependencies,
    distance,
    full_region,
    is_worth_detail,
    leading_edge,
    missing,
    moved_on,
    needs,
    parents,
    wanted,
)

__all__ = ["ATTEMPTS", "FeedQueue", "Flight", "StateSnapshot"]

#: A block that came to nothing this often through no fault of its own counts as failed.
ATTEMPTS: Final = 2

# A job nobody needs any more is finished all the same when so much of it is done: its tiles are
# right for ever. After a jump the new view is worth more than while one only passes by.
_KEPT_AT_REST: Final = 0.75
_KEPT_IN_MOTION: Final = 0.5

# So many times nearer the centre of the view a tile must be to go before one of a coarser level.
_NEARER: Final = 2

# Seconds a block is taken to need until the first is drawn.
_FIRST_PACE: Final = 1.0


# Tiles that are not stored, and the place (y, x) of level 0 to begin at.
_Wish = tuple[list[TileAddress], tuple[float, float]]


class StateSnapshot:
    """A slide's states as they were when first asked for, so that one decision sees one slide.

    Parameters
    ----------
    slide : TileStates
        The slide.
    """

    def __init__(self, slide: TileStates) -> None:
        self._slide = slide
        self._states: dict[int, NDArray[np.uint8]] = {}
        self._missing: dict[int, NDArray[np.bool_]] = {}
        self._lacking: dict[tuple[Region, int], list[TileAddress]] = {}
        self.recipe: StoreRecipe = slide.recipe
        self.spec: PyramidSpec = slide.spec

    def state(self, level: int) -> NDArray[np.uint8]:
        """Return the `TileState` of each tile of a level, (rows, cols) uint8."""
        if level not in self._states:
            self._states[level] = self._slide.state(level)
        return self._states[level]

    def missing(self, level: int) -> NDArray[np.bool_]:
        """Return which tiles of a level have to be drawn, (rows, cols) bool."""
        if level not in self._missing:
            self._missing[level] = missing(self.state(level))
        return self._missing[level]

    def lacking(self, view: Region, ring: int = 0) -> list[TileAddress]:
        """Return what a view and so many tiles around it need, as `planning.needs`."""
        if (view, ring) not in self._lacking:
            self._lacking[view, ring] = needs(self, wanted(self, view, ring))
        return self._lacking[view, ring]

    def lacking_coarse(self, view: Region) -> list[TileAddress]:
        """Return what a view lacks of the coarsest level the model draws."""
        return self.lacking(coarse_view(self, view))

    def is_ready(self, tile: TileAddress) -> bool:
        """Return whether all that a tile is drawn from is stored."""
        if tile.level == self.recipe.coarsest:
            return True
        above = parents(self, full_region(tile))
        above = above.intersect(self.spec.bounds(above.level))
        return not _part(self.missing(above.level), above).any()


@dataclass(frozen=True, slots=True, eq=False)
class Flight:
    """A block in the engine.

    Attributes
    ----------
    block : Region
        What is drawn.
    job : Job
        The engine's.
    recipe : SlideRecipe
        The slide's when the request was made.
    since : int
        The slide's revision then.
    asked : float
        Seconds that making the request took.
    """

    block: Region
    job: Job
    recipe: SlideRecipe
    since: int
    asked: float


@dataclass
class FeedQueue:
    """Everything a feed wants drawn, everything that is being drawn, and what failed.

    Parameters
    ----------
    ahead : int
        Tiles around the view that are drawn when the view has all of its own.

    Attributes
    ----------
    view : Region, optional
        What is looked at, ARRAY coordinates.
    regions : list of Region
        What is to be rendered whether looked at or not, in order.
    motion : tuple of float
        How the view moves, (y, x) in pixels of level 0 a second.
    flights : dict of str to Flight
        Blocks in the engine by the id of their job.
    shares : dict of str to float
        How much of a job is done, by its id; one that is not there has not begun.
    pace : float
        Seconds that the engine takes for a block.
    failed : dict of TileAddress to str
        Tiles that are left alone, and why.
    """

    ahead: int = 1
    view: Region | None = None
    regions: list[Region] = field(default_factory=list)
    motion: Motion = AT_REST
    flights: dict[str, Flight] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    pace: float = _FIRST_PACE
    failed: dict[TileAddress, str] = field(default_factory=dict)
    _attempts: dict[Region, int] = field(default_factory=dict)

    def moved(self, dy: int, dx: int, finer: int = 0) -> FeedQueue:
        """Return a queue that wants the same places of a slide that is another one now.

        It knows nothing of jobs and failures: their tiles have other addresses now.

        Parameters
        ----------
        dy, dx : int
            How far they moved, in pixels of its level 0.
        finer : int
            How many levels it got below the old level 0.
        """

        def follow(region: Region) -> Region:
            level = region.level + finer
            return replace(region, level=level).translate(dy >> level, dx >> level)

        view, *regions = (
            None if region is None else follow(region) for region in (self.view, *self.regions)
        )
        kept = [region for region in regions if region is not None]
        return FeedQueue(self.ahead, view, kept, pace=self.pace)

    def retry(self) -> None:
        """Forget what failed, so that it is tried again."""
        self.failed.clear()
        self._attempts.clear()

    def fail(self, block: Region, reason: str) -> tuple[TileAddress, ...]:
        """Leave the tiles of a block alone until `retry`; return them."""
        tiles = tuple(block_tiles(block))
        self.failed.update(dict.fromkeys(tiles, reason))
        return tiles

    def may_retry(self, block: Region) -> bool:
        """Count that a block came to nothing; return whether it may be tried again."""
        self._attempts[block] = self._attempts.get(block, 0) + 1
        return self._attempts[block] < ATTEMPTS

    def complete(self, block: Region) -> None:
        """Forget how often a block came to nothing: it is stored."""
        self._attempts.pop(block, None)

    def record_duration(self, seconds: float) -> None:
        """Note how long the engine took for a block; the last ones count most."""
        self.pace += (seconds - self.pace) / 2

    def next_block(self, slide: StateSnapshot) -> Region | None:
        """Return the block to draw now; None when there is none or it has to wait for another.

        First what the view lacks, then what the ring around it lacks, then what the regions to
        render lack; in each coarse before fine and nearest the centre first. While the view
        moves, the coarsest level comes first where the view will be when a block is drawn, from
        its leading edge on, and finer ones only where they stay in view for as long as a block
        takes. A block is only drawn when everything it is drawn from is stored.
        """
        if self.view is not None:
            for lacking, centre in self._wishes(slide, self.view):
                block, waits = self._next_of(slide, lacking, centre)
                # While tiles of the view wait for those in the engine, others would delay them.
                if block is not None or waits:
                    return block
        return next((b for region in self.regions for b in self._cells(slide, region)), None)

    def obsolete(self, slide: StateSnapshot) -> list[str]:
        """Return the jobs to cancel: those that neither the view, its ring nor a render needs.

        While the view lacks a tile that could be drawn, being rendered does not count. What is
        nearly through is finished.
        """
        needed: set[TileAddress] = set()
        urgent = False
        if self.view is not None and self.flights:
            needed.update(self._on_the_way(slide, self.view))
            lacking = slide.lacking(self.view)
            urgent = self._next_of(slide, lacking, centre_of(self.view))[0] is not None
        enough = _KEPT_AT_REST if self.motion == AT_REST else _KEPT_IN_MOTION
        return [
            job
            for job, flight in self.flights.items()
            if self.shares.get(job, 0.0) < enough
            and needed.isdisjoint(block_tiles(flight.block))
            and (urgent or not self._is_rendered(slide, flight.block))
        ]

    def tidy(self, slide: StateSnapshot) -> None:
        """Drop renders that lack nothing any more, and failures of tiles that are stored."""
        self.failed = {
            tile: why
            for tile, why in self.failed.items()
            if slide.missing(tile.level)[tile.row, tile.col]
        }
        self.regions = [
            region
            for region in self.regions
            if any(_part(slide.missing(p.level), p).any() for p in dependencies(slide, region))
        ]

    def waiting(self, slide: StateSnapshot) -> int:
        """Return how many tiles the view and the renders lack that are not in the engine."""
        levels = range(slide.recipe.coarsest + 1)
        asked = [np.zeros_like(slide.missing(level)) for level in levels]
        if self.view is not None:
            for tile in slide.lacking(self.view):
                asked[tile.level][tile.row, tile.col] = True
        for region in self.regions:
            for part in dependencies(slide, region):
                _part(asked[part.level], part)[...] = True
        return sum(int(np.count_nonzero(asked[n] & self._lack(slide, n))) for n in levels)

    def _wishes(self, slide: StateSnapshot, view: Region) -> Iterator[_Wish]:
        """Yield what a view lacks and where to begin, the most urgent first."""
        if self.motion == AT_REST:
            for ring in sorted({0, self.ahead}):
                yield slide.lacking(view, ring), centre_of(view)
            return
        there = self._later(slide, view, 1)
        way = there.union(self._later(slide, view, 3))
        for place in way, view:
            yield slide.lacking_coarse(place), leading_edge(there, self.motion)
        if is_worth_detail(view, self.motion, self.pace):
            yield slide.lacking(there), centre_of(there)
            yield slide.lacking(view, self.ahead), centre_of(view)

    def _on_the_way(self, slide: StateSnapshot, view: Region) -> list[TileAddress]:
        """Return what of a view, its ring and the places it comes by is not stored."""
        lacking = slide.lacking(view, self.ahead)
        if self.motion == AT_REST:
            return lacking
        way = view.union(self._later(slide, view, 3))
        if is_worth_detail(view, self.motion, self.pace):
            return [*lacking, *slide.lacking(way)]
        return [*lacking, *slide.lacking_coarse(way)]

    def _later(self, slide: StateSnapshot, view: Region, blocks: int) -> Region:
        """Return where a view will be when the engine has drawn so many blocks more."""
        begun = sum(1.0 - self.shares.get(job, 0.0) for job in self.flights)
        return moved_on(slide.spec, view, self.motion, self.pace * (begun + blocks))

    def _next_of(
        self, slide: StateSnapshot, lacking: list[TileAddress], centre: tuple[float, float]
    ) -> tuple[Region | None, bool]:
        """Return the next block of what is lacking, and whether it waits for one in the engine."""
        flying = self._flying()
        waiting = [tile for tile in lacking if tile not in flying and tile not in self.failed]
        ready = [tile for tile in waiting if slide.is_ready(tile)]
        if ready:
            level = _level_first(ready, centre, slide.recipe.coarsest)
            return blocks([tile for tile in ready if tile.level == level], centre)[0], False
        return None, bool(waiting) and not flying.isdisjoint(lacking)

    def _cells(self, slide: StateSnapshot, region: Region) -> Iterator[Region]:
        """Yield blocks of a region to render that can be drawn, coarse before fine, row by row."""
        for part in dependencies(slide, region):
            lack = self._lack(slide, part.level)
            whole = part.snap(TILE)
            first, end = whole.x // TILE, whole.right // TILE
            for top in range(whole.y // TILE, whole.bottom // TILE, 2):
                strip = lack[top : min(top + 2, whole.bottom // TILE), first:end]
                for left in np.unique(np.nonzero(strip)[1] // 2) * 2:
                    tiles = [
                        TileAddress(part.level, top + int(row), first + int(left + col))
                        for row, col in np.argwhere(strip[:, left : left + 2])
                    ]
                    yield from blocks(filter(slide.is_ready, tiles), centre_of(part))

    def _lack(self, slide: StateSnapshot, level: int) -> NDArray[np.bool_]:
        """Return which tiles of a level are missing, not failed and not in the engine."""
        lack = slide.missing(level).copy()
        for tile in self._flying() | self.failed.keys():
            if tile.level == level:
                lack[tile.row, tile.col] = False
        return lack

    def _flying(self) -> set[TileAddress]:
        return {tile for flight in self.flights.values() for tile in block_tiles(flight.block)}

    def _is_rendered(self, slide: StateSnapshot, block: Region) -> bool:
        return any(
            part.level == block.level and not part.intersect(block).is_empty
            for region in self.regions
            for part in dependencies(slide, region)
        )


def _level_first(tiles: list[TileAddress], centre: tuple[float, float], coarsest: int) -> int:
    """Return the level to draw first: the coarsest, unless a finer tile is far nearer the centre.

    So the middle of a view is sharp long before its corners. Nothing comes before the coarsest
    level that the model draws, without which there is no tissue at all.
    """
    nearest: dict[int, float] = {}
    for tile in tiles:
        away = distance(full_region(tile), centre)
        nearest[tile.level] = min(away, nearest.get(tile.level, away))
    first = max(nearest)
    for level in sorted(nearest, reverse=True):
        if first < coarsest and _NEARER * nearest[level] < nearest[first]:
            first = level
    return first


def _part(states: NDArray[Any], part: Region) -> NDArray[Any]:
    """Return the tiles of a level that touch a region inside the slide, as a view."""
    whole = part.snap(TILE)
    rows = slice(whole.y // TILE, whole.bottom // TILE)
    return states[rows, whole.x // TILE : whole.right // TILE]
