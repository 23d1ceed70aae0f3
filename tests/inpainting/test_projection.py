"""Zooming out of a projected image gives back what was zoomed into, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_histodiff.core.geometry import Region
from napari_histodiff.inpainting.projection import project_on_coarse


def blocks(region: Region) -> list[tuple[slice, slice]]:
    """The 2 x 2 blocks of a region, cut at its border."""
    whole = region.snap(2)
    return [
        Region(region.level, y, x, 2, 2).intersect(region).relative_to(region).slices
        for y in range(whole.y, whole.bottom, 2)
        for x in range(whole.x, whole.right, 2)
    ]


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, Region]:
    place = draw(
        st.builds(
            Region,
            st.just(1),
            *[st.integers(-3, 3)] * 2,
            *[st.integers(1, 7)] * 2,
        )
    )
    values = st.sampled_from([-1.0, 1.0]) | st.floats(-1.25, 1.25, width=32)
    x = draw(hnp.arrays(np.float32, (2, *place.shape, 3), elements=values))
    levels = st.sampled_from([0, 1, 254, 255]) | st.integers(0, 255)
    return x, draw(hnp.arrays(np.uint8, (*place.shape, 3), elements=levels)), place


@given(cases())
def test_every_block_has_the_sum_of_its_coarse_pixels(case) -> None:
    x, coarse, place = case
    drawn = project_on_coarse(x, coarse, place)
    assert drawn.shape == x.shape
    assert drawn.dtype == np.uint8
    for block in blocks(place):
        wanted = coarse[block].sum((0, 1), dtype=int)
        for image in drawn:
            np.testing.assert_array_equal(image[block].sum((0, 1), dtype=int), wanted)


@given(cases())
def test_a_block_depends_on_itself_alone(case) -> None:
    x, coarse, place = case
    whole = project_on_coarse(x, coarse, place)
    for rows, columns in blocks(place):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        alone = Region(1, place.y + rows.start, place.x + columns.start, height, width)
        block = project_on_coarse(x[:, rows, columns], coarse[rows, columns], alone)
        np.testing.assert_array_equal(block, whole[:, rows, columns])


def test_an_image_that_fits_is_rounded_and_no_more() -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), dtype=np.uint8)
    drawn = project_on_coarse(image / 127.5 - 1, image[0], Region(0, 0, 0, 8, 8))
    np.testing.assert_array_equal(drawn, image)


@pytest.mark.parametrize("level", [0, 2, 253, 255])
def test_saturated_white_and_black_come_back(level) -> None:
    x = np.random.default_rng(0).choice([-1.0, 1.0], (1, 64, 64, 3))
    coarse = np.full((64, 64, 3), level, np.uint8)
    drawn = project_on_coarse(x, coarse, Region(0, 0, 0, 64, 64))[0].astype(int)
    sums = drawn.reshape(32, 2, 32, 2, 3).sum((1, 3))
    assert (sums == 4 * level).all()


def test_detail_is_kept() -> None:
    rng = np.random.default_rng(0)
    x = np.clip(rng.normal(0, 0.2, (1, 64, 64, 3)), -1, 1)
    coarse = rng.integers(110, 146, (32, 32, 3), dtype=np.uint8).repeat(2, 0).repeat(2, 1)
    drawn = project_on_coarse(x, coarse, Region(0, 0, 0, 64, 64)) / 127.5 - 1
    across = [image[:, ::2, ::2] - image[:, 1::2, 1::2] for image in (x, drawn)]
    np.testing.assert_allclose(across[1], across[0], atol=2 / 127.5)
