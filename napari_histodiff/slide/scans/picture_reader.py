"""Reads PNG, JPEG and other pictures, upright, as slides of one level."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from napari_histodiff.core.errors import InvalidImage, ScanInvalid
from napari_histodiff.datasets.pictures import read_picture
from napari_histodiff.slide.scans.brightfield import Window, check_pixels, flatten
from napari_histodiff.slide.scans.source import DecodingError, Header

__all__ = ["PictureSource"]

#: No picture of tissue is so much smaller than its pixels; what claims to be fills the memory.
_RATIO: Final = 2000


class PictureSource:
    """A picture in memory; see `ScanSource`.

    Parameters
    ----------
    path : path
        The file.
    window : (low, high), optional
        Which values of 16 bits become black and white.

    Raises
    ------
    ScanInvalid
        When it is no bright-field picture, damaged, or too large to be kept in memory.
    """

    def __init__(self, path: Path, window: Window | None = None) -> None:
        kind, self._profile = _checked_format(path)
        try:
            picture = read_picture(path)
        except InvalidImage as error:
            raise ScanInvalid(str(error)) from error
        shown = picture.shown
        check_pixels(path, shown.dtype, shown.shape[2] if shown.ndim == 3 else 1, window)
        self._pixels: NDArray[np.uint8] | None = flatten(shown, window=window)
        self.shapes = (self._pixels.shape[:2],)
        self.header = Header(
            format=kind,
            reader="pillow",
            mpp=None if picture.mpp is None else (picture.mpp, picture.mpp),
            magnification=None,
            files=(path,),
            has_icc=self._profile is not None,
            notes=() if picture.mpp else ("the file does not say how long a pixel is",),
        )

    def read(self, index: int, y: int, x: int, height: int, width: int) -> NDArray[np.uint8]:
        """Return a copy of a rectangle.

        Raises
        ------
        DecodingError
            When the scan was closed.
        """
        if self._pixels is None:
            raise DecodingError("the scan was closed")
        return self._pixels[y : y + height, x : x + width].copy()

    def associated(self, name: str) -> NDArray[np.uint8]:
        """There is no other picture.

        Raises
        ------
        DecodingError
            Always.
        """
        raise DecodingError(f"no picture {name!r}")

    def profile(self) -> bytes | None:
        """Return the ICC profile of the colours, where the file has one."""
        return self._profile

    def close(self) -> None:
        """Free the memory."""
        self._pixels = None


def _checked_format(path: Path) -> tuple[str, bytes | None]:
    """Return what kind of picture it is and its profile, before anything is decoded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                width, height = image.size
                kind = (image.format or "picture").lower()
                profile = image.info.get("icc_profile")
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ScanInvalid(
            f"expected a picture that fits into memory, got a larger one in {path} ({error}); save "
            "it as a tiled TIFF, for example with `vips tiffsave --tile --pyramid`"
        ) from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise ScanInvalid(
            f"expected a slide or a picture in {path}, got '{error}'; check the file"
        ) from error
    size = path.stat().st_size
    if height * width * 3 > max(size, 1) * _RATIO:
        raise ScanInvalid(
            f"expected a picture, got {size} bytes in {path} that claim to be {height} x {width} "
            "pixels; check where the file comes from, or save it again"
        )
    return kind, profile
