"""What the window shows where nothing is drawn yet, at once and without holding it up.

The layout's colours take about 130 ms for a tile, so a thread works them out: first eight times as
coarse, which covers a view in one or two tiles, finer where no model will draw, and none where
everything in view is drawn: that thread and the window share one interpreter. Until then the
nearest coarser ones are enlarged. The coarsest level begins as a sketch of itself, an eighth as
fine, so that a slide opens at once. Drawn pixels are always read exactly. The states of tiles are
kept while an edit is written, so that the window never waits for it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import PyramidSpec, Region, TileAddress
from napari_histodiff.core.listeners import Listeners
from napari_histodiff.core.recipe import TILE, SlideRecipe
from napari_histodiff.slide.storage.chunks import tile_cache
from napari_histodiff.slide.storage.tile_table import TileState
from napari_histodiff.slide.store import SlideStore
from napari_histodiff.slide.streaming.planning import visible
from napari_histodiff.slide.streaming.tile_requests import to_plane
from napari_histodiff.ui.workspace.pending import StepWorker

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Placeholders", "ShownSlide", "first_look"]

log = logging.getLogger(__name__)

_CACHE_BYTES: Final = 32 * 2**20

#: How many levels coarser what is shown first may be, and then, where it stays.
_FIRST: Final = 3
_THEN: Final = (1, 0)

#: How many levels coarser still than the coarsest one its first picture is.
_QUICK: Final = 3


#: What `first_look` found, and where on the plane, by layout.
_LOOKS: Final[WeakKeyDictionary[Any, tuple[Region, NDArray[np.uint8]]]] = WeakKeyDictionary()


def first_look(store: SlideStore) -> tuple[Region, NDArray[np.uint8]]:
    """Return a coarse picture of all of a slide, and its place, worked out once for each layout.

    That takes 50 ms: whoever opens a slide does it in the thread that reads the slide.
    """
    recipe, layout = store.recipe, store.layout
    found = _LOOKS.get(layout)
    bounds = recipe.spec.bounds(recipe.spec.levels - 1)
    y, x, scale = bounds.y >> _QUICK, bounds.x >> _QUICK, 1 << _QUICK
    height, width = -(-bounds.bottom // scale) - y, -(-bounds.right // scale) - x
    place = Region(bounds.level + _QUICK, y, x, height, width)
    plane = to_plane(recipe, place)
    if found is None or found[0] != plane:
        found = _LOOKS[layout] = plane, layout.colours(plane)
    return place, found[1]


class Placeholders:
    """The layout's colours as tiles, worked out in a thread, what was asked for last first.

    Parameters
    ----------
    store : SlideStore
        Whose layout is meant; another layout of it empties what is kept.
    told : callable
        Called from the thread with the place of a tile that came in.
    """

    def __init__(self, store: SlideStore, told: Callable[[Region], None]) -> None:
        self._store = store
        self._told = told
        self._cache = tile_cache(_CACHE_BYTES)
        self._layout = store.layout
        self._top: Any = None
        self._exact: object = None  # the layout whose colours of the coarsest level are kept
        self._wants_top = False
        self._listeners: Listeners[Region] = Listeners()
        self._wanted: tuple[Region, bool] | None = None
        self._wishes: list[TileAddress] = []
        self._open = True
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._serve, name="histodiff-layout", daemon=True)
        self._thread.start()
        self._stop_following = store.subscribe(self._follow)

    def use_top(self, level: Any) -> None:
        """Enlarge this array, the coarsest level as it shows, where there is nothing better."""
        self._top = level

    def read(self, region: Region) -> NDArray[np.uint8]:
        """Return the best that is known of a region of the slide, (h, w, 3) uint8, at once."""
        self._check_layout()
        result = np.empty((*region.shape, 3), np.uint8)
        for place, pixels in reversed(self._sources(region)):
            _enlarge(pixels, place, result, region)
        return result

    def read_top(self, region: Region) -> NDArray[np.uint8] | None:
        """Return a region of the coarsest level in a hurry; None once reading it takes no time.

        Having been asked, the thread works it out and then calls who subscribed.
        """
        recipe = self._store.recipe
        if self._exact is self._store.layout or recipe.spec.levels - 1 <= recipe.coarsest:
            return None
        with self._wake:
            self._wants_top = True
            self._wake.notify()
        result = np.empty((*region.shape, 3), np.uint8)
        place, pixels = first_look(self._store)
        _enlarge(pixels, place, result, region)
        return result

    def subscribe(self, listener: Callable[[Region], None]) -> Callable[[], None]:
        """Call `listener` from the thread with what `read_top` was asked; returns what stops it."""
        return self._listeners.add(listener)

    def want(self, view: Region | None, *, stays: bool) -> None:
        """Work out what a view lacks, in place of what was wanted before.

        Parameters
        ----------
        view : Region or None
            In pixels of the level shown; None wants nothing.
        stays : bool
            Whether no model will draw here, so that finer colours are worth their time.
        """
        self._wanted = None if view is None else (view, stays)
        self._ask()

    def _ask(self) -> None:
        wanted, wishes = self._wanted, list[TileAddress]()
        if wanted is not None:
            (view, stays), spec = wanted, self._store.spec
            steps = (_FIRST, *(_THEN if stays else ()))
            levels = [view.level + step for step in steps if view.level + step < spec.levels - 1]
            for level in levels:
                wishes += visible(spec, spec.at_level(view, level).intersect(spec.bounds(level)))
        with self._wake:
            self._wishes = wishes[::-1]
            self._wake.notify()

    def _follow(self, region: Region) -> None:
        """Ask anew: of what was drawn in view, something may be gone."""
        wanted = self._wanted
        if wanted is not None and region.level >= wanted[0].level:
            self._ask()

    def close(self) -> None:
        """End the thread; idempotent."""
        self._stop_following()
        with self._wake:
            self._open = False
            self._wake.notify()
        self._thread.join()

    def _sources(self, region: Region) -> list[tuple[Region, NDArray[np.uint8]]]:
        """Return pixels that cover a region, each with its place, the finest first."""
        spec = self._store.spec
        sources: list[tuple[Region, NDArray[np.uint8]]] = []
        for level in range(region.level, spec.levels - 1):
            tiles = spec.tiles(spec.at_level(region, level).intersect(spec.bounds(level)))
            kept = [(tile, self._cache.get((level, tile.row, tile.col))) for tile in tiles]
            sources += [(spec.region(tile), found) for tile, found in kept if found is not None]
            if all(found is not None for _, found in kept):
                return sources
        return [*sources, (spec.bounds(spec.levels - 1), np.asarray(self._top))]

    def _check_layout(self) -> None:
        if self._store.layout is not self._layout:
            self._layout = self._store.layout
            self._cache = tile_cache(_CACHE_BYTES)

    def _serve(self) -> None:
        while True:
            with self._wake:
                while self._open and not self._wishes and not self._wants_top:
                    self._wake.wait()
                if not self._open:
                    return
                top, self._wants_top = self._wants_top, False
                tile = None if top else self._wishes.pop()
            try:
                self._work_out_top() if tile is None else self._work_out(tile)
            except Exception:  # whatever a layout raises: the window goes on without its colours
                log.exception("no colours for %s", tile or "the coarsest level")

    def _work_out_top(self) -> None:
        layout, spec = self._store.layout, self._store.spec
        bounds = spec.bounds(spec.levels - 1)
        self._store.read(bounds)  # which keeps the colours
        if layout is not self._store.layout:
            return
        self._exact = layout
        self._listeners.emit(bounds)
        self._told(bounds)

    def _work_out(self, tile: TileAddress) -> None:
        key = (tile.level, tile.row, tile.col)
        layout, recipe = self._store.layout, self._store.recipe
        if self._cache.get(key) is not None or not _has(recipe.spec, tile):
            return
        if self._hides_all(tile):
            return
        region = recipe.spec.region(tile)
        colours = layout.colours(to_plane(recipe, region))
        if layout is self._layout and layout is self._store.layout:
            self._cache[key] = colours
            self._told(region)

    def _hides_all(self, tile: TileAddress) -> bool:
        """Whether nothing of a tile shows in view, as all that lies over it there is drawn."""
        wanted, spec, coarsest = self._wanted, self._store.spec, self._store.recipe.coarsest
        if wanted is None:
            return False
        view, _ = wanted
        part = spec.at_level(spec.region(tile), view.level).intersect(view)
        _, rows, cols = _squares(part.intersect(spec.bounds(view.level)), coarsest)
        return bool(_drawn(self._store.state, coarsest, view.level, rows, cols).all())


class ShownSlide:
    """A slide as the window reads it, at once; a `SlideReader`.

    Nobody waits for the layout's colours, nor for an edit: that keeps the slide to itself for as
    long as it is written, so the states of tiles are meanwhile what they were before.

    Parameters
    ----------
    store : SlideStore
        The slide.
    placeholders : Placeholders
        What shows where nothing is drawn.
    worker : StepWorker
        Who writes edits.
    """

    def __init__(self, store: SlideStore, placeholders: Placeholders, worker: StepWorker) -> None:
        self._store = store
        self._placeholders = placeholders
        self._kept: list[NDArray[np.uint8]] | None = None
        worker.busy_changed.connect(self._keep)

    def subscribe(self, listener: Callable[[Region], None]) -> Callable[[], None]:
        """Call `listener` with each region that looks different; returns what stops it."""
        stops = self._store.subscribe(listener), self._placeholders.subscribe(listener)

        def stop() -> None:
            for each in stops:
                each()

        return stop

    @property
    def path(self) -> Path:
        """The slide's folder."""
        return self._store.path

    @property
    def recipe(self) -> SlideRecipe:
        """What the slide is a function of."""
        return self._store.recipe

    @property
    def spec(self) -> PyramidSpec:
        """The slide's pyramid."""
        return self._store.spec

    @property
    def read_only(self) -> bool:
        """Whether nothing can be written here."""
        return self._store.read_only

    def state(self, level: int) -> NDArray[np.uint8]:
        """Return a copy of the `TileState` of each tile of a level; see `SlideStore.state`."""
        kept = self._kept
        if kept is None or not 0 <= level < len(kept):
            return self._store.state(level)
        return kept[level].copy()

    def read(self, region: Region) -> NDArray[np.uint8]:
        """Return a region of the slide, (h, w, 3) uint8: exact where something is drawn."""
        quick = None
        if region.level == self.spec.levels - 1:
            quick = self._placeholders.read_top(region)
            if quick is None:
                return self._store.read(region)
        coarsest = self.recipe.coarsest
        side, rows, cols = _squares(region, coarsest)
        drawn = _drawn(self.state, coarsest, region.level, rows, cols)
        if drawn.all():
            return self._store.read(region)
        result = self._placeholders.read(region) if quick is None else quick
        for row, start, end in _runs(drawn):
            cells = Region(region.level, rows[row], cols[start], 1, end - start)
            piece = _scaled(cells, side).intersect(region)
            result[piece.relative_to(region).slices] = self._store.read(piece)
        return result

    def _keep(self, busy: bool) -> None:
        levels = range(self._store.recipe.coarsest + 1)
        self._kept = [self._store.state(level) for level in levels] if busy else None


