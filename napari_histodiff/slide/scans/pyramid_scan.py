"""A scan whose levels halve: those of the file where they fit, and box means where it has none."""

from __future__ import annotations

import hashlib
import math
import time
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.box_mean import box_down
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import PyramidSpec, Region, TileAddress
from napari_histodiff.slide.scans.scan import ScanError, ScanFacts, ScanIdentity
from napari_histodiff.slide.scans.source import DecodingError, ScanSource

__all__ = ["TILE", "PyramidScan", "level_of"]

#: Side of a tile.
TILE: Final = 256

_COARSEST: Final = 512  # longest side of the last level, which napari keeps in memory
_STRIP: Final = 2**24  # most pixels of a finer level that are averaged at once
_PATIENCE: Final = 30.0  # seconds until a tile that could not be decoded is tried again
_BLOCKS, _BLOCK, _END = 32, 4096, 65536  # of the bytes that tell a file from others


class PyramidScan:
    """A scan; see `Scan`.

    Parameters
    ----------
    path : path
        The file or folder.
    source : ScanSource
        Decodes it; closed by `close`.
    mpp : (y, x), optional
        Micrometres per pixel that a person gave; they go before those of the header.
    """

    def __init__(
        self, path: Path, source: ScanSource, *, mpp: tuple[float, float] | None = None
    ) -> None:
        header, shapes = source.header, source.shapes
        self._path = path
        self._source = source
        self._natives = _natives(shapes)
        self._damaged: dict[TileAddress, tuple[ScanError, float]] = {}
        length = mpp or header.mpp
        height, width = shapes[0]
        levels = 1
        while -(-max(height, width) // (1 << (levels - 1))) > _COARSEST:
            levels += 1
        self._spec = PyramidSpec(height, width, TILE, levels, length[0] if length else 1.0)
        self._facts = ScanFacts(
            format=header.format,
            reader=header.reader,
            mpp=length,
            mpp_from="asked" if mpp else "header" if header.mpp else None,
            magnification=header.magnification,
            levels=shapes,
            nbytes=sum(file.stat().st_size for file in header.files),
            associated=header.associated,
            has_icc=header.has_icc,
            notes=header.notes,
        )

    @property
    def path(self) -> Path:
        """The file, or the folder."""
        return self._path

    @property
    def spec(self) -> PyramidSpec:
        """The scan as a pyramid whose levels halve, down to 512 pixels a side."""
        return self._spec

    @property
    def facts(self) -> ScanFacts:
        """What the header says."""
        return self._facts

    def __repr__(self) -> str:
        height, width = self._spec.height, self._spec.width
        return f"<Scan {self._path}: {height} x {width}, {self._facts.format}>"

    def read(self, region: Region) -> NDArray[np.uint8]:
        """Return the pixels of a region of any place and level, (h, w, 3) uint8; white outside.

        Raises
        ------
        ScanError
            When a part of it cannot be decoded.
        InvalidRequest
            When the scan has no such level.
        """
        inside = region.intersect(self._spec.bounds(region.level))
        if inside == region and not region.is_empty:
            return self._read(region)
        pixels = np.full((*region.shape, 3), 255, np.uint8)
        if not inside.is_empty:
            pixels[inside.relative_to(region).slices] = self._read(inside)
        return pixels

    def associated(self, name: str) -> NDArray[np.uint8]:
        """Return another picture of the file, (h, w, 3) uint8; a label may name a patient.

        Raises
        ------
        InvalidRequest
            When the file has none of that name.
        ScanError
            When it cannot be decoded.
        """
        if name not in self._facts.associated:
            raise InvalidRequest(
                f"expected one of {', '.join(self._facts.associated) or 'none'}, the pictures "
                f"beside the slide in {self._path}, got {name!r}; choose one of those"
            )
        try:
            return self._source.associated(name)
        except DecodingError as error:
            raise ScanError(
                f"expected the picture {name!r} in {self._path}, got '{error}'; do without it",
                self._spec.bounds(0),
            ) from error

    def identity(self) -> ScanIdentity:
        """Return what tells this scan from others."""
        return self._identity

    def close(self) -> None:
        """Let go of the file."""
        self._source.close()

    @cached_property
    def _identity(self) -> ScanIdentity:
        samples = (hashlib.sha256(_sample(file)).digest() for file in self._source.header.files)
        digest = hashlib.sha256(b"".join(sorted(samples)))  # whatever the files are called
        return ScanIdentity(
            self._spec.height, self._spec.width, self._facts.nbytes, digest.hexdigest()
        )

    def _read(self, region: Region) -> NDArray[np.uint8]:
        """Return a region inside the scan."""
        if region.level in self._natives:
            return self._native(region)
        if region.area * 4 > _STRIP and region.height > 1:
            half = region.height // 2
            upper = Region(region.level, region.y, region.x, half, region.width)
            lower = Region(
                region.level, region.y + half, region.x, region.height - half, region.width
            )
            return np.concatenate([self._read(upper), self._read(lower)])
        finer = self._spec.at_level(region, region.level - 1)
        return box_down(self._read(finer.intersect(self._spec.bounds(finer.level))))

    def _native(self, region: Region) -> NDArray[np.uint8]:
        """Return a region of a level that lies in the file; damage is told by the tile."""
        tiles = list(self._spec.tiles(region))
        self._raise_known(tiles)
        try:
            return self._decoded(region)
        except DecodingError as error:
            if len(tiles) == 1:
                raise self._damage(tiles[0], error) from error
        pixels = np.empty((*region.shape, 3), np.uint8)
        for tile in tiles:
            whole = self._spec.region(tile)
            part = whole.intersect(region)
            pixels[part.relative_to(region).slices] = self._native(whole)[
                part.relative_to(whole).slices
            ]
        return pixels

    def _decoded(self, region: Region) -> NDArray[np.uint8]:
        """Return a region as the source has it; the edge of a level may be a pixel short."""
        index = self._natives[region.level]
        height, width = self._source.shapes[index]
        y, x = min(region.y, height - 1), min(region.x, width - 1)
        bottom, right = min(region.bottom, height), min(region.right, width)
        pixels = self._source.read(index, y, x, max(1, bottom - y), max(1, right - x))
        short = [(0, region.height - pixels.shape[0]), (0, region.width - pixels.shape[1])]
        if any(after for _, after in short):
            pixels = np.pad(pixels, [*short, (0, 0)], mode="edge")
        return pixels

    def _raise_known(self, tiles: list[TileAddress]) -> None:
        """Raise for a tile that could not be decoded a moment ago: trying again can take long."""
        if self._damaged:
            for tile in tiles:
                error, until = self._damaged.get(tile, (None, 0.0))
                if error is not None and time.monotonic() < until:
                    raise ScanError(str(error), error.region)

    def _damage(self, tile: TileAddress, error: DecodingError) -> ScanError:
        region = self._spec.region(tile)
        found = ScanError(
            f"expected pixels of {self._path} at y={region.y}, x={region.x}, {region.height} x "
            f"{region.width}, level {region.level}, got '{error}'; copy the file again, or work on "
            "another part of the slide",
            region,
        )
        self._damaged[tile] = found, time.monotonic() + _PATIENCE
        return found


def level_of(whole: tuple[int, int], shape: tuple[int, int]) -> int | None:
    """Return which level of a pyramid whose level 0 is `whole` has a shape; None for none.

    Files round sizes up or down, so a side may differ by a pixel.
    """
    smaller = max(whole) / max(*shape, 1)
    level = max(0, round(math.log2(smaller)))
    full = (-(-side // (1 << level)) for side in whole)
    return level if all(abs(a - b) <= 1 for a, b in zip(full, shape, strict=True)) else None


def _natives(shapes: tuple[tuple[int, int], ...]) -> dict[int, int]:
    """Which levels of the pyramid lie in the file, and where."""
    found: dict[int, int] = {}
    for index, shape in enumerate(shapes):
        level = level_of(shapes[0], shape)
        if level is not None:
            found.setdefault(level, index)
    return found


def _sample(file: Path) -> bytes:
    """Return a file's bytes at fixed places: all of a small one."""
    size = file.stat().st_size
    with file.open("rb") as data:
        if size <= 2 * _END + _BLOCKS * _BLOCK:
            return data.read()
        parts = [data.read(_END)]
        for block in range(_BLOCKS):
            data.seek(_END + (size - 2 * _END - _BLOCK) * block // (_BLOCKS - 1))
            parts.append(data.read(_BLOCK))
        data.seek(size - _END)
        parts.append(data.read(_END))
    return b"".join(parts)
