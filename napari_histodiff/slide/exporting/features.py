"""GeoJSON as QuPath reads it, written feature by feature."""

from __future__ import annotations

import gzip
import io
import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, Literal

from napari_histodiff.core.colours import CLASS_HEX, UNKNOWN_HEX, rgb_of
from napari_histodiff.core.maps import CLASS_NAMES
from napari_histodiff.datasets.tracing import Corners

__all__ = ["FeatureFile", "Objects", "feature", "nucleus_style", "write_features"]

#: What QuPath takes an object for.
Objects = Literal["detection", "cell", "annotation"]

_NAMES: Final = ("nucleus", *CLASS_NAMES)
_COLOURS: Final = (UNKNOWN_HEX, *CLASS_HEX)

# Ids follow from what and where an object is, so that a slide exported twice has the same ones.
_IDS: Final = uuid.UUID("6f1d3c0a-52c5-4b6e-9a53-0c7a3f5f6f3e")


def nucleus_style(class_id: int) -> tuple[str, tuple[int, int, int]]:
    """Return the name and the colour of a nucleus class, 0 = unknown."""
    return _NAMES[class_id], rgb_of(_COLOURS[class_id])


def feature(
    polygons: Sequence[Sequence[Corners]],
    objects: Objects,
    style: tuple[str, tuple[int, int, int]],
    key: str,
    **properties: Any,
) -> dict[str, Any]:
    """Return one object.

    Parameters
    ----------
    polygons : sequence of sequence of (n, 2)
        Corners (x, y) in pixels of full resolution; of each polygon the outer ring, then the holes.
    objects : {"detection", "cell", "annotation"}
        A cell's outline is that of its nucleus, too.
    style : tuple
        Name and colour of its class.
    key : str
        What tells it from all other objects of the file.
    **properties
        What else is said of it.
    """
    rings = [[_closed(ring) for ring in polygon] for polygon in polygons]
    geometry = (
        {"type": "Polygon", "coordinates": rings[0]}
        if len(rings) == 1
        else {"type": "MultiPolygon", "coordinates": rings}
    )
    name, colour = style
    more = {"nucleusGeometry": geometry} if objects == "cell" else {}
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(_IDS, key)),
        "geometry": geometry,
        **more,
        "properties": {
            "objectType": objects,
            "classification": {"name": name, "color": list(colour)},
            **properties,
        },
    }


def _closed(ring: Corners) -> list[list[float]]:
    corners: list[list[float]] = [
        [round(x, 2), round(y, 2)] if isinstance(x, float) else [x, y] for x, y in ring.tolist()
    ]
    return [*corners, corners[0]]


class FeatureFile:
    """A FeatureCollection that grows; see `write_features`."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self.count = 0

    def add(self, one: dict[str, Any]) -> None:
        """Append a feature."""
        self._file.write("\n" if self.count == 0 else ",\n")
        json.dump(one, self._file, separators=(",", ":"))
        self.count += 1


@contextmanager
def write_features(path: Path, *, packed: bool, mark: dict[str, Any]) -> Iterator[FeatureFile]:
    """Write a FeatureCollection one by one.

    Parameters
    ----------
    path : Path
        The file; replaced.
    packed : bool
        Whether to compress it (gzip).
    mark : dict
        Kept beside the features under "histodiff"; programs pass over it.
    """
    with path.open("wb") as raw, _stream(raw, packed=packed) as file:
        file.write('{"type":"FeatureCollection","histodiff":')
        json.dump(mark, file)
        file.write(',"features":[')
        yield FeatureFile(file)
        file.write("\n]}\n")


@contextmanager
def _stream(raw: IO[bytes], *, packed: bool) -> Iterator[IO[str]]:
    if not packed:
        with io.TextIOWrapper(raw, encoding="utf-8", newline="\n") as file:
            yield file
        return
    # Without a time, so that equal contents are equal files.
    with (
        gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=6, filename="", mtime=0) as stream,
        io.TextIOWrapper(stream, encoding="utf-8", newline="\n") as file,
    ):
        yield file
