"""`invent`: class, instance and tissue map of a frame, made up by seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_histodiff.core.captions import parse_caption
from napari_histodiff.core.errors import InvalidMap, InvalidRequest
from napari_histodiff.core.geometry import Region, as_shape
from napari_histodiff.core.maps import (
    CLASS_NAMES,
    TISSUE_NAMES,
    as_class_map,
    as_instance_map,
    as_tissue_map,
)
from napari_histodiff.core.requests import checked_number
from napari_histodiff.layout.completion.cells import CELL, CellGrid
from napari_histodiff.layout.completion.complete import around_nuclei, known_to
from napari_histodiff.layout.invention.network import layout_network
from napari_histodiff.layout.invention.outlines import draw_outlines
from napari_histodiff.layout.invention.sampler import sample_cells
from napari_histodiff.layout.invention.told import (
    Example,
    count_nuclei,
    told_by_caption,
    told_by_example,
    with_counts,
)

__all__ = ["SAMPLER", "Invention", "invent"]

#: The model that layouts are made up by.
SAMPLER: Final = "layout-sampler-v1"

_MOST_CELLS: Final = 384  # a side; 1.5 mm


@dataclass(frozen=True, slots=True, eq=False)
class Invention:
    """A layout made up.

    Attributes
    ----------
    class_map : (h, w) uint8
    instance_map : (h, w) int32
    tissue_map : (h, w) uint8
        Ids of the schema asked for.
    facts : dict
        What it was made from: model, seed, caption, what was told, and how many nuclei came of it.
    """

    class_map: NDArray[np.uint8]
    instance_map: NDArray[np.int32]
    tissue_map: NDArray[np.uint8]
    facts: dict[str, Any]


def invent(
    shape: tuple[int, int],
    caption: str = "",
    *,
    counts: Mapping[str, int] | None = None,
    density: float = 1.0,
    like: tuple[ArrayLike, ArrayLike, ArrayLike] | None = None,
    like_mpp: float | None = None,
    mpp: float = 0.5,
    seed: int = 0,
    origin: tuple[int, int] = (0, 0),
    tissue_names: tuple[str, ...] = TISSUE_NAMES,
    on_step: Callable[[int, int], None] | None = None,
) -> Invention:
    """Return tissue and nuclei that could lie in a frame; the same for the same arguments.

    Parameters
    ----------
    shape : (int, int)
        Height and width in pixels.
    caption : str
        Organ, tissues and levels of classes, "colon, tumour, high lymphocytes".
    counts : mapping of str to int, optional
        How many nuclei of a class there are to be, by its name.
    density : float
        Nuclei of the other classes, 1 = as in a real field of that caption or example.
    like : tuple of three (h, w) arrays, optional
        Class map, instance map and tissue map of labelled tissue: as many nuclei of each class and
        as much of each tissue per area, in another arrangement.
    like_mpp : float, optional
        Micrometres per pixel of `like`; by default `mpp`.
    mpp : float
        Micrometres per pixel, 0.1 to 4.
    seed : int
        0 .. 2**31 - 1.
    origin : (int, int)
        Row and column of the frame on the plane.
    tissue_names : tuple of str
        Schema of the model that is to draw.
    on_step : callable, optional
        Told after each evaluation of the network how many are done, of how many.

    Raises
    ------
    InvalidRequest
        When the frame is too large or has no pixel, or a count, the density or another number is
        none or out of range.
    InvalidMap
        When a map of the example is invalid.
    ModelNotFound, ModelInvalid
        When the weights of the sampler are missing or damaged.
    """
    height, width = as_shape(shape)
    mpp, seed = checked_number("mpp", mpp), int(checked_number("seed", seed))
    example_mpp = mpp
    if like_mpp is not None:
        example_mpp = checked_number("like_mpp", like_mpp, limits_of="mpp")
    if mpp > CELL:
        raise InvalidRequest(
            f"expected a frame of pixels up to {CELL:g} um, got {height} x {width} at {mpp:g}; "
            "choose another scale"
        )
    if max(height, width) * mpp > _MOST_CELLS * CELL:
        raise InvalidRequest(
            f"expected a frame of at most {_MOST_CELLS * CELL / 1000:.1f} mm a side, got "
            f"{height * mpp / 1000:.1f} x {width * mpp / 1000:.1f} mm; lay out a slide instead "
            "(histodiff slide new)"
        )
    frame = Region(0, *origin, height, width)
    area = height * width * mpp**2 / 1e6
    if like is None:
        told = told_by_caption(caption, seed)
    else:
        organ = parse_caption(caption).caption.organ
        told = told_by_example(_example(like), example_mpp, organ)
    told = with_counts(told, counts, density, area)
    grid = CellGrid(frame, mpp)
    inside = grid.share(np.ones(frame.shape, np.bool_)) > 0
    cells = sample_cells(layout_network(), grid.region, inside, told, seed, on_step=on_step)
    classes, instances = draw_outlines(cells, frame, mpp, seed)
    tissue = around_nuclei(grid.pixels(cells.tissue, seed), classes, instances > 0, mpp)
    found = count_nuclei(classes, instances)
    facts = {
        "model": SAMPLER,
        "seed": seed,
        "caption": caption,
        "mpp": mpp,
        "told": {
            "organ": told.organ,
            "words": list(told.words),
            "per_mm2": {
                name: round(float(many)) if np.isfinite(many) else None
                for name, many in zip(("all", *CLASS_NAMES), told.densities, strict=True)
            },
        },
        "counts": {name: int(found[n]) for n, name in enumerate(CLASS_NAMES, 1)},
    }
    return Invention(classes, instances, known_to(tissue_names, tissue), facts)


def _example(like: tuple[ArrayLike, ArrayLike, ArrayLike]) -> Example:
    classes, instances = as_class_map(like[0]), as_instance_map(like[1])
    tissue = as_tissue_map(like[2], len(TISSUE_NAMES))
    if not classes.shape == instances.shape == tissue.shape:
        raise InvalidMap(
            f"expected maps of one shape as example, got {classes.shape}, {instances.shape} and "
            f"{tissue.shape}; crop them to the same region"
        )
    if not (classes.any() or instances.any() or tissue.any()):
        raise InvalidRequest(
            "expected labelled tissue as example, got empty maps; paint or propose some, or give a "
            "caption instead"
        )
    return classes, instances, tissue
