"""Arrays that requests share instead of copying them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import give, is_given
from napari_histodiff.core.requests import EditKind, EditRequest

FRAME = Region(0, 0, 0, 32, 48)


def request_of(class_map: np.ndarray) -> EditRequest:
    return EditRequest(kind=EditKind.GENERATE, region=FRAME, class_map=class_map)


def test_what_was_given_is_taken_as_it_is() -> None:
    given = give(np.full(FRAME.shape, 2, np.uint8))
    assert request_of(given).class_map is given
    assert not given.flags.writeable


def test_requests_share_their_maps_with_those_made_of_them() -> None:
    request = request_of(np.full(FRAME.shape, 2, np.uint8))
    assert replace(request, seed=3).class_map is request.class_map


def test_what_is_only_read_only_is_copied() -> None:
    pixels = np.full(FRAME.shape, 2, np.uint8)
    seen = pixels[:]
    seen.setflags(write=False)
    request = request_of(seen)
    pixels[:] = 3
    assert (request.class_map == 2).all()


def test_what_was_made_writable_again_is_copied() -> None:
    given = give(np.full(FRAME.shape, 2, np.uint8))
    given.setflags(write=True)
    assert not is_given(given)
    assert request_of(given).class_map is not given


def test_an_array_in_the_place_of_one_that_is_gone_was_not_given() -> None:
    for _ in range(100):
        given = give(np.full(FRAME.shape, 2, np.uint8))
        del given
        assert not is_given(np.full(FRAME.shape, 2, np.uint8))
