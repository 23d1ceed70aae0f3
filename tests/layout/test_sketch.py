from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_histodiff.core.errors import InvalidMap, InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.layout.sketch import Sketch
from tests.core.refusals import refused

sketches = st.builds(
    Sketch,
    hnp.arrays(
        np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.integers(0, 4)
    ),
    st.sampled_from([1, 7, 64, 300]),
    st.tuples(st.integers(-500, 500), st.integers(-500, 500)),
)


@given(sketches, st.integers(0, 4), st.integers(-500, 500), st.integers(-500, 500))
def test_a_place_has_one_class_at_every_level(sketch: Sketch, level: int, y: int, x: int) -> None:
    region = Region(level, y >> level, x >> level, 20, 17)
    wide = region.pad(9)
    classes = sketch.sample(region)
    assert classes.dtype == np.uint8
    np.testing.assert_array_equal(classes, sketch.sample(wide)[region.relative_to(wide).slices])
    fine = Region(0, *(n << level for n in (region.y, region.x, *region.shape)))
    np.testing.assert_array_equal(classes, sketch.sample(fine)[:: 1 << level, :: 1 << level])


@given(sketches)
def test_outside_nothing_is_drawn(sketch: Sketch) -> None:
    height, width = (side * sketch.pixel for side in sketch.classes.shape)
    step = max(1, sketch.pixel // 32).bit_length() - 1
    y, x = (at - 40 >> step for at in sketch.origin)
    region = Region(step, y, x, (height + 80 >> step) + 2, (width + 80 >> step) + 2)
    rows = (np.arange(region.y, region.bottom) << step) - sketch.origin[0]
    cols = (np.arange(region.x, region.right) << step) - sketch.origin[1]
    sample = sketch.sample(region)
    inside = np.ix_((rows >= 0) & (rows < height), (cols >= 0) & (cols < width))
    drawn = set(np.unique(sample[inside]))
    assert drawn <= set(np.unique(sketch.classes))
    sample[inside] = 0
    assert not sample.any()


@settings(max_examples=30)
@given(st.integers(1, 4), st.integers(1, 4))
def test_wide_areas_are_kept(first: int, second: int) -> None:
    classes = np.full((8, 8), first, np.uint8)
    classes[:, 4:] = second
    sample = Sketch(classes, 32, (-64, 32)).sample(Region(0, -64, 32, 256, 256))
    assert (sample[32:-32, 32:96] == first).all()
    assert (sample[32:-32, 160:-32] == second).all()


def test_borders_show_no_staircase() -> None:
    # Along a drawn diagonal, the border must leave the pixels' corners by far less than a pixel.
    side, n = 32, 16
    rows, cols = np.mgrid[:n, :n]
    sketch = Sketch(np.where(cols > rows, 2, 1).astype(np.uint8), side)
    sample = sketch.sample(Region(0, 0, 0, n * side, n * side))
    border = np.argmax(sample == 2, axis=1)[2 * side : -2 * side].astype(float)
    wanted = np.arange(len(border)) + 2.5 * side
    assert np.abs(border - wanted).max() < 0.5 * side
    assert np.abs(np.diff(border)).max() < 0.5 * side
    assert len(np.unique(border)) > 0.7 * len(border)


def test_straight_borders_are_wavy() -> None:
    classes = np.repeat(np.array([[1] * 8, [2] * 8], np.uint8), 4, axis=0)
    sample = Sketch(classes, 64).sample(Region(0, 0, 0, 512, 512))
    border = np.argmax(sample[128:384] == 2, axis=0)[64:-64]
    assert 2 < np.ptp(border) < 64
    assert np.abs(np.diff(border)).max() <= 3


def test_a_painted_pixel_shows() -> None:
    classes = np.zeros((9, 9), np.uint8)
    classes[4, 4] = 3
    sample = Sketch(classes, 128).sample(Region(0, 0, 0, 9 * 128, 9 * 128))
    assert 0.2 * 128**2 < (sample == 3).sum() < 1.2 * 128**2


def test_the_drawing_is_kept_from_changes() -> None:
    classes = np.ones((3, 3), np.uint8)
    sketch = Sketch(classes, 8)
    classes[:] = 2
    assert (sketch.classes == 1).all()
    assert not sketch.classes.flags.writeable


@pytest.mark.parametrize(
    ("classes", "pixel", "error"),
    [
        (np.full((2, 2), 12), 8, InvalidMap),
        (np.zeros((2, 2, 2), np.uint8), 8, InvalidMap),
        (np.zeros((2, 2)), 8, InvalidMap),
        (np.zeros((2, 2), np.uint8), 0, InvalidRequest),
        (np.zeros((0, 2), np.uint8), 8, InvalidRequest),
    ],
)
def test_bad_sketches_are_refused(classes: Any, pixel: int, error: type[InvalidRequest]) -> None:
    with refused(error):
        Sketch(classes, pixel)
