from __future__ import annotations

import dataclasses
import json
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from napari_histodiff.core.errors import InvalidImage, InvalidMap, InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import LIMITS, REQUEST_VERSION, EditKind, EditRequest
from tests.core.refusals import refused
from tests.strategies import requests

FRAME = Region(0, -8, 16, 4, 6)
IMAGE = np.full((4, 6, 3), 200, np.uint8)
MASK = np.eye(4, 6, dtype=bool)
MAPS = ("class_map", "instance_map", "tissue_map", "image", "edit_mask", "coarse")


def make(**values: Any) -> EditRequest:
    defaults: dict[str, Any] = {"kind": EditKind.GENERATE, "region": FRAME}
    return EditRequest(**(defaults | values))


def assert_same(a: EditRequest, b: EditRequest) -> None:
    for field in dataclasses.fields(EditRequest):
        one, two = getattr(a, field.name), getattr(b, field.name)
        assert type(one) is type(two), field.name
        np.testing.assert_array_equal(one, two, err_msg=field.name)
        if isinstance(one, np.ndarray):
            assert one.dtype == two.dtype
            assert not two.flags.writeable


@given(requests())
def test_a_request_survives_json(request: EditRequest) -> None:
    assert_same(request, EditRequest.from_dict(json.loads(json.dumps(request.to_dict()))))


@given(requests())
def test_a_request_survives_pickling(request: EditRequest) -> None:
    assert_same(request, pickle.loads(pickle.dumps(request)))


def test_numpy_numbers_become_plain_ones() -> None:
    request = make(seed=np.int64(5), steps=np.uint8(6), guidance_scale=np.float32(2), mpp=1)
    assert json.loads(json.dumps(request.to_dict()))["seed"] == 5
    numbers = [request.seed, request.steps, request.guidance_scale, request.mpp]
    assert [type(number) for number in numbers] == [int, int, float, float]


def test_arrays_are_read_only_copies() -> None:
    classes, image = np.zeros((4, 6), np.uint8), IMAGE.copy()
    request = make(class_map=classes, image=image, edit_mask=MASK.copy())
    classes[:] = 3
    image[:] = 0
    assert request.class_map is not None
    assert request.image is not None
    assert not request.class_map.any()
    assert (request.image == 200).all()
    for name in ("class_map", "image", "edit_mask"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(request, name)[0, 0] = 1


def test_a_request_never_changes() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        make().seed = 3  # type: ignore[misc]


def test_maps_are_converted_where_that_is_unambiguous() -> None:
    request = make(
        class_map=np.full((4, 6), 2, np.int64),
        instance_map=np.full((4, 6), 9, np.int64),
        image=np.full((4, 6, 4), 255, np.uint16),
        edit_mask=np.full((4, 6), 255, np.uint8),
    )
    arrays = [request.class_map, request.instance_map, request.image, request.edit_mask]
    dtypes = [array.dtype for array in arrays if array is not None]
    assert dtypes == [np.uint8, np.int32, np.uint8, np.bool_]
    assert request.image is not None
    assert request.image.shape == (4, 6, 3)


@pytest.mark.parametrize("name", LIMITS)
def test_numbers_out_of_range_are_refused(name: str) -> None:
    low, high = LIMITS[name]
    make(**{name: low})
    make(**{name: high})
    step = 1 if isinstance(high, int) else 1e-6
    for bad in (low - step, high + step):
        with refused(InvalidRequest, name, str(low), str(high)):
            make(**{name: bad})


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("bad", [None, "6", True, float("nan"), float("inf"), 1j], ids=repr)
def test_what_is_no_number_is_refused(name: str, bad: object) -> None:
    with refused(InvalidRequest, name):
        make(**{name: bad})


@pytest.mark.parametrize("name", ["steps", "seed", "variants"])
def test_counts_must_be_whole(name: str) -> None:
    with refused(InvalidRequest, name, "whole"):
        make(**{name: 2.0})


@pytest.mark.parametrize("name", MAPS)
def test_a_map_of_another_size_is_refused(name: str) -> None:
    shape = (5, 6, 3) if name in ("image", "coarse") else (5, 6)
    with refused(InvalidRequest, name, "(4, 6)", "(5, 6)"):
        make(**{name: np.zeros(shape, bool if name == "edit_mask" else np.uint8)})


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"class_map": np.full((4, 6), 7)}, InvalidMap),
        ({"class_map": np.full((4, 6), np.nan)}, InvalidMap),
        ({"tissue_map": np.full((4, 6), 12)}, InvalidMap),
        ({"instance_map": np.full((4, 6), -1)}, InvalidMap),
        ({"edit_mask": np.full((4, 6), 0.5)}, InvalidMap),
        ({"image": IMAGE.astype(np.uint16) * 256}, InvalidImage),
        ({"coarse": np.full((4, 6, 3), np.nan)}, InvalidImage),
        ({"image": IMAGE[..., 0]}, InvalidImage),
    ],
    ids=["class", "nan", "tissue", "instance", "mask", "16 bit", "nan image", "gray"],
)
def test_malformed_arrays_are_refused(values: dict[str, Any], error: type[InvalidRequest]) -> None:
    with refused(error):
        make(**values)


