from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from skimage.measure import label as connected_components

from napari_histodiff.core.maps import decode_labels, label_of
from napari_histodiff.ui.workspace.placement import Scatter, place_nucleus

MPP = 0.5


def write(labels, nuclei, class_id=3, start=1):
    for instance, nucleus in enumerate(nuclei, start):
        labels[nucleus] = label_of(instance, class_id)


def test_label_of_is_what_decode_labels_reads():
    instances, classes = decode_labels(np.array([[label_of(5, 3), 0]], np.int32))
    assert (instances[0, 0], classes[0, 0]) == (5, 3)


@given(st.floats(-5, 45), st.floats(-5, 45), st.integers(0, 2**32))
def test_a_placed_nucleus_is_free_inside_and_in_one_piece(y, x, seed):
    labels = np.zeros((40, 40), np.int32)
    labels[:, 20:24] = 9
    rows, cols = place_nucleus(labels, (y, x), 2, MPP, np.random.default_rng(seed))
    assert (labels[rows, cols] == 0).all()
    drawn = np.zeros(labels.shape, bool)
    drawn[rows, cols] = True
    assert drawn.sum() == rows.size
    assert connected_components(drawn, connectivity=1).max() <= 1


def test_overwrite_covers_what_is_there():
    labels = np.full((40, 40), 9, np.int32)
    rng = np.random.default_rng(0)
    assert place_nucleus(labels, (20, 20), 2, MPP, rng)[0].size == 0
    assert place_nucleus(labels, (20, 20), 2, MPP, rng, overwrite=True)[0].size > 20


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.sampled_from(range(1, 7)), st.floats(100, 40000))
@example(42298, 6, 3914.0)  # a tip that touches by a corner only
def test_scattered_nuclei_never_touch_and_leave_paint_alone(seed, class_id, density):
    labels = np.zeros((96, 96), np.int32)
    labels[40:50, :] = 7 * 999 + 1
    before = labels.copy()
    area = np.ones(labels.shape, bool)
    scatter = Scatter(labels, class_id, density, MPP, np.random.default_rng(seed))
    nuclei = scatter.fill(area)
    write(labels, nuclei, class_id)
    assert (labels[before != 0] == before[before != 0]).all()
    assert connected_components(labels > 0, connectivity=1).max() == len(nuclei) + 1


def test_scatter_holds_its_density_and_distance():
    density, side = 2000.0, 384
    labels = np.zeros((side, side), np.int32)
    scatter = Scatter(labels, 3, density, MPP, np.random.default_rng(4))
    nuclei = scatter.fill(np.ones(labels.shape, bool))
    expected = density * (side * MPP / 1000) ** 2
    assert len(nuclei) == pytest.approx(expected, rel=0.1)
    centres = np.array([[axis.mean() for axis in nucleus] for nucleus in nuclei])
    distances = np.hypot(*(centres[:, None] - centres[None]).transpose(2, 0, 1))
    np.fill_diagonal(distances, np.inf)
    spacing_px = 0.55 / np.sqrt(density) * 1000 / MPP
    assert distances.min() > spacing_px - 4  # a border cuts nuclei, which shifts their means


def test_dwelling_on_a_place_adds_nothing():
    labels = np.zeros((128, 128), np.int32)
    scatter = Scatter(labels, 3, 5000.0, MPP, np.random.default_rng(0))
    area = np.ones(labels.shape, bool)
    first = scatter.fill(area)
    write(labels, first)
    assert first
    assert scatter.fill(area) == []


def test_a_drag_in_steps_holds_the_density_of_one_fill():
    density = 3000.0
    labels = np.zeros((64, 1024), np.int32)
    scatter = Scatter(labels, 3, density, MPP, np.random.default_rng(1))
    step, count = np.ones((64, 4), bool), 0
    for x in range(0, 1024, 4):
        nuclei = scatter.fill(step, (0, x))
        write(labels, nuclei, start=count + 1)
        count += len(nuclei)
    assert count == pytest.approx(density * labels.size * (MPP / 1000) ** 2, rel=0.15)


def test_area_outside_the_map_is_ignored():
    labels = np.zeros((32, 32), np.int32)
    scatter = Scatter(labels, 3, 9000.0, MPP, np.random.default_rng(0))
    assert scatter.fill(np.ones((20, 20), bool), (-40, 100)) == []
    for rows, cols in scatter.fill(np.ones((64, 64), bool), (-16, -16)):
        assert rows.min() >= 0
        assert max(rows.max(), cols.max()) < 32


def test_no_density_places_nothing():
    labels = np.zeros((64, 64), np.int32)
    scatter = Scatter(labels, 3, 0.0, MPP, np.random.default_rng(0))
    assert scatter.fill(np.ones(labels.shape, bool)) == []
