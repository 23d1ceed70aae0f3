"""Reads TIFF as what it shows: photometric interpretation, planes, orientation, pixel size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageCms
from skimage.color import lab2rgb
from tifffile import (
    COMPRESSION,
    EXTRASAMPLE,
    PHOTOMETRIC,
    PLANARCONFIG,
    TiffFile,
    TiffPage,
    TiffPageSeries,
    xml2dict,
)

from napari_histodiff.core.errors import InvalidImage

__all__ = [
    "COARSEST_STATED",
    "COARSEST_TAGGED",
    "JPEG",
    "StrictJpeg",
    "decimal_of",
    "is_rgb",
    "plausible",
    "read_tiff",
    "same_scale",
    "stated_scale",
    "to_rgb",
    "upright",
]

_LOSSLESS: Final = frozenset(
    {
        COMPRESSION.NONE,
        COMPRESSION.CCITTRLE,
        COMPRESSION.CCITTFAX3,
        COMPRESSION.CCITTFAX4,
        COMPRESSION.CCIRLEW,
        COMPRESSION.LZW,
        COMPRESSION.ADOBE_DEFLATE,
        COMPRESSION.DEFLATE,
        COMPRESSION.PACKBITS,
        COMPRESSION.LZMA,
        COMPRESSION.ZSTD,
        COMPRESSION.ZSTD_DEPRECATED,
        COMPRESSION.PNG,
    }
)
#: JPEG and its kin, whose decoders return RGB.
_DECODED_TO_RGB: Final = frozenset(
    {COMPRESSION.JPEG, COMPRESSION.ALT_JPEG, COMPRESSION.WEBP, COMPRESSION.JPEGXL}
)
JPEG: Final = frozenset({COMPRESSION.JPEG, COMPRESSION.ALT_JPEG, COMPRESSION.OJPEG})
_START, _END = b"\xff\xd8", b"\xff\xd9"
#: An Adobe marker by which a decoder takes the three colours for RGB.
_SAYS_RGB: Final = b"\xff\xee\x00\x0eAdobe\x00\x64" + bytes(5)
#: What says how colours are coded, and may stand in a part or in the tables of all.
_COLOUR_MARKS: Final = (b"JFIF", b"Adobe")
_JPEG_COLOURS: Final = {1: "GRAY", 3: "RGB"}
_KNOWN_FRAMES: Final = (b"\xff\xc0", b"\xff\xc1", b"\xff\xc2")

#: Micrometres of each unit that OME-XML and ImageJ write.
_UNITS: Final = {
    "µm": 1.0,  # micro sign
    "μm": 1.0,  # Greek mu
    "\\u00b5m": 1.0,  # as ImageJ escapes it
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "nm": 1e-3,
    "mm": 1e3,
    "cm": 1e4,
    "m": 1e6,
    "inch": 25_400.0,
    "in": 25_400.0,
}
_RESOLUTION_UNITS: Final = {2: 25_400.0, 3: 1e4, 4: 1e3, 5: 1.0}

_FINEST: Final = 0.05
#: Longest pixel in um that a tag of dots per inch may state: a printer's 300 dpi are 85.
COARSEST_TAGGED: Final = 8.0
#: The same where the file says that the length of a microscope is meant.
COARSEST_STATED: Final = 64.0

_LUMA: Final = (0.299, 0.587, 0.114)
_FULL_RANGE: Final = (0.0, 255.0, 128.0, 255.0, 128.0, 255.0)
_D65: Final = (0.3127, 0.329)


def same_scale(a: float, b: float) -> bool:
    """Tell whether two lengths of a pixel agree within 2 %."""
    return abs(a - b) <= 0.02 * max(a, b)


def plausible(x: float, y: float, coarsest: float = COARSEST_TAGGED) -> float | None:
    """Return the length of a pixel in um where both axes agree and a microscope can have it."""
    return y if _FINEST <= y <= coarsest and same_scale(x, y) else None


def read_tiff(
    path: Path, check_size: Callable[[int, int], None]
) -> tuple[NDArray[Any], NDArray[Any], float | None, str, bool]:
    """Return the fields of `Picture` from `shown` on, of the first series at full resolution.

    Raises
    ------
    tifffile.TiffFileError
        When the file is no TIFF.
    InvalidImage
        When its colours cannot be turned into RGB in one way.
    """
    with TiffFile(path) as tif:
        series = tif.series[0]
        page = series.keyframe
        check_size(page.imagelength, page.imagewidth)
        if page.compression in JPEG:
            _check_jpeg(tif, series)
        array = series.asarray()
        if series.axes == "SYX":
            array = np.moveaxis(array, 0, -1)
        scale = _scale(tif, page)
        orientation = int(_tag(page, "Orientation", 1))
        lossy = "" if page.compression in _LOSSLESS else _name(page.compression)
        white_is_zero = page.photometric == PHOTOMETRIC.MINISWHITE
        shown = to_rgb(array, page, path)
    stored = np.ascontiguousarray(upright(array, orientation))
    return np.ascontiguousarray(upright(shown, orientation)), stored, scale, lossy, white_is_zero


class StrictJpeg:
    """Decodes the JPEG parts of a page, and refuses those of which the decoder warns.

    tifffile heeds no warning, and shows gray or other colours from a damaged place on.

    Parameters
    ----------
    page : TiffPage
        Of tiles or strips of JPEG.
    """

    def __init__(self, page: TiffPage) -> None:
        samples = int(page.samplesperpixel) if page.planarconfig == PLANARCONFIG.CONTIG else 1
        tables = bytes(page.jpegtables or b"").removeprefix(_START).removesuffix(_END)
        says_rgb = page.photometric == PHOTOMETRIC.RGB and samples == 3 and not page.is_jfif
        self._before = _START + tables + (_SAYS_RGB if says_rgb else b"")
        self._colours = _JPEG_COLOURS.get(samples, "")
        self._is_checked = bool(self._colours and page.bitspersample == 8 and not page.jpegheader)
        self._is_known = bool(
            samples in (1, 3)
            and not page.extrasamples
            and page.photometric in {PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR}
            and not any(mark in tables for mark in _COLOUR_MARKS)
        )
        #: Marks in a part that go before ours.
        self._marks = _COLOUR_MARKS if says_rgb else ()

    def decode(self, data: bytes) -> NDArray[np.uint8] | None:
        """Return (h, w, samples) as tifffile does, or None where its colours are left to it.

        Raises
        ------
        ValueError
            When the part is damaged.
        """
        if not self._is_checked or not data.startswith(_START):
            return None
        try:
            pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
                self._before + data[2:], self._colours
            )
        except ValueError:
            if any(frame in data for frame in _KNOWN_FRAMES):
                raise
            return None  # coded in another way, as without loss
        if not self._is_known or any(mark in data[:64] for mark in self._marks):
            return None
        return pixels


def _check_jpeg(tif: TiffFile, series: TiffPageSeries) -> None:
    """Decode all parts of a series that lie in this file once.

    Raises
    ------
    ValueError
        When one is damaged.
    """
    decoder = StrictJpeg(series.keyframe)
    for page in series.pages:
        if page is not None and page.parent is tif:
            parts = zip(page.dataoffsets, page.databytecounts, strict=True)
            for offset, count in parts:
                if offset and count:
                    tif.filehandle.seek(offset)
                    decoder.decode(tif.filehandle.read(count))


def is_rgb(page: TiffPage) -> bool:
    """Return whether the decoded numbers of a page are red, green and blue as they are shown."""
    if page.photometric == PHOTOMETRIC.YCBCR:
        return page.compression in _DECODED_TO_RGB
    is_luma = page.compression == COMPRESSION.APERIO_JP2000_YCBC
    return bool(page.photometric == PHOTOMETRIC.RGB and not is_luma)


def to_rgb(array: NDArray[Any], page: TiffPage, path: Path) -> NDArray[Any]:
    """Return what the numbers of a page, or of a part of it, show: RGB, with alpha, or gray.

    A number beside the colours is alpha where the file calls it opacity, and else left out; colours
    that were multiplied by their opacity are as they were before.

    Raises
    ------
    InvalidImage
        When there is not one way to.
    """
    kind = page.photometric
    if kind == PHOTOMETRIC.PALETTE and page.colormap is not None:
        colours = np.asarray(page.colormap)
        table = colours if colours.max(initial=0) < 256 else colours >> 8
        return np.moveaxis(table.astype(np.uint8)[:, array.astype(np.int64)], 0, -1)
    if kind == PHOTOMETRIC.MINISWHITE:
        return _from_white(array, page, path)
    if page.compression == COMPRESSION.APERIO_JP2000_YCBC or (
        kind == PHOTOMETRIC.YCBCR and page.compression not in _DECODED_TO_RGB
    ):
        return _from_ycbcr(array, page, path)
    if kind in {PHOTOMETRIC.CIELAB, PHOTOMETRIC.ICCLAB}:
        return _from_lab(array, page, path)
    if kind in {PHOTOMETRIC.SEPARATED, PHOTOMETRIC.ITULAB}:
        raise _other_colours(path, _name(kind))
    if array.ndim == 3 and array.shape[2] == page.samplesperpixel:
        array = _with_opacity(array, page)
    return array.astype(np.uint8) * 255 if array.dtype == np.bool_ else array


def _with_opacity(array: NDArray[Any], page: TiffPage) -> NDArray[Any]:
    """Return RGB or gray, with its opacity where there is one; colours are plain ones."""
    if EXTRASAMPLE.ASSOCALPHA in page.extrasamples:
        return _unmultiplied(array)
    if array.shape[2] == 4 and EXTRASAMPLE.UNASSALPHA not in page.extrasamples:
        return array[..., :3]
    return array


def _unmultiplied(array: NDArray[Any]) -> NDArray[Any]:
    whole = array.dtype.kind in "iu"
    top = np.iinfo(array.dtype).max if whole else 1
    opacity = array[..., -1:]
    if not opacity.size or opacity.min() == top:
        return array
    known = np.where(opacity > 0, opacity, top)
    plain = (array[..., :-1] * (top / known)).clip(0, top)
    return np.concatenate(
        [np.rint(plain) if whole else plain, opacity], axis=2, dtype=array.dtype, casting="unsafe"
    )


def _from_white(array: NDArray[Any], page: TiffPage, path: Path) -> NDArray[Any]:
    if array.dtype == np.bool_:
        return np.where(array, 0, 255).astype(np.uint8)
    if array.dtype.kind != "u":
        raise _other_colours(path, f"WhiteIsZero of {array.dtype}")
    turned: NDArray[Any] = (2 ** int(page.bitspersample) - 1 - array).astype(array.dtype)
    return turned


def _from_ycbcr(array: NDArray[Any], page: TiffPage, path: Path) -> NDArray[np.uint8]:
    luma = _numbers(page, "YCbCrCoefficients", _LUMA)
    levels = _numbers(page, "ReferenceBlackWhite", _FULL_RANGE)
    known = np.allclose(luma, _LUMA, atol=1e-3) and np.allclose(levels, _FULL_RANGE, atol=1)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not known:
        raise _other_colours(path, "YCbCr of other coefficients, levels or depth")
    height, width = array.shape[:2]
    picture = Image.frombytes("YCbCr", (width, height), array.tobytes())
    return np.asarray(picture.convert("RGB"))


def _from_lab(array: NDArray[Any], page: TiffPage, path: Path) -> NDArray[np.uint8]:
    """Return sRGB; the white is D50, as of Photoshop, unless a tag names D65."""
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise _other_colours(path, f"Lab of {array.dtype} with shape {array.shape}")
    if page.photometric == PHOTOMETRIC.ICCLAB:
        array = array ^ np.array([0, 128, 128], np.uint8)
    if np.allclose(_numbers(page, "WhitePoint", (0.0, 0.0)), _D65, atol=2e-3):
        signed = array[..., 1:].view(np.int8).astype(np.float64)
        rgb = lab2rgb(np.dstack([array[..., :1] / 2.55, signed]))
        return np.asarray(np.rint(rgb * 255).clip(0, 255), np.uint8)
    height, width = array.shape[:2]
    picture = Image.frombytes("LAB", (width, height), array.tobytes())
    turned = ImageCms.profileToProfile(
        picture, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    return np.asarray(turned)


def _other_colours(path: Path, got: str) -> InvalidImage:
    return InvalidImage(f"expected RGB, YCbCr, CIELab or gray in {path}, got {got}; save it as RGB")


def upright(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn and mirror as tag 274 says: 3 by half a turn, 6 and 8 by a quarter ..."""
    if orientation not in range(2, 9) or array.ndim not in (2, 3):
        return array
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    rows = -1 if orientation in {3, 4, 7, 8} else 1
    columns = -1 if orientation in {2, 3, 6, 7} else 1
    return array[::rows, ::columns]