@pytest.mark.parametrize("shape", [(0, 6), (4, 0)])
def test_an_empty_frame_is_refused(shape: tuple[int, int]) -> None:
    with refused(InvalidRequest, "frame", f"{shape[0]} x {shape[1]}"):
        make(region=Region(0, 0, 0, *shape))


@pytest.mark.parametrize("kind", [EditKind.INPAINT, EditKind.OUTPAINT])
def test_repainting_needs_image_and_edit_mask(kind: EditKind) -> None:
    assert make(kind=kind, image=IMAGE, edit_mask=MASK).kind is kind
    with refused(InvalidRequest, "edit_mask", kind):
        make(kind=kind, image=IMAGE)
    with refused(InvalidRequest, "image", kind):
        make(kind=kind, edit_mask=MASK)
    with refused(InvalidRequest, "edit mask", "empty"):
        make(kind=kind, image=IMAGE, edit_mask=np.zeros_like(MASK))


def test_zooming_needs_the_coarse_image() -> None:
    assert make(kind=EditKind.ZOOM, coarse=IMAGE).shape == (4, 6)
    with refused(InvalidRequest, "coarse"):
        make(kind=EditKind.ZOOM)


def test_kind_region_and_caption_are_checked() -> None:
    assert make(kind="generate").kind is EditKind.GENERATE
    with refused(InvalidRequest, "'paint'", "inpaint"):
        make(kind="paint")
    with refused(InvalidRequest, "Region"):
        make(region=(0, 0, 4, 6))
    with refused(InvalidRequest, "caption", "None"):
        make(caption=None)


def damaged(**changes: Any) -> dict[str, Any]:
    return make(class_map=np.zeros((4, 6), np.uint8)).to_dict() | changes


@pytest.mark.parametrize(
    "data",
    [
        damaged(class_map={"dtype": "|u1", "shape": [4, 6], "zlib": "AAAA"}),
        damaged(class_map={"dtype": "|u1", "shape": [4, 6], "zlib": "A"}),
        damaged(class_map={"dtype": "|u1", "shape": [4, 7], "zlib": "eJxjYKAyAAAAGAAB"}),
        damaged(class_map={"dtype": "nonsense", "shape": [4, 6], "zlib": ""}),
        damaged(class_map=[1, 2]),
        damaged(region=[0, 0]),
        damaged(region=None),
        damaged(kind="paint"),
        damaged(seed="1"),
        {key: value for key, value in damaged().items() if key != "seed"},
        {key: value for key, value in damaged().items() if key != "image"},
    ],
    ids=[
        "not zlib", "not base64", "shape", "dtype", "no array", "short region", "no region", "kind",
        "number", "lost number", "lost map",
    ],
)  # fmt: skip
def test_a_damaged_description_is_refused(data: dict[str, Any]) -> None:
    with refused(InvalidRequest):
        EditRequest.from_dict(data)


@pytest.mark.parametrize("data", [{}, damaged(version=REQUEST_VERSION + 1), [], None, "text"])
def test_a_description_of_another_version_is_refused(data: object) -> None:
    with refused(InvalidRequest, f"version {REQUEST_VERSION}"):
        EditRequest.from_dict(data)


