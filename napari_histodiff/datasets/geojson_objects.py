"""Walks GeoJSON as programs write it, object by object (RFC 7946; QuPath 0.2 and later).

A collection, an array, one Feature or a bare geometry; children inside their parents; kinds and
classes under the names of several versions. What cannot be an outline is counted with the reason.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.datasets.annotations.json_stream import json_values
from napari_histodiff.datasets.outlines import Ring

__all__ = ["UNNAMED", "GeoObject", "iter_objects", "looks_like_geojson", "read_objects"]

#: Name of an object without a class.
UNNAMED: Final = "(no class)"

_KINDS: Final = frozenset({"annotation", "detection", "cell", "tile", "tmacore", "root"})
_GEOMETRIES: Final = frozenset({"Polygon", "MultiPolygon", "GeometryCollection"})
_WITHOUT_AREA: Final = {
    "Point": "points",
    "MultiPoint": "sets of points",
    "LineString": "lines",
    "MultiLineString": "sets of lines",
}
_HEAD: Final = re.compile(
    rb'"type"\s*:\s*"(Feature|FeatureCollection|Polygon|MultiPolygon|GeometryCollection)"'
)
_PEEK: Final = 1 << 16

#: Pixels from the corner of a slide; what lies farther is as good as infinite.
_FARTHEST: Final = 2.0**31

#: Properties that other programs name a class in.
_CLASS_KEYS: Final = ("classification", "class", "class_name", "label", "structure")


@dataclass(frozen=True, slots=True, eq=False)
class GeoObject:
    """One object: its kind as QuPath says it (or ""), class name, and polygons with their holes."""

    kind: str
    name: str
    polygons: list[list[Ring]]


@dataclass(slots=True, eq=False)
class _Walk:
    """The notes of one file, filled on the way."""

    notes: Counter[str] = field(default_factory=Counter)

    def features(self, content: Any) -> Iterator[dict[str, Any]]:
        """Yield every Feature of any nesting; a bare geometry is one without properties."""
        if isinstance(content, list):
            for part in content:
                yield from self.features(part)
        elif not isinstance(content, dict):
            self.notes["entries that are no objects, left out"] += 1
        elif isinstance(content.get("features"), list):
            yield from self.features(content["features"])
        elif content.get("type") in _GEOMETRIES | _WITHOUT_AREA.keys():
            yield {"geometry": content}
        elif content.get("type") == "Feature" or "geometry" in content:
            yield content
            for owner in (content, _properties(content)):
                if isinstance(owner.get("childObjects"), list):
                    yield from self.features(owner["childObjects"])
        else:
            self.notes["entries that are no objects, left out"] += 1

    def polygons(self, geometry: Any) -> list[list[Ring]]:
        """Return the sound polygons of a geometry; the others are counted."""
        kind = geometry.get("type") if isinstance(geometry, dict) else None
        if kind == "GeometryCollection":
            parts = geometry.get("geometries")
            return [
                polygon
                for part in (parts if isinstance(parts, list) else ())
                for polygon in self.polygons(part)
            ]
        if kind not in {"Polygon", "MultiPolygon"}:
            what = _WITHOUT_AREA.get(str(kind), "objects without a geometry")
            self.notes[f"{what}, left out"] += 1
            return []
        coordinates = geometry.get("coordinates")
        if kind == "Polygon":
            coordinates = [coordinates]
        if not isinstance(coordinates, list):
            coordinates = [None]
        found = (self._polygon(polygon) for polygon in coordinates)
        return [polygon for polygon in found if polygon]

    def _polygon(self, coordinates: Any) -> list[Ring]:
        rings = list(map(_ring, coordinates)) if isinstance(coordinates, list) else [None]
        sound = [ring for ring in rings if ring is not None]
        if not rings or rings[0] is None:
            self.notes["outlines of fewer than 3 finite corners, left out"] += 1
            return []
        if len(sound) < len(rings):
            self.notes["holes of fewer than 3 finite corners, left out"] += len(rings) - len(sound)
        return sound


def looks_like_geojson(path: Path) -> bool:
    """Tell from the first 64 KiB whether a `.json` holds outlines, not anything else."""
    try:
        with _open(path) as file:
            return _HEAD.search(file.read(_PEEK)) is not None
    except (OSError, EOFError):
        return False


def read_objects(path: Path) -> tuple[list[GeoObject], Counter[str]]:
    """Return the objects of a file, and what was left out of them with how often.

    Raises
    ------
    TrainingError
        As `iter_objects`.
    """
    notes: Counter[str] = Counter()
    return list(iter_objects(path, notes)), notes


def iter_objects(path: Path, notes: Counter[str]) -> Iterator[GeoObject]:
    """Yield the objects of a file one by one, in the memory of one feature.

    Of a cell the polygons are those of its nucleus; an object without any polygon is counted.

    Parameters
    ----------
    path : Path
        GeoJSON, of a name that ends in `.gz` compressed.
    notes : Counter
        Takes what was left out, with how often.

    Raises
    ------
    TrainingError
        When the file is not JSON, or not an object, array or geometry of GeoJSON; from where it is
        none, after the objects before that.
    """
    walk = _Walk()
    count = 0
    try:
        with _open(path) as file, io.TextIOWrapper(file, "utf-8-sig") as text:
            for value in json_values(text, "features"):
                for feature in walk.features(value):
                    count += 1
                    yield _object(feature, walk)
    except (OSError, EOFError, ValueError, RecursionError, zlib.error) as error:
        raise TrainingError(f"expected GeoJSON in {path}, got {error}; export it again") from error
    notes.update(walk.notes)
    if not count and walk.notes:
        raise TrainingError(
            f"expected features or geometries in {path}, got none; export it again as GeoJSON"
        )


def _object(feature: dict[str, Any], walk: _Walk) -> GeoObject:
    kind = _kind(feature)
    geometry = feature.get("geometry")
    if kind == "cell":
        geometry = feature.get("nucleusGeometry") or _properties(feature).get("nucleusGeometry")
        if not geometry:
            walk.notes["cells without a nucleus, left out"] += 1
            return GeoObject(kind, UNNAMED, [])
    return GeoObject(kind, _name(feature), walk.polygons(geometry))


def _open(path: Path) -> Any:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")


def _ring(coordinates: Any) -> Ring | None:
    try:
        corners = np.array([corner[:2] for corner in coordinates], float)
    except (TypeError, ValueError, OverflowError):
        return None
    sound = corners.ndim == 2 and corners.shape[1] == 2 and len(corners) > 2
    return corners if sound and (np.abs(corners) <= _FARTHEST).all() else None


def _kind(feature: dict[str, Any]) -> str:
    """What QuPath 0.4 and later call objectType, 0.3 object_type, and 0.2 tells by the id."""
    properties = _properties(feature)
    for said in (properties.get("objectType"), properties.get("object_type"), feature.get("id")):
        word = str(said or "").lower().replace("_", "").removeprefix("path").removesuffix("object")
        if word in _KINDS:
            return word
    nucleus = feature.get("nucleusGeometry") or properties.get("nucleusGeometry")
    return "cell" if nucleus else ""


def _name(feature: dict[str, Any]) -> str:
    properties = _properties(feature)
    for key in _CLASS_KEYS:
        said = properties.get(key)
        if isinstance(said, dict):
            names = said.get("names")
            said = ": ".join(map(str, names)) if isinstance(names, list) else said.get("name")
        if isinstance(said, str) and said:
            return said
    return UNNAMED


def _properties(feature: dict[str, Any]) -> dict[str, Any]:
    properties = feature.get("properties")
    return properties if isinstance(properties, dict) else {}
