from __future__ import annotations

import numpy as np
import pytest

from napari_histodiff.datasets.crop_windows import (
    class_places,
    image_odds,
    orient,
    window_around,
)


def test_sets_share_the_draws_and_their_images_by_area() -> None:
    odds = image_odds([1, 3, 5], ["a", "a", "b"], {"a": 0.6}, other=0.2)
    assert odds.tolist() == pytest.approx([0.1875, 0.5625, 0.25])


def test_places_name_the_image_and_every_second_pixel_of_a_class() -> None:
    first, second = np.zeros((2, 8, 8), np.uint8)
    first[4:6, 2:6], second[1, 1] = 5, 5
    assert class_places([first, second], 5).tolist() == [[0, 4, 2], [0, 4, 4]]
    assert class_places([second], 1).shape == (0, 3)


@pytest.mark.parametrize(
    ("centre", "start"), [((10, 12), (6, 8)), ((0, 0), (0, 0)), ((19, 29), (12, 22))]
)
def test_a_window_stays_inside(centre: tuple[int, int], start: tuple[int, int]) -> None:
    rows, columns = window_around(centre, 8, (20, 30, 3))
    assert (rows.start, columns.start) == start
    assert (rows.stop, columns.stop) == (start[0] + 8, start[1] + 8)


def test_eight_orientations_are_contiguous_and_differ() -> None:
    image = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    found = [orient(image, turns, flip) for turns in range(4) for flip in (False, True)]
    assert len({array.tobytes() for array in found}) == 8
    assert all(array.flags.c_contiguous for array in found)
    np.testing.assert_array_equal(found[1], image[:, ::-1])
