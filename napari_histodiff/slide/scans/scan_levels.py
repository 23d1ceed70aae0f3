"""Levels of a scan as arrays that are read where they are looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.lazy_levels import LevelArray
from napari_histodiff.slide.scans.scan import Scan, ScanError

__all__ = ["ScanLevel", "scan_levels"]

#: Stripes over what cannot be decoded: no tissue has these colours.
_STRIPES: Final = np.array([(255, 0, 255), (40, 40, 40)], np.uint8)
_STRIPE: Final = 16


class ScanLevel(LevelArray):
    """One level of a scan as an array.

    A tile that cannot be decoded raises, or shows stripes where damage is told to somebody.

    Parameters
    ----------
    scan : Scan
        The scan.
    level : int
        Which level.
    on_damage : callable, optional
        Called with each `ScanError`, from the thread that reads; stripes are shown.
    """

    def __init__(
        self, scan: Scan, level: int, on_damage: Callable[[ScanError], object] | None = None
    ) -> None:
        super().__init__(scan.spec.bounds(level).shape, level == scan.spec.levels - 1)
        self._scan = scan
        self._level = level
        self._on_damage = on_damage

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
        try:
            return self._scan.read(region)
        except ScanError as error:
            if self._on_damage is None:
                raise
            self._on_damage(error)
            return self._with_stripes(region)

    def _load(self) -> NDArray[np.uint8]:
        self._whole = whole = self._read(self._bounds())
        return whole

    def _with_stripes(self, region: Region) -> NDArray[np.uint8]:
        pixels = np.empty((*region.shape, 3), np.uint8)
        for tile in self._scan.spec.tiles(region):
            part = self._scan.spec.region(tile).intersect(region)
            try:
                found = self._scan.read(part)
            except ScanError:
                rows = np.add.outer(np.arange(part.height), np.arange(part.width))
                found = _STRIPES[rows // _STRIPE % 2]
            pixels[part.relative_to(region).slices] = found
        return pixels


def scan_levels(
    scan: Scan, on_damage: Callable[[ScanError], object] | None = None
) -> list[ScanLevel]:
    """Return all levels of a scan, the finest first; the last one is at most 512 pixels a side."""
    return [ScanLevel(scan, level, on_damage) for level in range(scan.spec.levels)]
