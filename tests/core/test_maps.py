from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray

from napari_histodiff.core import maps
from napari_histodiff.core.errors import InvalidImage, InvalidMap
from napari_histodiff.core.steering.strengths import as_strength_map
from tests.core.refusals import refused
from tests.strategies import map_pairs, planes

MapPair = tuple[NDArray[np.int32], NDArray[np.uint8]]


@given(planes(6, np.int64))
def test_class_maps_convert_from_any_whole_numbers(ids: NDArray[np.int64]) -> None:
    converted = maps.as_class_map(ids)
    assert converted.dtype == np.uint8
    np.testing.assert_array_equal(converted, ids)


@pytest.mark.parametrize(
    ("array", "word"),
    [
        (np.full((2, 2), 7), "0-6"),
        (np.full((2, 2), -1), "0-6"),
        (np.full((2, 2), np.nan), "float64"),
        (np.ones((2, 2)), "float64"),
        (np.ones((2, 2), bool), "bool"),
        (np.zeros((2, 2, 3), int), "(2, 2, 3)"),
        (np.zeros(4, int), "(4,)"),
    ],
    ids=["above", "negative", "nan", "float", "bool", "three axes", "one axis"],
)
def test_a_bad_class_map_is_refused(array: NDArray[Any], word: str) -> None:
    with refused(InvalidMap, "class map", word):
        maps.as_class_map(array)


def test_instance_ids_must_fit_their_labels() -> None:
    top = np.full((1, 2), maps.MAX_INSTANCE, np.int64)
    labels = maps.encode_labels(top, np.full((1, 2), 6))
    assert labels.dtype == np.int32
    assert (labels > 0).all()
    assert maps.as_instance_map(top).dtype == np.int32
    for bad in (maps.MAX_INSTANCE + 1, -1, 2**40):
        with refused(InvalidMap, "instance map"):
            maps.as_instance_map(np.full((1, 2), bad, np.int64))


def test_tissue_ids_are_those_of_the_schema() -> None:
    assert maps.as_tissue_map([[0, 2]], 3).dtype == np.uint8
    with refused(InvalidMap, "tissue map", "0-2"):
        maps.as_tissue_map([[3]], 3)


@pytest.mark.parametrize("on", [1, 255, True])
def test_an_edit_mask_may_be_two_valued(on: int) -> None:
    mask = maps.as_edit_mask(np.array([[0, on], [on, 0]], type(on)))
    assert mask.dtype == np.bool_
    assert mask.tolist() == [[False, True], [True, False]]


def test_an_empty_edit_mask_stays_empty() -> None:
    assert not maps.as_edit_mask(np.zeros((2, 2), np.uint8)).any()


@pytest.mark.parametrize(
    "array",
    [np.array([[0, 2]]), np.array([[1, 255]]), np.ones((1, 2)), np.array([["a", "b"]])],
    ids=["two", "mixed", "float", "text"],
)
def test_an_unclear_edit_mask_is_refused(array: NDArray[Any]) -> None:
    with refused(InvalidMap, "edit mask", "mask > 0"):
        maps.as_edit_mask(array)


def test_an_edit_mask_is_a_plane() -> None:
    with refused(InvalidMap, "edit mask", "(2, 2, 1)"):
        maps.as_edit_mask(np.ones((2, 2, 1), bool))


RGB = np.array([[[0, 128, 255], [7, 8, 9]]], np.uint8)


@pytest.mark.parametrize(
    "image",
    [
        RGB,
        RGB.astype(np.uint16),
        RGB.astype(np.int64),
        RGB / 255,
        (RGB / 255).astype(np.float32),
        np.dstack([RGB, np.full((1, 2), 255, np.uint8)]),
        np.dstack([RGB, np.full((1, 2), 65535, np.uint16)]),
        np.dstack([RGB / 255, np.ones((1, 2))]),
    ],
    ids=["uint8", "uint16", "int64", "float64", "float32", "rgba", "rgba16", "float rgba"],
)
def test_unambiguous_images_become_uint8_rgb(image: NDArray[Any]) -> None:
    converted = maps.as_rgb(image)
    assert converted.dtype == np.uint8
    np.testing.assert_array_equal(converted, RGB)


