from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_histodiff.core.errors import InvalidImage, InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.workspace.targets import (
    ArrayTarget,
    CanvasTarget,
    PatchTarget,
    open_target,
)


class Counted:
    """An array that lets nobody read more than `limit` pixels at once."""

    def __init__(self, array, limit):
        self.array, self.limit = array, limit
        self.shape, self.dtype, self.ndim, self.size = (
            array.shape,
            array.dtype,
            array.ndim,
            array.size,
        )

    def __getitem__(self, key):
        part = self.array[key]
        assert part.shape[0] * part.shape[1] <= self.limit
        return part

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("read whole")


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def photo():
    return np.random.default_rng(0).integers(0, 256, (160, 200, 3), dtype=np.uint8)


def written(region, value=7):
    return np.dstack([np.full(region.shape, v, np.uint8) for v in (value, value, value, 255)])


def test_a_new_canvas_is_background_and_uncovered():
    target = CanvasTarget(64, 80, 0.25, (244, 240, 244), "Canvas")
    region = Region(0, 0, 0, 64, 80)
    assert (target.read(region) == (244, 240, 244)).all()
    assert not target.coverage(region).any()
    assert target.mpp == 0.25
    assert target.knows_mpp
    part = Region(0, 10, 12, 5, 6)
    target.write_raw(part, written(part))
    assert target.coverage(region).sum() == 30
    assert (target.layer.data[12, 14] == 7).all()


@pytest.mark.parametrize(
    "arguments",
    [(63, 64, 0.5), (64, 20000, 0.5), (64.5, 64, 0.5), (64, 64, 0), (64, 64, float("nan"))],
)
def test_impossible_canvases_are_refused(arguments):
    with pytest.raises(InvalidRequest, match="expected"):
        CanvasTarget(*arguments, (244, 240, 244), "Canvas")


def test_background_must_be_a_colour():
    with pytest.raises(InvalidRequest, match="background"):
        CanvasTarget(64, 64, 0.5, (300, 0, 0), "Canvas")


def test_the_users_array_is_never_written_to(viewer, photo):
    original = photo.copy()
    layer = viewer.add_image(photo, name="photo")
    target = open_target(layer, viewer)
    assert isinstance(target, ArrayTarget)
    region = Region(0, 3, 4, 10, 10)
    before = target.read_raw(region)
    target.write_raw(region, written(region))
    assert np.array_equal(photo, original)
    assert (layer.data[region.slices] == 7).all()
    assert layer.name == "photo (edited)"
    target.write_raw(region, before)
    assert np.array_equal(layer.data, original)


def test_opaque_alpha_is_read_and_kept(viewer, photo):
    rgba = np.dstack((photo, np.full(photo.shape[:2], 255, np.uint8)))
    target = open_target(viewer.add_image(rgba), viewer)
    region = Region(0, 0, 0, 8, 8)
    assert np.array_equal(target.read(region), photo[:8, :8])
    target.write_raw(region, written(region))
    assert (target.layer.data[..., 3] == 255).all()


def test_edits_of_a_pyramid_lie_in_layers_on_top(viewer, photo):
    levels = [da.from_array(photo), da.from_array(photo[::2, ::2])]
    layer = viewer.add_image(levels, multiscale=True, scale=(0.5, 0.5), translate=(3, 4))
    target = open_target(layer, viewer)
    assert isinstance(target, PatchTarget)
    region = Region(0, 30, 50, 16, 32)
    before = target.read_raw(region)
    target.write_raw(region, written(region))
    expected = photo.copy()
    expected[region.slices] = 7
    assert np.array_equal(target.read(target.bounds), expected)
    [patch] = target.layers
    assert viewer.layers.index(patch) == viewer.layers.index(layer) + 1
    assert np.allclose(patch.data_to_world((30, 50)), layer.data_to_world((30, 50)))
    assert patch.extent.world[1][0] <= layer.extent.world[1][0]
    target.write_raw(region, before)
    assert target.layers == []
    assert patch not in viewer.layers
    assert np.array_equal(target.read(target.bounds), photo)


def test_removing_an_edit_layer_drops_its_edits(viewer, photo):
    target = open_target(viewer.add_image(da.from_array(photo)), viewer)
    region = Region(0, 0, 0, 16, 16)
    target.write_raw(region, written(region))
    [patch] = target.layers
    viewer.layers.remove(patch)
    target.forget(patch)
    assert np.array_equal(target.read(region), photo[:16, :16])


def test_only_the_frames_pixels_are_read(viewer, photo):
    big = Counted(np.tile(photo, (8, 8, 1)), limit=64 * 64)
    layer = Image([big, photo], multiscale=True, rgb=True)
    target = open_target(layer, viewer)
    region = Region(0, 700, 900, 64, 64)
    assert np.array_equal(target.read(region), big.array[region.slices])


@pytest.mark.parametrize(
    "convert",
    [
        lambda a: a.astype(np.uint16),
        lambda a: (a / 255).astype(np.float32),
        lambda a: a / 255,
    ],
    ids=["uint16", "float32", "float64"],
)
def test_other_types_that_read_one_way_are_converted(viewer, photo, convert):
    layer = viewer.add_image(convert(photo), rgb=True)
    target = open_target(layer, viewer)
    assert np.array_equal(target.read(target.bounds), photo)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (Labels(np.zeros((80, 80), int)), "image layer"),
        (Image(np.zeros((80, 80))), "one channel"),
        (Image(np.zeros((3, 80, 80, 3), np.uint8), rgb=True), "3 dimensions"),
        (Image(np.full((80, 80, 3), 60000, np.uint16), rgb=True), "8-bit"),
        (Image(np.full((80, 80, 3), 1.5), rgb=True), "0-1"),
        (Image(np.full((80, 80, 4), 128, np.uint8), rgb=True), "opaque"),
        (
            Image(np.zeros((80, 80, 3), np.uint8), rgb=True, scale=(1, 2), units=("um", "um")),
            "square",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_advice(viewer, layer, words):
    with pytest.raises(InvalidImage, match=words):
        open_target(layer, viewer)


@pytest.mark.parametrize(
    ("scale", "units", "mpp", "known"),
    [
        ((0.5, 0.5), ("um", "um"), 0.5, True),
        ((250, 250), ("nm", "nm"), 0.25, True),
        ((1, 1), ("pixel", "pixel"), 0.5, False),
    ],
)
def test_pixel_size_comes_from_the_layer(viewer, photo, scale, units, mpp, known):
    target = open_target(viewer.add_image(photo, scale=scale, units=units), viewer)
    assert target.mpp == pytest.approx(mpp)
    assert target.knows_mpp is known
