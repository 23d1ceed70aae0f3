"""`complete_paint`: from what somebody painted to whole maps, by seed.

Where nuclei are painted, tissue is drawn that fits them. Where tissue is painted and no nucleus,
nuclei are placed as they stand in such tissue. Where nothing is painted, the caption decides: its
slide is laid out, and the frame shows a part of it. What is painted stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from napari_histodiff.core.captions import parse_caption
from napari_histodiff.core.errors import InvalidMap, InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import (
    TISSUE_NAMES,
    as_class_map,
    as_edit_mask,
    as_instance_map,
    as_tissue_map,
)
from napari_histodiff.layout.completion.cells import CELL, CellGrid
from napari_histodiff.layout.completion.network import context_of, tissue_network
from napari_histodiff.layout.completion.placing import place_nuclei
from napari_histodiff.layout.completion.planned import planned_maps
from napari_histodiff.layout.completion.sampler import KnownCells, sample_tissue
from napari_histodiff.layout.plan import plan_of

__all__ = ["Completion", "complete_paint"]

_ID: Final = {name: number for number, name in enumerate(TISSUE_NAMES)}

#: Sides beyond which no tissue is drawn, in cells of 4 um: 2 mm.
_MOST_CELLS: Final = 512
_NEAR: Final = 60.0  # um; where most of a frame lies closer to painted nuclei, all are painted
_WHOLE: Final = 0.5
_BESIDE: Final = 10.0  # um around painted nuclei, and what they enclose, that else is whole
_RIM: Final = 1.5  # um of cytoplasm around a nucleus
_BARE: Final = ("lumen", "glass", "mucus", "fat")

#: What a model that knows fewer tissues is told instead.
_NEAREST: Final = {
    "muscle": "stroma",
    "fat": "lumen",
    "blood": "stroma",
    "mucus": "lumen",
    "lymphoid": "stroma",
    "necrosis": "unspecified",
    "vessel": "stroma",
}


@dataclass(frozen=True, slots=True, eq=False)
class Completion:
    """Whole maps, and what of them was suggested.

    Attributes
    ----------
    class_map : (h, w) uint8
    instance_map : (h, w) int32
        Painted nuclei keep their ids; those of class 0 and no id have none here either.
    tissue_map : (h, w) uint8
    tissue_suggested, nuclei_suggested : (h, w) bool
        Where tissue, and pixels of nuclei, are not what was painted.
    """

    class_map: NDArray[np.uint8]
    instance_map: NDArray[np.int32]
    tissue_map: NDArray[np.uint8]
    tissue_suggested: NDArray[np.bool_]
    nuclei_suggested: NDArray[np.bool_]

    @property
    def suggested(self) -> tuple[str, ...]:
        """What was suggested: "tissue", "nuclei", both or nothing."""
        masks = {"tissue": self.tissue_suggested, "nuclei": self.nuclei_suggested}
        return tuple(name for name, mask in masks.items() if mask.any())


def complete_paint(
    class_map: ArrayLike | None = None,
    instance_map: ArrayLike | None = None,
    tissue_map: ArrayLike | None = None,
    *,
    shape: tuple[int, int] | None = None,
    caption: str = "",
    mpp: float = 0.5,
    seed: int = 0,
    origin: tuple[int, int] = (0, 0),
    where: ArrayLike | None = None,
    tissue_names: tuple[str, ...] = TISSUE_NAMES,
) -> Completion:
    """Return whole maps that hold what is painted; the same for the same arguments.

    Parameters
    ----------
    class_map, instance_map, tissue_map : (h, w) whole numbers, optional
        Painted nuclei and tissue, 0 where nothing is painted.
    shape : (int, int), optional
        Height and width, when no map tells.
    caption : str
        Its organ and tissues are drawn, its levels decide how many nuclei are placed.
    mpp : float
        Micrometres per pixel.
    seed : int
        0 .. 2**31 - 1; each draws another structure.
    origin : (int, int)
        Row and column of the frame on the plane.
    where : (h, w) bool, optional
        Where something may be suggested, and where what is painted is all there is; everywhere by
        default.
    tissue_names : tuple of str
        Schema of the model that is to draw; suggested tissue that it lacks becomes the nearest it
        knows.

    Raises
    ------
    InvalidMap
        When a map is invalid, or the maps differ in shape.
    InvalidRequest
        When neither a map nor a shape is given.
    ModelNotFound, ModelInvalid
        When the weights of the sampler are missing or damaged.
    """
    classes, instances, tissue = _maps(class_map, instance_map, tissue_map, shape)
    frame = Region(0, *origin, *classes.shape)
    nuclei = (classes > 0) | (instances > 0)
    free = np.ones(frame.shape, np.bool_) if where is None else _within(where, frame)
    if not nuclei.any() and not tissue.any():
        found = planned_maps(frame, caption, mpp, seed)
    elif mpp > CELL or max(frame.shape) * mpp > _MOST_CELLS * CELL:
        found = classes, instances, tissue
    else:
        surveyed = _surveyed(nuclei, tissue, free, mpp)
        grid = CellGrid(frame, mpp)
        known = KnownCells(
            grid.region,
            grid.tissue(tissue),
            grid.nuclei(classes, nuclei),
            grid.share(surveyed) >= 0.5,
            context_of(parse_caption(caption).caption),
        )
        drawn = grid.pixels(sample_tissue(tissue_network(), known, seed), seed)
        drawn = _around_nuclei(drawn, classes, nuclei, mpp)
        whole = np.where(tissue > 0, tissue, drawn)
        placed = place_nuclei(
            whole,
            free & ~surveyed,
            nuclei,
            plan_of(caption),
            frame=frame,
            mpp=mpp,
            seed=seed,
            first=int(instances.max(initial=0)) + 1,
        )
        found = (*placed, whole)
    new_nuclei = free & ~nuclei & ((found[0] > 0) | (found[1] > 0))
    suggested = np.where(free, _known_to(tissue_names, found[2]), np.uint8(0))
    return Completion(
        np.where(new_nuclei, found[0], classes),
        np.where(new_nuclei, found[1], instances),
        np.where(tissue > 0, tissue, suggested),
        (tissue == 0) & (suggested > 0),
        new_nuclei,
    )


def _maps(
    class_map: ArrayLike | None,
    instance_map: ArrayLike | None,
    tissue_map: ArrayLike | None,
    shape: tuple[int, int] | None,
) -> tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.uint8]]:
    classes = None if class_map is None else as_class_map(class_map)
    instances = None if instance_map is None else as_instance_map(instance_map)
    tissue = None if tissue_map is None else as_tissue_map(tissue_map, len(TISSUE_NAMES))
    given = [a.shape for a in (classes, instances, tissue) if a is not None]
    if not given and shape is None:
        raise InvalidRequest(
            "expected a map or a shape to complete, got none; give shape=(height, width)"
        )
    side = given[0] if shape is None else tuple(shape)
    if any(other != side for other in given):
        raise InvalidMap(
            f"expected maps of one shape, {side}, got {', '.join(map(str, given))}; crop them to "
            "the same frame"
        )
    return (
        np.zeros(side, np.uint8) if classes is None else classes,
        np.zeros(side, np.int32) if instances is None else instances,
        np.zeros(side, np.uint8) if tissue is None else tissue,
    )


def _within(where: ArrayLike, frame: Region) -> NDArray[np.bool_]:
    free = as_edit_mask(where)
    if free.shape != frame.shape:
        raise InvalidMap(
            f"expected a mask of shape {frame.shape} like the maps, got {free.shape}; crop both to "
            "the same frame"
        )
    return free


def _surveyed(
    nuclei: NDArray[np.bool_],
    tissue: NDArray[np.uint8],
    free: NDArray[np.bool_],
    mpp: float,
) -> NDArray[np.bool_]:
    # Where the painted nuclei are all there are. Nuclei may be suggested elsewhere: far from those
    # that are painted, unless they fill most of the frame, and in painted areas that hold none.
    # Nobody looked where nothing may change.
    seen = nuclei & free
    if not seen.any():
        return np.zeros(nuclei.shape, np.bool_)
    away = ndimage.distance_transform_edt(~seen) * mpp
    near = ndimage.binary_fill_holes(away <= _BESIDE)
    if (away[free] <= _NEAR).mean() >= _WHOLE:
        near = np.ones(nuclei.shape, np.bool_)
    areas, _ = ndimage.label(tissue > 0)
    bare = (areas > 0) & ~np.isin(areas, np.unique(areas[nuclei]))
    return np.asarray(near & free & ~bare, np.bool_)


def _around_nuclei(
    tissue: NDArray[np.uint8],
    classes: NDArray[np.uint8],
    nuclei: NDArray[np.bool_],
    mpp: float,
) -> NDArray[np.uint8]:
    # No epithelial nucleus hangs in a lumen, and no other one but what swims there.
    out = tissue.copy()
    bare = np.isin(tissue, [_ID[name] for name in _BARE])
    size = 2 * max(1, round(_RIM / mpp)) + 1
    epithelial, swimming = classes == 2, (classes == 1) & (tissue != _ID["glass"])
    loose = bare & ndimage.maximum_filter(nuclei & ~epithelial & ~swimming, size)
    if loose.any():
        solid = ~bare & (tissue != _ID["gland"])
        out[loose] = _ID["stroma"]
        if solid.any():
            rows, cols = ndimage.distance_transform_edt(
                ~solid, return_distances=False, return_indices=True
            )
            out[loose] = tissue[rows[loose], cols[loose]]
    out[bare & ndimage.maximum_filter(epithelial, size)] = _ID["gland"]
    return out


def _known_to(names: tuple[str, ...], tissue: NDArray[np.uint8]) -> NDArray[np.uint8]:
    table = np.zeros(len(TISSUE_NAMES), np.uint8)
    for number, name in enumerate(TISSUE_NAMES):
        name = name if name in names else _NEAREST.get(name, TISSUE_NAMES[0])
        table[number] = names.index(name) if name in names else 0
    return table[tissue]
