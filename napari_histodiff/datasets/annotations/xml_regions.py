"""Reads regions in XML, as ImageScope of Aperio and ASAP write them beside a slide.

Aperio: layers (`Annotation`) of `Region`s with `Vertex`es; a region of `NegativeROA` 1 is a hole,
of `Type` 1 a rectangle and 2 an ellipse, of which two corners are enough. ASAP: `Annotation`s with
`Coordinate`s and a group, whose name is the class. Both count in pixels of full resolution.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from xml.parsers import expat

import numpy as np

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.core.geometry import Region
from napari_histodiff.datasets.geojson_objects import UNNAMED, GeoObject
from napari_histodiff.datasets.outlines import Outline, Ring, fill

if TYPE_CHECKING:
    from collections import Counter

__all__ = ["xml_objects"]

#: What people call a region that is cut out of another; "_2" is that of the Camelyon data.
_HOLES: Final = frozenset({"exclusion", "exclude", "excluded", "hole", "_2"})

#: Groups of the Camelyon data, which are tumour.
_GROUPS: Final = {"_0": "tumor", "_1": "tumor"}

_RECTANGLE, _ELLIPSE = "1", "2"
_OPEN: Final = {"3": "arrows", "4": "rulers", "5": "counters"}
_NO_AREA: Final = {"Dot": "points", "PointSet": "sets of points", "Measurement": "measurements"}
_CORNERS: Final = 90  # of an ellipse

#: Two lengths of a pixel that differ by less are the same, written with fewer digits.
_SAME: Final = 0.02

#: Names of a layer that say nothing.
_NOTHING: Final = frozenset({"", "none", "layer", "annotation", "region"})


@dataclass(slots=True, eq=False)
class _Shape:
    """A region: its class, its corners, and whether it is cut out of others."""

    name: str
    ring: Ring
    is_hole: bool = False
    holes: list[Ring] = field(default_factory=list)


class _Refused(Exception):
    """Why a file is not read on."""


@dataclass(slots=True, eq=False)
class _Walk:
    """Follows the elements of a file; keeps one region, and its layer, at a time."""

    notes: Counter[str]
    shapes: list[_Shape] = field(default_factory=list)
    mpp: float | None = None
    _path: list[str] = field(default_factory=list)
    _layer: dict[str, str] = field(default_factory=dict)
    _described: str = ""
    _region: dict[str, str] = field(default_factory=dict)
    _corners: list[tuple[float, float]] = field(default_factory=list)
    _in_layer: list[_Shape] = field(default_factory=list)

    def start(self, name: str, given: dict[str, str]) -> None:
        if not self._path and name not in {"Annotations", "ASAP_Annotations"}:
            raise _Refused(f"<{name}>, which neither ImageScope nor ASAP begins with")
        self._path.append(name)
        if name == "Annotations" and "MicronsPerPixel" in given:
            self.mpp = _number(given["MicronsPerPixel"])
        elif name == "Annotation":
            self._layer, self._described, self._corners = given, "", []
        elif name == "Region":
            self._region, self._corners = given, []
        elif name == "Attribute" and "Region" not in self._path:
            self._described = self._described or given.get("Value", "")
        elif name in {"Vertex", "Coordinate"}:
            x, y = _number(given.get("X")), _number(given.get("Y"))
            if x is not None and y is not None:
                self._corners.append((x, y))

    def end(self, name: str) -> None:
        self._path.pop()
        if name == "Region":
            self._end_region()
        elif name == "Annotation" and self._path[0] == "ASAP_Annotations":
            self._end_of_asap()
        elif name == "Annotation":
            for shape in self._in_layer:
                shape.name = _first(shape.name, self._layer.get("Name"), self._described)
            self.shapes += self._in_layer
            self._in_layer = []

    def _end_region(self) -> None:
        kind = self._region.get("Type", "0")
        if kind in _OPEN:
            self.notes[f"{_OPEN[kind]}, left out"] += 1
            return
        ring = _closed(self._corners, kind)
        if ring is None:
            self.notes["outlines of fewer than 3 finite corners, left out"] += 1
            return
        is_hole = self._region.get("NegativeROA") == "1"
        self._in_layer.append(_Shape(self._region.get("Text", ""), ring, is_hole))

    def _end_of_asap(self) -> None:
        kind = self._layer.get("Type", "")
        if kind in _NO_AREA:
            self.notes[f"{_NO_AREA[kind]}, left out"] += 1
            return
        if kind == "Spline":
            self.notes["splines, taken straight between their points"] += 1
        ring = _closed(self._corners, _RECTANGLE if kind == "Rectangle" else "")
        if ring is None:
            self.notes["outlines of fewer than 3 finite corners, left out"] += 1
            return
        group = self._layer.get("PartOfGroup", "")
        name = _first(_GROUPS.get(group, group), self._layer.get("Name"))
        self.shapes.append(_Shape(name, ring, group.lower() in _HOLES))


def xml_objects(path: Path, notes: Counter[str], mpp: float | None = None) -> list[GeoObject]:
    """Return the regions of a file as annotations, with holes where regions are cut out.

    Parameters
    ----------
    path : Path
        XML of ImageScope or ASAP.
    notes : Counter
        Takes what was left out, with how often.
    mpp : float, optional
        Micrometres per pixel of the slide; regions drawn at another size are brought to it.

    Raises
    ------
    TrainingError
        When it is neither, damaged, or declares entities, as these programs never do.
    """
    walk = _Walk(notes)
    parser = expat.ParserCreate()
    parser.StartElementHandler = walk.start
    parser.EndElementHandler = walk.end
    parser.StartDoctypeDeclHandler = _refuse
    try:
        with path.open("rb") as file:
            parser.ParseFile(file)
    except (OSError, expat.ExpatError, _Refused, UnicodeError, ValueError, LookupError) as error:
        raise TrainingError(
            f"expected regions of ImageScope or ASAP in {path}, got {error}; export them again"
        ) from error
    ratio = 1.0
    if mpp and walk.mpp and abs(walk.mpp / mpp - 1) > _SAME:
        ratio = walk.mpp / mpp
        notes[f"drawn at {walk.mpp:g} um per pixel, brought to {mpp:g}"] += 1
    regions = _with_holes(walk.shapes, notes)
    return [
        GeoObject("annotation", shape.name, [[ring * ratio for ring in (shape.ring, *shape.holes)]])
        for shape in regions
    ]


def _refuse(*_: Any) -> None:
    raise _Refused("a document type, which can hide entities")


def _with_holes(shapes: list[_Shape], notes: Counter[str]) -> list[_Shape]:
    """Cut each hole out of the smallest region it lies in."""
    regions = [shape for shape in shapes if not shape.is_hole]
    areas = [Outline([[shape.ring]]).area for shape in regions]
    for hole in (shape for shape in shapes if shape.is_hole):
        around = [n for n, shape in enumerate(regions) if _holds(shape.ring, hole.ring)]
        if around:
            regions[min(around, key=areas.__getitem__)].holes.append(hole.ring)
        else:
            notes["holes outside all regions, left out"] += 1
    return regions


def _holds(ring: Ring, hole: Ring) -> bool:
    """Whether the middle of most of a hole's edges lies in a region."""
    middles = (hole + np.roll(hole, -1, axis=0)) / 2
    some = middles[:: max(1, len(middles) // 9)]
    if not ((some >= ring.min(axis=0)) & (some <= ring.max(axis=0))).any():
        return False
    inside = [fill([ring - (x - 0.5, y - 0.5)], Region(0, 0, 0, 1, 1))[0, 0] for x, y in some]
    return 2 * sum(map(bool, inside)) > len(inside)


def _closed(corners: list[tuple[float, float]], kind: str) -> Ring | None:
    """Return the corners of a region, of rectangles and ellipses that have two of them as well."""
    if len(corners) == 2 and kind in {_RECTANGLE, _ELLIPSE}:
        (x0, y0), (x1, y1) = corners
        if kind == _RECTANGLE:
            return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], float)
        turn = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
        x, y = (x0 + x1 + (x1 - x0) * np.cos(turn)) / 2, (y0 + y1 + (y1 - y0) * np.sin(turn)) / 2
        return np.stack([x, y], axis=1)
    return np.array(corners, float) if len(corners) > 2 else None


def _number(text: str | None) -> float | None:
    """Return a coordinate, also with a decimal comma; None for what is none on any slide."""
    try:
        number = float((text or "").replace(",", "."))
    except ValueError:
        return None
    return number if abs(number) < 2**31 else None


def _first(*names: str | None) -> str:
    """Return the first name that says something; "Annotation 7" and "Layer 1" do not."""
    for name in names:
        said = (name or "").strip()
        if said.lower().rstrip("0123456789 ") not in _NOTHING:
            return said
    return UNNAMED
