"""Requests are completed before they are drawn."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.layout.completion import completed, structure_seed
from tests.core.refusals import refused

FRAME = Region(0, 64, 128, 96, 96)
IMAGE = np.full((96, 96, 3), 200, np.uint8)


def request(kind: EditKind = EditKind.GENERATE, **more: Any) -> EditRequest:
    return EditRequest(kind=kind, region=FRAME, caption="colon, gland", seed=3, **more)


def half() -> np.ndarray:
    mask = np.zeros((96, 96), bool)
    mask[:, 48:] = True
    return mask


def test_an_empty_frame_gets_tissue_and_nuclei_and_redraws_the_same() -> None:
    found = completed(request())
    assert found.tissue_map.all()
    assert found.class_map.any()
    again = EditRequest.from_dict(json.loads(json.dumps(found.to_dict())))
    np.testing.assert_array_equal(again.tissue_map, found.tissue_map)
    assert completed(again).class_map is not None
    np.testing.assert_array_equal(completed(again).tissue_map, found.tissue_map)


def test_an_inpainted_place_without_paint_is_left_to_its_surroundings() -> None:
    plain = request(EditKind.INPAINT, image=IMAGE, edit_mask=half())
    assert completed(plain) is plain


def test_only_the_new_part_of_an_outpainted_frame_is_suggested() -> None:
    found = completed(request(EditKind.OUTPAINT, image=IMAGE, edit_mask=half()))
    assert found.tissue_map[half()].all()
    assert not found.tissue_map[~half()].any()
    assert not found.class_map[~half()].any()


def test_painted_nuclei_keep_their_maps_where_they_are_whole() -> None:
    classes = np.zeros((96, 96), np.uint8)
    classes[::12, ::12] = 2
    found = completed(request(class_map=classes))
    assert found.instance_map is None
    np.testing.assert_array_equal(found.class_map, classes)
    assert found.tissue_map.all()


def test_what_is_drawn_from_coarser_pixels_or_on_a_slide_has_its_maps() -> None:
    zoom = request(EditKind.ZOOM, coarse=IMAGE)
    tile = request(target=Region(0, 80, 144, 32, 32))
    assert completed(zoom) is zoom
    assert completed(tile) is tile


def test_each_variant_has_a_structure_of_its_own_and_alone_the_same() -> None:
    both = completed(request(variants=3))
    one, two, three = both.apart
    assert (one.tissue_map != two.tissue_map).any()
    assert (two.tissue_map != three.tissue_map).any()
    for number, variant in enumerate(both.apart):
        alone = completed(request(variants=3).alone(number))
        assert alone.first_variant == variant.first_variant == number
        np.testing.assert_array_equal(alone.tissue_map, variant.tissue_map)
        np.testing.assert_array_equal(alone.class_map, variant.class_map)
        np.testing.assert_array_equal(alone.instance_map, variant.instance_map)
    # The first is what one variant gets.
    np.testing.assert_array_equal(completed(request()).tissue_map, one.tissue_map)


def test_where_nothing_is_open_variants_share_their_maps() -> None:
    tissue = np.full((96, 96), 1, np.uint8)
    classes = np.zeros((96, 96), np.uint8)
    classes[40:50, 40:50] = 2
    found = completed(request(variants=2, class_map=classes, tissue_map=tissue))
    assert found.structures == ()
    assert found.variants == 2


@pytest.mark.parametrize("bad", [-1, 1.5, "a", None])
def test_what_is_no_seed_or_variant_is_refused(bad) -> None:
    with refused(InvalidRequest, "seed"):
        structure_seed(bad, 1)
    with refused(InvalidRequest, "expected variant"):
        structure_seed(1, bad)


def test_seeds_of_structures_are_many_and_the_first_is_the_request_s() -> None:
    seeds = {structure_seed(seed, variant) for seed in (0, 1, 2**31 - 1) for variant in range(16)}
    assert len(seeds) == 48
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert structure_seed(7, 0) == 7
