"""A scan with glass around it: room to draw beyond its border."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.colours import GLASS_COLOUR
from napari_histodiff.core.geometry import PyramidSpec, Region
from napari_histodiff.slide.scans.scan import Scan, ScanFacts, ScanIdentity

__all__ = ["Margins", "PaddedScan", "margins_of", "padded", "scan_inside"]


class Margins(NamedTuple):
    """Rows and columns of level 0 around a scan.

    All are multiples of a pixel of the coarsest level, so that pixels of every level lie as they
    did.
    """

    top: int = 0
    left: int = 0
    bottom: int = 0
    right: int = 0

    def __add__(self, other: object) -> Margins:
        assert isinstance(other, Margins)
        return Margins(*(mine + more for mine, more in zip(self, other, strict=True)))


class PaddedScan:
    """A scan as a part of a larger canvas; a `Scan`, whose `identity` is that of the scan inside.

    Parameters
    ----------
    inside : Scan
        The scan; stays the caller's.
    margins : Margins
        How far the canvas goes beyond it.
    """

    def __init__(self, inside: Scan, margins: Margins) -> None:
        spec = inside.spec
        self.inside = inside
        self.margins = margins
        self._spec = PyramidSpec(
            spec.height + margins.top + margins.bottom,
            spec.width + margins.left + margins.right,
            spec.tile,
            spec.levels,
            spec.mpp,
        )

    @property
    def path(self) -> Path:
        """The file, or the folder."""
        return self.inside.path

    @property
    def spec(self) -> PyramidSpec:
        """The canvas as a pyramid, of as many levels as the scan."""
        return self._spec

    @property
    def facts(self) -> ScanFacts:
        """What the scan's header says."""
        return self.inside.facts

    def place(self, level: int) -> Region:
        """Return where the scan lies on the canvas."""
        bounds = self.inside.spec.bounds(level)
        return bounds.translate(self.margins.top >> level, self.margins.left >> level)

    def read(self, region: Region) -> NDArray[np.uint8]:
        """Return the scan's pixels, and glass beyond it; see `Scan.read`."""
        place = self.place(region.level)
        inside = region.intersect(place)
        if inside == region:
            return self.inside.read(region.translate(-place.y, -place.x))
        pixels = np.empty((*region.shape, 3), np.uint8)
        pixels[:] = GLASS_COLOUR
        if not inside.is_empty:
            there = self.inside.read(inside.translate(-place.y, -place.x))
            pixels[inside.relative_to(region).slices] = there
        return pixels

    def identity(self) -> ScanIdentity:
        """Return what tells the scan inside from others."""
        return self.inside.identity()

    def close(self) -> None:
        """Let go of the scan."""
        self.inside.close()

    def __repr__(self) -> str:
        return f"<{self.inside!r} with {tuple(self.margins)} pixels around it>"


def margins_of(scan: Scan) -> Margins:
    """Return how far the canvas of a scan goes beyond it."""
    return scan.margins if isinstance(scan, PaddedScan) else Margins()


def scan_inside(scan: Scan) -> Scan:
    """Return the scan itself, without a canvas around it."""
    return scan.inside if isinstance(scan, PaddedScan) else scan


def padded(scan: Scan, margins: Margins) -> Scan:
    """Return a scan on a canvas with these margins, itself where they are those it has."""
    if margins_of(scan) == margins:
        return scan
    inside = scan_inside(scan)
    return PaddedScan(inside, margins) if any(margins) else inside
