"""What a reader of one format offers: the levels that lie in the file, and what its header says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["DecodingError", "Header", "ScanSource"]


class DecodingError(Exception):
    """A part of a level cannot be decoded; `PyramidScan` says where."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself; the fields are those of `ScanFacts`.

    `mpp` is (y, x) as stated, believed only where a microscope can have it; `files` are all files
    of the slide, of which the first one is asked for its bytes first.
    """

    format: str
    reader: str
    mpp: tuple[float, float] | None
    magnification: float | None
    files: tuple[Path, ...]
    associated: tuple[str, ...] = ()
    has_icc: bool = False
    notes: tuple[str, ...] = ()


class ScanSource(Protocol):
    """Decodes one file; from any thread."""

    @property
    def header(self) -> Header:
        """What the file says of itself."""

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of each level in the file, the finest first."""

    def read(self, index: int, y: int, x: int, height: int, width: int) -> NDArray[np.uint8]:
        """Return a rectangle inside a level, (h, w, 3) uint8; the same pixels in any rectangle.

        Raises
        ------
        DecodingError
            When some of it cannot be decoded.
        """

    def associated(self, name: str) -> NDArray[np.uint8]:
        """Return one of the other pictures, (h, w, 3) uint8.

        Raises
        ------
        DecodingError
            When it cannot be decoded.
        """

    def profile(self) -> bytes | None:
        """Return the ICC profile of the colours, where the file has one."""

    def close(self) -> None:
        """Let go of the file."""
