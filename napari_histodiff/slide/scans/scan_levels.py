"""Levels of a scan as arrays that are read where they are looked at."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.box_mean import box_down
from napari_histodiff.core.colours import GLASS_COLOUR
from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.lazy_levels import LevelArray
from napari_histodiff.slide.scans.level_builder import LevelBuilder
from napari_histodiff.slide.scans.pyramid_scan import OnDamage, PyramidScan

__all__ = ["Overview", "ScanLevel", "scan_levels"]

#: Tiles of the file that are decoded at once for a view of a level that the file lacks, and for
#: the coarsest level; what takes more is made beside the window.
_AT_ONCE: Final = 64
_OVERVIEW_AT_ONCE: Final = 256


class ScanLevel(LevelArray):
    """One level of a scan as an array.

    Parameters
    ----------
    scan : PyramidScan
        The scan.
    level : int
        Which level.
    on_damage : callable, optional
        Called with each `ScanError`, from the thread that reads, and stripes are shown; without
        it, reading raises.
    """

    def __init__(self, scan: PyramidScan, level: int, on_damage: OnDamage | None = None) -> None:
        super().__init__(scan.spec.bounds(level).shape, level == scan.spec.levels - 1)
        self._scan = scan
        self._level = level
        self._on_damage = on_damage

    @property
    def scan(self) -> PyramidScan:
        """The scan, which whoever took it off the screen closes."""
        return self._scan

    @property
    def level(self) -> int:
        """Which level it is."""
        return self._level

    @property
    def name(self) -> str:
        """What tells this level from others: the scan and the level."""
        return f"scan-{self._scan.identity().sha256[:32]}-{self._level}"

    def __repr__(self) -> str:
        return f"<ScanLevel {self._level} of {self._scan.path}: {self.shape} uint8>"

    def _read(self, region: Region) -> NDArray[np.uint8]:
        if self._on_damage is None:
            return self._scan.read(region)
        return self._scan.show(region, self._on_damage)

    def _load(self) -> NDArray[np.uint8]:
        self._whole = whole = self._read(self._bounds())
        return whole


class Overview(ScanLevel):
    """The coarsest level in a window: it fills while the levels below are made."""

    def __init__(
        self, scan: PyramidScan, level: int, on_damage: OnDamage, builder: LevelBuilder
    ) -> None:
        super().__init__(scan, level, on_damage)
        self._builder = builder

    def enlarged(self, region: Region) -> NDArray[np.uint8]:
        """Return what the overview shows in a region of a finer level."""
        scale = 1 << (self._level - region.level)
        whole = np.asarray(self)
        rows = np.arange(region.y, region.bottom) // scale
        cols = np.arange(region.x, region.right) // scale
        return whole[rows[:, None], cols]

    def fill(self, region: Region, pixels: NDArray[np.uint8]) -> None:
        """Take in a tile of a finer level that was made; from any thread."""
        if self._whole is None:
            return
        for level in range(region.level, self._level):
            region = self._scan.spec.at_level(region, level + 1)
            pixels = box_down(pixels)
        self._whole[region.slices] = pixels

    def _read(self, region: Region) -> NDArray[np.uint8]:
        return np.asarray(self)[region.slices].copy()

    def _load(self) -> NDArray[np.uint8]:
        bounds = self._bounds()
        if self._scan.cost(bounds) <= _OVERVIEW_AT_ONCE:
            self._whole = super()._read(bounds)
        else:
            self._whole = np.empty((*bounds.shape, 3), np.uint8)
            self._whole[:] = GLASS_COLOUR
            self._builder.want(self._scan.spec.tiles(bounds))
        return self._whole


class _BuiltLevel(ScanLevel):
    """A level in a window that may not be in the file: the overview shows until it is made."""

    def __init__(
        self,
        scan: PyramidScan,
        level: int,
        on_damage: OnDamage,
        builder: LevelBuilder,
        overview: Overview,
    ) -> None:
        super().__init__(scan, level, on_damage)
        self._builder = builder
        self._overview = overview

    def _read(self, region: Region) -> NDArray[np.uint8]:
        scan = self._scan
        if scan.is_in_file(self._level) or scan.cost(region) <= _AT_ONCE:
            return super()._read(region)
        pixels = self._overview.enlarged(region)
        missing = []
        for tile in scan.spec.tiles(region):
            whole = scan.spec.region(tile)
            if scan.cost(whole):
                missing.append(tile)
            else:
                part = whole.intersect(region)
                pixels[part.relative_to(region).slices] = super()._read(part)
        self._builder.want(missing)
        return pixels


def scan_levels(
    scan: PyramidScan, on_damage: OnDamage, builder: LevelBuilder
) -> tuple[list[ScanLevel], Overview]:
    """Return all levels of a scan for a window, the finest first, and the last one, the overview.

    It has at most 512 pixels a side. Reading takes no longer than decoding what is in the file.
    """
    last = scan.spec.levels - 1
    overview = Overview(scan, last, on_damage, builder)
    finer = [_BuiltLevel(scan, level, on_damage, builder, overview) for level in range(last)]
    return [*finer, overview], overview
