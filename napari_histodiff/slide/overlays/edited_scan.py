"""A scan and its edits, which may be none yet: a folder for them is made when there is one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import StorageError
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.listeners import Listeners
from napari_histodiff.slide.lazy_levels import LevelArray
from napari_histodiff.slide.overlays.overlay import ScanOverlay
from napari_histodiff.slide.overlays.places import find_overlay, open_overlay
from napari_histodiff.slide.scans.scan import Scan

__all__ = ["EditedLevel", "EditedScan"]


class EditedScan:
    """What a scan shows with its edits; from any thread.

    Parameters
    ----------
    scan : Scan
        Stays the caller's.
    read_only : bool
        Whether edits that are there are only looked at, also where nobody else has them open.
    """

    def __init__(self, scan: Scan, *, read_only: bool = False) -> None:
        self.scan = scan
        #: Why the edits that are there are not shown; empty when they are, or there are none.
        self.trouble = ""
        #: The edits; None while there are none.
        self.overlay: ScanOverlay | None = None
        self._listeners: Listeners[Region] = Listeners()
        self._paint_listeners: Listeners[Region] = Listeners()
        try:
            if find_overlay(scan) is not None:
                self._take(open_overlay(scan, read_only=read_only or None))
        except StorageError as error:
            self.trouble = str(error)

    @property
    def read_only(self) -> bool:
        """Whether the edits can only be looked at."""
        return self.overlay is not None and self.overlay.read_only

    def make(self, place: Path | None = None) -> ScanOverlay:
        """Return the edits; where there are none yet, make a folder for them.

        Parameters
        ----------
        place : Path, optional
            The folder to make it in; beside the scan without it.

        Raises
        ------
        NeedsPlace
            When nothing can be written beside the scan.
        StorageError
            When it can not be made, or another program was faster.
        """
        if self.overlay is None:
            self._take(open_overlay(self.scan, place, read_only=False))
        assert self.overlay is not None
        return self.overlay

    def read(self, region: Region) -> NDArray[np.uint8]:
        """Return the pixels of a region of any place and level, (h, w, 3) uint8.

        Raises
        ------
        ScanError
            When a part of the scan cannot be decoded.
        StorageError
            When the scan or an edited tile is gone.
        """
        return (self.scan if self.overlay is None else self.overlay).read(region)

    def subscribe(self, listener: Callable[[Region], None]) -> Callable[[], None]:
        """Call `listener` with each region whose pixels changed; returns what stops it."""
        return self._listeners.add(listener)

    def subscribe_paint(self, listener: Callable[[Region], None]) -> Callable[[], None]:
        """As `ScanOverlay.subscribe_paint`, also of edits that are still to be made."""
        return self._paint_listeners.add(listener)

    def close(self) -> None:
        """Let go of the edits; the scan stays open."""
        if self.overlay is not None:
            self.overlay.close()

    def _take(self, overlay: ScanOverlay) -> None:
        overlay.subscribe(self._listeners.emit)
        overlay.subscribe_paint(self._paint_listeners.emit)
        self.overlay = overlay


class EditedLevel(LevelArray):
    """A level of a scan in a window, with the edits over what is shown of it.

    Parameters
    ----------
    under : LevelArray
        The level without edits.
    edits : EditedScan
        The edits.
    """

    def __init__(self, under: LevelArray, edits: EditedScan) -> None:
        is_last = under.level == edits.scan.spec.levels - 1
        super().__init__(under.shape[:2], is_last)
        self._under = under
        self._edits = edits

    @property
    def level(self) -> int:
        """Which level it is."""
        return self._under.level

    @property
    def name(self) -> str:
        """What tells this level from others: the level, and the folder of the edits."""
        overlay = self._edits.overlay
        return self._under.name if overlay is None else f"{self._under.name}-{overlay.path}"

    def __repr__(self) -> str:
        return f"<EditedLevel over {self._under!r}>"

    def update(self, region: Region) -> None:
        """Lay the edits anew where they changed, or what lies under them did."""
        if self._whole is None:
            return
        part = self._edits.scan.spec.at_level(region, self.level).intersect(self._bounds())
        if not part.is_empty:
            self._whole[part.slices] = self._over(part, np.asarray(self._under)[part.slices])

    def _read(self, region: Region) -> NDArray[np.uint8]:
        return self._over(region, self._under[region.slices])

    def _load(self) -> NDArray[np.uint8]:
        self._whole = whole = self._over(self._bounds(), np.asarray(self._under))
        return whole

    def _over(self, region: Region, shown: NDArray[np.uint8]) -> NDArray[np.uint8]:
        pixels = np.array(shown)
        if self._edits.overlay is not None:
            self._edits.overlay.lay_over(region, pixels)
        return pixels
