"""Finds the levels of a slide among the pages of a TIFF."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tifffile import PHOTOMETRIC, TiffFile, TiffFrame, TiffPage, TiffPageSeries, xml2dict

from napari_histodiff.core.errors import ScanInvalid
from napari_histodiff.slide.scans.brightfield import not_brightfield
from napari_histodiff.slide.scans.pyramid_scan import level_of

__all__ = ["TiffLayout", "TiffLevel", "find_layout"]

#: What programs call the channels of RGB that is kept as three images.
_RGB: Final = ({"r", "red"}, {"g", "green"}, {"b", "blue"})

#: The colours of OME-XML of red, green and blue: RGBA as a signed number.
_OME_RGB: Final = (-16776961, 16711935, 65535)

_REDUCED: Final = 1  # of NewSubfileType


@dataclass(frozen=True, slots=True)
class TiffLevel:
    """One level: a page of RGB, or three of one colour each."""

    pages: tuple[TiffPage, ...]

    @property
    def page(self) -> TiffPage:
        """The first page, which tells how all are stored."""
        return self.pages[0]

    @property
    def channels(self) -> int:
        """How many numbers a pixel has."""
        if self.page.photometric == PHOTOMETRIC.PALETTE:
            return 3
        return len(self.pages) * int(self.page.samplesperpixel)

    @property
    def stored(self) -> tuple[int, int]:
        """Rows and columns as they are stored."""
        return int(self.page.imagelength), int(self.page.imagewidth)

    @property
    def orientation(self) -> int:
        """Tag 274: 1 is upright."""
        return int(self.page.tags.valueof("Orientation", 1))

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, upright."""
        height, width = self.stored
        return (width, height) if self.orientation in range(5, 9) else (height, width)


@dataclass(frozen=True, slots=True)
class TiffLayout:
    """Levels, the finest first; which image of the file they are; the other pictures by name."""

    levels: tuple[TiffLevel, ...]
    image: int
    others: dict[str, TiffPage]


def find_layout(tif: TiffFile, path: Path) -> TiffLayout:
    """Return the levels of the largest picture of a TIFF.

    Raises
    ------
    ScanInvalid
        When it holds no RGB.
    """
    if tif.is_ome or tif.is_svs:
        return _of_series(tif, path)
    return _of_pages(tif)


def _of_series(tif: TiffFile, path: Path) -> TiffLayout:
    found = [(n, series) for n, series in enumerate(tif.series) if _is_rgb(tif, n, series)]
    if not found:
        first = tif.series[0]
        kind = "planes" if first.axes[0] in "ZT" else "channels"
        raise not_brightfield(path, f"{kind} {first.axes} of {first.shape}, {first.dtype}")
    image, best = max(found, key=lambda one: _area(one[1].keyframe))
    levels = tuple(TiffLevel(_pages(level, path)) for level in best.levels)
    others: dict[str, TiffPage] = {}
    for number, series in enumerate(tif.series):
        if number != image:
            name = (series.name or "picture").lower()
            others[name if name not in others else f"{name} {number}"] = series.keyframe
    return TiffLayout(levels, image, others)


def _is_rgb(tif: TiffFile, number: int, series: TiffPageSeries) -> bool:
    if series.axes in {"YXS", "SYX"}:
        return True
    palette = series.keyframe.photometric == PHOTOMETRIC.PALETTE
    if series.axes == "YX":
        return bool(palette)
    return series.axes == "CYX" and series.shape[0] == 3 and _names_rgb(tif, number)


def _names_rgb(tif: TiffFile, number: int) -> bool:
    """Whether three channels are red, green and blue, as far as OME-XML says."""
    try:
        images = xml2dict(tif.ome_metadata or "")["OME"]["Image"]
        pixels = (images[number] if isinstance(images, list) else images)["Pixels"]
        channels = pixels.get("Channel", [])
        channels = channels if isinstance(channels, list) else [channels]
        names = [str(channel.get("Name", "")).lower() for channel in channels]
        colours = [channel.get("Color") for channel in channels]
    except (KeyError, TypeError, IndexError, ValueError, AttributeError, SyntaxError):
        return False
    if any(names):
        return len(names) == 3 and all(
            name in known for name, known in zip(names, _RGB, strict=True)
        )
    stated = [colour for colour in colours if colour is not None]
    return not stated or tuple(stated) == _OME_RGB


def _pages(series: TiffPageSeries, path: Path) -> tuple[TiffPage, ...]:
    pages = []
    for page in series.pages:
        if page is None:
            raise ScanInvalid(
                f"expected all files of the set that {path} belongs to, got only some; put them "
                "into one folder"
            )
        pages.append(page.aspage() if isinstance(page, TiffFrame) else page)
    return tuple(pages)


def _of_pages(tif: TiffFile) -> TiffLayout:
    """Find the largest page, and those that are the same picture, smaller: behind or below it."""
    len(tif.pages)  # counted with an eye to chains that come back to themselves; a loop has none
    pages = [page.aspage() if isinstance(page, TiffFrame) else page for page in tif.pages]
    image, best = max(enumerate(pages), key=lambda one: _area(one[1]))
    whole = (int(best.imagelength), int(best.imagewidth))
    below = [page.aspage() if isinstance(page, TiffFrame) else page for page in best.pages or ()]
    levels, others = [best], {}
    for page in (*pages, *below):
        shape = int(page.imagelength), int(page.imagewidth)
        if page is best:
            continue
        if shape != whole and level_of(whole, shape) is not None and _alike(page, best):
            levels.append(page)
        else:
            others[f"page {page.index}"] = page
    levels.sort(key=_area, reverse=True)
    return TiffLayout(tuple(TiffLevel((page,)) for page in levels), image, others)


def _alike(page: TiffPage, best: TiffPage) -> bool:
    return bool(
        page.samplesperpixel == best.samplesperpixel
        and page.dtype == best.dtype
        and (page.subfiletype & _REDUCED or page.is_tiled)
    )


def _area(page: TiffPage) -> int:
    return int(page.imagelength) * int(page.imagewidth)