def _scale(tif: TiffFile, page: TiffPage) -> float | None:
    """Micrometres per pixel, by the surest statement of the file."""
    found = stated_scale(tif, page)
    return None if found is None else plausible(*found)


def stated_scale(
    tif: TiffFile, page: TiffPage, image: int = 0
) -> tuple[float, float, float] | None:
    """Return the micrometres per pixel along x and y by the surest statement of the file.

    Parameters
    ----------
    tif : TiffFile
        Open.
    page : TiffPage
        Its page at full resolution.
    image : int
        Which image of OME-XML it is.

    Returns
    -------
    (x, y, coarsest) or None
        As stated, believable or not, and the longest to believe: see `plausible`.
    """
    if tif.is_ome and tif.ome_metadata and (found := _ome_scale(tif.ome_metadata, image)):
        return *found, COARSEST_STATED
    if tif.is_svs:
        stated = float(_described(page).get("MPP", 0.0))
        return (stated, stated, COARSEST_STATED) if stated else None
    try:
        per_unit = [_ratio(page.tags[name].value) for name in ("XResolution", "YResolution")]
        if min(per_unit) <= 0:
            return None
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    unit = str((tif.imagej_metadata or {}).get("unit", "")).lower()
    if unit in _UNITS:
        x, y = (_UNITS[unit] / count for count in per_unit)
        return x, y, COARSEST_STATED
    length = _RESOLUTION_UNITS.get(int(_tag(page, "ResolutionUnit", 2)))
    if length is None:
        return None
    ours = "napari-histodiff" in str(_tag(page, "Software", ""))
    x, y = (length / count for count in per_unit)
    return x, y, COARSEST_STATED if ours else COARSEST_TAGGED


