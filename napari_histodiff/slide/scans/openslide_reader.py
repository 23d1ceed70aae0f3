"""Reads slides of scanners with OpenSlide: SVS, NDPI, DICOM, MRXS and what else it knows."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tifffile import COMPRESSION, TiffFile, TiffPage
from zict import LRU

from napari_histodiff.core.errors import ScanInvalid
from napari_histodiff.datasets.tiff import decimal_of
from napari_histodiff.slide.scans.brightfield import WHITE, flatten, not_brightfield
from napari_histodiff.slide.scans.pixel_size import COARSEST_STATED, COARSEST_TAGGED, believed
from napari_histodiff.slide.scans.source import DecodingError, Header, ScanSource
from napari_histodiff.slide.scans.tiff_reader import TiffSource

__all__ = ["AperioSource", "OpenSlideSource", "check_light", "open_aperio", "vendor_of"]

#: A level that OpenSlide can only place between pixels is read in blocks of this side, so that
#: every rectangle shows the same pixels.
_BLOCK: Final = 512
_KEPT: Final = 64  # blocks in memory, 48 MiB
_HEAD: Final = 2**16  # bytes of a DICOM file that hold the name of its series
_OPAQUE: Final = 255 << 24  # the least of an RGBA pixel of 4 bytes that hides what is below

_FORMATS: Final = {
    "aperio": "aperio svs",
    "hamamatsu": "hamamatsu ndpi",
    "mirax": "mirax mrxs",
    "leica": "leica scn",
    "ventana": "ventana bif",
    "generic-tiff": "pyramidal tiff",
}

#: What is decoded by the same libraries either way, OpenJPEG and libjpeg-turbo.
_DECODED_ALIKE: Final = frozenset({COMPRESSION.APERIO_JP2000_RGB, COMPRESSION.JPEG})

#: Hamamatsu's slides of several files, and what names them.
_VMS: Final = "hamamatsu vms"
_VMS_FILES: Final = ("hamamatsu.ImageFile", "hamamatsu.MapFile", "hamamatsu.OptimisationFile")

#: Tags of Hamamatsu's files: which filters were in the light, and what the dye sends out, in nm.
_FILTERS: Final = 65434
_EMISSION: Final = 65451


def _openslide() -> Any:
    """Return the module `openslide`.

    Raises
    ------
    ScanInvalid
        When it is not installed.
    """
    try:
        import openslide
    except (ImportError, OSError) as error:
        raise ScanInvalid(
            f"expected OpenSlide, which reads slides of scanners, got '{error}'; install it: "
            'pip install "napari-histodiff[openslide]"'
        ) from error
    return openslide


def vendor_of(path: Path) -> str:
    """Return by which scanner a file is, as OpenSlide names it; empty when none is known."""
    try:
        library = _openslide()
    except ScanInvalid:
        return ""
    return library.OpenSlide.detect_format(path) or ""


def check_light(path: Path, vendor: str) -> None:
    """Refuse a slide that was scanned in the light of a dye, which OpenSlide shows as any other.

    Raises
    ------
    ScanInvalid
        When its header says so; of scanners other than Hamamatsu's no header does.
    """
    if vendor != "hamamatsu":
        return
    try:
        with TiffFile(path) as tif:
            tags = tif.pages.first.tags
            emission, filters = tags.valueof(_EMISSION, 0), tags.valueof(_FILTERS, "")
    except Exception:  # noqa: BLE001 - VMS is no TIFF, and damage is told by OpenSlide
        return
    if isinstance(emission, int | float) and emission > 0:
        raise not_brightfield(path, f"fluorescence ({filters}, light of {emission:g} nm)")


def open_aperio(path: Path) -> ScanSource:
    """Return what decodes an SVS.

    Raises
    ------
    ScanInvalid
        When it is no slide.
    """
    slide = OpenSlideSource(path)
    try:
        tiles = TiffSource(path)
    except ScanInvalid:
        return slide
    if tiles.shapes == slide.shapes and all(map(_is_sure, tiles.pages)):
        return AperioSource(slide, tiles)
    tiles.close()
    return slide


class OpenSlideSource:
    """A file that OpenSlide reads; see `ScanSource`.

    An error ends an OpenSlide handle, so the file is opened anew for what is read next.

    Parameters
    ----------
    path : path
        The file; of DICOM any instance of the slide.

    Raises
    ------
    ScanInvalid
        When it is no slide, or OpenSlide is not installed.
    """

    def __init__(self, path: Path) -> None:
        self._library = _openslide()
        self._path = path
        self._lock = threading.Lock()
        self._blocks: LRU[tuple[int, int, int], NDArray[np.uint8]] = LRU(_KEPT, {})
        self._handle: Any = self._open()  # OpenSlide closes what nobody refers to any more
        properties = self._handle.properties
        self._origin = tuple(_whole(properties, f"openslide.bounds-{axis}", 0) for axis in "yx")
        self._background = _colour(properties.get("openslide.background-color", "FFFFFF"))
        self._downsamples = tuple(map(float, self._handle.level_downsamples))
        self.shapes = self._shapes(properties)
        self.header = self._header(properties)

    def read(self, index: int, y: int, x: int, height: int, width: int) -> NDArray[np.uint8]:
        """Return a rectangle inside a level; what is transparent shows the background.

        Raises
        ------
        DecodingError
            When some of it cannot be decoded.
        """
        if self._is_exact(index):
            return self._decode(index, y, x, height, width)
        pixels = np.empty((height, width, 3), np.uint8)
        rows, cols = self.shapes[index]
        for top in range(y // _BLOCK * _BLOCK, y + height, _BLOCK):
            for left in range(x // _BLOCK * _BLOCK, x + width, _BLOCK):
                block = self._block(
                    index, top, left, min(_BLOCK, rows - top), min(_BLOCK, cols - left)
                )
                first, last = max(y, top), min(y + height, top + _BLOCK)
                start, end = max(x, left), min(x + width, left + _BLOCK)
                pixels[first - y : last - y, start - x : end - x] = block[
                    first - top : last - top, start - left : end - left
                ]
        return pixels

    def associated(self, name: str) -> NDArray[np.uint8]:
        """Return one of the other pictures.

        Raises
        ------
        DecodingError
            When it cannot be decoded.
        """
        try:
            picture = self._handle.associated_images[name]
        except (self._library.OpenSlideError, KeyError) as error:
            raise DecodingError(str(error)) from error
        return flatten(np.asarray(picture), self._background)

    def profile(self) -> bytes | None:
        """Return the ICC profile of the colours, where the file has one."""
        found = self._handle.color_profile
        return None if found is None else bytes(found.tobytes())

    def close(self) -> None:
        """Let go of the file; it is closed when nobody reads any more."""
        with self._lock:
            self._handle = None
            self._blocks.clear()

    def _open(self) -> Any:
        try:
            return self._library.OpenSlide(self._path)
        except self._library.OpenSlideUnsupportedFormatError as error:
            raise ScanInvalid(
                f"expected a slide that OpenSlide reads, got {self._path}, which it does not know; "
                "export it as SVS, OME-TIFF or OME-Zarr from the program that made it"
            ) from error
        except (self._library.OpenSlideError, OSError) as error:
            raise ScanInvalid(
                f"expected a whole slide in {self._path}, got '{error}'; copy the file again, with "
                "all files that belong to it"
            ) from error

    def _is_exact(self, index: int) -> bool:
        """Whether OpenSlide places each pixel of a level on a pixel."""
        downsample = self._downsamples[index]
        return downsample.is_integer() and not any(n % downsample for n in self._origin)

    def _block(self, index: int, y: int, x: int, height: int, width: int) -> NDArray[np.uint8]:
        key = index, y, x
        block = self._blocks.get(key)
        if block is None:
            block = self._blocks[key] = self._decode(index, y, x, height, width)
        return block

    def _decode(self, index: int, y: int, x: int, height: int, width: int) -> NDArray[np.uint8]:
        downsample = self._downsamples[index]
        place = round(self._origin[1] + x * downsample), round(self._origin[0] + y * downsample)
        handle = self._handle
        if handle is None:
            raise DecodingError("the scan was closed")
        try:
            picture = handle.read_region(place, index, (width, height))
        except (self._library.OpenSlideError, ValueError) as first:
            picture = self._again(handle, first, place, index, (width, height))
        rgba = np.asarray(picture)
        if rgba.view("<u4").min() < _OPAQUE:
            return flatten(rgba, self._background)
        pixels = np.empty((height, width, 3), np.uint8)
        for channel in range(3):  # four times as fast as all at once
            pixels[..., channel] = rgba[..., channel]
        return pixels

    def _again(self, failed: Any, first: Exception, *region: Any) -> Any:
        """Read with a fresh handle, since another thread's error ends a handle too."""
        with self._lock:
            if self._handle is None:
                raise DecodingError("the scan was closed") from first
            try:
                fresh = self._open()
                if self._handle is failed:
                    self._handle = fresh
                    fresh = self._open()
                return fresh.read_region(*region)
            except (ScanInvalid, self._library.OpenSlideError) as error:
                raise DecodingError(str(error)) from error

    def _shapes(self, properties: Mapping[str, str]) -> tuple[tuple[int, int], ...]:
        whole = [(height, width) for width, height in self._handle.level_dimensions]
        if "openslide.bounds-height" not in properties:
            return tuple(whole)
        height, width = (
            _whole(properties, f"openslide.bounds-{side}", of)
            for side, of in zip(("height", "width"), whole[0], strict=True)
        )
        return tuple(
            (max(1, int(height / down)), max(1, int(width / down))) for down in self._downsamples
        )

    def _header(self, properties: Mapping[str, str]) -> Header:
        vendor = properties.get("openslide.vendor", "")
        coarsest = COARSEST_TAGGED if vendor == "generic-tiff" else COARSEST_STATED
        stated = tuple(decimal_of(properties.get(f"openslide.mpp-{axis}", "")) for axis in "yx")
        mpp, notes = believed(stated, coarsest)
        return Header(
            format=_VMS if _is_vms(properties) else _FORMATS.get(vendor, vendor),
            reader="openslide",
            mpp=mpp,
            magnification=decimal_of(properties.get("openslide.objective-power", "")) or None,
            files=_files(self._path, vendor, properties),
            associated=tuple(sorted(self._handle.associated_images)),
            has_icc="openslide.icc-size" in properties,
            notes=notes,
        )