@pytest.mark.parametrize(
    ("image", "word"),
    [
        (RGB.astype(np.uint16) * 257, "65535"),
        (RGB.astype(np.int16) - 1, "-1"),
        (RGB.astype(float), "0-1"),
        (RGB / 255 - 0.1, "-0.1"),
        (np.full((2, 2, 3), np.nan), "NaN"),
        (np.full((2, 2, 3), np.inf), "NaN or infinity"),
        (np.dstack([RGB, np.full((1, 2), 254, np.uint8)]), "RGBA"),
        (np.zeros((4, 4), np.uint8), "gray"),
        (np.zeros((4, 4, 1), np.uint8), "gray"),
        (np.zeros((3, 8, 8), np.uint8), "channels last"),
        (np.zeros((2, 8, 8, 3), np.uint8), "(2, 8, 8, 3)"),
        (np.zeros((4, 4, 3), bool), "bool"),
        (np.zeros((4, 4, 3), complex), "complex"),
    ],
    ids=[
        "16 bit", "negative", "float 0-255", "float below 0", "nan", "inf", "transparent", "gray",
        "gray plane", "channels first", "stack", "bool", "complex",
    ],
)  # fmt: skip
def test_an_ambiguous_image_is_refused(image: NDArray[Any], word: str) -> None:
    with refused(InvalidImage, word):
        maps.as_rgb(image)


@given(map_pairs())
def test_labels_decode_to_what_was_encoded(pair: MapPair) -> None:
    instances, classes = pair
    labels = maps.encode_labels(instances, classes)
    decoded = maps.decode_labels(labels)
    np.testing.assert_array_equal(decoded[0], instances)
    np.testing.assert_array_equal(decoded[1], classes)
    assert decoded[0].dtype == np.int32
    assert decoded[1].dtype == np.uint8


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.uint64])
def test_labels_decode_from_any_whole_numbers(dtype: type) -> None:
    instances, classes = maps.decode_labels(np.array([[0, 3, 7, 20]], dtype))
    assert instances.tolist() == [[0, 0, 1, 2]]
    assert classes.tolist() == [[0, 3, 0, 6]]


def test_bad_labels_are_refused() -> None:
    with refused(InvalidMap, "label map"):
        maps.decode_labels(np.array([[-1]]))
    with refused(InvalidMap, "label map"):
        maps.decode_labels(np.array([[2**31]]))


