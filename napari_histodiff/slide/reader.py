"""What can be asked of a slide without changing it: the protocols, and an open store on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import PyramidSpec, Region, TileAddress
from napari_histodiff.core.listeners import Listeners
from napari_histodiff.core.recipe import TILE
from napari_histodiff.slide.base import StoreRecipe
from napari_histodiff.slide.maintenance import VerifyReport, verify
from napari_histodiff.slide.state import StoreState
from napari_histodiff.slide.storage.tile_table import HAS_EDITS, summary

__all__ = ["OpenStore", "SlideReader", "TileStates"]


@runtime_checkable
class TileStates(Protocol):
    """What is known of a slide's tiles; all of it may be called from any thread."""

    @property
    def recipe(self) -> StoreRecipe:
        """What is known of the slide."""

    @property
    def spec(self) -> PyramidSpec:
        """The slide's pyramid."""

    def state(self, level: int) -> NDArray[np.uint8]:
        """Return a copy of the `TileState` of each tile of a level, (rows, cols) uint8.

        Raises
        ------
        InvalidRequest
            When the slide has no such level.
        """


@runtime_checkable
class SlideReader(TileStates, Protocol):
    """A slide that can be read anywhere at once: reading never draws.

    `tests/slide/reader_contract.py` holds what every reader does.
    """

    @property
    def path(self) -> Path:
        """The slide's folder."""

    @property
    def read_only(self) -> bool:
        """Whether nothing can be written here."""

    def read(self, region: Region) -> NDArray[np.uint8]:
        """Return what shows in a region of any place and level, (h, w, 3) uint8.

        These are the drawn pixels, and where there are none the nearest coarser ones enlarged.

        Raises
        ------
        InvalidRequest
            When the slide has no such level.
        """

    def subscribe(self, listener: Callable[[Region], None]) -> Callable[[], None]:
        """Call `listener` with each region that looks different; returns what stops it.

        It is called from whichever thread made the change.
        """


