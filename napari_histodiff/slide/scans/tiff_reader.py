"""Reads OME-TIFF and other TIFF whose layout and colours are known for sure."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tifffile import PHOTOMETRIC, PLANARCONFIG, TiffFile, TiffPage
from zict import LRU

from napari_histodiff.core.errors import InvalidImage, ScanInvalid
from napari_histodiff.core.maps import as_rgb
from napari_histodiff.datasets.tiff import JPEG, StrictJpeg, is_rgb, stated_scale, to_rgb, upright
from napari_histodiff.slide.scans.brightfield import (
    Window,
    check_pixels,
    flatten,
    not_brightfield,
)
from napari_histodiff.slide.scans.pixel_size import believed
from napari_histodiff.slide.scans.source import DecodingError, Header
from napari_histodiff.slide.scans.tiff_layout import TiffLevel, find_layout

__all__ = ["TiffSource"]

#: Bytes of decoded tiles in memory.
_CACHE: Final = 96 * 2**20

#: Most bytes of one decoded tile or strip: what lies in one larger piece cannot be read in parts.
_LARGEST: Final = 2**29

#: Rows that are read at once of pixels that lie in the file as they are.
_ROWS: Final = 128

_CUT: Final = "the file ends early: it was copied in part, and what lacks cannot be shown"

_PROFILE: Final = 34675  # the tag of an ICC profile

_JPEG_END: Final = b"\xff\xd9"


class TiffSource:
    """A TIFF that tifffile reads; see `ScanSource`.

    Parameters
    ----------
    path : path
        The file.
    window : (low, high), optional
        Which values of 16 bits become black and white.

    Raises
    ------
    ScanInvalid
        When it is no slide of bright-field colours, or damaged.
    """

    def __init__(self, path: Path, window: Window | None = None) -> None:
        self._path = path
        self._window = window
        self._lock = threading.Lock()
        self._tif = _opened(path)
        try:
            self._layout = find_layout(self._tif, path)
            self.header = self._header()
            self.shapes = tuple(level.shape for level in self._layout.levels)
            self._grids = tuple(_Grid(level) for level in self._layout.levels)
            self._check()
        except ScanInvalid:
            self._tif.close()
            raise
        except Exception as error:  # whatever tifffile stumbles over in a damaged header
            self._tif.close()
            raise ScanInvalid(
                f"expected a whole TIFF in {path}, got one that cannot be understood ({error}); "
                "copy the file again, or export it anew"
            ) from error
        self._is_open = True
        self._tiles: LRU[tuple[int, int, int], NDArray[np.uint8]] = LRU(
            _CACHE, {}, weight=lambda _, pixels: pixels.nbytes
        )

    def read(self, index: int, y: int, x: int, height: int, width: int) -> NDArray[np.uint8]:
        """Return a rectangle inside a level.

        Raises
        ------
        DecodingError
            When some of it cannot be decoded.
        """
        turned = self._grids[index].orientation
        if turned == 1:
            return self._stored(index, y, x, height, width)
        rows, cols = self.shapes[index]
        if turned in {3, 4, 7, 8}:
            y = rows - y - height
        if turned in {2, 3, 6, 7}:
            x = cols - x - width
        if turned in range(5, 9):
            y, x, height, width = x, y, width, height
        return upright(self._stored(index, y, x, height, width), turned)

    def _stored(self, index: int, y: int, x: int, height: int, width: int) -> NDArray[np.uint8]:
        """Return a rectangle of a level as it lies in the file."""
        if not self._is_open:
            raise DecodingError("the scan was closed")
        grid = self._grids[index]
        key = index, y // grid.height, x // grid.width
        whole = height == grid.height and width == grid.width
        if whole and not (y % height or x % width or key in self._tiles):
            # Handed on as it was decoded: no copy, and nothing to keep.
            return self._fresh(*key)
        pixels = np.empty((height, width, 3), np.uint8)
        for row in range(y // grid.height, -(-(y + height) // grid.height)):
            for col in range(x // grid.width, -(-(x + width) // grid.width)):
                tile = self._tile(index, row, col)
                top, left = row * grid.height, col * grid.width
                first, last = max(y, top), min(y + height, top + grid.height)
                start, end = max(x, left), min(x + width, left + grid.width)
                pixels[first - y : last - y, start - x : end - x] = tile[
                    first - top : last - top, start - left : end - left
                ]
        return pixels

    @property
    def pages(self) -> tuple[TiffPage, ...]:
        """How each level lies in the file, the finest first."""
        return tuple(level.page for level in self._layout.levels)

    def associated(self, name: str) -> NDArray[np.uint8]:
        """Return one of the other pictures.

        Raises
        ------
        DecodingError
            When it cannot be decoded.
        """
        page = self._layout.others[name]
        try:
            with self._lock:
                array = page.asarray()
            return as_rgb(to_rgb(array, page, self._path))
        except Exception as error:  # decoders raise whatever they like
            raise DecodingError(str(error)) from error

    def profile(self) -> bytes | None:
        """Return the ICC profile of the colours, where the file has one."""
        found = self._layout.levels[0].page.tags.valueof(_PROFILE)
        return bytes(found) if found else None

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._is_open = False
            self._tif.close()
            for page in self._pages:
                page.parent.filehandle.close()
        self._tiles.clear()

    def _tile(self, index: int, row: int, col: int) -> NDArray[np.uint8]:
        key = index, row, col
        tile = self._tiles.get(key)
        if tile is None:
            tile = self._tiles[key] = self._fresh(*key)
        return tile

    def _fresh(self, index: int, row: int, col: int) -> NDArray[np.uint8]:
        """Return a tile decoded now, whole, which nobody else has."""
        grid = self._grids[index]
        try:
            tile = self._decoded(self._layout.levels[index], grid, row, col)
        except DecodingError:
            raise
        except Exception as error:  # decoders raise whatever they like
            raise DecodingError(str(error) or type(error).__name__) from error
        if tile.shape != (shape := grid.shape(row)):
            raise DecodingError(f"pixels of shape {tile.shape}, not {shape}")
        return tile if tile.flags.writeable else tile.copy()

    def _decoded(self, level: TiffLevel, grid: _Grid, row: int, col: int) -> NDArray[np.uint8]:
        number = row * grid.cols + col
        if grid.is_shown and len(level.pages) == grid.planes == 1:  # as most are: the quick way
            found = self._segment(level.page, grid, number, 0, row)
            return np.full(grid.shape(row), 255, np.uint8) if found is None else found
        parts = []
        for page in level.pages:
            for plane in range(grid.planes):
                part = self._segment(page, grid, number + plane * grid.count, plane, row)
                if part is None:  # nothing was scanned here
                    return np.full(grid.shape(row), 255, np.uint8)
                parts.append(part)
        array = np.concatenate(parts, axis=2) if len(parts) > 1 else parts[0]
        if grid.is_shown:
            return np.ascontiguousarray(array)
        shown = to_rgb(array[..., 0] if array.shape[2] == 1 else array, level.page, self._path)
        return flatten(shown, window=self._window)

    def _segment(
        self, page: TiffPage, grid: _Grid, number: int, plane: int, row: int
    ) -> NDArray[Any] | None:
        """Return one tile or strip, (h, w, samples); None where the file has none."""
        if grid.is_raw:
            return self._raw(page, grid, plane, row)
        offset, count = page.dataoffsets[number], page.databytecounts[number]
        if not offset or not count:
            return None
        data = self._bytes(page, offset, count)
        if grid.jpeg is not None:
            if not _ends(data):
                raise DecodingError("a JPEG that ends early")
            found = grid.jpeg.decode(data)
            if found is not None and found.shape[:2] == grid.shape(row)[:2]:
                return found
        segment = page.decode(data, number, **grid.options)[0]
        return None if segment is None else segment[0]

    def _raw(self, page: TiffPage, grid: _Grid, plane: int, row: int) -> NDArray[Any]:
        length, width = int(page.imagelength), int(page.imagewidth)
        samples = 1 if grid.planes > 1 else int(page.samplesperpixel)
        dtype = np.dtype(page.dtype).newbyteorder(page.parent.byteorder)
        stride = width * samples * dtype.itemsize
        rows = min(grid.height, length - row * grid.height)
        offset = page.dataoffsets[0] + (plane * length + row * grid.height) * stride
        data = self._bytes(page, offset, rows * stride)
        array = np.frombuffer(data, dtype).reshape(rows, width, samples)
        return array.astype(page.dtype, copy=False)

    def _bytes(self, page: TiffPage, offset: int, count: int) -> bytes:
        """Return a piece of the file that a page is in: OME-TIFF may have several."""
        with self._lock:
            if not self._is_open:
                raise DecodingError("the scan was closed")
            handle = page.parent.filehandle
            if handle.closed:  # as tifffile leaves the others
                handle.open()
            handle.seek(offset)
            data: bytes = handle.read(count)
        if len(data) < count:
            raise DecodingError("the file ends early")
        return data

    def _header(self) -> Header:
        tif, layout = self._tif, self._layout
        page = layout.levels[0].page
        stated = stated_scale(tif, page, layout.image)
        x, y, coarsest = stated or (0.0, 0.0, 0.0)
        if layout.levels[0].orientation in range(5, 9):
            x, y = y, x
        mpp, notes = believed((y, x), coarsest)
        return Header(
            format="ome-tiff" if tif.is_ome else "aperio svs" if tif.is_svs else "tiff",
            reader="tifffile",
            mpp=mpp,
            magnification=None,
            files=self._files(),
            associated=tuple(sorted(layout.others)),
            has_icc=_PROFILE in page.tags,
            notes=notes if self._ends_whole() else (*notes, _CUT),
        )

    def _ends_whole(self) -> bool:
        """Whether the file is as long as its header says."""
        return all(
            int(np.add(page.dataoffsets, page.databytecounts).max(initial=0))
            <= page.parent.filehandle.size
            for page in self._pages
        )

    @property
    def _pages(self) -> list[TiffPage]:
        return [page for level in self._layout.levels for page in level.pages]

    def _files(self) -> tuple[Path, ...]:
        others = {
            page.parent.filehandle.path: None
            for page in self._pages
            if page.parent is not self._tif
        }
        return (self._path, *map(Path, others))

    def _check(self) -> None:
        """Refuse what is no RGB, and what would have to be decoded in one piece.

        Raises
        ------
        ScanInvalid
            With the way out.
        """
        for level, grid in zip(self._layout.levels, self._grids, strict=True):
            page = level.page
            if page.photometric in {PHOTOMETRIC.SEPARATED, PHOTOMETRIC.ITULAB}:
                raise not_brightfield(
                    self._path, f"{PHOTOMETRIC(page.photometric).name} colours, as of CMYK"
                )
            if page.photometric != PHOTOMETRIC.PALETTE:
                check_pixels(self._path, np.dtype(page.dtype), level.channels, self._window)
            if page.imagedepth != 1:
                raise not_brightfield(self._path, f"a volume of {page.imagedepth} planes")
            size = grid.height * grid.width * max(level.channels, 3)
            if not grid.is_raw and size > _LARGEST:
                raise ScanInvalid(
                    f"expected tiles or strips of at most {_LARGEST >> 20} MB, got one of "
                    f"{size >> 20} MB in {self._path}, which cannot be read in parts; save it "
                    "tiled, for example with `vips tiffsave --tile --pyramid`"
                )
        level = self._layout.levels[0]
        if level.page.photometric != PHOTOMETRIC.PALETTE:
            try:
                to_rgb(np.zeros((1, 1, level.channels), level.page.dtype), level.page, self._path)
            except InvalidImage as error:
                raise ScanInvalid(str(error)) from error


class _Grid:
    """How the pixels of a level are cut into pieces: as the file has them, or into bands.

    What is asked for every tile is found out once, since looking tags up takes as long as a part
    of the decoding.
    """

    def __init__(self, level: TiffLevel) -> None:
        page = level.page
        length, width = level.stored
        self.orientation = level.orientation
        self.jpeg = StrictJpeg(page) if page.compression in JPEG else None
        #: What the decoder is told besides the bytes.
        self.options: dict[str, Any] = {"_fullsize": True} if page.is_tiled else {}
        if self.jpeg is not None:
            self.options |= {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader}
        self.is_raw = bool(page.is_contiguous) and not page.is_tiled
        separate = page.planarconfig == PLANARCONFIG.SEPARATE
        self.planes = int(page.samplesperpixel) if separate and page.samplesperpixel > 1 else 1
        if page.is_tiled:
            self.height, self.width = int(page.tilelength), int(page.tilewidth)
        else:
            rows = _ROWS if self.is_raw else int(page.rowsperstrip)
            self.height, self.width = min(rows, length), width
        self.cols = -(-width // self.width)
        self.count = self.cols * -(-length // self.height)
        self._rows = None if page.is_tiled else length
        #: Whether decoded numbers are the colours to show, which nothing is to be done to.
        self.is_shown = level.channels == 3 and page.dtype == np.uint8 and is_rgb(page)

    def shape(self, row: int) -> tuple[int, int, int]:
        """Return the shape of a piece: a tile is whole at the border too, a strip is cut there."""
        if self._rows is None:
            return self.height, self.width, 3
        return min(self.height, self._rows - row * self.height), self.width, 3


def _ends(data: bytes) -> bool:
    """Whether a JPEG has its end; what pads it may follow."""
    return data.endswith(_JPEG_END) or data.rstrip(b"\0").endswith(_JPEG_END)


def _opened(path: Path) -> TiffFile:
    try:
        return TiffFile(path)
    except Exception as error:  # of a damaged header, also struct.error and KeyError
        raise ScanInvalid(
            f"expected a whole TIFF in {path}, got '{error}'; copy the file again, or export it "
            "anew"
        ) from error
