"""The state of an open store of edits of a scan, and what it lies on: the scan, or nothing."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.colours import GLASS_COLOUR
from napari_histodiff.core.errors import HistodiffError, StorageError
from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.base import Base
from napari_histodiff.slide.overlays.recipe import ScanRecipe, read_scan_recipe
from napari_histodiff.slide.scans.scan import Scan
from napari_histodiff.slide.state import Repair, StoreState
from napari_histodiff.slide.storage.tile_table import TileState

__all__ = ["OverlayState"]


class ScanBase:
    """The pixels of a scan; a `Base`."""

    has_pixels = True

    def __init__(self, scan: Scan) -> None:
        self._scan = scan

    def colours(self, region: Region) -> NDArray[np.uint8]:
        """Return the scan's pixels.

        Raises
        ------
        ScanError
            When a part of them cannot be decoded.
        StorageError
            When the file is gone.
        """
        try:
            return self._scan.read(region)
        except HistodiffError:
            raise
        except OSError as error:
            raise _gone(self._scan.path, error) from error


class AbsentScan:
    """What shows of edits whose scan is not at hand: the edited tiles whole, glass elsewhere."""

    has_pixels = False

    def colours(self, region: Region) -> NDArray[np.uint8]:
        """Return glass."""
        pixels = np.empty((*region.shape, 3), np.uint8)
        pixels[:] = GLASS_COLOUR
        return pixels


class OverlayState(StoreState):
    """What an open store of edits of a scan is made of.

    Parameters
    ----------
    path : Path
        The store's folder.
    recipe : ScanRecipe
        What it knows of its scan.
    scan : Scan, optional
        The scan; without it only edited tiles can be looked at.
    cache_bytes : int
        Limit of decoded tiles kept in memory.
    repair : callable
        Restores a damaged chunk or gives it up.
    writable : bool
        Whether this is the one writer.

    Raises
    ------
    StorageError
        When the store is damaged.
    """

    recipe: ScanRecipe

    untouched = TileState.SOURCE

    def __init__(
        self,
        path: Path,
        recipe: ScanRecipe,
        scan: Scan | None,
        cache_bytes: int,
        repair: Repair,
        *,
        writable: bool,
    ) -> None:
        self.scan = scan
        self._stamp = None if scan is None else _stamp_of(scan.path)
        super().__init__(path, recipe, cache_bytes, repair, writable=writable)

    def make_base(self) -> Base:
        """Lay the edits on the scan where it is at hand."""
        return AbsentScan() if self.scan is None else ScanBase(self.scan)

    def read_recipe(self) -> ScanRecipe:
        """Read the recipe as it is on disk now; what the scan says of itself goes first."""
        recipe = read_scan_recipe(self.path)
        if self.scan is None:
            return recipe
        if recipe.margins != self.recipe.margins:
            raise StorageError(
                f"expected the canvas of {self.scan.path} as large as when it was opened, got one "
                "that was made larger in another window; close the slide here and open it again"
            )
        return replace(recipe, name=self.recipe.name, mpp=self.recipe.mpp)

    def check_base(self) -> None:
        """Check that the scan is there and is the file that was opened.

        Raises
        ------
        StorageError
            When it is not.
        """
        if self.scan is not None and _stamp_of(self.scan.path) != self._stamp:
            raise StorageError(
                f"expected the scan {self.scan.path} as it was opened, got another file or one "
                "that was written to since; put the scan back, close it and open it again"
            )


def _stamp_of(path: Path) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError as error:
        raise _gone(path, error) from error
    return found.st_size, found.st_mtime_ns


def _gone(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"expected the scan {path} where it was opened, got '{error.strerror or error}'; "
        "put it back or plug its disk in, then try again; the edits are whole"
    )
