"""Paint as control images: every encoding, and the presets of public models."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histodiff.core.errors import ModelInvalid
from napari_histodiff.core.foreign.convention import (
    PRESETS,
    Convention,
    preset,
    read_convention,
    use_preset,
)
from napari_histodiff.core.maps import CLASS_NAMES, TISSUE_NAMES

CLASSES = np.array([[0, 1, 1], [0, 1, 6], [0, 0, 0]], np.uint8)
INSTANCES = np.array([[0, 1, 1], [0, 1, 2], [3, 0, 0]], np.int32)
TISSUE = np.array([[0, 1, 2], [2, 2, 2], [1, 1, 1]], np.uint8)


def control(convention: Convention, tissue=None, classes=CLASSES, instances=INSTANCES):
    return convention.control((3, 3), classes, instances, tissue)


def test_binary_is_white_on_every_nucleus_also_of_no_class() -> None:
    image = control(preset("binary-nuclei"))
    expected = np.array([[0, 1, 1], [0, 1, 1], [1, 0, 0]], np.float32)
    np.testing.assert_array_equal(image, np.stack([expected] * 3))


def test_a_palette_colours_classes_and_draws_edges_over_them() -> None:
    values = {"neutrophil": (10, 20, 30), "unknown": (1, 2, 3), "edges": (255, 255, 255)}
    big = np.ones((3, 3), np.uint8)
    big[:, 0] = 0
    told = Convention(paint="nuclei", values=values, background=(9, 9, 9))
    image = control(told, classes=big, instances=None) * 255
    np.testing.assert_array_equal(image[:, 1, 2], [10, 20, 30])
    np.testing.assert_array_equal(image[:, 1, 1], [255] * 3)
    np.testing.assert_array_equal(image[:, 1, 0], [9] * 3)


def test_one_hot_has_a_plane_for_each_name() -> None:
    planes = control(preset("one-hot-nuclei"))
    assert planes.shape == (7, 3, 3)
    np.testing.assert_array_equal(planes[0], CLASSES == 1)
    np.testing.assert_array_equal(planes[5], CLASSES == 6)
    assert not planes[1:5].any()
    assert planes[6, 2, 0] == 1  # the edge of a nucleus of no class


def test_integers_are_nearly_black_grays_as_the_public_model_takes_them() -> None:
    told = preset("bcss-tissue")
    assert told.tissue_names == TISSUE_NAMES
    image = control(told, TISSUE) * 255
    np.testing.assert_array_equal(image[0].round(), [[15, 1, 2], [2, 2, 2], [1, 1, 1]])
    np.testing.assert_array_equal(image[0], image[2])


def test_what_is_not_painted_is_left_to_the_model() -> None:
    assert control(preset("bcss-tissue")) is None
    assert control(preset("binary-nuclei"), classes=None, instances=None) is None
    assert control(preset("no-paint"), TISSUE) is None
    empty = control(preset("binary-nuclei"), classes=np.zeros((3, 3), np.uint8), instances=None)
    assert empty is not None
    assert not empty.any()


def test_classes_without_a_value_count_as_never_seen() -> None:
    told = Convention(paint="nuclei", values={"plasma": (1, 1, 1)})
    seen = [name for name, count in told.class_counts.items() if count]
    assert seen == ["plasma"]
    assert set(told.class_counts) == set(CLASS_NAMES)
    assert told.tissue_names == ("unspecified",)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_written_and_read_back(tmp_path, name) -> None:
    use_preset(tmp_path, name)
    assert read_convention(tmp_path) == preset(name)


def test_an_unknown_preset_is_refused_with_the_known_ones(tmp_path) -> None:
    with pytest.raises(ModelInvalid, match="bcss-tissue, binary-nuclei"):
        use_preset(tmp_path, "nothing")
    assert read_convention(tmp_path) is None
