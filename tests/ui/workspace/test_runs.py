from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import label

from napari_histodiff.ui.workspace.runs import Runs

_MAPS = arrays(
    np.int32,
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    elements=st.sampled_from([0, 0, 3, 9, 10]),
)


@given(_MAPS)
def test_blobs_are_those_of_skimage_corner_to_corner(labels) -> None:
    runs = Runs.of(labels)
    expected = label(labels, background=0, connectivity=2)
    np.testing.assert_array_equal(runs.filled(runs.blobs()), expected)


@given(_MAPS)
def test_runs_are_the_map_and_tell_its_labels(labels) -> None:
    runs = Runs.of(labels)
    np.testing.assert_array_equal(runs.filled(runs.labels), labels)
    assert runs.lengths.sum() == labels.size
    assert set(runs.present()) == set(labels[labels > 0])


def test_a_blob_ends_at_the_border_and_does_not_go_on_in_the_next_row() -> None:
    labels = np.array([[0, 0, 5], [5, 0, 0], [5, 0, 5]])
    runs = Runs.of(labels)
    np.testing.assert_array_equal(runs.filled(runs.blobs()), [[0, 0, 1], [2, 0, 0], [2, 0, 3]])


def test_a_column_of_a_transposed_map_is_read_as_it_is_seen() -> None:
    labels = np.arange(6).reshape(2, 3).T
    runs = Runs.of(labels)
    np.testing.assert_array_equal(runs.filled(runs.labels), labels)
