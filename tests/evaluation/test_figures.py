from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from napari_histodiff.evaluation.figures import colour_distance, grain, nuclear_auc


@pytest.fixture
def tissue() -> tuple[np.ndarray, np.ndarray]:
    """Pink tissue with blue squares for nuclei, and where these are."""
    rng = np.random.default_rng(0)
    nuclei = np.zeros((64, 64), bool)
    nuclei[8:24, 8:24] = nuclei[40:56, 30:46] = True
    image = np.full((64, 64, 3), (230, 160, 200), float)
    image[nuclei] = (90, 60, 150)
    return (image + rng.normal(0, 8, image.shape)).clip(0, 255).astype(np.uint8), nuclei


def test_painted_nuclei_are_told_from_the_rest(tissue: tuple[np.ndarray, np.ndarray]) -> None:
    image, nuclei = tissue
    assert nuclear_auc(image, nuclei) > 0.99
    assert nuclear_auc(image, ~nuclei) < 0.01


def test_nuclei_that_are_not_there_are_chance(tissue: tuple[np.ndarray, np.ndarray]) -> None:
    _, nuclei = tissue
    noise = np.random.default_rng(1).integers(60, 220, (64, 64, 3)).astype(np.uint8)
    assert nuclear_auc(noise, nuclei) == pytest.approx(0.5, abs=0.05)
    assert nuclear_auc(noise, np.zeros_like(nuclei)) == 0.5


def test_colour_distance_is_zero_for_a_copy_and_grows(
    tissue: tuple[np.ndarray, np.ndarray],
) -> None:
    image, _ = tissue
    darker = (image * 0.8).astype(np.uint8)
    darkest = (image * 0.6).astype(np.uint8)
    assert colour_distance(image, image) == 0
    assert 0 < colour_distance(image, darker) < colour_distance(image, darkest)


def test_blur_takes_grain_away(tissue: tuple[np.ndarray, np.ndarray]) -> None:
    image, _ = tissue
    blurred = uniform_filter(image.astype(float), (3, 3, 0)).astype(np.uint8)
    assert grain(blurred) < 0.6 * grain(image)
