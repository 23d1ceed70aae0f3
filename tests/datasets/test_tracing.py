"""Outlines are exact: filled again they are the pixels they came from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from skimage.measure import label

from napari_histodiff.datasets.outlines import Outline, rasterise
from napari_histodiff.datasets.tracing import trace

MAPS = st.tuples(st.integers(1, 14), st.integers(1, 14)).flatmap(
    lambda shape: arrays(np.int32, shape, elements=st.integers(0, 3))
)


def pieces(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    found: NDArray[np.int32] = label(labels, connectivity=1, background=0).astype(np.int32)
    return found


@given(MAPS)
def test_filled_outlines_are_the_pixels(labels: NDArray[np.int32]) -> None:
    components = pieces(labels)
    outlines = [Outline([[ring.astype(float) for ring in rings]]) for rings in trace(components)]
    filled = np.zeros_like(components)
    for number, outline in enumerate(outlines, start=1):
        alone, _ = rasterise([outline], components.shape)
        assert not filled[alone > 0].any()
        filled[alone > 0] = number
        assert outline.area == np.count_nonzero(components == number)
    assert np.array_equal(filled, components)


@given(MAPS)
def test_no_ring_visits_a_corner_twice(labels: NDArray[np.int32]) -> None:
    for rings in trace(pieces(labels)):
        for ring in rings:
            assert len(ring) >= 4
            assert len(np.unique(ring, axis=0)) == len(ring)


def test_a_rectangle_has_four_corners_and_a_ring_a_hole() -> None:
    labels = np.zeros((9, 12), np.int32)
    labels[2:7, 3:11] = 1
    ((outer,),) = trace(labels)
    assert outer.tolist() == [[11, 2], [11, 7], [3, 7], [3, 2]]
    labels[4, 5:8] = 0
    ((outer, hole),) = trace(labels)
    assert (len(outer), len(hole)) == (4, 4)
    assert hole[:, 0].min() == 5
    assert hole[:, 0].max() == 8


@pytest.mark.parametrize("shape", [(0, 0), (3, 4)])
def test_nothing_has_no_outline(shape: tuple[int, int]) -> None:
    assert trace(np.zeros(shape, np.int32)) == []