def test_a_target_is_a_part_of_the_plane() -> None:
    region, target = Region(1, -32, 0, 64, 64), Region(1, -16, 16, 16, 16)
    request = EditRequest(kind=EditKind.GENERATE, region=region, target=target)
    assert request.drawn == target
    assert EditRequest.from_dict(request.to_dict()).target == target
    assert EditRequest(kind=EditKind.GENERATE, region=region).drawn == region


@pytest.mark.parametrize(
    "target", [Region(0, 0, 0, 65, 64), Region(0, -1, 0, 8, 8), Region(0, 0, 0, 0, 8)]
)
def test_a_target_outside_its_region_is_refused(target: Region) -> None:
    with pytest.raises(InvalidRequest, match="expected a target inside"):
        EditRequest(kind=EditKind.GENERATE, region=Region(0, 0, 0, 64, 64), target=target)


def test_inpainting_has_no_target() -> None:
    with pytest.raises(InvalidRequest, match="leave the target out"):
        EditRequest(
            kind=EditKind.INPAINT,
            region=Region(0, 0, 0, 8, 8),
            target=Region(0, 0, 0, 8, 8),
            image=np.zeros((8, 8, 3), np.uint8),
            edit_mask=np.ones((8, 8), bool),
        )


def test_a_request_saved_before_models_were_named_is_read() -> None:
    data = make(model_name="histodiff 5", model_revision="0123").to_dict()
    del data["model_name"], data["model_revision"]
    read = EditRequest.from_dict(data)
    assert (read.model_name, read.model_revision) == ("", "")


def test_a_variant_alone_is_told_by_its_number_and_its_own_maps() -> None:
    classes = np.eye(4, 6, dtype=np.uint8)
    ids = classes.astype(np.int32)
    own = (2 * classes, 5 * ids, None)
    both = make(class_map=classes, tissue_map=classes, variants=2, structures=(own,))
    first, second = both.apart
    assert (first.variants, first.first_variant, first.structures) == (1, 0, ())
    np.testing.assert_array_equal(first.class_map, classes)
    assert (second.variants, second.first_variant) == (1, 1)
    np.testing.assert_array_equal(second.class_map, 2 * classes)
    np.testing.assert_array_equal(second.instance_map, 5 * ids)
    assert second.tissue_map is None
    assert not second.class_map.flags.writeable
    again = EditRequest.from_dict(json.loads(json.dumps(both.to_dict())))
    for one, other in zip(both.apart, again.apart, strict=True):
        assert_same(one, other)
    for one, other in zip(both.apart, pickle.loads(pickle.dumps(both)).apart, strict=True):
        assert_same(one, other)


def test_variants_that_share_their_maps_stay_one_request() -> None:
    both = make(class_map=np.eye(4, 6, dtype=np.uint8), variants=2, first_variant=3)
    assert both.apart == (both,)
    assert both.alone(1).first_variant == 4
    np.testing.assert_array_equal(both.alone(1).class_map, both.class_map)
    with pytest.raises(InvalidRequest, match="a variant from 0 to 1, got 2"):
        both.alone(2)


def test_requests_of_before_there_were_structures_are_read() -> None:
    old = make(variants=2).to_dict()
    del old["first_variant"]
    assert EditRequest.from_dict(old).apart[0].first_variant == 0


@pytest.mark.parametrize(
    ("variants", "structures", "words"),
    [
        (1, ((None, None, None),), "maps of the 0 variants after the first, got those of 1"),
        (3, ((None, None, None),), "maps of the 2 variants after the first"),
        (2, ((np.zeros((2, 2), np.uint8), None, None),), "class_map of shape"),
    ],
)
def test_structures_that_do_not_fit_are_refused(variants, structures, words) -> None:
    with pytest.raises(InvalidRequest, match=words):
        make(variants=variants, structures=structures)


def test_a_garbled_structure_is_refused_in_words() -> None:
    data = make(variants=2, structures=((None, None, None),)).to_dict()
    for wrong in (5, [5], [[None]], [[None, {"dtype": "u1"}, None]]):
        with pytest.raises(InvalidRequest, match="expected a complete request"):
            EditRequest.from_dict(data | {"structures": wrong})