def _ome_scale(xml: str, image: int) -> tuple[float, float] | None:
    try:
        images = xml2dict(xml)["OME"]["Image"]
        pixels = (images[image] if isinstance(images, list) else images)["Pixels"]
        x, y = (
            float(pixels[f"PhysicalSize{axis}"])
            * _UNITS[str(pixels.get(f"PhysicalSize{axis}Unit", "um")).lower()]
            for axis in "XY"
        )
    except Exception:  # noqa: BLE001  whatever a foreign program wrote: no scale is stated
        return None
    return (x, y) if plausible(x, y, COARSEST_STATED) else None


def _described(page: TiffPage) -> dict[str, Any]:
    """The numbers Aperio writes into the description: `| MPP = 0.499 |`."""
    pairs = (part.split("=", 1) for part in page.description.split("|") if "=" in part)
    return {name.strip(): decimal_of(value) for name, value in pairs}


def decimal_of(text: str) -> float:
    """Return a number that may have a decimal comma; 0 where there is none."""
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        return 0.0


def _ratio(value: Any) -> float:
    return value[0] / value[1] if isinstance(value, tuple) else float(value)


def _numbers(page: TiffPage, name: str, default: tuple[float, ...]) -> tuple[float, ...]:
    """The numbers of a tag of rationals, which tifffile returns as one flat tuple of pairs."""
    value = _tag(page, name, None)
    if not isinstance(value, tuple):
        return default
    if len(value) == 2 * len(default):
        return tuple(a / b if b else 0.0 for a, b in zip(value[::2], value[1::2], strict=True))
    return tuple(map(float, value))


def _tag(page: TiffPage, name: str, default: Any) -> Any:
    return page.tags.valueof(name, default)


def _name(value: Any) -> str:
    return str(getattr(value, "name", value))