class AperioSource:
    """An SVS whose header OpenSlide reads and whose tiles tifffile; see `ScanSource`.

    The pixels are those that OpenSlide shows, in less of the time.

    Parameters
    ----------
    slide, tiles : OpenSlideSource, TiffSource
        Of one file; closed by `close`.
    """

    def __init__(self, slide: OpenSlideSource, tiles: TiffSource) -> None:
        self._slide = slide
        self._tiles = tiles
        notes = tuple(dict.fromkeys((*slide.header.notes, *tiles.header.notes)))
        self.header = replace(slide.header, reader=tiles.header.reader, notes=notes)
        self.shapes = tiles.shapes

    def read(self, index: int, y: int, x: int, height: int, width: int) -> NDArray[np.uint8]:
        """Return a rectangle inside a level; those of all levels are pixels of the file.

        Raises
        ------
        DecodingError
            When some of it cannot be decoded.
        """
        return self._tiles.read(index, y, x, height, width)

    def associated(self, name: str) -> NDArray[np.uint8]:
        """Return one of the other pictures.

        Raises
        ------
        DecodingError
            When it cannot be decoded.
        """
        return self._slide.associated(name)

    def profile(self) -> bytes | None:
        """Return the ICC profile of the colours, where the file has one."""
        return self._slide.profile()

    def close(self) -> None:
        """Let go of the file."""
        self._slide.close()
        self._tiles.close()


