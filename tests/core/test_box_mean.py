from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from napari_histodiff.core.box_mean import (
    any_down,
    block_means,
    box_down,
    repeat_up,
    share_down,
    smooth_up,
)

SIDES = st.integers(1, 9)


@given(st.tuples(SIDES, SIDES).flatmap(lambda s: hnp.arrays(np.uint8, (*s, 3))))
def test_means_are_exact_and_halves_go_to_even(pixels: np.ndarray) -> None:
    height, width = pixels.shape[:2]
    padded = np.pad(pixels, [(0, height % 2), (0, width % 2), (0, 0)], mode="edge").astype(float)
    blocks = padded.reshape(-(-height // 2), 2, -(-width // 2), 2, 3)
    np.testing.assert_array_equal(box_down(pixels), np.rint(blocks.mean(axis=(1, 3))))


def test_every_sum_of_four_is_rounded_like_numpy() -> None:
    sums = np.arange(4 * 255 + 1)
    parts = np.stack([np.clip(sums - 255 * k, 0, 255) for k in range(4)]).astype(np.uint8)
    pixels = np.repeat(parts.reshape(2, 2, -1).transpose(0, 2, 1).reshape(2, -1, 1), 3, axis=2)
    np.testing.assert_array_equal(box_down(pixels)[0, :, 0], np.rint(sums / 4))


@given(st.tuples(SIDES, SIDES).flatmap(lambda s: hnp.arrays(np.bool_, s)))
def test_a_block_is_marked_when_one_of_it_is(mask: np.ndarray) -> None:
    down = any_down(mask)
    up = repeat_up(down, 2)[: mask.shape[0], : mask.shape[1]]
    assert (up >= mask).all()
    for row, col in np.argwhere(down):
        assert mask[2 * row : 2 * row + 2, 2 * col : 2 * col + 2].any()


@given(st.tuples(SIDES, SIDES).flatmap(lambda s: hnp.arrays(np.bool_, s)))
def test_shares_are_quarters_and_positive_where_one_is_marked(mask: np.ndarray) -> None:
    shares = share_down(mask)
    np.testing.assert_array_equal(shares > 0, any_down(mask))
    np.testing.assert_array_equal(shares == 1, ~any_down(~mask))
    inside = mask[: mask.shape[0] // 2 * 2, : mask.shape[1] // 2 * 2]
    whole = shares[: mask.shape[0] // 2, : mask.shape[1] // 2]
    assert whole.sum() * 4 == inside.sum()


@given(st.tuples(SIDES, SIDES).flatmap(lambda s: hnp.arrays(np.uint8, (*s, 3))), st.integers(1, 4))
def test_means_of_blocks_leave_out_what_fills_none(pixels: np.ndarray, side: int) -> None:
    means = block_means(pixels, side)
    assert means.shape == (pixels.shape[0] // side, pixels.shape[1] // side, 3)
    for row, col in np.ndindex(means.shape[:2]):
        block = pixels[row * side : (row + 1) * side, col * side : (col + 1) * side]
        np.testing.assert_allclose(means[row, col], block.mean((0, 1)))
    even = pixels[: pixels.shape[0] // 2 * 2, : pixels.shape[1] // 2 * 2]
    np.testing.assert_array_equal(box_down(even), np.rint(block_means(even, 2)))


@given(
    hnp.arrays(
        np.uint8, (12, 11, 3), elements=st.sampled_from([0, 1, 254, 255]) | st.integers(0, 255)
    )
)
def test_a_smooth_image_keeps_every_mean(pixels: np.ndarray) -> None:
    fine = smooth_up(pixels)
    sums = fine.reshape(4, 2, 3, 2, 3).sum(axis=(1, 3), dtype=int)
    np.testing.assert_array_equal(sums, 4 * pixels[4:-4, 4:-4].astype(int))
    wide = np.pad(pixels, [(1, 2), (3, 1), (0, 0)], mode="wrap")
    np.testing.assert_array_equal(smooth_up(wide)[2:10, 6:12], fine)


def test_a_smooth_image_has_no_steps() -> None:
    rng = np.random.default_rng(0)
    pixels = ndimage.gaussian_filter(rng.normal(0, 30, (80, 80, 1)), (2, 2, 0)) + 200
    fine = smooth_up(pixels.round().astype(np.uint8))[..., 0].astype(float)
    across = np.abs(np.diff(fine, axis=1)).mean(axis=0)
    assert 0.7 < across[1::2].mean() / across[::2].mean() < 1.4
