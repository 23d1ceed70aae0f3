from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.workspace.journal import SparsePlane

regions = st.builds(
    Region, st.just(0), st.integers(-40, 40), st.integers(-40, 40), *[st.integers(1, 40)] * 2
)


@given(st.lists(st.tuples(regions, st.integers(0, 9)), max_size=6), regions)
def test_it_equals_a_big_array(writes, read):
    plane, whole = SparsePlane(np.int32, tile=16), np.zeros((160, 160), np.int32)
    for region, value in writes:
        pixels = np.full(region.shape, value, np.int32)
        plane.write(region, pixels)
        whole[region.translate(60, 60).slices] = pixels
    assert np.array_equal(plane.read(read), whole[read.translate(60, 60).slices])


@given(regions)
def test_zeros_take_no_memory(region):
    plane = SparsePlane(np.uint8, (4,), tile=16)
    plane.write(region, np.ones((*region.shape, 4), np.uint8))
    assert len(plane) > 0
    touched = plane.write(region, np.zeros((*region.shape, 4), np.uint8))
    assert len(plane) == 0
    assert all(plane.tile(tile) is None for tile in touched)


def test_read_is_a_copy():
    plane, region = SparsePlane(np.uint8), Region(0, 0, 0, 4, 4)
    plane.write(region, np.ones((4, 4), np.uint8))
    plane.read(region)[:] = 7
    assert plane.read(region).max() == 1
