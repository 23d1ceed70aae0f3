"""A scan whose levels halve: those of the file where they fit, and box means where it has none."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.box_mean import box_down
from napari_histodiff.core.digest import digest_of
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import PyramidSpec, Region, TileAddress
from napari_histodiff.slide.scans.level_cache import LevelCache
from napari_histodiff.slide.scans.scan import ScanError, ScanFacts, ScanIdentity
from napari_histodiff.slide.scans.source import DecodingError, ScanSource

__all__ = ["TILE", "OnDamage", "PyramidScan", "level_of"]

#: Side of a tile.
TILE: Final = 256

_CACHE_FORMAT: Final = 2  # another one where levels are made in another way
_COARSEST: Final = 512  # longest side of the last level, which napari keeps in memory
_KEPT_FROM: Final = 2  # levels above one in the file: nearer ones are made again as fast as read
_PATIENCE: Final = 30.0  # seconds until a tile that could not be decoded is tried again
_STRIPES: Final = np.array([(255, 0, 255), (40, 40, 40)], np.uint8)
_STRIPE: Final = 32  # pixels
_BLOCKS, _BLOCK, _END = 32, 4096, 65536  # of the bytes that tell a file from others


OnDamage = Callable[[ScanError], object]


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
    variant : str
        What else than the file decides the pixels.
    """

    def __init__(
        self,
        path: Path,
        source: ScanSource,
        *,
        mpp: tuple[float, float] | None = None,
        variant: str = "",
    ) -> None:
        header, shapes = source.header, source.shapes
        self._path = path
        self._source = source
        self._variant = variant
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
            header_mpp=header.mpp,
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
        return self._anywhere(region, None)

    def show(self, region: Region, on_damage: OnDamage) -> NDArray[np.uint8]:
        """Return what `read` does, but stripes where it would raise.

        Parameters
        ----------
        region : Region
            Of any place and level.
        on_damage : callable
            Called with the `ScanError` of each tile that is striped, from this thread.
        """
        return self._anywhere(region, on_damage)

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
    def _cache(self) -> LevelCache:
        files = self._source.header.files
        newest = max((file.stat().st_mtime_ns for file in files), default=0)
        name = digest_of(self._identity.sha256, newest, self._variant, _CACHE_FORMAT)
        return LevelCache(name.hex())

    @cached_property
    def _identity(self) -> ScanIdentity:
        samples = (hashlib.sha256(_sample(file)).digest() for file in self._source.header.files)
        digest = hashlib.sha256(b"".join(sorted(samples)))  # whatever the files are called
        return ScanIdentity(
            self._spec.height, self._spec.width, self._facts.nbytes, digest.hexdigest()
        )

    def cost(self, region: Region) -> int:
        """Return about how many tiles of the file have to be decoded to read a region.

        Of levels that the file lacks, those tiles count that nobody made before.
        """
        inside = region.intersect(self._spec.bounds(region.level))
        if region.level in self._natives:
            return sum(1 for _ in self._spec.tiles(inside))
        under = 1 << 2 * (region.level - self._native_below(region.level))
        return sum(under for tile in self._spec.tiles(inside) if tile not in self._cache)

    def is_in_file(self, level: int) -> bool:
        """Return whether a level lies in the file; the others are made."""
        return level in self._natives

    def _native_below(self, level: int) -> int:
        return max(native for native in self._natives if native <= level)

    def _anywhere(self, region: Region, on_damage: OnDamage | None) -> NDArray[np.uint8]:
        bounds = self._spec.bounds(region.level)
        # By numbers, since most reads are of one tile and every rectangle made takes its share.
        lies_inside = region.y >= 0 <= region.x and not region.is_empty
        if lies_inside and region.bottom <= bounds.height and region.right <= bounds.width:
            read = self._native if region.level in self._natives else self._read
            return read(region, on_damage)
        inside = region.intersect(bounds)
        pixels = np.full((*region.shape, 3), 255, np.uint8)
        if not inside.is_empty:
            pixels[inside.relative_to(region).slices] = self._read(inside, on_damage)
        return pixels

    def _read(self, region: Region, on_damage: OnDamage | None) -> NDArray[np.uint8]:
        """Return a region inside the scan."""
        if region.level in self._natives:
            return self._native(region, on_damage)
        pixels = np.empty((*region.shape, 3), np.uint8)
        for tile in self._spec.tiles(region):
            whole = self._spec.region(tile)
            part = whole.intersect(region)
            pixels[part.relative_to(region).slices] = self._made(tile, whole, on_damage)[
                part.relative_to(whole).slices
            ]
        return pixels

    def _made(
        self, tile: TileAddress, region: Region, on_damage: OnDamage | None
    ) -> NDArray[np.uint8]:
        """Return a tile of a level that the file lacks, made of the level below."""
        found = self._cache.get(tile, region.shape)
        if found is not None:
            return found
        damage: list[ScanError] = []
        finer = self._spec.at_level(region, tile.level - 1)
        finer = finer.intersect(self._spec.bounds(finer.level))
        found = box_down(self._read(finer, None if on_damage is None else damage.append))
        if not damage:
            steps = tile.level - self._native_below(tile.level)
            self._cache.put(tile, found, on_disk=steps >= _KEPT_FROM)
        if on_damage is not None:
            for error in damage:
                on_damage(error)
        return found

    def _native(self, region: Region, on_damage: OnDamage | None) -> NDArray[np.uint8]:
        """Return a region of a level that lies in the file; damage is told by the tile."""
        failed = None
        if not self._damaged or not any(map(self._known_damage, self._spec.tiles(region))):
            try:
                return self._decoded(region)
            except DecodingError as error:
                failed = error
        tiles = list(self._spec.tiles(region))
        if failed is not None and len(tiles) == 1:
            self._remember(tiles[0], failed)
        pixels = np.empty((*region.shape, 3), np.uint8)
        for tile in tiles:
            part = self._spec.region(tile).intersect(region)
            pixels[part.relative_to(region).slices] = self._tile(tile, part, on_damage)
        return pixels

    def _tile(
        self, tile: TileAddress, part: Region, on_damage: OnDamage | None
    ) -> NDArray[np.uint8]:
        """Return a part of one tile; stripes where it is damaged and that can be told."""
        damage = self._known_damage(tile)
        if damage is None:
            try:
                return self._decoded(part)
            except DecodingError as error:
                damage = self._remember(tile, error)
        if on_damage is None:
            raise ScanError(str(damage), damage.region)
        on_damage(damage)
        return _stripes(part)

    def _decoded(self, region: Region) -> NDArray[np.uint8]:
        """Return a region as the source has it; the edge of a level may be a pixel short."""
        index = self._natives[region.level]
        height, width = self._source.shapes[index]
        if region.bottom <= height and region.right <= width:
            return self._source.read(index, region.y, region.x, region.height, region.width)
        y, x = min(region.y, height - 1), min(region.x, width - 1)
        bottom, right = min(region.bottom, height), min(region.right, width)
        pixels = self._source.read(index, y, x, max(1, bottom - y), max(1, right - x))
        short = [(0, region.height - pixels.shape[0]), (0, region.width - pixels.shape[1])]
        return np.pad(pixels, [*short, (0, 0)], mode="edge")

    def _known_damage(self, tile: TileAddress) -> ScanError | None:
        """Return why a tile could not be decoded a moment ago: trying again can take long."""
        error, until = self._damaged.get(tile, (None, 0.0))
        return error if time.monotonic() < until else None

    def _remember(self, tile: TileAddress, error: DecodingError) -> ScanError:
        region = self._spec.region(tile)
        found = ScanError(
            f"expected pixels of {self._path} at y={region.y}, x={region.x}, {region.height} x "
            f"{region.width}, level {region.level}, got '{error}'; copy the file again, or work on "
            "another part of the slide",
            region,
        )
        self._damaged[tile] = found, time.monotonic() + _PATIENCE
        return found


def _stripes(region: Region) -> NDArray[np.uint8]:
    """Return what is shown where pixels cannot be had, (h, w, 3) uint8: no tissue looks so."""
    rows, cols = np.ogrid[region.y : region.bottom, region.x : region.right]
    striped: NDArray[np.uint8] = _STRIPES[(rows + cols) // _STRIPE % 2]
    return striped


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
