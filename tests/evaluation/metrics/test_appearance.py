from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_histodiff.core.errors import InvalidImage
from napari_histodiff.evaluation.metrics import appearance as module
from napari_histodiff.evaluation.metrics.appearance import APPEARANCE_NAMES, appearance

Crops = NDArray[np.uint8]


def named(crops: Crops) -> dict[str, NDArray[np.float32]]:
    return dict(zip(APPEARANCE_NAMES, appearance(crops).T, strict=True))


def noise(n: int = 3, sigma: float = 0.0) -> Crops:
    field = np.random.default_rng(0).normal(size=(n, 64, 64, 3))
    if sigma:
        field = gaussian_filter(field, (0, sigma, sigma, 0))
    return np.asarray(field / field.std() * 30 + 128).clip(0, 255).astype(np.uint8)


def test_every_column_has_its_own_name() -> None:
    features = appearance(noise())
    assert features.shape == (3, len(APPEARANCE_NAMES))
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert len(set(APPEARANCE_NAMES)) == len(APPEARANCE_NAMES)


def test_colour_moments_by_hand() -> None:
    crop = np.zeros((1, 16, 16, 3), np.uint8)
    crop[0, :4, :, 0] = 255  # a quarter is 1, the rest 0
    found = named(crop)
    assert found["mean_red"] == pytest.approx(0.25)
    assert found["std_red"] == pytest.approx(np.sqrt(3) / 4)
    assert found["skew_red"] == pytest.approx((1 - 2 * 0.25) / (np.sqrt(3) / 4), rel=1e-5)
    assert found["mean_od_red"] == pytest.approx(0.75 * np.log10(256), rel=1e-5)
    assert found["mean_od_blue"] == pytest.approx(np.log10(256), rel=1e-5)


def test_contrast_percentiles_by_hand() -> None:
    ramp = np.repeat(np.arange(101, dtype=np.uint8)[:, None], 101, axis=1)
    found = named(np.repeat(ramp[None, ..., None], 3, axis=3))
    assert found["contrast_p50"] == pytest.approx(0, abs=1e-5)
    assert found["contrast_p95"] == pytest.approx(45 / 255, abs=1e-4)
    assert found["contrast_p05"] == pytest.approx(-45 / 255, abs=1e-4)


def test_gradients_of_a_ramp_are_its_slope_times_the_scale() -> None:
    ramp = np.repeat(2 * np.arange(64, dtype=np.uint8)[:, None], 64, axis=1)
    crop = np.repeat(ramp[None, ..., None], 3, axis=3)
    found = named(crop)
    for scale in (1, 2, 4):
        assert found[f"gradient_{scale}px_p95"] == pytest.approx(scale * 2 / 255, rel=1e-3)


def test_blur_lowers_fine_power_and_leaves_colour() -> None:
    crops = noise()
    soft = gaussian_filter(crops.astype(float), (0, 1, 1, 0)).astype(np.uint8)
    sharp, blurred = named(crops), named(soft)
    assert (blurred["log_laplacian_energy"] < sharp["log_laplacian_energy"] - 2).all()
    assert (blurred["log_power_0.375_0.5"] < sharp["log_power_0.375_0.5"] - 2).all()
    assert (abs(blurred["log_power_0.0625_0.125"] - sharp["log_power_0.0625_0.125"]) < 0.6).all()
    np.testing.assert_allclose(blurred["mean_red"], sharp["mean_red"], atol=0.01)


def test_white_noise_has_the_power_of_its_variance_in_every_band() -> None:
    found = named(noise(20))
    grey_variance = (30 / 255) ** 2 / 3
    window = (np.hanning(66)[1:-1] ** 2).mean() ** 2
    for name in APPEARANCE_NAMES:
        if name.startswith("log_power"):
            assert found[name].mean() == pytest.approx(np.log(grey_variance * window), abs=0.15)


def test_crops_do_not_affect_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    crops = noise(5, sigma=1.5)
    whole = appearance(crops)
    monkeypatch.setattr(module, "_CHUNK", 2)
    np.testing.assert_allclose(appearance(crops), whole, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(appearance(crops[3:4]), whole[3:4], rtol=1e-5, atol=1e-6)


def test_no_crops_and_flat_crops_are_fine() -> None:
    assert appearance(np.zeros((0, 32, 32, 3), np.uint8)).shape == (0, len(APPEARANCE_NAMES))
    for level in (0, 255):
        assert np.isfinite(appearance(np.full((1, 32, 32, 3), level, np.uint8))).all()


def test_unusable_crops_are_refused() -> None:
    for wrong in (np.zeros((1, 32, 30, 3), np.uint8), np.zeros((1, 32, 32, 3), np.float32)):
        with pytest.raises(InvalidImage, match="crop squares"):
            appearance(wrong)  # type: ignore[arg-type]
