from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_histodiff.core.geometry import Region
from napari_histodiff.inpainting.context import with_context

BOUNDS = Region(0, 0, 0, 1000, 1200)
FRAME = Region(0, 300, 400, 128, 256)


def mask_of(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros(FRAME.shape, bool)
    mask[top:bottom, left:right] = True
    return mask


def test_a_mask_in_the_middle_needs_no_more_than_the_frame() -> None:
    assert with_context(FRAME, mask_of(64, 100, 70, 120), 48, BOUNDS) == FRAME


def test_it_grows_only_where_the_mask_is_near() -> None:
    # 10 px from the top, 20 from the right.
    grown = with_context(FRAME, mask_of(10, 100, 60, 236), 64, BOUNDS, multiple=16)
    assert grown == Region(0, 300 - 64, 400, 128 + 64, 256 + 48)


def test_a_mask_of_the_whole_frame_is_seen_with_a_margin_all_around() -> None:
    whole = np.ones(FRAME.shape, bool)
    assert with_context(FRAME, whole, 32, BOUNDS) == FRAME.pad(32)


def test_nothing_to_change_and_no_margin_add_nothing() -> None:
    assert with_context(FRAME, np.zeros(FRAME.shape, bool), 32, BOUNDS) == FRAME
    assert with_context(FRAME, np.ones(FRAME.shape, bool), 0, BOUNDS) == FRAME


def test_it_stays_where_pixels_are() -> None:
    whole = np.ones(FRAME.shape, bool)

    def drawn(region: Region) -> bool:
        return region.x >= FRAME.x  # nothing lies left of the frame

    grown = with_context(FRAME, whole, 32, BOUNDS, is_there=drawn)
    assert grown == Region(0, 268, 400, 192, 288)


@given(
    st.integers(0, 872),
    st.integers(0, 944),
    st.floats(0, 300),
    st.sampled_from((1, 8, 16)),
    st.integers(256, 400),
)
def test_it_never_leaves_the_image_and_stays_small_enough(
    y: int, x: int, margin: float, multiple: int, most: int
) -> None:
    frame = Region(0, y, x, 128, 256)
    grown = with_context(
        frame, np.ones(frame.shape, bool), margin, BOUNDS, multiple=multiple, most=most
    )
    assert grown.contains(frame)
    assert BOUNDS.contains(grown)
    assert max(grown.shape) <= max(most, 256)
    for side, now in zip(frame.shape, grown.shape, strict=True):
        assert (now - side) % multiple == 0
