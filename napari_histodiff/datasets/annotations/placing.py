"""Where the outlines of a file lie on an image: exports of a part count from its first pixel."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any, Final

from napari_histodiff.core.errors import InvalidMap
from napari_histodiff.core.geometry import Region

__all__ = ["first_pixel", "part_told"]

#: What this package writes before the features.
_MARK: Final = re.compile(r'"histodiff"\s*:\s*(?=\{)')
_HEAD: Final = 1 << 16


def first_pixel(path: Path, canvas: Region, scan: Region | None = None) -> tuple[int, int]:
    """Return where on an image the outlines of a file count from, (y, x) in pixels of level 0.

    Parameters
    ----------
    path : Path
        GeoJSON or XML; of what cannot be read it is the first pixel.
    canvas : Region
        The whole image.
    scan : Region, optional
        Where on it the file lies that it shows, of a scan with room around it.

    Raises
    ------
    InvalidMap
        When this package exported them of a part of an image of another size.
    """
    own = canvas if scan is None else scan
    part, whole = _told(path)
    if part is None or part.shape == own.shape:
        return own.y, own.x
    for image in (own, canvas):
        if whole == image.shape:
            return image.y + part.y, image.x + part.x
    raise InvalidMap(
        f"expected outlines of an image of {own.height} x {own.width} px, got those of a part of "
        f"one of {whole[0]} x {whole[1]} in {path}; export them again, of this image as it is now"
    )


def part_told(part: Any) -> Region:
    """Return which part of an image, in pixels of level 0, an export says that it is.

    Raises
    ------
    ValueError, KeyError, TypeError
        When it says something else.
    """
    return Region(0, *(int(part[name]) for name in ("y", "x", "height", "width")))


def _told(path: Path) -> tuple[Region | None, tuple[int, int]]:
    """Return which part of an image a file says it is of, and the size of that image."""
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            head = file.read(_HEAD).decode("utf-8", "replace")
        found = _MARK.search(head)
        if found is None:
            return None, (0, 0)
        said: Any = json.JSONDecoder().raw_decode(head, found.end())[0]
        part, whole = said["part"], said["whole"]
        return part_told(part), (int(whole["height"]), int(whole["width"]))
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None, (0, 0)
