"""The nuclei of a whole slide as objects, block by block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label

from napari_histodiff.core.colours import TISSUE_HEX, rgb_of
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import LABEL_BASE, TISSUE_NAMES
from napari_histodiff.datasets.tracing import Corners, trace
from napari_histodiff.slide.exporting.features import (
    Objects,
    feature,
    nucleus_style,
    write_features,
)
from napari_histodiff.slide.exporting.source import ExportSource
from napari_histodiff.slide.exporting.targets import OnProgress, Steps, staged

__all__ = ["Nucleus", "export_geojson", "nuclei_of"]

# Pixels a side that are looked at together, and how far beyond them whole nuclei are looked for.
_BLOCK: Final = 2048
_MARGIN: Final = 96

# A nucleus that reaches farther than this is cut there.
_LARGEST: Final = 4096

# Tissue is outlined at the level of about so many micrometres per pixel, in blocks of _BLOCK.
_TISSUE_MPP: Final = 8.0

_Labels = Callable[[Region], NDArray[np.int32]]


@dataclass(frozen=True, slots=True, eq=False)
class Nucleus:
    """A nucleus of a slide.

    Attributes
    ----------
    class_id : int
        1-6, 0 = unknown.
    box : Region
        The smallest rectangle around it.
    mask : (h, w) bool
        Its pixels in the box.
    polygons : list of list of (n, 2)
        Corners (x, y) in pixels of its level, along the edges of pixels.
    """

    class_id: int
    box: Region
    mask: NDArray[np.bool_]
    polygons: list[list[Corners]]


def nuclei_of(
    source: ExportSource, level: int = 0, steps: Steps | None = None
) -> Iterator[Nucleus]:
    """Yield every nucleus that is stored, each once and whole, in memory of one block.

    A nucleus is what touches in a label: two pieces of a label apart are two nuclei, because each
    frame that was painted counts from 1.

    Parameters
    ----------
    source : ExportSource
        Its `labels` are read.
    level : int
        The level whose labels to take.
    steps : Steps, optional
        Told of each block.

    Raises
    ------
    InvalidRequest
        When there are no labels.
    """
    if source.labels is None:
        raise InvalidRequest(
            f"expected a slide with nuclei, got {source.name}, which keeps none; propose or paint "
            "nuclei first"
        )
    bounds = source.spec.bounds(level)
    for block in blocks(bounds):
        yield from _in_block(source.labels, block, bounds)
        if steps is not None:
            steps.step("nuclei")


def blocks(bounds: Region) -> list[Region]:
    """Return the blocks of a level, row by row."""
    return bounds.blocks(_BLOCK)


def export_geojson(
    source: ExportSource,
    path: Path | str,
    *,
    level: int = 0,
    objects: Objects = "detection",
    tissue: bool = False,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> dict[str, int]:
    """Write the nuclei of a slide, and if asked its tissue, as QuPath imports them.

    Coordinates are pixels of full resolution. Of a name that ends in `.gz` the file is compressed.

    Parameters
    ----------
    source : ExportSource
        The slide.
    path : Path
        `NAME.geojson` or `NAME.geojson.gz`.
    level : int
        The level whose nuclei to take.
    objects : {"detection", "cell", "annotation"}
        What QuPath takes a nucleus for.
    tissue : bool
        Whether to add tissue regions as annotations.
    overwrite, on_progress
        As in `export_tiff`.

    Returns
    -------
    dict
        How many objects were written, by class.

    Raises
    ------
    InvalidRequest
        When the slide has no nuclei, or no tissue that was asked for.
    StorageError
        When the file is there, or cannot be written; nothing is left then.
    """
    path = Path(path)
    source.check_target(path)
    if tissue:
        source.tissue_told()
    plan = blocks(source.spec.bounds(_tissue_level(source))) if tissue else []
    steps = Steps(len(blocks(source.spec.bounds(level))) + len(plan), on_progress)
    counts: Counter[str] = Counter()
    mark: dict[str, Any] = {"image": source.name, "statement": source.provenance.statement}
    if source.whole is not None:  # so that they find their place on the whole image again
        height, width = source.whole
        mark["part"] = source.provenance.source["part"]
        mark["whole"] = {"height": height, "width": width}
    packed = path.suffix.lower() == ".gz"
    with (
        staged(path, overwrite=overwrite) as (part,),
        write_features(part, packed=packed, mark=mark) as file,
    ):
        for name, one in _everything(source, level, objects, plan, steps):
            file.add(one)
            counts[name] += 1
    return dict(counts)


def _everything(
    source: ExportSource, level: int, objects: Objects, plan: list[Region], steps: Steps
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield tissue regions, then nuclei, each as a name and a feature."""
    for block in plan:
        assert source.tissue is not None
        for tissue_id, rings in _tissue_in(source.tissue(block), block):
            style = (TISSUE_NAMES[tissue_id], rgb_of(TISSUE_HEX[tissue_id]))
            full = [[ring << block.level for ring in rings]]
            key = f"{source.name} tissue {tissue_id} {full[0][0][0].tolist()}"
            yield style[0], feature(full, "annotation", style, key)
        steps.step("tissue")
    for nucleus in nuclei_of(source, level, steps):
        style = nucleus_style(nucleus.class_id)
        full = [[ring << level for ring in rings] for rings in nucleus.polygons]
        # No two nuclei of one class begin at the same pixel.
        key = f"{source.name} nucleus {level} {nucleus.class_id} {full[0][0][0].tolist()}"
        yield style[0], feature(full, objects, style, key)


