"""`complete_paint`: from what somebody painted to whole maps, by seed.

Where nuclei are painted, tissue is drawn that fits them. Where tissue is painted and no nucleus,
nuclei are placed as they stand in such tissue. Where nothing is painted, the caption decides: its
slide is laid out, and the frame shows a part of it. What is painted stays. Where only a part may
change, paint beside it says how tissue goes on there, not that somebody has looked at that part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from napari_histodiff.core.captions import parse_caption
from napari_histodiff.core.errors import InvalidMap, InvalidRequest
from napari_histodiff.core.geometry import Region, as_shape
from napari_histodiff.core.maps import (
    TISSUE_NAMES,
    as_class_map,
    as_edit_mask,
    as_instance_map,
    as_tissue_map,
)
from napari_histodiff.core.requests import checked_number
from napari_histodiff.layout.completion.cells import CELL, CellGrid
from napari_histodiff.layout.completion.nearby import (
    amidst,
    areas_with,
    around,
    mostly,
    numbered,
)
from napari_histodiff.layout.completion.network import context_of, tissue_network
from napari_histodiff.layout.completion.placing import place_nuclei
from napari_histodiff.layout.completion.planned import planned_maps
from napari_histodiff.layout.completion.sampler import KnownCells, sample_tissue
from napari_histodiff.layout.plan import plan_of

__all__ = [
    "Completion",
    "Maps",
    "around_nuclei",
    "complete_paint",
    "completed_on",
    "known_to",
]

#: Class map, instance map and tissue map of one place.
Maps = tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.uint8]]

_ID: Final = {name: number for number, name in enumerate(TISSUE_NAMES)}

#: Sides beyond which no tissue is drawn, in cells of 4 um: 2 mm.
_MOST_CELLS: Final = 512
_NEAR: Final = 60.0  # um; where most of a frame lies closer to painted nuclei, all are painted
_WHOLE: Final = 0.5
_BESIDE: Final = 10.0  # um around painted nuclei, and what they enclose, that were looked at else
_ROOM: Final = 24.0  # um around paint that what else lies there makes room
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
    nuclei_open : (h, w) bool
        Where nuclei may be suggested: the painted ones are not all there are.
    """

    class_map: NDArray[np.uint8]
    instance_map: NDArray[np.int32]
    tissue_map: NDArray[np.uint8]
    tissue_suggested: NDArray[np.bool_]
    nuclei_suggested: NDArray[np.bool_]
    nuclei_open: NDArray[np.bool_]

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
        Micrometres per pixel, 0.1 to 64.
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
        When neither a map nor a shape is given, or a number is out of range.
    ModelNotFound, ModelInvalid
        When the weights of the sampler are missing or damaged.
    """
    mpp, seed = checked_number("mpp", mpp), int(checked_number("seed", seed))
    paint = _maps(class_map, instance_map, tissue_map, shape)
    frame = Region(0, *origin, *paint[0].shape)
    free = np.ones(frame.shape, np.bool_) if where is None else _within(where, frame)
    wanted = _Wanted(frame, caption, mpp, seed, free)
    seen = _Seen.of(paint, free, mpp)
    looked_at = seen.all_over if seen.is_whole else seen.beside
    # Too large to be sampled, a frame of nuclei is left to them, one of tissue is laid out amid it.
    if seen.is_whole and (wanted.fits or seen.inside.any()):
        found = _filled(paint, free, free & looked_at, wanted)
    elif any(array.any() for array in paint):
        own = planned_maps(frame, caption, mpp, seed)
        found = _amid(own, paint, looked_at, wanted, unknown=~free)
    else:
        found = planned_maps(frame, caption, mpp, seed)
    return _completion(paint, found, free, free & ~looked_at, tissue_names)


def completed_on(
    own: Maps,
    paint: Maps,
    *,
    caption: str = "",
    mpp: float = 0.5,
    seed: int = 0,
    origin: tuple[int, int] = (0, 0),
    where: ArrayLike | None = None,
) -> Completion:
    """Return whole maps of a place that has its own, a slide's, changed by what is painted there.

    Beside what is painted, the place's own nuclei make room, and tissue is drawn that fits both.

    Parameters
    ----------
    own, paint : tuple of three (h, w) arrays
        Class map, instance map and tissue map of the place, and what is painted of each.
    caption, mpp, seed, origin
        As for `complete_paint`.
    where : (h, w) bool, optional
        Where something may change; the place's own maps are kept elsewhere.

    Raises
    ------
    InvalidRequest
        When a number is out of range.
    """
    mpp, seed = checked_number("mpp", mpp), int(checked_number("seed", seed))
    frame = Region(0, *origin, *own[0].shape)
    everywhere = np.ones(frame.shape, np.bool_)
    free = everywhere if where is None else _within(where, frame)
    beside = _Seen.of(paint, free, mpp).beside
    if any(array.any() for array in paint):
        wanted = _Wanted(frame, caption, mpp, seed, free)
        own = _amid(own, paint, beside, wanted, unknown=~everywhere)
    return _completion(paint, own, everywhere, free & ~beside, TISSUE_NAMES)


@dataclass(frozen=True, slots=True, eq=False)
class _Wanted:
    frame: Region
    caption: str
    mpp: float
    seed: int
    free: NDArray[np.bool_]  # where something may change

    @property
    def fits(self) -> bool:
        """Whether the frame is of a size and scale that tissue is drawn at."""
        return self.mpp <= CELL and max(self.frame.shape) * self.mpp <= _MOST_CELLS * CELL


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    # What of the paint says where nuclei are all there are.
    inside: NDArray[np.bool_]  # painted nuclei that lie mostly where something may change
    is_whole: bool  # whether somebody has looked at most of that
    all_over: NDArray[np.bool_]  # where the nuclei are all there are when it is whole
    beside: NDArray[np.bool_]  # and when it is not

    @classmethod
    def of(cls, paint: Maps, free: NDArray[np.bool_], mpp: float) -> _Seen:
        nuclei, tissue = (paint[0] > 0) | (paint[1] > 0), paint[2] > 0
        inside = nuclei if free.all() else mostly(numbered(paint[1], nuclei), nuclei, free)
        open_ = tissue & free & ~areas_with(inside, tissue & free)
        # Tissue without nuclei amid nuclei: somebody took those that stood there.
        emptied = open_ & areas_with(nuclei, tissue)
        if emptied.any():
            emptied &= amidst(nuclei, _NEAR, mpp)
        bare = open_ & ~emptied
        return cls(
            inside,
            _is_whole(inside, tissue, free, mpp),
            ~bare if inside.any() else tissue & ~bare,
            (around(inside, _BESIDE, mpp) & ~bare) | emptied,
        )


def _amid(
    own: Maps,
    paint: Maps,
    looked_at: NDArray[np.bool_],
    wanted: _Wanted,
    unknown: NDArray[np.bool_],
) -> Maps:
    # What is painted amid what a place has of its own, which makes room around it where that may
    # change, or where it is not known to be there.
    nuclei, tissue = (paint[0] > 0) | (paint[1] > 0), paint[2] > 0
    # Room is for what is sampled between the two.
    near = around(nuclei | tissue, _ROOM if wanted.fits else _RIM, wanted.mpp)
    zone = near & (wanted.free | unknown)
    own_nuclei = (own[0] > 0) | (own[1] > 0)
    cut = np.unique(own[1][(zone | nuclei) & own_nuclei])
    kept = own_nuclei & ~zone & ~nuclei & ~np.isin(own[1], cut[cut > 0])
    instances = np.where(kept & (own[1] > 0), own[1] + np.int32(paint[1].max()), paint[1])
    merged = (
        np.where(kept, own[0], paint[0]),
        instances,
        np.where(tissue | zone, paint[2], own[2]),
    )
    painted = unknown & (nuclei | areas_with(nuclei, tissue))
    return _filled(merged, zone & wanted.free, ~zone | looked_at | painted, wanted, own[2])


def _filled(
    maps: Maps,
    free: NDArray[np.bool_],
    looked_at: NDArray[np.bool_],
    wanted: _Wanted,
    laid_out: NDArray[np.uint8] | None = None,
) -> Maps:
    # Tissue wherever it is open, sampled, or as it is laid out where the frame is too large for
    # that; and nuclei where nobody looked at those.
    classes, instances, tissue = maps
    frame, mpp, seed = wanted.frame, wanted.mpp, wanted.seed
    nuclei = (classes > 0) | (instances > 0)
    drawn = tissue if laid_out is None else laid_out
    if wanted.fits:
        grid = CellGrid(frame, mpp)
        known = KnownCells(
            grid.region,
            grid.tissue(tissue),
            grid.nuclei(classes, nuclei),
            grid.share(looked_at) >= 0.5,
            context_of(parse_caption(wanted.caption).caption),
            grid.share(~wanted.free) >= 0.5,
        )
        drawn = grid.pixels(sample_tissue(tissue_network(), known, seed), seed)
    whole = np.where(tissue > 0, tissue, around_nuclei(drawn, classes, nuclei, mpp))
    new_classes, new_instances = place_nuclei(
        whole,
        free & ~looked_at,
        nuclei,
        plan_of(wanted.caption),
        frame=frame,
        mpp=mpp,
        seed=seed,
        first=int(instances.max(initial=0)) + 1,
    )
    return (
        np.where(nuclei, classes, new_classes),
        np.where(nuclei, instances, new_instances),
        whole,
    )


def _completion(
    paint: Maps,
    found: Maps,
    free: NDArray[np.bool_],
    nuclei_open: NDArray[np.bool_],
    names: tuple[str, ...],
) -> Completion:
    classes, instances, tissue = paint
    painted = (classes > 0) | (instances > 0)
    new = free & ~painted & ((found[0] > 0) | (found[1] > 0))
    suggested = np.where(free, known_to(names, found[2]), np.uint8(0))
    # Ids of a layout are large.
    numbers = instances.copy()
    _, order = np.unique(found[1][new], return_inverse=True)
    numbers[new] = order + int(instances.max(initial=0)) + 1
    return Completion(
        np.where(new, found[0], classes),
        numbers,
        np.where(tissue > 0, tissue, suggested),
        (tissue == 0) & (suggested > 0),
        new,
        nuclei_open,
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
    side = as_shape(given[0] if shape is None else shape)
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


def _is_whole(
    nuclei: NDArray[np.bool_], tissue: NDArray[np.bool_], free: NDArray[np.bool_], mpp: float
) -> bool:
    # Whether somebody has looked at most of a place.
    looked_at = tissue.copy()
    if nuclei.any():
        looked_at |= ndimage.distance_transform_edt(~nuclei) * mpp <= _NEAR
    return bool(looked_at[free].mean() >= _WHOLE) if free.any() else True


def around_nuclei(
    tissue: NDArray[np.uint8],
    classes: NDArray[np.uint8],
    nuclei: NDArray[np.bool_],
    mpp: float,
) -> NDArray[np.uint8]:
    """Return tissue in which no epithelial nucleus hangs in a lumen, nor any but what swims there.

    Parameters
    ----------
    tissue, classes : (h, w) uint8
    nuclei : (h, w) bool
    mpp : float
    """
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


def known_to(names: tuple[str, ...], tissue: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return tissue in a schema that may know fewer, the nearest for others, (h, w) uint8."""
    table = np.zeros(len(TISSUE_NAMES), np.uint8)
    for number, name in enumerate(TISSUE_NAMES):
        name = name if name in names else _NEAREST.get(name, TISSUE_NAMES[0])
        table[number] = names.index(name) if name in names else 0
    return table[tissue]
