from __future__ import annotations

import numpy as np
import pytest

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.inpainting.rescaling import at_pixel_size, enlarged, resized


def request(mpp: float, shape: tuple[int, int] = (96, 128), **changes: object) -> EditRequest:
    height, width = shape
    mask = np.zeros(shape, bool)
    mask[height // 3 : height // 2 + 1, width // 4 : width // 2 + 1] = True
    values = {
        "kind": EditKind.INPAINT,
        "region": Region(0, 40, 60, height, width),
        "image": np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8),
        "edit_mask": mask,
        "mpp": mpp,
    }
    return EditRequest(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("mpp", [0.125, 0.2528, 0.25, 0.3, 0.4991])
def test_not_one_byte_changes_outside_the_mask_at_any_pixel_size(mpp: float) -> None:
    edit = request(mpp, (97, 131))
    coarse = at_pixel_size(edit, 0.5)
    drawn = np.random.default_rng(1).integers(0, 256, (2, *coarse.shape, 3), dtype=np.uint8)
    result = enlarged(drawn, edit)
    mask, image = edit.edit_mask, edit.image
    assert mask is not None
    assert image is not None
    assert result.shape == (2, 97, 131, 3)
    for variant in result:
        np.testing.assert_array_equal(variant[~mask], image[~mask])
        assert (variant[mask] != image[mask]).any()


def test_half_as_many_pixels_show_the_same_place() -> None:
    edit = request(0.25)
    coarse = at_pixel_size(edit, 0.5)
    assert coarse.region == Region(0, 20, 30, 48, 64)
    assert coarse.mpp == 0.5
    image = edit.image
    assert image is not None
    means = image.reshape(48, 2, 64, 2, 3).mean((1, 3))
    np.testing.assert_allclose(coarse.image, means, atol=1)


def test_a_large_pixel_may_change_where_any_small_one_may() -> None:
    mask = np.zeros((96, 128), bool)
    mask[33, 65] = True
    coarse = at_pixel_size(request(0.25, edit_mask=mask), 0.5)
    expected = np.zeros((48, 64), bool)
    expected[16, 32] = True
    np.testing.assert_array_equal(coarse.edit_mask, expected)


def test_paint_keeps_its_numbers_and_its_place() -> None:
    instances = np.zeros((96, 128), np.int32)
    instances[20:40, 60:80] = 70001
    classes = np.where(instances > 0, np.uint8(3), np.uint8(0))
    tissue = np.full((96, 128), 2, np.uint8)
    coarse = at_pixel_size(
        request(0.25, instance_map=instances, class_map=classes, tissue_map=tissue), 0.5
    )
    assert coarse.instance_map is not None
    np.testing.assert_array_equal(np.unique(coarse.instance_map), (0, 70001))
    assert (coarse.instance_map[10:20, 30:40] == 70001).all()
    assert (coarse.instance_map > 0).sum() == 100
    assert coarse.class_map is not None
    assert coarse.class_map[12, 35] == 3
    assert (coarse.tissue_map == 2).all()


def test_a_picture_comes_back_where_it_was() -> None:
    edit = request(0.25, edit_mask=np.ones((96, 128), bool))
    ramp = np.zeros((96, 128, 3), np.uint8)
    ramp[..., 0], ramp[..., 1] = np.arange(96)[:, None] * 2, np.arange(128)
    coarse = at_pixel_size(request(0.25, image=ramp, edit_mask=edit.edit_mask), 0.5)
    assert coarse.image is not None
    back = enlarged(coarse.image[None], edit)[0].astype(int)
    assert np.abs(back - ramp)[2:-2, 2:-2].max() <= 1


def test_only_frames_finer_than_the_model_are_enlarged() -> None:
    with pytest.raises(InvalidRequest, match="expected an edit of a frame at other than"):
        at_pixel_size(request(0.5), 0.5)
    plane = EditRequest(
        kind=EditKind.GENERATE,
        region=Region(0, 0, 0, 64, 64),
        target=Region(0, 16, 16, 32, 32),
        mpp=0.25,
    )
    with pytest.raises(InvalidRequest, match="frame"):
        at_pixel_size(plane, 0.5)


def test_half_as_large_pixels_show_the_same_place() -> None:
    edit = request(0.5)
    fine = at_pixel_size(edit, 0.25)
    assert fine.region == Region(0, 80, 120, 192, 256)
    assert edit.edit_mask is not None
    expected = np.kron(edit.edit_mask, np.ones((2, 2), bool))
    np.testing.assert_array_equal(fine.edit_mask, expected)


@pytest.mark.parametrize("shape", [(30, 40), (120, 100)])
def test_a_picture_of_fractions_is_resized_like_one_of_bytes(shape: tuple[int, int]) -> None:
    ramp = np.zeros((60, 80, 3), np.uint8)
    ramp[..., 0] = np.arange(80) * 2
    ramp[..., 1] = np.arange(60)[:, None] * 3
    fractions = resized(ramp.astype(np.float32), shape)
    assert fractions.dtype == np.float32
    np.testing.assert_allclose(fractions, resized(ramp, shape), atol=1)
