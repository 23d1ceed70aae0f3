"""Annotations of a whole slide as paint: tiles are filled one by one and put away packed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from zict import LRU

from napari_histodiff.core.errors import InvalidMap, TrainingError
from napari_histodiff.core.geometry import PyramidSpec, Region, TileAddress
from napari_histodiff.core.maps import CLASS_NAMES, LABEL_BASE, TISSUE_NAMES
from napari_histodiff.datasets.annotated import class_of
from napari_histodiff.datasets.annotations.reading import annotations_of
from napari_histodiff.datasets.geojson import LARGEST_NUCLEUS
from napari_histodiff.datasets.geojson_objects import UNNAMED, GeoObject
from napari_histodiff.datasets.outlines import FAR_APART, Outline, Ring, fill, near_parts
from napari_histodiff.datasets.tissue.regions import tissue_of
from napari_histodiff.slide.storage.chunks import PLANES, decode, encode
from napari_histodiff.slide.tile_reader import full_tile

__all__ = ["OnPainted", "PaintedAnnotations", "Painting", "next_number", "paint_annotations"]

#: Tiles kept unpacked; each takes 256 KiB, and objects of a file mostly lie side by side.
_UNPACKED: Final = 256

#: Objects between two reports of progress.
_REPORT: Final = 500

#: Labels are 7 * instance + class, 32 bits with a sign.
_MOST: Final = (2**31 - 1) // LABEL_BASE

#: Square micrometres up to which an annotation is a nucleus where its class names a tissue as well
#: ("tumor", "stroma"): more than the nuclei of most tumours, less than a small gland.
_LARGEST_OF_BOTH: Final = 300.0

#: Micrometres per pixel where nobody knows them, to tell nuclei from regions by their size.
_USUAL_MPP: Final = 0.5

#: Reads what is painted on a tile of level 0 so far; None where nothing is.
Painted = Callable[[str, TileAddress], NDArray[Any] | None]

#: Told how many objects were painted so far; what it raises ends it.
OnPainted = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Painting:
    """What became of the annotations of a file.

    Attributes
    ----------
    nuclei, tissue : Counter of str
        How many objects were painted, by what they are.
    left_out : Counter of str
        How many were not, by the reason.
    notes : Counter of str
        What else is worth knowing, with how often.
    """

    nuclei: Counter[str] = field(default_factory=Counter)
    tissue: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        kinds = (("nuclei", self.nuclei), ("regions of tissue", self.tissue))
        told = [
            f"{counts.total()} {what} ({', '.join(f'{k} {n}' for k, n in counts.most_common())})"
            for what, counts in kinds
            if counts
        ]
        told += [f"left out: {why}: {n}" for why, n in self.left_out.most_common()]
        told += [f"{note}: {n}" for note, n in self.notes.items()]
        return "; ".join(told)


@dataclass(frozen=True, slots=True, eq=False)
class PaintedAnnotations:
    """Tiles of level 0 that annotations change, packed as they are stored.

    Attributes
    ----------
    chunks : dict
        By plane ("labels" or "tissue") and tile.
    report : Painting
        What was painted, and what not.
    """

    chunks: dict[tuple[str, TileAddress], bytes]
    report: Painting


def paint_annotations(
    path: Path,
    spec: PyramidSpec,
    mpp: float | None,
    painted: Painted,
    first: int,
    on_painted: OnPainted = lambda _: None,
    *,
    at: tuple[int, int] = (0, 0),
) -> PaintedAnnotations:
    """Paint the nuclei and regions of a file over what is painted on a slide so far.

    Detections and cells are nuclei, and so are other outlines of up to 2000 square micrometres with
    the class of a nucleus, annotations whose class names a tissue as well of up to 300. Other
    outlines are tissue, by the name of their class. Where nuclei overlap, or regions, the smaller
    one shows. Takes the memory of the packed tiles, of the outlines of regions, and of four bytes a
    nucleus.

    Parameters
    ----------
    path : Path
        GeoJSON, or XML of Aperio or ASAP, in pixels of level 0.
    spec : PyramidSpec
        The slide.
    mpp : float, optional
        Micrometres per pixel of level 0, where they are known.
    painted : callable
        Reads what is painted so far.
    first : int
        The number of the first new nucleus.
    on_painted : callable
        Told how many objects were painted so far.
    at : (int, int)
        Where on the canvas the file's first pixel lies, (y, x).

    Raises
    ------
    InvalidMap
        When the file is no such annotation, or nothing of it lies on the slide.
    """
    sheet = _Sheet(spec, painted)
    report = Painting()
    regions: list[tuple[float, int, Outline]] = []
    areas = [0.0]
    count = 0
    try:
        for found in annotations_of(path, report.left_out, mpp):
            if not found.polygons:
                continue  # counted where it was read
            # Corners are (x, y).
            polygons = [[ring + at[::-1] for ring in rings] for rings in found.polygons]
            parts = _parts(found, polygons, mpp or _USUAL_MPP)
            if len(parts) > 1:
                report.notes["objects of several far parts, each taken for itself"] += 1
            for outline, what, number in parts:
                if what == "tissue":
                    regions.append((outline.area, number, outline))
                elif what == "nucleus" and first + len(areas) <= _MOST:
                    areas.append(outline.area)
                    label = LABEL_BASE * (first + len(areas) - 2) + number
                    if _put_nucleus(sheet, outline, label, first, areas):
                        report.nuclei[_class_name(number)] += 1
                    else:
                        report.left_out["nuclei outside the slide, or smaller than a pixel"] += 1
                else:
                    report.left_out[what] += 1
            count += 1
            if count % _REPORT == 0:
                on_painted(count)
    except TrainingError as error:
        raise InvalidMap(str(error)) from error
    # The smaller one later, so that a lumen lies on its gland.
    for _, number, outline in sorted(regions, key=lambda region: -region[0]):
        if sheet.put("tissue", outline, number):
            report.tissue[TISSUE_NAMES[number]] += 1
        else:
            report.left_out["regions outside the slide, or smaller than a pixel"] += 1
        on_painted(count)
    if not report.nuclei and not report.tissue:
        raise InvalidMap(
            f"expected nuclei or regions of tissue on the slide in {path}, got none "
            f"({str(report) or 'it is empty'}); export them from this slide, with their classes"
        )
    return PaintedAnnotations(sheet.chunks(), report)


def _parts(
    found: GeoObject, polygons: list[list[Ring]], mpp: float
) -> list[tuple[Outline, str, int]]:
    """Return the outlines of an object with their `_meaning`: nuclei by parts that are near."""
    parts = [
        (outline, *_meaning(found, outline.area, mpp))
        for outline in near_parts(polygons, FAR_APART / mpp)
    ]
    nuclei = sum(outline.area for outline, what, _ in parts if what == "nucleus")
    whole = Outline(polygons)
    # What is mostly region is one, and its islands are no nuclei.
    if len(parts) > 1 and 2 * nuclei <= whole.area:
        return [(whole, *_meaning(found, whole.area, mpp))]
    return parts


def _meaning(found: GeoObject, area: float, mpp: float) -> tuple[str, int]:
    """Return "nucleus" or "tissue" and its class, or why it is neither and 0."""
    if found.name.endswith("*"):  # QuPath's mark of a class to be ignored
        return f"class {found.name}", 0
    if found.kind in {"tile", "tmacore", "root"}:
        return f"{found.kind}s", 0
    class_id, tissue = class_of(found.name), tissue_of(found.name)
    both = found.kind == "annotation" and tissue is not None
    largest = (_LARGEST_OF_BOTH if both else LARGEST_NUCLEUS) / mpp**2
    if found.kind in {"detection", "cell"}:
        return "nucleus", class_id or 0
    if class_id and area <= largest:
        return "nucleus", class_id
    if tissue is not None:
        return "tissue", tissue
    if found.name == UNNAMED and area <= largest:
        return "nucleus", 0
    return f"class {found.name}, which names no nucleus of that size and no tissue", 0


def _class_name(class_id: int) -> str:
    return CLASS_NAMES[class_id - 1] if class_id else "of unknown class"


def _put_nucleus(
    sheet: _Sheet, outline: Outline, label: int, first: int, areas: list[float]
) -> bool:
    """Paint a nucleus where nothing smaller of the same file is; return whether it has pixels."""
    own = areas[-1]

    def gives_way(there: NDArray[Any]) -> NDArray[np.bool_]:
        numbers = there // LABEL_BASE - first + 1
        smaller = [n for n in np.unique(numbers).tolist() if n > 0 and areas[n] < own]
        return ~np.isin(numbers, smaller)

    return sheet.put("labels", outline, label, gives_way)


class _Sheet:
    """Tiles of level 0 while they are painted: a few unpacked, the others as they are stored."""

    def __init__(self, spec: PyramidSpec, painted: Painted) -> None:
        self._spec = spec
        self._painted = painted
        self._packed: dict[tuple[str, TileAddress], bytes] = {}
        self._tiles: LRU[tuple[str, TileAddress], NDArray[Any]] = LRU(
            _UNPACKED, {}, on_evict=self._pack
        )

    def put(
        self,
        plane: str,
        outline: Outline,
        value: int,
        where: Callable[[NDArray[Any]], NDArray[np.bool_]] | None = None,
    ) -> bool:
        """Paint an outline; return whether a pixel lies in it.

        Parameters
        ----------
        plane : str
            "labels" or "tissue".
        outline : Outline
            In pixels of level 0.
        value : int
            What is painted.
        where : callable, optional
            Which of the pixels that are there, (n,), it may replace.
        """
        is_there = False
        for rings in outline.parts:
            for tile, part, mask in self._masks(rings):
                if not mask.any():
                    continue
                is_there = True
                pixels = self._tile(plane, tile)[part.relative_to(full_tile(tile)).slices]
                chosen = mask if where is None else mask.copy()
                if where is not None:
                    chosen[mask] = where(pixels[mask])
                pixels[chosen] = value
        return is_there

    def chunks(self) -> dict[tuple[str, TileAddress], bytes]:
        """Return all painted tiles as they will be stored."""
        for key, pixels in self._tiles.items():
            self._pack(key, pixels)
        return self._packed

    def _masks(
        self, rings: list[NDArray[np.float64]]
    ) -> Iterator[tuple[TileAddress, Region, NDArray[np.bool_]]]:
        bounds = self._spec.bounds(0)
        low, high = np.floor(rings[0].min(axis=0)), np.ceil(rings[0].max(axis=0))
        (left, top), (right, bottom) = (
            np.clip(corner, (0, 0), (bounds.width, bounds.height)).astype(int).tolist()
            for corner in (low, high)
        )
        box = Region(0, top, left, bottom - top, right - left)
        if box.is_empty:
            return
        for tile in self._spec.tiles(box):
            part = self._spec.region(tile).intersect(box)
            yield tile, part, fill(rings, part)

    def _tile(self, plane: str, tile: TileAddress) -> NDArray[Any]:
        key = (plane, tile)
        found = self._tiles.get(key)
        if found is None:
            packed = self._packed.pop(key, None)
            there = self._painted(plane, tile) if packed is None else decode(plane, packed)
            blank = np.zeros(full_tile(tile).shape, PLANES[plane].dtype)
            found = self._tiles[key] = blank if there is None else there.copy()
        return found

    def _pack(self, key: tuple[str, TileAddress], pixels: NDArray[Any]) -> None:
        self._packed[key] = encode(key[0], pixels)


def next_number(labels: Iterable[NDArray[np.int32]]) -> int:
    """Return a number above those of all nuclei in some maps of 7 * instance + class."""
    return 1 + max((int(found.max(initial=0)) // LABEL_BASE for found in labels), default=0)
