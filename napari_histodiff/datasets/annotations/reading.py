"""Reads annotations of whole slides, whichever program wrote them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.datasets.annotations.xml_regions import xml_objects
from napari_histodiff.datasets.geojson_objects import GeoObject, iter_objects

if TYPE_CHECKING:
    from collections import Counter

__all__ = ["SUFFIXES", "annotations_of"]

#: How files of annotations end.
SUFFIXES: Final = (".geojson", ".json", ".geojson.gz", ".json.gz", ".xml")

#: What a file in XML begins with, after the marks of UTF-8 and UTF-16.
_MARKS: Final = (b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff\0")
_SPACE: Final = b" \t\r\n\0"


def annotations_of(
    path: Path, notes: Counter[str], mpp: float | None = None
) -> Iterator[GeoObject]:
    """Yield the outlined objects of a file: GeoJSON, or XML of Aperio's ImageScope or of ASAP.

    Parameters
    ----------
    path : Path
        What is in it decides, not how it is called.
    notes : Counter
        Takes what was left out, with how often.
    mpp : float, optional
        Micrometres per pixel of the slide; outlines that were drawn on the slide at another size,
        as far as their file says, are brought to it.

    Raises
    ------
    TrainingError
        When it is neither, or damaged.
    """
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise TrainingError(
            f"expected annotations in {path}, got '{error.strerror or error}'; check the path"
        ) from error
    if any(
        head.startswith(mark) and head[len(mark) :].lstrip(_SPACE)[:1] == b"<" for mark in _MARKS
    ):
        yield from xml_objects(path, notes, mpp)
    else:
        yield from iter_objects(path, notes)
