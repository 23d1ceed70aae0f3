from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from napari_histodiff.core.captions import Caption
from napari_histodiff.core.json_data import from_json
from napari_histodiff.core.requests import STAIN_NUMBERS
from napari_histodiff.core.stain_bank import (
    StainEntry,
    choose_stain,
    write_stains,
)
from napari_histodiff.diffusion.conditioning import STAIN_FEATURES, stain_condition
from napari_histodiff.diffusion.stain import change_detail
from napari_histodiff.inpainting.stains import stain_vector


def tissue(density: tuple[float, float, float], noise: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    values = np.array(density) * (1 + noise * rng.standard_normal((64, 64, 1)))
    return np.rint(255 * np.exp(-np.clip(values, 0, 5))).astype(np.uint8)


def test_stain_vector_measures_optical_density_of_tissue_only() -> None:
    image = tissue((0.3, 0.6, 0.45))
    image[:, :32] = 255
    vector = stain_vector(image)
    assert vector is not None
    assert len(vector) == STAIN_NUMBERS[1]
    assert vector[:3] == pytest.approx((0.3, 0.6, 0.45), abs=0.01)
    assert vector[3:6] == pytest.approx((0, 0, 0), abs=0.01)


def test_stain_vector_needs_tissue_inside() -> None:
    image = tissue((0.3, 0.6, 0.45))
    assert stain_vector(np.full((64, 64, 3), 255, np.uint8)) is None
    assert stain_vector(image, np.zeros((64, 64), bool)) is None


def test_blur_lowers_the_sharpness_and_little_else() -> None:
    image = tissue((0.3, 0.6, 0.45), noise=0.2)
    neighbours = (np.roll(image.astype(int), shift, axis) for shift in (-1, 1) for axis in (0, 1))
    blurred = ((image + sum(neighbours)) // 5).astype(np.uint8)
    sharp, soft = stain_vector(image), stain_vector(blurred)
    assert sharp is not None
    assert soft is not None
    assert soft[6] < sharp[6]
    assert soft[:3] == pytest.approx(sharp[:3], abs=0.05)


def entry(organ: str | None, look: str | None, mpp: float, value: float) -> StainEntry:
    return StainEntry(organ, look, mpp, (value,) * STAIN_NUMBERS[1])


BANK = (
    entry("colon", "pink", 0.5, 1),
    entry("colon", "dark", 0.5, 2),
    entry("brain", "pink", 0.55, 3),
    entry("brain", "pink", 1.0, 4),
)


@pytest.mark.parametrize(
    ("caption", "mpp", "allowed"),
    [
        (Caption(), 0.5, {1, 2, 3}),
        (Caption(organ="colon"), 0.5, {1, 2}),
        (Caption(organ="brain", stain="pink"), 0.5, {3}),
        (Caption(organ="brain", stain="dark"), 0.5, {2}),  # the stain word decides first
        (Caption(organ="colon"), 1.1, {4}),  # the scale before either
        (Caption(organ="liver"), 0.5, {1, 2, 3}),
    ],
)
def test_choose_stain(caption, mpp, allowed) -> None:
    found = {choose_stain(BANK, caption, mpp, seed) for seed in range(40)}
    assert {vector[0] for vector in found if vector} == allowed


@given(st.integers(0, 2**31 - 1))
def test_the_same_seed_chooses_the_same_stain(seed: int) -> None:
    first = choose_stain(BANK, Caption(), 0.5, seed)
    assert first == choose_stain(BANK, Caption(), 0.5, seed)
    assert first is not None


def test_no_bank_no_stain() -> None:
    assert choose_stain((), Caption(), 0.5, 0) is None


def test_the_bank_survives_json() -> None:
    assert tuple(from_json(StainEntry, row) for row in write_stains(BANK)) == tuple(BANK)
    with pytest.raises(ValueError, match="a stain of 1"):
        from_json(StainEntry, {"organ": None, "look": None, "mpp": 0.5, "vector": [1.0]})


@pytest.mark.parametrize("pattern", ["column", "row", "checkerboard", "diagonals"])
def test_the_stain_of_known_pixels_that_hardly_touch_is_finite(pattern: str) -> None:
    rng = np.random.default_rng(0)
    image = (np.array([150, 80, 160]) + rng.integers(-30, 31, (512, 512, 1))).astype(np.uint8)
    rows, columns = np.indices((512, 512))
    inside = {
        "column": columns == 7,
        "row": rows == 7,
        "checkerboard": (rows + columns) % 2 == 0,
        "diagonals": (rows + columns) % 2 + rows % 2 == 0,
    }[pattern]
    vector, whole = stain_vector(image, inside), stain_vector(image)
    assert vector is not None
    assert whole is not None
    assert np.isfinite(vector).all()
    assert len(vector) == STAIN_NUMBERS[0]  # no 3 px side by side tell how fine the detail is
    np.testing.assert_allclose(vector[:6], whole[:6], rtol=0.1)
    np.testing.assert_allclose(vector[6], whole[6], atol=0.1)


@pytest.mark.parametrize(("taken", "other"), [(0.0, 0.4), (-0.3, 0.0), (0.4, 0.8)])
def test_less_of_the_finest_detail_is_told_by_the_eighth_number_alone(
    taken: float, other: float
) -> None:
    rng = np.random.default_rng(3)
    smooth = gaussian_filter(rng.standard_normal((256, 256, 1)), (1, 1, 0))
    image = np.rint(255 * np.exp(-0.5 - smooth * (0.5, 0.9, 0.4))).clip(0, 255).astype(np.uint8)
    image = change_detail(image, -1.0)  # scans have more of it than a Gaussian leaves
    more, less = (stain_vector(change_detail(image, amount)) for amount in (taken, other))
    assert more is not None
    assert less is not None
    assert less[7] < more[7] - 0.02
    np.testing.assert_allclose(less[:7], more[:7], atol=0.05)


def test_detail_unchanged_is_the_same_pixels_and_softening_leaves_the_mean() -> None:
    image = tissue((0.3, 0.6, 0.45), noise=0.2)
    np.testing.assert_array_equal(change_detail(image, 0), image)
    assert change_detail(image, 0, 0.5).mean() == pytest.approx(image.mean(), abs=1)


def test_a_stain_of_seven_numbers_is_one_whose_detail_is_not_known() -> None:
    eight = torch.tensor([[0.3, 0.6, 0.4, 0.2, 0.3, 0.1, -1.0, 0.9]])
    told, without = stain_condition(eight), stain_condition(eight[:, :7])
    unknown = stain_condition(torch.where(torch.arange(8) == 7, torch.nan, eight))
    assert told.shape == without.shape == (1, STAIN_FEATURES)
    assert torch.equal(without, unknown)
    assert torch.equal(told[:, :-1], without[:, :-1])  # a network of seven sees no difference
    assert (told[0, 7], told[0, 8] > 0, without[0, 8]) == (1, True, 0)
    assert not stain_condition(None).any()


def test_pixels_with_no_other_near_them_have_no_stain() -> None:
    image = np.full((64, 64, 3), 120, np.uint8)
    inside = np.zeros((64, 64), bool)
    inside[::3, ::3] = True
    assert inside.sum() > 400
    assert stain_vector(image, inside) is None
