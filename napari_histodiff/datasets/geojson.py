"""Reads images/ with the GeoJSON that QuPath exports (RFC 7946, QuPath 0.2 and later)."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.datasets.annotated import Annotated, Entry, class_of, scale_of
from napari_histodiff.datasets.files import by_stem, check_pairs, image_folder, read_image
from napari_histodiff.datasets.outlines import Outline, Ring, rasterise
from napari_histodiff.datasets.packing import slide_of

__all__ = ["LARGEST_NUCLEUS", "geojson_entries"]

#: Square micrometres; a larger annotation is a region, not a nucleus.
LARGEST_NUCLEUS: Final = 2000.0

_UNNAMED: Final = "(no class)"


@dataclass(slots=True, eq=False)
class _Nuclei:
    """Outlines of one file with their classes; `mixture`: how many are called inflammatory."""

    outlines: list[Outline] = field(default_factory=list)
    classes: list[int] = field(default_factory=list)
    unmapped: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    mixture: int = 0


def geojson_entries(folder: Path, mpp: float | None) -> list[Entry]:
    """List the images; `NAME.geojson` anywhere below `folder` belongs to the image NAME.

    Raises
    ------
    TrainingError
        When there is no image, or a GeoJSON file has none.
    """
    labels = by_stem(folder.rglob("*"), frozenset({".geojson"}))
    images = by_stem(image_folder(folder).glob("*"))
    check_pairs(images, labels, folder)
    return [
        Entry(name, slide_of(name), partial(_load, path, labels.get(name), mpp))
        for name, path in images.items()
    ]


def _load(image: Path, labels: Path | None, told: float | None) -> Annotated:
    pixels, mpp = read_image(image)
    if labels is None:
        return Annotated(pixels, mpp=mpp)
    largest = LARGEST_NUCLEUS / scale_of(told, mpp) ** 2
    nuclei = _nuclei(_features(labels), largest, labels)
    if not nuclei.outlines:  # nothing was outlined: that is no promise that there are no nuclei
        nuclei.notes["GeoJSON files without nuclei, taken as without labels"] += 1
        return Annotated(pixels, mpp=mpp, notes=nuclei.notes)
    height, width = pixels.shape[:2]
    instances, lost = rasterise(nuclei.outlines, (height, width))
    if not instances.any():
        raise TrainingError(
            f"expected outlines within {width} x {height} px, got none of {labels} there; "
            "export image and outlines from the same image at full resolution"
        )
    nuclei.notes.update({f"outlines {reason}, left out": n for reason, n in lost.items() if n})
    table = np.array([0, *nuclei.classes], np.uint8)
    unknown = nuclei.classes.count(0)
    return Annotated(
        pixels,
        instances,
        table[instances] if unknown < len(nuclei.classes) else None,
        mpp=mpp,
        unknown_is_inflammatory=0 < unknown == nuclei.mixture,
        unmapped=nuclei.unmapped,
        notes=nuclei.notes,
    )


def _features(path: Path) -> list[dict[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"expected GeoJSON in {path}, got {error}; export it again") from error
    found = content.get("type") if isinstance(content, dict) else type(content).__name__
    if found != "FeatureCollection" or not isinstance(content.get("features"), list):
        raise TrainingError(
            f"expected a FeatureCollection in {path}, got {found}; "
            "in QuPath, export with 'FeatureCollection' ticked"
        )
    return [feature for feature in content["features"] if isinstance(feature, dict)]


def _nuclei(features: list[dict[str, Any]], largest: float, path: Path) -> _Nuclei:
    nuclei = _Nuclei()
    kinds = [_kind(feature) for feature in features]
    detected = any(kind in {"detection", "cell"} for kind in kinds)
    for i, (feature, kind) in enumerate(zip(features, kinds, strict=True)):
        geometry = feature.get("nucleusGeometry" if kind == "cell" else "geometry")
        name = _name(feature)
        parts = _parts(geometry, f"feature {i} of {path}")
        if kind == "annotation" and detected:
            nuclei.notes["annotations beside detections, taken as regions and left out"] += 1
        elif name.endswith("*"):  # QuPath's mark of a class to be ignored
            nuclei.notes[f"objects of class {name}, left out"] += 1
        elif not parts:
            what = "cells without a nucleus" if kind == "cell" else "points, lines and the like"
            nuclei.notes[f"{what}, left out"] += 1
        elif (outline := Outline(parts)).area > largest:
            nuclei.notes[f"outlines above {LARGEST_NUCLEUS:g} square um, left out"] += 1
        else:
            _add(nuclei, outline, name)
    return nuclei


def _add(nuclei: _Nuclei, outline: Outline, name: str) -> None:
    found = class_of(name)
    if not found:
        nuclei.unmapped[name] += 1
    nuclei.mixture += found == 0
    nuclei.outlines.append(outline)
    nuclei.classes.append(found or 0)


def _kind(feature: dict[str, Any]) -> str:
    """The objectType of QuPath 0.3 and later, or the id by which 0.2 told it."""
    kind = _properties(feature).get("objectType") or feature.get("id") or ""
    return str(kind).removeprefix("Path").removesuffix("Object").lower()


def _name(feature: dict[str, Any]) -> str:
    classification = _properties(feature).get("classification")
    if not isinstance(classification, dict):
        return _UNNAMED
    names = classification.get("names")
    if isinstance(names, list) and names:
        return ": ".join(map(str, names))
    return str(classification.get("name") or _UNNAMED)


def _properties(feature: dict[str, Any]) -> dict[str, Any]:
    properties = feature.get("properties")
    return properties if isinstance(properties, dict) else {}


def _parts(geometry: Any, place: str) -> list[list[Ring]]:
    """The polygons of a geometry, none when it is of another type."""
    if not isinstance(geometry, dict):
        return []
    coordinates: Any = geometry.get("coordinates")
    if geometry.get("type") == "Polygon":
        coordinates = [coordinates]
    elif geometry.get("type") != "MultiPolygon":
        return []
    try:
        parts = [[np.array(ring, float)[:, :2] for ring in part] for part in coordinates]
        sound = all(len(r) > 2 and np.isfinite(r).all() for part in parts for r in part)
    except (TypeError, ValueError, IndexError):
        sound = False
    if not sound or not all(parts):
        raise TrainingError(
            f"expected rings of at least 3 finite corners in {place}, got something else; "
            "export the file again"
        )
    return parts
