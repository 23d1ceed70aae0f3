from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.noise import NOISE_BLOCK, noise_field
from tests.core.refusals import refused
from tests.strategies import FAR, regions

SMALL = Region(0, 0, 0, 64, 64)


@settings(max_examples=30)
@given(
    st.integers(0, 2**64 - 1),
    st.integers(-FAR, FAR),
    st.integers(-FAR, FAR),
    regions(near=40, min_side=30, max_side=90),
    regions(near=40, min_side=30, max_side=90),
)
def test_a_place_has_one_noise(seed: int, dy: int, dx: int, a: Region, b: Region) -> None:
    a, b = a.translate(dy, dx), b.translate(dy, dx)
    common = a.intersect(b)
    assume(not common.is_empty)
    field_a, field_b = noise_field(seed, a), noise_field(seed, b)
    assert field_a.shape == (3, *a.shape)
    assert field_a.dtype == np.float32
    np.testing.assert_array_equal(
        field_a[:, *common.relative_to(a).slices], field_b[:, *common.relative_to(b).slices]
    )


def test_the_noise_is_standard_normal() -> None:
    field = noise_field(7, Region(0, -200, 300, 400, 400)).astype(float)
    n = field.size
    assert abs(field.mean()) < 5 / math.sqrt(n)
    assert abs(field.var() - 1) < 5 * math.sqrt(2 / n)
    assert abs((np.abs(field) < 1).mean() - 0.6827) < 5 * math.sqrt(0.25 / n)
    for shifted in (field[:, 1:, :] * field[:, :-1, :], field[:, :, 1:] * field[:, :, :-1]):
        assert abs(shifted.mean()) < 5 / math.sqrt(n)


def correlation(a: Region, b: Region, **other: int) -> float:
    one = noise_field(0, a).ravel()
    two = noise_field(other.pop("seed", 0), b, **other).ravel()
    return float(np.corrcoef(one, two)[0, 1])


FAR_BLOCK = Region(0, -FAR * NOISE_BLOCK, 0, 64, 64)


@pytest.mark.parametrize(
    ("a", "b", "other"),
    [
        (SMALL, SMALL, {"seed": 1}),
        (SMALL, SMALL, {"variant": 1}),
        (SMALL, Region(1, 0, 0, 64, 64), {}),
        (SMALL, Region(-1, 0, 0, 64, 64), {}),
        (Region(-1, 0, 0, 64, 64), Region(-2, 0, 0, 64, 64), {}),
        (SMALL, SMALL.translate(64, 0), {}),
        (SMALL, SMALL.translate(0, 64), {}),
        (SMALL.translate(64, 0), SMALL.translate(0, 64), {}),
        (SMALL.translate(-64, 0), SMALL.translate(-128, 0), {}),
        (SMALL.translate(0, -64), SMALL.translate(0, 64), {}),
        (FAR_BLOCK, FAR_BLOCK.translate(-64, 0), {}),
    ],
    ids=[
        "seed", "variant", "level", "finer", "finest", "row", "column", "swapped",
        "negative rows", "mirrored", "far negative",
    ],
)  # fmt: skip
def test_other_keys_and_places_draw_other_noise(
    a: Region, b: Region, other: dict[str, int]
) -> None:
    assert abs(correlation(a, b, **other)) < 5 / math.sqrt(3 * 64 * 64)


def test_level_and_variant_do_not_trade_places() -> None:
    up = noise_field(0, Region(1, 0, 0, 8, 8), variant=0)
    variant = noise_field(0, Region(0, 0, 0, 8, 8), variant=1)
    assert not np.array_equal(up, variant)


def test_fewer_channels_are_the_first_of_more() -> None:
    more, fewer = noise_field(5, SMALL, channels=5), noise_field(5, SMALL, channels=2)
    np.testing.assert_array_equal(more[:2], fewer)


def test_the_numbers_are_those_of_version_one() -> None:
    corner = noise_field(20, Region(2, -1, -1, 2, 2), channels=1, variant=3)
    expected = [
        [[-0.07006712257862091, 2.5389764308929443], [0.13137370347976685, -0.4575155973434448]]
    ]
    np.testing.assert_allclose(corner, expected, rtol=1e-6)


def test_an_empty_place_has_no_noise() -> None:
    assert noise_field(0, Region(0, 5, 5, 0, 7)).shape == (3, 0, 7)


@pytest.mark.parametrize("change", [{"seed": -1}, {"seed": 2**64}, {"variant": -1}], ids=str)
def test_keys_out_of_range_are_refused(change: dict[str, int]) -> None:
    values = {"seed": 0, "variant": 0} | change
    with refused(InvalidRequest, next(iter(change))):
        noise_field(values["seed"], SMALL, variant=values["variant"])


def test_a_level_that_has_no_key_is_refused() -> None:
    with refused(InvalidRequest, "level"):
        noise_field(0, Region(-(2**31) - 1, 0, 0, 4, 4))


def test_no_channels_are_refused() -> None:
    with refused(InvalidRequest, "channel"):
        noise_field(0, SMALL, channels=0)


@settings(max_examples=30)
@given(regions(near=90, min_side=30, max_side=150), st.integers(0, 2**32), st.data())
def test_each_kind_of_place_has_a_noise_of_its_own(region: Region, seed: int, data) -> None:
    kinds = np.random.default_rng(seed).integers(0, 3, region.shape, dtype=np.uint8)
    mixed = noise_field(seed, region, kinds=kinds)
    whole = [noise_field(seed, region, kinds=np.full_like(kinds, kind)) for kind in range(3)]
    np.testing.assert_array_equal(whole[0], noise_field(seed, region))
    np.testing.assert_array_equal(mixed, np.choose(kinds, whole))
    for one, other in ((0, 1), (0, 2), (1, 2)):
        shared = np.corrcoef(whole[one].ravel(), whole[other].ravel())[0, 1]
        assert abs(shared) < 6 / math.sqrt(whole[0].size)


def test_kinds_of_another_shape_are_refused() -> None:
    with refused(InvalidRequest, "kinds of shape (64, 64)", "(64, 63)"):
        noise_field(0, SMALL, kinds=np.zeros((64, 63), np.uint8))
