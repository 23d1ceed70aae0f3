from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from napari_histodiff.core.errors import InvalidImage, InvalidRequest
from napari_histodiff.evaluation.metrics.copying import (
    memorisation,
    nearest_distances,
    pixel_memorisation,
    pixel_vectors,
)
from napari_histodiff.segmenter import nearest


def test_nearest_distances_by_hand() -> None:
    bank = np.array([[0.0, 0.0], [3.0, 4.0]])
    queries = np.array([[0.0, 0.0], [6.0, 8.0], [0.0, 1.0]])
    np.testing.assert_allclose(nearest_distances(queries, bank), [0, 5, 1])


def test_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    queries, bank = rng.normal(1000, 1, (50, 6)), rng.normal(1000, 1, (70, 6))
    monkeypatch.setattr(nearest, "_CHUNK", 16)
    np.testing.assert_allclose(nearest_distances(queries, bank), cdist(queries, bank).min(1))


def test_empty_sets() -> None:
    some, none = np.zeros((2, 3)), np.zeros((0, 3))
    assert np.isinf(nearest_distances(some, none)).all()
    assert nearest_distances(none, some).shape == (0,)
    for sets in [(none, some, some), (some, none, some), (some, some, none)]:
        assert math.isnan(memorisation(*sets).ratio)


def test_memorisation_by_hand() -> None:
    train = np.array([[0.0]])
    test = np.array([[2.0], [4.0], [6.0]])
    generated = np.array([[1.0], [2.0], [9.0]])
    result = memorisation(generated, test, train)
    assert (result.generated_median, result.test_median, result.ratio) == (2, 4, 0.5)
    assert result.share_below == pytest.approx(2 / 3)  # below 2.2, the 5 % quantile of the test


def test_new_images_have_ratio_one_and_copies_zero() -> None:
    rng = np.random.default_rng(0)
    train, test, new = (rng.normal(size=(500, 8)) for _ in range(3))
    fresh = memorisation(new, test, train)
    assert fresh.ratio == pytest.approx(1, abs=0.05)
    assert fresh.share_below == pytest.approx(0.05, abs=0.03)
    copies = memorisation(train[:100], test, train)
    assert copies.ratio == pytest.approx(0, abs=1e-6)
    assert copies.share_below == 1


def test_turned_and_mirrored_copies_are_found_in_pixels() -> None:
    rng = np.random.default_rng(0)
    train, test = (rng.integers(0, 256, (6, 64, 64, 3), np.uint8) for _ in range(2))
    turned = np.stack([np.rot90(image, k) for k, image in enumerate(train[:4])])
    mirrored = np.concatenate([turned, turned[:, ::-1]])
    result = pixel_memorisation(mirrored, test, train)
    assert result.generated_median == pytest.approx(0, abs=0.1)
    assert result.test_median > 100
    assert result.share_below == 1


def test_thumbnails_are_box_means() -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8)
    small = pixel_vectors(image).reshape(32, 32, 3)
    np.testing.assert_allclose(small[3, 5], image[0, 6:8, 10:12].mean((0, 1)))


def test_unusable_input_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="in one way"):
        nearest_distances(np.zeros((2, 3)), np.zeros((2, 4)))
    with pytest.raises(InvalidImage, match="multiple of 32"):
        pixel_vectors(np.zeros((1, 60, 60, 3), np.uint8))
