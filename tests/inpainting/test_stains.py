"""What is measured of glass."""

from __future__ import annotations

import numpy as np

from napari_histodiff.inpainting.stains import glass_colour


def test_glass_is_measured_where_light_comes_through_in_every_colour() -> None:
    image = np.full((64, 64, 3), (215, 150, 195), np.uint8)
    assert glass_colour(image) is None
    image[:, 32:] = (247, 244, 246)
    image[::2, 8] = 255  # a cleft, one pixel wide
    assert glass_colour(image) == (247, 244, 246)
    assert glass_colour(image, np.arange(64) < 33) is None
