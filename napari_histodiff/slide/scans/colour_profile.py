"""Colours of a scan as its ICC profile means them, in sRGB."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from napari_histodiff.core.errors import InvalidRequest, ScanInvalid
from napari_histodiff.slide.scans.source import ScanSource

__all__ = ["ProfiledSource"]

#: The usual choice for pictures: white stays white.
_INTENT: Final = ImageCms.Intent.RELATIVE_COLORIMETRIC


class ProfiledSource:
    """A source whose pixels are brought to sRGB; see `ScanSource`.

    Parameters
    ----------
    source : ScanSource
        The file; belongs to this one.
    path : path
        Of the file.

    Raises
    ------
    InvalidRequest
        When the file has no profile.
    ScanInvalid
        When its profile is garbled.
    """

    def __init__(self, source: ScanSource, path: Path) -> None:
        self._source = source
        self.header = source.header
        self.shapes = source.shapes
        profile = source.profile()
        if profile is None:
            raise InvalidRequest(
                f"expected a colour profile in {path}, got none; leave icc out: the colours are "
                "taken as sRGB"
            )
        try:
            self._transform = ImageCms.buildTransform(
                ImageCms.ImageCmsProfile(BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                "RGB",
                "RGB",
                _INTENT,
            )
        except (ImageCms.PyCMSError, OSError) as error:
            raise ScanInvalid(
                f"expected an ICC profile of RGB in {path}, got '{error}'; leave icc out"
            ) from error

    def read(self, index: int, y: int, x: int, height: int, width: int) -> NDArray[np.uint8]:
        """Return a rectangle inside a level, in sRGB.

        Raises
        ------
        DecodingError
            When some of it cannot be decoded.
        """
        pixels = self._source.read(index, y, x, height, width)
        picture = Image.fromarray(pixels)
        ImageCms.applyTransform(picture, self._transform, inPlace=True)
        return np.array(picture)

    def associated(self, name: str) -> NDArray[np.uint8]:
        """Return one of the other pictures, which have profiles of their own, as it is.

        Raises
        ------
        DecodingError
            When it cannot be decoded.
        """
        return self._source.associated(name)

    def profile(self) -> bytes | None:
        """Return the ICC profile of the file."""
        return self._source.profile()

    def close(self) -> None:
        """Let go of the file."""
        self._source.close()
