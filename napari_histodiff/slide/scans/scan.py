"""What can be asked of a scanned slide, whatever file it lies in."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import HistodiffError
from napari_histodiff.core.geometry import PyramidSpec, Region
from napari_histodiff.core.json_data import from_json

__all__ = ["Scan", "ScanError", "ScanFacts", "ScanIdentity"]


class ScanError(HistodiffError, OSError):
    """A part of a scan that cannot be decoded, or is gone; the rest of it can still be read.

    Parameters
    ----------
    message : str
        What was expected, what came, and what to do.
    region : Region
        The smallest part known to hold the damage, in pixels of its level.
    """

    def __init__(self, message: str, region: Region) -> None:
        super().__init__(message)
        self.region = region

    def __reduce__(self) -> tuple[type[Self], tuple[str, Region]]:
        return type(self), (str(self), self.region)


@dataclass(frozen=True, slots=True)
class ScanFacts:
    """What a scan's header says.

    Parameters
    ----------
    format : str
        As "aperio svs" or "ome-tiff".
    reader : str
        What decodes it: "openslide", "tifffile", "zarr" or "pillow".
    mpp : (y, x) or None
        Micrometres per pixel of level 0; None where nobody said.
    mpp_from : "header", "asked" or None
        Whether the file says so, or a person did.
    magnification : float or None
        Of the objective, as 20.0.
    levels : tuple of (height, width)
        The levels that lie in the file, the finest first; the others are made of them.
    nbytes : int
        Of the file, or of all files of a slide that has several.
    associated : tuple of str
        Names of the other pictures in the file, as "label" and "macro". They may show the name of
        a patient, so nothing reads them unasked.
    has_icc : bool
        Whether the file has a colour profile.
    notes : tuple of str
        What is odd about the file, in words.
    header_mpp : (y, x) or None
        What the file says, whoever else was asked.
    """

    format: str
    reader: str
    mpp: tuple[float, float] | None
    mpp_from: Literal["header", "asked"] | None
    magnification: float | None
    levels: tuple[tuple[int, int], ...]
    nbytes: int
    associated: tuple[str, ...] = ()
    has_icc: bool = False
    notes: tuple[str, ...] = ()
    header_mpp: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class ScanIdentity:
    """Tells a scan from others, wherever its file lies and whatever it is called.

    Parameters
    ----------
    height, width : int
        Pixels of level 0.
    nbytes : int
        Of the file, or of all files of a slide that has several.
    sha256 : str
        Of the file's bytes at fixed places. Decoded pixels are left out: two versions of a decoder
        may differ by one.
    """

    height: int
    width: int
    nbytes: int
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Return what `to_dict` returned.

        Raises
        ------
        ValueError
            When a field lacks or is garbled.
        """
        return from_json(cls, data)


@runtime_checkable
class Scan(Protocol):
    """A scanned slide that can be read anywhere; never written. From any thread.

    `tests/slide/scans/scan_contract.py` holds what every scan does.
    """

    @property
    def path(self) -> Path:
        """The file, or the folder."""

    @property
    def spec(self) -> PyramidSpec:
        """The scan as a pyramid: level 0 is its full resolution, each level half of the one below.

        `spec.mpp` is the height of a pixel as `facts` has it, or 1.0 where it is not known.
        """

    @property
    def facts(self) -> ScanFacts:
        """What the header says."""

    def read(self, region: Region) -> NDArray[np.uint8]:
        """Return the pixels of a region of any place and level, (h, w, 3) uint8; white outside.

        A level that the file lacks is the box mean of the nearest finer one. Equal pixels come
        whatever region they are read with.

        Raises
        ------
        ScanError
            When a part of it cannot be decoded; never other pixels instead.
        InvalidRequest
            When the scan has no such level.
        """

    def identity(self) -> ScanIdentity:
        """Return what tells this scan from others."""

    def close(self) -> None:
        """Let go of the file; what is read afterwards raises `ScanError`."""