def naive_edges(instances: NDArray[np.int32], classes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    height, width = classes.shape
    edges = np.zeros((height, width), bool)
    for y, x in np.ndindex(height, width):
        here = (int(instances[y, x]), int(classes[y, x]))
        for ny, nx in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            inside = 0 <= ny < height and 0 <= nx < width
            if here != (0, 0) and inside and (instances[ny, nx], classes[ny, nx]) != here:
                edges[y, x] = True
    return edges


@given(map_pairs(n_ids=2))
def test_edges_follow_the_rule(pair: MapPair) -> None:
    instances, classes = pair
    np.testing.assert_array_equal(
        maps.instance_edges(instances, classes), naive_edges(instances, classes)
    )
    np.testing.assert_array_equal(
        maps.instance_edges(instances), naive_edges(instances, np.zeros_like(classes))
    )


@given(map_pairs())
def test_the_seven_channels(pair: MapPair) -> None:
    instances, classes = pair
    mask = maps.nuclei_mask(classes, instances)
    assert mask.shape == (7, *classes.shape)
    assert mask.dtype == np.uint8
    for channel in range(6):
        np.testing.assert_array_equal(mask[channel], classes == channel + 1)
    np.testing.assert_array_equal(mask[6], naive_edges(instances, classes))
    union = maps.nuclei_union(classes, instances)
    np.testing.assert_array_equal(union, (classes > 0) | (instances > 0))
    assert (union >= mask.any(axis=0)).all()


def test_touching_nuclei_of_one_class_are_separated_by_their_instances() -> None:
    classes = np.full((3, 4), 2, np.uint8)
    instances = np.array([[1, 1, 2, 2]] * 3)
    assert maps.nuclei_mask(classes)[6].sum() == 0
    assert maps.nuclei_mask(classes, instances)[6].tolist() == [[0, 1, 1, 0]] * 3


def test_a_nucleus_of_unknown_class_shows_only_its_edge() -> None:
    instances = np.zeros((5, 5), int)
    instances[1:4, 1:4] = 9
    classes = np.zeros((5, 5), np.uint8)
    mask = maps.nuclei_mask(classes, instances)
    assert mask[:6].sum() == 0
    assert mask[6].sum() == 8
    assert maps.nuclei_union(classes, instances).sum() == 9


@pytest.mark.parametrize("use", [maps.nuclei_mask, maps.nuclei_union])
def test_maps_of_two_shapes_are_refused(use: Any) -> None:
    with refused(InvalidMap, "(2, 2)", "(2, 3)"):
        use(np.zeros((2, 2), int), np.zeros((2, 3), int))
    with refused(InvalidMap, "(2, 2)", "(2, 3)"):
        maps.encode_labels(np.zeros((2, 3), int), np.zeros((2, 2), int))


def test_instances_of_several_classes_are_counted() -> None:
    instances = np.array([[1, 1, 0, 2], [3, 0, 3, 2], [0, 0, 0, 0], [4, 4, 0, 0]])
    classes = np.array([[1, 2, 0, 2], [5, 0, 6, 2], [0, 0, 0, 0], [0, 3, 0, 0]])
    assert maps.mixed_instances(instances, classes) == (2, 1)  # 1 and 3; those of 3 lie apart


@given(map_pairs())
def test_labels_of_one_class_an_instance_are_not_called_plain_ids(pair: MapPair) -> None:
    instances, _ = pair
    ids = np.arange(len(np.unique(instances)) + 1)
    one_each = np.where(instances > 0, ids[np.searchsorted(np.unique(instances), instances)] % 7, 0)
    assert not maps.plain_ids(maps.encode_labels(instances, one_each))


@pytest.mark.parametrize("count", [7, 8, 64, 1000])
def test_plain_ids_are_told_from_labels(count: int) -> None:
    assert maps.plain_ids(np.kron(np.arange(count + 1)[None], np.ones((3, 3), int)))


def test_a_class_map_is_no_plain_ids() -> None:
    assert not maps.plain_ids(np.arange(7)[None])


class Broken:
    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
        raise OSError("the disk was taken out")


@pytest.mark.parametrize(
    ("read", "error"),
    [
        (maps.as_rgb, InvalidImage),
        (maps.as_class_map, InvalidMap),
        (maps.as_instance_map, InvalidMap),
        (maps.as_edit_mask, InvalidMap),
        (maps.as_fibres, InvalidMap),
        (as_strength_map, InvalidMap),
    ],
)
def test_a_lazy_array_that_cannot_be_computed_is_refused(read: Any, error: Any) -> None:
    with refused(error, "that can be read", "OSError (the disk was taken out)"):
        read(Broken())


def test_tissue_is_told_in_another_schema_by_name() -> None:
    ids = np.arange(len(maps.TISSUE_NAMES)).reshape(3, 4)
    assert maps.in_schema(ids, maps.TISSUE_NAMES).tolist() == ids.tolist()
    names = ("unspecified", "muscle", "gland")
    told = maps.in_schema(ids, names)
    assert told.dtype == np.uint8
    assert told.ravel().tolist() == [0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    back = maps.in_schema(told, maps.TISSUE_NAMES, names)
    assert set(back.ravel().tolist()) == {0, 1, maps.TISSUE_NAMES.index("muscle")}
    with refused(InvalidMap, "ids 0-2"):
        maps.in_schema(ids, maps.TISSUE_NAMES, names)
