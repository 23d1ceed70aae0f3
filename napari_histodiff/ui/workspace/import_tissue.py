"""Brings tissue of a file or of another Labels layer into the frame."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidMap
from napari_histodiff.core.geometry import PyramidSpec, Region
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.datasets.annotations.placing import first_pixel
from napari_histodiff.datasets.annotations.reading import SUFFIXES
from napari_histodiff.datasets.pictures import read_picture
from napari_histodiff.datasets.tissue.maps import (
    by_name,
    names_beside,
    place_beside,
    tissue_of_picture,
)
from napari_histodiff.datasets.tissue.regions import read_regions

__all__ = ["ImportedTissue", "saved_place", "tissue_from_file", "tissue_from_labels"]


@dataclass(frozen=True, slots=True, eq=False)
class ImportedTissue:
    """A tissue map of the frame, and what of its source is no tissue, by why not."""

    tissue: NDArray[np.uint8]
    left_out: Counter[str] = field(default_factory=Counter)


def tissue_from_labels(ids: NDArray[np.int64], name: str) -> NDArray[np.uint8]:
    """Return the numbers of a Labels layer, (h, w), as tissue.

    Raises
    ------
    InvalidMap
        When they are no ids of `core.maps.TISSUE_NAMES`.
    """
    top = len(TISSUE_NAMES) - 1
    if ids.size and not 0 <= ids.min() <= ids.max() <= top:
        wrong = ids.max() if ids.max() > top else ids.min()
        raise InvalidMap(
            f"expected tissue 1-{top} ({', '.join(TISSUE_NAMES[1:])}) or 0 for none in '{name}', "
            f"got {wrong}; if each nucleus has its number there, import it as nuclei"
        )
    return ids.astype(np.uint8)


def tissue_from_file(
    path: Path, spec: PyramidSpec, region: Region, scan: Region | None = None
) -> ImportedTissue:
    """Read the tissue of a region of an image from a file.

    Parameters
    ----------
    path : Path
        Annotated regions in GeoJSON or XML, in pixels of the image; or a picture of ids or colours,
        as large as the region or as the image.
    spec : PyramidSpec
        The image.
    region : Region
        The frame.
    scan : Region, optional
        Where on the image its file lies, of a scan with room around it.

    Raises
    ------
    InvalidImage
        When it is no picture.
    InvalidMap
        When it holds no tissue, or is of another size.
    """
    if path.name.lower().endswith(SUFFIXES):
        regions = read_regions(path, spec.mpp)
        y, x = first_pixel(path, spec.bounds(0), scan)
        tissue, left_out = regions.within(region, (y, x)), regions.left_out
        if not tissue.any():
            raise InvalidMap(
                f"expected regions of {path.name} in the frame, got none there; move the frame "
                "onto them, or export them from this image"
            )
        return ImportedTissue(tissue, left_out)
    painted, left_out = _ids_of(path)
    return ImportedTissue(_placed(painted, path, spec, region), left_out)


def saved_place(path: Path, spec: PyramidSpec) -> Region | None:
    """Return where on an image a map of tissue lies that *Save* wrote, as it says itself.

    None where it says nothing, or that is no place of this image.

    Raises
    ------
    InvalidImage
        When it is no picture.
    """
    place = place_beside(path)
    if place is None or place.is_empty:
        return None
    shape = read_picture(path).stored.shape[:2]
    if place.level == 0 and place.shape != shape:  # told in pixels of full resolution
        place = place.at_level(max(0, round(math.log2(place.height / shape[0]))))
    known = 0 <= place.level < spec.levels and place.shape == shape
    return place if known and spec.bounds(place.level).contains(place) else None


def _ids_of(path: Path) -> tuple[NDArray[np.uint8], Counter[str]]:
    """Return the ids of a picture; those of a saved edit by the names its model gave them."""
    names = names_beside(path)
    if names is None:
        return tissue_of_picture(read_picture(path)), Counter()
    ids, lost = by_name(read_picture(path).ids(), names, TISSUE_NAMES)
    return ids, Counter(f"class {name}" for name in lost)


def _placed(
    tissue: NDArray[np.uint8], path: Path, spec: PyramidSpec, region: Region
) -> NDArray[np.uint8]:
    if tissue.shape == region.shape:
        return tissue
    bounds = spec.bounds(region.level)
    if tissue.shape == bounds.shape:
        return tissue[region.relative_to(bounds).slices].copy()
    whole = spec.bounds(0)
    if tissue.shape == whole.shape:
        side = 1 << region.level  # the pixel in the middle of those that make one of the level
        rows = np.minimum(np.arange(region.y, region.bottom) * side + side // 2, whole.height - 1)
        cols = np.minimum(np.arange(region.x, region.right) * side + side // 2, whole.width - 1)
        seen: NDArray[np.uint8] = tissue[np.ix_(rows, cols)]
        return seen
    image = f", or of {whole.height} x {whole.width} like the image"
    raise InvalidMap(
        f"expected a tissue map of {region.height} x {region.width} px like the frame"
        f"{'' if region.shape == whole.shape else image}, got {tissue.shape[0]} x "
        f"{tissue.shape[1]} in {path}; resize the frame, or export the map again"
    )