class OpenStore:
    """An open store of a slide's tiles, whatever it lies on; a `SlideReader`.

    Regions are in ARRAY coordinates: (0, 0) is the slide's first pixel. Reading never draws. All of
    it may be called from any thread.

    Parameters
    ----------
    slide : StoreState
        What it is made of.
    """

    _slide: StoreState

    def __init__(self, slide: StoreState) -> None:
        self._slide = slide
        self._lock = slide.lock
        self._listeners: Listeners[Region] = Listeners()

    @property
    def path(self) -> Path:
        """The slide's folder."""
        return self._slide.path

    @property
    def recipe(self) -> StoreRecipe:
        """What is known of the slide."""
        return self._slide.recipe

    @property
    def spec(self) -> PyramidSpec:
        """The slide's pyramid."""
        return self.recipe.spec

    @property
    def read_only(self) -> bool:
        """Whether nothing can be written here."""
        return not self._slide.writable

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit to take back, also from before the slide was opened."""
        return not self.read_only and bool(self._slide.ledger.edits.done)

    @property
    def can_redo(self) -> bool:
        """Whether there is an edit to do again."""
        return not self.read_only and bool(self._slide.ledger.edits.undone)

    @property
    def nbytes(self) -> int:
        """Bytes of the stored tiles on disk, without the kept edits."""
        return self._slide.table.total

    def read(self, region: Region) -> NDArray[np.uint8]:
        """Return what shows in a region; draws nothing.

        These are the stored pixels; where there are none, the nearest coarser ones enlarged; where
        there are none of those and outside the slide, what the store lies on: the colours of a
        layout. Of a scan these are its own pixels, with edits over them.

        Parameters
        ----------
        region : Region
            Any place of a level of the slide, ARRAY coordinates.

        Returns
        -------
        (h, w, 3) uint8

        Raises
        ------
        StorageError
            When a tile the user edited is damaged and can not be restored.
        """
        return self._slide.tile_reader.read(region)

    def state(self, level: int) -> NDArray[np.uint8]:
        """Return a copy of the `TileState` of each tile of a level, (rows, cols) uint8.

        A tile of a level that is never drawn has the least settled state of the tiles under it.
        """
        with self._lock:
            coarsest = self.recipe.coarsest
            table = self._slide.table
            self.spec.bounds(level)
            states = table.states[min(level, coarsest)].copy()
            rows, cols = table.shape(level)
        return states if level <= coarsest else summary(states, level - coarsest, (rows, cols))

    def labels(self, region: Region) -> NDArray[np.int32]:
        """Return the nuclei of a region as far as they are stored.

        Parameters
        ----------
        region : Region
            Any place of a level that the model draws, ARRAY coordinates.

        Returns
        -------
        (h, w) int32
            7 * instance + class; 0 where there is none, where nothing is drawn, and outside.
        """
        return self._slide.tile_reader.labels(region)

    def tissue(self, region: Region) -> NDArray[np.uint8]:
        """Return the tissue of a region as far as it is stored, ids of `TISSUE_NAMES`.

        On a scan what was painted; on a synthetic slide what edits of this level were drawn with.

        Parameters
        ----------
        region : Region
            Any place of a level, ARRAY coordinates.

        Returns
        -------
        (h, w) uint8
            0 where nobody said and outside.
        """
        return self._slide.tile_reader.numbers("tissue", region).astype(np.uint8, copy=False)

    def edited(self, region: Region) -> NDArray[np.bool_]:
        """Return which pixels of a region the user changed at its level.

        Parameters
        ----------
        region : Region
            Any place of a level that the model draws, ARRAY coordinates.

        Returns
        -------
        (h, w) bool
            What edits of finer or coarser levels show there does not count.
        """
        return self._slide.tile_reader.edited(region)

    def edited_under(self, region: Region) -> list[TileAddress]:
        """Return the tiles of finer levels at a place that hold edits made there.

        An edit of `region` replaces them.
        """
        found = []
        with self._lock:
            for level in range(min(region.level, self.recipe.coarsest + 1)):
                place = (
                    self.spec.at_level(region, level).snap(TILE).intersect(self.spec.bounds(level))
                )
                rows = slice(place.y // TILE, -(-place.bottom // TILE))
                cols = slice(place.x // TILE, -(-place.right // TILE))
                flags = self._slide.table.flags[level][rows, cols]
                found += [
                    TileAddress(level, rows.start + int(row), cols.start + int(col))
                    for row, col in np.argwhere(flags & HAS_EDITS != 0)
                ]
        return found

    def edited_tiles(self, level: int) -> list[Region]:
        """Return the tiles of a level that hold edits made there."""
        with self._lock:
            table = self._slide.table
            chosen = table.flags[level] & HAS_EDITS != 0
            return [self.spec.region(tile) for tile in table.addresses(level, chosen)]

    def requests(self) -> list[dict[str, Any]]:
        """Return the descriptions of the edits that stand, oldest first.

        Each is `EditRequest.to_dict`, its places in ARRAY coordinates of the slide as it is now.
        Changes of the sketch have none; edits too old to be undone keep none.

        Raises
        ------
        StorageError
            When the file of an edit is damaged.
        """
        found = []
        with self._lock:
            for number in self._slide.ledger.edits.done:  # one at a time: they hold many tiles
                edit = self._slide.edit_files.get(number).moved_to(self._slide.frame)
                if edit.request is not None:
                    found.append(edit.request)
        return found

    def verify(self) -> VerifyReport:
        """Read every stored tile and compare each with the level below; changes nothing."""
        with self._lock:
            return verify(self._slide)

    def subscribe(self, listener: Callable[[Region], None]) -> Callable[[], None]:
        """Call `listener` with each region whose pixels changed; returns what stops it.

        The same place may look different on the other levels too. It is called from whichever
        thread made the change, after it.
        """
        return self._listeners.add(listener)
