"""Hypothesis strategies for the types of core."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from napari_histodiff.core.captions import LEVELS, ORGANS, STAINS, TISSUE_WORDS, Caption
from napari_histodiff.core.geometry import PyramidSpec, Region, WindowGrid
from napari_histodiff.core.maps import CLASS_NAMES, N_CLASSES, TISSUE_NAMES
from napari_histodiff.core.requests import LIMITS, EditKind, EditRequest

FAR = 2**40


def regions(
    *, level: int = 0, near: int = 300, min_side: int = 0, max_side: int = 200
) -> st.SearchStrategy[Region]:
    """Regions of one level with origins in -near .. near."""
    origins, sides = st.integers(-near, near), st.integers(min_side, max_side)
    return st.builds(Region, st.just(level), origins, origins, sides, sides)


def pyramids() -> st.SearchStrategy[PyramidSpec]:
    """Slides of any odd shape, a few tiles wide."""
    return st.builds(
        PyramidSpec,
        height=st.integers(1, 700),
        width=st.integers(1, 700),
        tile=st.sampled_from([7, 64, 256]) | st.integers(32, 300),
        levels=st.integers(1, 6),
        mpp=st.floats(0.1, 10),
    )


@st.composite
def window_grids(draw: st.DrawFn) -> WindowGrid:
    """Lattices with any overlap and offset."""
    size = draw(st.integers(8, 90))
    return WindowGrid(size, draw(st.integers(size // 3, size)), draw(st.integers(-500, 500)))


def planes(top: int, dtype: type = np.uint8) -> st.SearchStrategy[NDArray[Any]]:
    """Small (h, w) arrays of ids 0 .. top."""
    shapes = hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)
    return hnp.arrays(dtype, shapes, elements=st.integers(0, top))


@st.composite
def map_pairs(draw: st.DrawFn, n_ids: int = 4) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """An instance map and a class map of one shape, in every combination of ids."""
    classes = draw(planes(N_CLASSES))
    instances = draw(hnp.arrays(np.int32, classes.shape, elements=st.integers(0, n_ids)))
    return instances, classes


def captions() -> st.SearchStrategy[Caption]:
    """Every caption there is."""
    level = st.none() | st.integers(0, len(LEVELS) - 1)
    return st.builds(
        Caption,
        organ=st.none() | st.sampled_from(ORGANS),
        stain=st.none() | st.sampled_from(STAINS),
        levels=st.tuples(*[level] * len(CLASS_NAMES)),
        tissue=st.lists(st.sampled_from(TISSUE_WORDS)).map(tuple),
    )


@st.composite
def requests(draw: st.DrawFn) -> EditRequest:
    """Valid requests of every kind with every mix of maps."""
    kind = draw(st.sampled_from(EditKind))
    region = draw(regions(near=FAR, min_side=1, max_side=9))

    def plane(dtype: type, top: int, *more: int) -> NDArray[Any]:
        return draw(hnp.arrays(dtype, (*region.shape, *more), elements=st.integers(0, top)))

    def maybe(dtype: type, top: int, *more: int) -> NDArray[Any] | None:
        return plane(dtype, top, *more) if draw(st.booleans()) else None

    masked = kind in (EditKind.INPAINT, EditKind.OUTPAINT)
    mask = draw(hnp.arrays(np.bool_, region.shape))
    mask[0, 0] = True
    return EditRequest(
        kind=kind,
        region=region,
        class_map=maybe(np.uint8, N_CLASSES),
        instance_map=maybe(np.int32, 1000),
        tissue_map=maybe(np.uint8, len(TISSUE_NAMES) - 1),
        image=plane(np.uint8, 255, 3) if masked else maybe(np.uint8, 255, 3),
        edit_mask=mask if masked else None,
        coarse=plane(np.uint8, 255, 3) if kind is EditKind.ZOOM else None,
        caption=draw(st.text(max_size=20)),
        guidance_scale=draw(st.floats(*LIMITS["guidance_scale"])),
        steps=draw(st.integers(1, 100)),
        strength=draw(st.floats(*LIMITS["strength"])),
        seed=draw(st.integers(0, 2**31 - 1)),
        variants=draw(st.integers(1, 16)),
        mpp=draw(st.floats(*LIMITS["mpp"])),
        feather=draw(st.floats(*LIMITS["feather"])),
        model_name=draw(st.sampled_from(["", "histodiff 5"])),
        model_revision=draw(st.sampled_from(["", "0123456789ab"])),
    )
