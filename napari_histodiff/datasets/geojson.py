"""Reads images/ with the outlines of nuclei in GeoJSON, as QuPath and others export them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.datasets.annotated import Annotated, Entry, class_of, scale_of
from napari_histodiff.datasets.files import (
    by_stem,
    check_pairs,
    image_folder,
    read_image,
    suffix_of,
    visible_files,
)
from napari_histodiff.datasets.geojson_objects import GeoObject, looks_like_geojson, read_objects
from napari_histodiff.datasets.outlines import FAR_APART, Outline, near_parts, rasterise
from napari_histodiff.datasets.packing import slide_of

__all__ = ["LARGEST_NUCLEUS", "geojson_entries", "geojson_files"]

#: Square micrometres; a larger annotation is a region, not a nucleus.
LARGEST_NUCLEUS: Final = 2000.0

_SUFFIXES: Final = frozenset({".geojson", ".geojson.gz", ".json", ".json.gz"})
_NOT_NUCLEI: Final = {"tile": "tiles", "tmacore": "TMA cores", "root": "root objects"}

#: A detection of more parts than this is many nuclei; of fewer, one that something cuts.
_MOST_PARTS: Final = 3


@dataclass(slots=True, eq=False)
class _Nuclei:
    """Outlines of one file with their classes; `mixture`: how many are called inflammatory."""

    outlines: list[Outline] = field(default_factory=list)
    classes: list[int] = field(default_factory=list)
    unmapped: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    mixture: int = 0


def geojson_files(folder: Path) -> Iterator[Path]:
    """Yield the GeoJSON files below `folder`; a `.json` counts when it holds outlines."""
    for path in visible_files(folder):
        suffix = suffix_of(path)
        if suffix in _SUFFIXES and ("geo" in suffix or looks_like_geojson(path)):
            yield path


def geojson_entries(folder: Path, mpp: float | None) -> list[Entry]:
    """List the images; `NAME.geojson` anywhere below `folder` belongs to the image NAME.

    `.json` and either with `.gz` will do as well.

    Raises
    ------
    TrainingError
        When there is no image, or a GeoJSON file has none.
    """
    labels = by_stem(geojson_files(folder), _SUFFIXES)
    images = by_stem(image_folder(folder).glob("*"))
    check_pairs(images, labels, folder)
    return [
        Entry(
            name,
            slide_of(name),
            partial(_load, path, labels.get(name), mpp),
            tuple(p for p in (path, labels.get(name)) if p is not None),
        )
        for name, path in images.items()
    ]


def _load(image: Path, labels: Path | None, told: float | None) -> Annotated:
    pixels, mpp = read_image(image)
    if labels is None:
        return Annotated(pixels, mpp=mpp)
    objects, notes = read_objects(labels)
    nuclei = _nuclei(objects, scale_of(told, mpp))
    nuclei.notes.update(notes)
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


def _nuclei(objects: list[GeoObject], mpp: float) -> _Nuclei:
    nuclei = _Nuclei()
    detected = any(found.kind in {"detection", "cell"} for found in objects)
    for found in objects:
        outlines = _outlines(found, FAR_APART / mpp)
        if not outlines:
            continue  # counted where it was read
        if found.kind in _NOT_NUCLEI:
            nuclei.notes[f"{_NOT_NUCLEI[found.kind]}, left out"] += 1
        elif found.kind == "annotation" and detected:
            nuclei.notes["annotations beside detections, taken as regions and left out"] += 1
        elif found.name.endswith("*"):  # QuPath's mark of a class to be ignored
            nuclei.notes[f"objects of class {found.name}, left out"] += 1
        else:
            small = _small(outlines, LARGEST_NUCLEUS / mpp**2)
            if lost := len(outlines) - len(small):
                nuclei.notes[f"outlines above {LARGEST_NUCLEUS:g} square um, left out"] += lost
            if len(small) > 1:
                nuclei.notes["objects of several polygons, each taken as a nucleus"] += 1
            for outline in small:
                _add(nuclei, outline, found.name)
    return nuclei


def _small(outlines: list[Outline], largest: float) -> list[Outline]:
    """Those that may be nuclei; none of an object that is mostly region, whatever its islands."""
    small = [outline for outline in outlines if outline.area <= largest]
    total = sum(outline.area for outline in outlines)
    return small if 2 * sum(outline.area for outline in small) >= total else []


def _outlines(found: GeoObject, reach: float) -> list[Outline]:
    """One outline of the few parts of a detection that are near, else one of every polygon."""
    if found.kind in {"detection", "cell"} and len(found.polygons) <= _MOST_PARTS:
        return near_parts(found.polygons, reach)
    return [Outline([polygon]) for polygon in found.polygons]


def _add(nuclei: _Nuclei, outline: Outline, name: str) -> None:
    found = class_of(name)
    if not found:
        nuclei.unmapped[name] += 1
    nuclei.mixture += found == 0
    nuclei.outlines.append(outline)
    nuclei.classes.append(found or 0)
