from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_histodiff.slide.storage.box_mean import any_down, box_down, repeat_up

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
