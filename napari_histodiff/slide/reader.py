"""What can be asked of a slide without changing it: the protocol, and an open slide on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import PyramidSpec, Region, TileAddress
from napari_histodiff.core.listeners import Listeners
from napari_histodiff.core.recipe import SlideRecipe
from napari_histodiff.layout.sketch import Sketch
from napari_histodiff.slide.maintenance import VerifyReport, verify
from napari_histodiff.slide.state import SlideState
from napari_histodiff.slide.storage.tile_table import HAS_EDITS, summary

__all__ = ["OpenSlide", "SlideReader", "TileStates"]


@runtime_checkable
class TileStates(Protocol):
    """What is known of a slide's tiles; all of it may be called from any thread."""

    @property
    def recipe(self) -> SlideRecipe:
        """What the slide is a function of."""

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


class OpenSlide:
    """An open slide; a `SlideReader`.

    Regions are in ARRAY coordinates: (0, 0) is the slide's first pixel. Reading never draws. All of
    it may be called from any thread.

    Parameters
    ----------
    slide : SlideState
        What it is made of.
    """

    def __init__(self, slide: SlideState) -> None:
        self._slide = slide
        self._lock = slide.lock
        self._listeners: Listeners[Region] = Listeners()

    @property
    def path(self) -> Path:
        """The slide's folder."""
        return self._slide.path

    @property
    def recipe(self) -> SlideRecipe:
        """What the slide is a function of."""
        return self._slide.recipe

    @property
    def sketch(self) -> Sketch | None:
        """Where which tissue is, as far as the user said."""
        return self._slide.sketch

    @property
    def layout(self) -> Any:
        """What `layout` made of recipe and sketch; its regions are in PLANE coordinates."""
        return self._slide.layout

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
        there are none of those and outside the slide, the layout's colours.

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

    def base(self, region: Region) -> NDArray[np.uint8]:
        """Return the pixels that finer levels are drawn from.

        As `read`, but without what edits of finer levels averaged into it, so that drawn tiles do
        not depend on the order of edits and visits.

        Parameters
        ----------
        region : Region
            Any place of a level that the model draws, ARRAY coordinates.

        Returns
        -------
        (h, w, 3) uint8

        Raises
        ------
        StorageError
            When a tile of the slide in it is not drawn, or is stale.
        """
        return self._slide.tile_reader.base(region)

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
        with self._lock:
            return [
                tile
                for level in range(min(region.level, self.recipe.coarsest + 1))
                for tile in self.spec.tiles(self.spec.at_level(region, level))
                if self._slide.info(tile).flags & HAS_EDITS
            ]

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
