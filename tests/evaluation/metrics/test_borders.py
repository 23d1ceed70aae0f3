from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000, rgb2lab

from napari_histodiff.core.errors import InvalidImage
from napari_histodiff.evaluation.metrics.borders import border_distances

Image = NDArray[np.uint8]


@pytest.fixture
def mask() -> NDArray[np.bool_]:
    mask = np.zeros((64, 64), bool)
    mask[20:44, 20:44] = True
    return mask


def noise(spread: float) -> Image:
    grey = np.random.default_rng(0).normal(150, spread, (64, 64, 1))
    return np.repeat(grey, 3, axis=2).clip(0, 255).astype(np.uint8)


def test_colour_is_the_delta_e_of_the_two_sides(mask: NDArray[np.bool_]) -> None:
    image = np.full((64, 64, 3), (200, 150, 200), np.uint8)
    image[mask] = (180, 150, 210)
    result = border_distances(image, np.full_like(image, 90), mask)
    colours = rgb2lab(np.array([[[180, 150, 210], [200, 150, 200]]], np.uint8))[0]
    assert result.colour == pytest.approx(float(deltaE_ciede2000(*colours)), rel=1e-4)
    assert result.colour_reference == pytest.approx(0, abs=1e-3)
    assert result.texture == pytest.approx(0, abs=1e-6)


def test_texture_sees_a_washed_out_edit(mask: NDArray[np.bool_]) -> None:
    real = noise(20)
    washed = real.copy()
    washed[mask] = noise(10)[mask]
    result = border_distances(washed, real, mask)
    # half the amplitude: a quarter of the gradient energy, half the spread of density
    assert result.texture == pytest.approx(np.hypot(np.log(4), np.log(2)), rel=0.15)
    assert result.texture_reference < 0.25
    assert result.colour < 1


def test_only_the_rings_count(mask: NDArray[np.bool_]) -> None:
    image = noise(20)
    elsewhere = image.copy()
    elsewhere[:10] = 0  # more than 4 px away
    elsewhere[28:36, 28:36] = 255
    before = border_distances(image, image, mask, ring_px=4)
    after = border_distances(elsewhere, image, mask, ring_px=4)
    assert after.colour == before.colour
    assert after.texture == before.texture


def test_without_a_border_there_is_nothing_to_compare(mask: NDArray[np.bool_]) -> None:
    image = noise(5)
    for nothing in (np.zeros_like(mask), np.ones_like(mask)):
        assert math.isnan(border_distances(image, image, nothing).colour)


def test_sizes_must_agree(mask: NDArray[np.bool_]) -> None:
    with pytest.raises(InvalidImage, match="edit mask's size"):
        border_distances(noise(1), noise(1), mask[:-1])