def _is_sure(page: TiffPage) -> bool:
    """Whether all tiles of a level are there: OpenSlide fills others from other levels."""
    return bool(
        page.compression in _DECODED_ALIKE
        and page.is_tiled
        and page.samplesperpixel == 3
        and page.bitspersample == 8
        and page.tags.valueof("Orientation", 1) == 1
        and all(page.dataoffsets)
        and all(page.databytecounts)
    )


def _files(path: Path, vendor: str, properties: Mapping[str, str]) -> tuple[Path, ...]:
    """Return all files of a slide."""
    if vendor == "mirax":
        folder = path.with_suffix("")
        return (path, *sorted(file for file in folder.iterdir() if file.is_file()))
    if vendor == "dicom":
        series = properties.get("dicom.SeriesInstanceUID", "").encode()
        return tuple(
            file
            for file in sorted(path.parent.iterdir())
            if file.is_file() and (file == path or (series and series in _head(file)))
        )
    if _is_vms(properties):  # the file itself only names the others
        named = {text for key, text in properties.items() if key.startswith(_VMS_FILES) and text}
        return (path, *sorted(f for f in (path.parent / name for name in named) if f.is_file()))
    return (path,)


def _is_vms(properties: Mapping[str, str]) -> bool:
    return any(key.startswith(_VMS_FILES) for key in properties)


def _head(file: Path) -> bytes:
    with file.open("rb") as data:
        return data.read(_HEAD)


def _whole(properties: Mapping[str, str], name: str, default: int) -> int:
    try:
        return int(properties[name])
    except (KeyError, ValueError):
        return default


def _colour(text: str) -> tuple[int, int, int]:
    try:
        red, green, blue = bytes.fromhex(text)
    except ValueError:
        return WHITE
    return red, green, blue
