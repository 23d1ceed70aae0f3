"""Nuclei of single tissues after captions of their own."""

from __future__ import annotations

import numpy as np

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.layout.completion import completed

SIDE = 384
TISSUE = np.full((SIDE, SIDE), 2, np.uint8)
TISSUE[:, SIDE // 2 :] = 1


def request(**changes) -> EditRequest:
    region = Region(0, 0, 0, SIDE, SIDE)
    given = {"caption": "colon, low lymphocyte", "tissue_map": TISSUE, "seed": 3}
    return EditRequest(kind=EditKind.GENERATE, region=region, **given | changes)


def lymphocytes(made: EditRequest, part: slice) -> int:
    assert made.class_map is not None
    assert made.instance_map is not None
    inside = made.class_map[:, part] == 3
    return len(np.unique(made.instance_map[:, part][inside]))


LEFT, RIGHT = slice(0, SIDE // 2), slice(SIDE // 2, SIDE)


def test_only_the_tissue_of_a_caption_has_its_nuclei() -> None:
    low = completed(request())
    high = completed(request(region_captions={"stroma": "colon, high lymphocyte"}))
    assert lymphocytes(high, LEFT) > 2 * lymphocytes(low, LEFT) + 5
    assert lymphocytes(high, RIGHT) <= lymphocytes(low, RIGHT) + 3
    right = slice(SIDE // 2 + 20, SIDE)
    np.testing.assert_array_equal(high.class_map[:, right], low.class_map[:, right])


def test_nuclei_keep_one_class_and_painted_ones_stay() -> None:
    classes, instances = np.zeros((2, SIDE, SIDE), np.int32)
    classes[100:112, 40:52], instances[100:112, 40:52] = 4, 9
    made = completed(
        request(
            class_map=classes,
            instance_map=instances,
            region_captions={"stroma": "high lymphocyte", "gland": "high epithelial"},
        )
    )
    assert made.class_map is not None
    assert made.instance_map is not None
    assert (made.class_map[100:112, 40:52] == 4).all()
    assert (made.instance_map[100:112, 40:52] == 9).all()
    ids, first = np.unique(made.instance_map, return_index=True)
    for number, at in zip(ids[1:], first[1:], strict=True):
        assert len(np.unique(made.class_map[made.instance_map == number])) == 1, at


def test_tissue_that_is_not_there_changes_nothing() -> None:
    low = completed(request())
    same = completed(request(region_captions={"fat": "high lymphocyte"}))
    np.testing.assert_array_equal(low.class_map, same.class_map)
    np.testing.assert_array_equal(low.instance_map, same.instance_map)


def test_a_painted_nucleus_elsewhere_takes_none_from_the_tissue_of_a_caption() -> None:
    classes, instances = np.zeros((2, SIDE, SIDE), np.int32)
    classes[20:32, 20:32], instances[20:32, 20:32] = 3, 5
    paint = {"class_map": classes, "instance_map": instances, "tissue_map": None}
    low = completed(request(**paint))
    high = completed(request(region_captions={"stroma": "colon, high lymphocyte"}, **paint))
    everywhere = slice(0, SIDE)
    assert lymphocytes(high, everywhere) > 2 * lymphocytes(low, everywhere) + 20
    assert (high.instance_map[20:32, 20:32] == 5).all()