def _in_block(read: _Labels, block: Region, bounds: Region) -> Iterator[Nucleus]:
    """Yield the nuclei whose first pixel, row by row, lies in a block."""
    window = block.pad(_MARGIN).intersect(bounds)
    labels = read(window)
    if not labels.any():
        return
    found = label(labels, connectivity=2, background=0).astype(np.int32)
    pieces = label(labels, connectivity=1, background=0).astype(np.int32)
    polygons: dict[int, list[list[Corners]]] = {}
    for number, rings in _traced(pieces, found, window):
        polygons.setdefault(number, []).append(rings)
    for number, place in enumerate(ndimage.find_objects(found), start=1):
        box = _region(place, window)
        mask = found[place] == number
        y, x = box.y, box.x + int(mask[0].argmax())
        if not (block.y <= y < block.bottom and block.x <= x < block.right):
            continue
        value = int(labels[y - window.y, x - window.x])
        if window.contains(box.pad(1).intersect(bounds)):
            yield Nucleus(value % LABEL_BASE, box, mask, polygons[number])
        elif (whole := _whole(read, value, (y, x), box, bounds)) is not None:
            yield whole


def _region(place: tuple[slice, slice], window: Region) -> Region:
    rows, cols = place
    y, x = window.y + rows.start, window.x + cols.start
    return Region(window.level, y, x, rows.stop - rows.start, cols.stop - cols.start)


def _whole(
    read: _Labels, value: int, first: tuple[int, int], box: Region, bounds: Region
) -> Nucleus | None:
    """Return a nucleus that a window cuts, seen in larger ones; None when it begins elsewhere."""
    while True:
        window = box.pad(max(box.shape) + _MARGIN).intersect(bounds)
        found = label(read(window) == value, connectivity=2)
        number = found[first[0] - window.y, first[1] - window.x]
        here = found == number
        box = Region.of_mask(here, window)
        if window.contains(box.pad(1).intersect(bounds)) or max(window.shape) > _LARGEST:
            break
    inside = here[box.relative_to(window).slices]
    if (box.y, box.x + int(inside[0].argmax())) != first:
        return None
    corner = np.array([box.x, box.y])
    outlines = trace(label(inside, connectivity=1).astype(np.int32))
    polygons = [[ring + corner for ring in rings] for rings in outlines]
    return Nucleus(value % LABEL_BASE, box, inside, polygons)


def _tissue_level(source: ExportSource) -> int:
    spec = source.spec
    level = 0
    while level + 1 < spec.levels and spec.mpp * 2 ** (level + 1) <= _TISSUE_MPP:
        level += 1
    return level


def _tissue_in(tissue: NDArray[np.uint8], block: Region) -> Iterator[tuple[int, list[Corners]]]:
    """Yield the regions of each tissue in a block, by its id."""
    pieces = label(tissue, connectivity=1, background=0).astype(np.int32)
    return _traced(pieces, tissue, block)


def _traced(
    pieces: NDArray[np.int32], values: NDArray[Any], window: Region
) -> Iterator[tuple[int, list[Corners]]]:
    """Yield the rings of each piece, in pixels of the level, with its value."""
    outlines = trace(pieces)
    if not outlines:
        return
    firsts = np.unique(pieces, return_index=True)[1][-len(outlines) :]
    corner = np.array([window.x, window.y])
    for rings, first in zip(outlines, firsts, strict=True):
        yield int(values.flat[first]), [ring + corner for ring in rings]