def _squares(region: Region, coarsest: int) -> tuple[int, NDArray[np.int64], NDArray[np.int64]]:
    """Return the squares that cover a region, each under one drawn tile: side, rows and columns."""
    side = TILE >> max(0, region.level - coarsest)
    rows = np.arange(region.y // side, -(-region.bottom // side))
    return side, rows, np.arange(region.x // side, -(-region.right // side))


def _drawn(
    state: Callable[[int], NDArray[np.uint8]],
    coarsest: int,
    level: int,
    rows: NDArray[np.int64],
    cols: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Return which squares of a level show something drawn."""
    level = min(level, coarsest)
    drawn = np.zeros((len(rows), len(cols)), np.bool_)
    for above in range(level, coarsest + 1):
        steps = above - level
        states = state(above)[np.ix_(rows >> steps, cols >> steps)]
        drawn |= states != TileState.EMPTY
    return drawn


def _has(spec: PyramidSpec, tile: TileAddress) -> bool:
    """Return whether a slide has a tile; it may have been another slide when it was asked for."""
    if not 0 <= tile.level < spec.levels:
        return False
    bounds = spec.bounds(tile.level)
    return 0 <= tile.row * TILE < bounds.height and 0 <= tile.col * TILE < bounds.width


def _scaled(cells: Region, side: int) -> Region:
    return Region(
        cells.level, cells.y * side, cells.x * side, cells.height * side, cells.width * side
    )


def _runs(drawn: NDArray[np.bool_]) -> list[tuple[int, int, int]]:
    """Return row, first and end column of each run of True."""
    padded = np.pad(drawn.astype(np.int8), ((0, 0), (1, 1)))
    edges = np.diff(padded, axis=1)
    rows, starts = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    return list(zip(rows.tolist(), starts.tolist(), ends.tolist(), strict=True))


def _enlarge(
    pixels: NDArray[np.uint8], place: Region, result: NDArray[np.uint8], region: Region
) -> None:
    """Write what pixels of a coarser level show of a region into `result`."""
    scale = 1 << (place.level - region.level)
    part = place.at_level(region.level).intersect(region)
    if part.is_empty:
        return
    rows = np.arange(part.y, part.bottom) // scale - place.y
    cols = np.arange(part.x, part.right) // scale - place.x
    # Whole pixels and rows are moved, which is several times as fast as single bytes.
    lines = np.ascontiguousarray(pixels[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1])
    wide = lines.view("V3")[..., 0].take(cols - cols[0], axis=1).view(np.uint8)
    target = result[part.relative_to(region).slices]
    target[:] = wide.take(rows - rows[0], axis=0).reshape(target.shape)
