"""A scan and its edits, which may be none yet: a folder for them is made when there is one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.colours import GLASS_COLOUR
from napari_histodiff.core.errors import HistodiffError, StorageError
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.listeners import Listeners
from napari_histodiff.slide.lazy_levels import LevelArray
from napari_histodiff.slide.overlays.growing import CarryOut, at_once, enlarge
from napari_histodiff.slide.overlays.overlay import ScanOverlay
from napari_histodiff.slide.overlays.places import find_overlay, open_overlay
from napari_histodiff.slide.scans.padded import Margins, margins_of, scan_inside
from napari_histodiff.slide.scans.scan import Scan

__all__ = ["EditedLevel", "EditedScan"]


class EditedScan:
    """What a scan shows with its edits; from any thread.

    Parameters
    ----------
    scan : Scan
        Stays the caller's.
    place : Path, optional
        The folder of its edits; they are looked for without it.
    read_only : bool
        Whether edits that are there are only looked at, also where nobody else has them open.
    """

    def __init__(self, scan: Scan, place: Path | None = None, *, read_only: bool = False) -> None:
        #: The scan, on its canvas when that is larger: all places are counted from it.
        self.scan = scan
        #: Why the edits that are there are not shown; empty when they are, or there are none.
        self.trouble = ""
        #: The edits; None while there are none.
        self.overlay: ScanOverlay | None = None
        self._listeners: Listeners[Region] = Listeners()
        self._paint_listeners: Listeners[Region] = Listeners()
        try:
            if place is not None or find_overlay(scan) is not None:
                self._take(open_overlay(scan, place, read_only=read_only or None))
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

    @property
    def margins(self) -> Margins:
        """How far the canvas goes beyond the scan."""
        return margins_of(self.scan)

    def on_canvas(self, region: Region) -> Region:
        """Return a place that is counted from the scan as one counted from the canvas."""
        return region.translate(self.margins.top >> region.level, self.margins.left >> region.level)

    def covered(self, region: Region) -> NDArray[np.bool_]:
        """Return where a region shows pixels of the scan or of edits, (h, w) bool."""
        there = np.zeros(region.shape, np.bool_)
        inside = self.on_canvas(scan_inside(self.scan).spec.bounds(region.level)).intersect(region)
        there[inside.relative_to(region).slices] = True
        if self.overlay is not None and not there.all():
            there |= self.overlay.shows_edits(region)
        return there

    def enlarge(self, more: Margins, carry_out: CarryOut = at_once) -> None:
        """Give the scan a larger canvas; see `growing.enlarge`.

        Raises
        ------
        InvalidRequest
            When the margins are none.
        StorageError
            When it can not be written, also because nothing can be written beside the scan.
        """
        overlay = self.make()
        place = overlay.path
        try:
            larger = enlarge(overlay, more, carry_out)
        except HistodiffError:
            if overlay.read_only:  # closed by now; what is there is shown
                self._take(open_overlay(scan_inside(self.scan), place))
            raise
        self._take(larger)

    def close(self) -> None:
        """Let go of the edits; the scan stays open."""
        if self.overlay is not None:
            self.overlay.close()

    def _take(self, overlay: ScanOverlay) -> None:
        overlay.subscribe(self._listeners.emit)
        overlay.subscribe_paint(self._paint_listeners.emit)
        self.overlay = overlay
        if overlay.scan is not None:
            self.scan = overlay.scan


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
        super().__init__(edits.scan.spec.bounds(under.level).shape, is_last)
        y, x = (side >> under.level for side in edits.margins[:2])
        self._place = Region(under.level, y, x, *under.shape[:2])
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
            self._whole[part.slices] = self._read(part)

    def _read(self, region: Region) -> NDArray[np.uint8]:
        inside = region.intersect(self._place)
        if inside == region:
            pixels = np.array(self._shown(inside))
        else:
            pixels = np.empty((*region.shape, 3), np.uint8)
            pixels[:] = GLASS_COLOUR
            if not inside.is_empty:
                pixels[inside.relative_to(region).slices] = self._shown(inside)
        if self._edits.overlay is not None:
            self._edits.overlay.lay_over(region, pixels)
        return pixels

    def _load(self) -> NDArray[np.uint8]:
        self._whole = whole = self._read(self._bounds())
        return whole

    def _shown(self, region: Region) -> NDArray[np.uint8]:
        """What is shown of the scan itself."""
        part = region.relative_to(self._place).slices
        return np.asarray(self._under)[part] if self._is_last else self._under[part]
