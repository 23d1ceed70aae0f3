"""Discs in, nuclei out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.draw import disk

from napari_histodiff.segmenter.losses import distance_map
from napari_histodiff.segmenter.postprocess import Maps, Separation, find_nuclei, resize_nuclei


def maps_of(instances: NDArray[np.int32], classes: dict[int, int]) -> Maps:
    """What a perfect network would say of these nuclei."""
    shares = np.full((6, *instances.shape), 0.02, np.float32)
    for number, kind in classes.items():
        shares[kind - 1][instances == number] = 0.9
    inside = (instances > 0).astype(np.float32)
    return Maps(inside, distance_map(instances), shares)


def discs(
    *places: tuple[float, float, float], shape: tuple[int, int] = (64, 64)
) -> NDArray[np.int32]:
    instances = np.zeros(shape, np.int32)
    for i, (y, x, radius) in enumerate(places, start=1):
        rows, columns = disk((y, x), radius, shape=shape)  # type: ignore[no-untyped-call]
        instances[rows, columns] = i
    return instances


@pytest.mark.parametrize("radius", [4, 6, 10])
def test_touching_discs_are_separated(radius: int) -> None:
    true = discs((32, 20, radius), (32, 20 + 2 * radius - 1, radius))
    found = find_nuclei(maps_of(true, {1: 2, 2: 3}))
    assert found.instance_map.dtype == np.int32
    assert found.instance_map.max() == 2
    for number in (1, 2):
        inside = true == number
        ids, counts = np.unique(found.instance_map[inside], return_counts=True)
        assert counts.max() / inside.sum() > 0.9
        kind = found.class_map[inside & (found.instance_map == ids[counts.argmax()])]
        assert set(kind) == {number + 1}


def test_a_noisy_disc_stays_one() -> None:
    maps = maps_of(discs((32, 32, 12)), {1: 4})
    noise = np.random.default_rng(0).normal(0, 0.04, maps.distance.shape).astype(np.float32)
    found = find_nuclei(Maps(maps.interior, maps.distance + noise, maps.classes))
    assert found.instance_map.max() == 1


def test_the_class_is_voted_by_probability() -> None:
    maps = maps_of(discs((32, 32, 8)), {1: 2})
    # A sure minority outvotes an unsure majority.
    maps.classes[:] = np.array([0.3, 0.0, 0.2, 0.2, 0.2, 0.1], np.float32)[:, None, None]
    maps.classes[:, 26:34] = np.array([0, 0, 0, 0, 1.0, 0], np.float32)[:, None, None]
    found = find_nuclei(maps)
    assert set(np.unique(found.class_map)) == {0, 5}
    assert found.probabilities.shape == (1, 6)
    assert found.probabilities.sum() == pytest.approx(1)


def test_specks_are_dropped_and_holes_filled() -> None:
    true = discs((20, 20, 7), (50, 50, 1.5))
    maps = maps_of(true, {1: 2, 2: 2})
    maps.interior[20, 20] = 0
    found = find_nuclei(maps)
    assert found.instance_map.max() == 1
    assert found.instance_map[20, 20] == 1
    assert find_nuclei(maps, Separation(least_area=0)).instance_map.max() == 2


def test_a_nucleus_in_the_hole_of_another_leaves_no_number_without_pixels() -> None:
    inner, ring = discs((16, 40, 4)), discs((18, 40, 12)) - discs((18, 40, 8))
    maps = maps_of(inner + 2 * ring, {1: 2, 2: 3})
    rows = np.arange(len(ring), dtype=np.float32)[:, None] / len(ring)
    maps.distance[ring > 0] = np.broadcast_to(rows, ring.shape)[ring > 0]  # highest below the inner
    found = find_nuclei(maps)
    assert found.instance_map.max() == len(found.probabilities) == 1
    assert np.isfinite(found.probabilities).all()


def test_nothing_gives_nothing() -> None:
    found = find_nuclei(maps_of(np.zeros((20, 30), np.int32), {}))
    assert not found.instance_map.any()
    assert not found.class_map.any()
    assert found.probabilities.shape == (0, 6)


def test_resizing_keeps_ids_and_probabilities_together() -> None:
    true = discs((16, 16, 8), (40, 40, 8))
    found = find_nuclei(maps_of(true, {1: 2, 2: 6}))
    large, left = resize_nuclei(found, (128, 128))
    assert left.tolist() == [0, 1]
    assert large.class_map[32, 32] == 2
    assert large.class_map[80, 80] == 6
    area = (found.instance_map == 1).sum()
    assert (large.instance_map == 1).sum() == 4 * area


def test_nuclei_lost_on_a_coarse_grid_leave_no_row() -> None:
    true = discs((1, 1, 1.5), (36, 36, 20))
    found = find_nuclei(maps_of(true, {1: 1, 2: 2}), Separation(least_area=0))
    assert found.instance_map.max() == 2
    small, left = resize_nuclei(found, (4, 4))
    assert left.tolist() == [1]
    assert small.instance_map.max() == 1
    assert small.probabilities.shape == (1, 6)
    assert small.class_map.max() == 2
