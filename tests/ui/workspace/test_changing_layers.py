"""Layers are mutable: what the user does to one is followed, or refused with the way out."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.ui.mouse import click

REGION = Region(0, 64, 64, 64, 64)


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def workspace(viewer):
    return Workspace(viewer, seed=0)


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


@pytest.mark.parametrize("is_canvas", [False, True])
def test_undo_never_writes_into_an_array_the_layer_got_later(viewer, workspace, is_canvas):
    if is_canvas:
        workspace.new_canvas(256, 256)
    else:
        workspace.use_layer(viewer.add_image(noise((256, 256))))
    document = workspace.document
    document.write(REGION, noise(REGION.shape, 1))
    edited, other = document.target.layer.data, noise((256, 256), 5)
    document.target.layer.data = other.copy()
    with pytest.raises(InvalidRequest, match="exchanged"):
        document.undo()
    assert np.array_equal(document.target.layer.data, other)
    document.target.layer.data = edited
    document.undo()
    document.target.layer.data = other.copy()
    with pytest.raises(InvalidRequest, match="exchanged"):
        document.redo()
    assert np.array_equal(document.target.layer.data, other)


@pytest.mark.parametrize("side", [160, 512])
def test_a_canvas_whose_layer_got_pixels_of_another_size_is_refused_until_they_are_back(
    viewer, workspace, side
):
    workspace.new_canvas(256, 256)
    document = workspace.document
    document.set_frame(REGION)
    document.write(REGION, noise(REGION.shape, 1))
    former, other = document.target.layer.data, noise((side, side), 5)
    document.target.layer.data = other.copy()
    assert f"256 x 256 px and its layer has {side} x {side}" in document.summary().problem
    with pytest.raises(InvalidRequest, match="put the former pixels back"):
        document.write(REGION, noise(REGION.shape, 2))
    assert np.array_equal(document.target.layer.data, other)
    document.target.layer.data = former
    assert document.summary().problem == ""
    document.undo()
    assert not document.target.coverage(REGION).any()


@pytest.mark.parametrize("plane", [0, 1, 2])
def test_a_paint_layer_of_another_size_keeps_no_frame_from_moving(viewer, workspace, plane):
    workspace.new_canvas(256, 256)
    document = workspace.document
    document.set_frame(REGION)
    for layer in document.paint_layers:
        layer.data_setitem((np.array([5]), np.array([6])), 1)
    document.rest()
    document.paint_layers[plane].data = np.zeros((20, 20), document.paint_layers[plane].data.dtype)
    document.rest()
    with pytest.raises(InvalidRequest, match="move the frame once to renew its layers"):
        document.summary()
    document.set_frame(Region(0, 0, 0, 64, 64))
    document.set_frame(REGION)
    for layer in document.paint_layers:
        assert layer.data.shape == REGION.shape
        assert np.argwhere(layer.data).tolist() == [[5, 6]]
    document.summary()


def test_edits_over_a_lazy_image_are_taken_back_whatever_lies_below(viewer, workspace):
    workspace.use_layer(viewer.add_image(da.from_array(noise((256, 256))), rgb=True))
    document = workspace.document
    document.write(REGION, noise(REGION.shape, 1))
    other = noise((256, 256), 5)
    document.target.layer.data = da.from_array(other)
    document.undo()
    assert np.array_equal(document.target.read(REGION), other[REGION.slices])


def test_in_three_dimensions_the_frame_stays_where_it_is(viewer, workspace):
    workspace.new_canvas(256, 320)
    before = workspace.document.region
    corners = np.array(workspace.document.frame.layer.data)
    viewer.dims.ndisplay = 3
    with pytest.raises(InvalidRequest, match="2D/3D"):
        workspace.document.set_frame(REGION)
    workspace.snap = 64
    assert workspace.document.region == before
    viewer.dims.ndisplay = 2
    assert np.array_equal(workspace.document.frame.layer.data, corners)
    workspace.document.set_frame(REGION)
    assert workspace.document.region == REGION


def test_one_class_for_all_is_read_from_the_finest_level_under_the_frame_only(viewer, workspace):
    workspace.new_canvas(256, 256)
    workspace.document.set_frame(REGION)
    ids = np.zeros((256, 256), np.int32)
    for number, place in enumerate(((70, 70), (80, 90), (100, 100)), start=1):
        ids[place[0] : place[0] + 2, place[1] : place[1] + 2] = number
    read = []

    def chunk(block_info=None):
        (rows, cols) = block_info[None]["array-location"]
        read.append((rows[0], cols[0]))
        return ids[slice(*rows), slice(*cols)]

    fine = da.map_blocks(chunk, chunks=((32,) * 8, (32,) * 8), dtype=ids.dtype, meta=ids[:0, :0])
    layer = viewer.add_labels(
        [fine, da.from_array(ids[::8, ::8])], scale=(0.5, 0.5), units=("um", "um")
    )
    read.clear()
    workspace.document.import_labels(layer, 3)
    assert workspace.document.nuclei.counts()["lymphocyte"] == 3
    assert set(read) == {(y, x) for y in (64, 96) for x in (64, 96)}


def lies_on(layer, image, place, pixels=(0, 0)):
    """Whether pixel `pixels` of a layer lies on pixel `place` of the image, in the image's unit."""
    factor = float((1 * layer.units[0]).to(image.units[0]).magnitude)
    here = np.asarray(layer.data_to_world(pixels)) * factor
    return np.allclose(here, image.data_to_world(place), atol=1e-6)


@pytest.mark.parametrize("is_lazy", [False, True])
@pytest.mark.parametrize(
    "change",
    [
        {"scale": (0.25, 0.25), "units": ("um", "um")},
        {"translate": (900.0, -30.0)},
        {"rotate": 30.0},
        {"affine": np.array([[1.0, 0.0, 5.0], [0.0, 1.0, 7.0], [0.0, 0.0, 1.0]])},
    ],
)
def test_paint_follows_an_image_that_is_moved(viewer, workspace, change, is_lazy):
    data = noise((256, 256))
    image = viewer.add_image(da.from_array(data) if is_lazy else data, rgb=True)
    workspace.use_layer(image)
    document = workspace.document
    document.set_frame(REGION)
    click(document.nuclei.layer, (10, 12))
    document.write(REGION, noise(REGION.shape, 1))
    told = []
    workspace.target_changed.connect(lambda: told.append(document.mpp))
    for name, value in change.items():
        setattr(image, name, value)
    for layer in (document.nuclei.layer, document.edit_mask.layer):
        assert lies_on(layer, image, (64, 64))
        assert lies_on(layer, image, (74, 76), (10, 12))
    assert lies_on(document.frame.layer, image, (64, 64), (64, 64))
    for patch in document.target.layers:
        assert lies_on(patch, image, (64, 64), (64, 64))
    assert sum(document.nuclei.counts().values()) == 1
    assert document.mpp == (0.25 if "scale" in change else 0.5)
    assert document.target.knows_mpp == ("units" in change)
    assert told
    assert told[-1] == document.mpp
    document.set_frame(Region(0, 96, 96, 64, 64))
    assert lies_on(document.nuclei.layer, image, (96, 96))


def test_an_image_whose_pixels_are_made_oblong_waits_until_they_are_square(viewer, workspace):
    image = viewer.add_image(noise((256, 256)), scale=(0.5, 0.5), units=("um", "um"))
    workspace.use_layer(image)
    image.scale = (0.5, 0.25)
    assert "square pixels" in workspace.document.summary().problem
    with pytest.raises(InvalidRequest, match="square pixels"):
        workspace.document.snapshot()
    image.scale = (0.25, 0.25)
    assert workspace.document.snapshot().mpp == 0.25


def test_images_are_followed_while_another_is_worked_on(viewer, workspace):
    first = viewer.add_image(noise((256, 256)))
    workspace.use_layer(first)
    workspace.document.set_frame(REGION)
    workspace.use_layer(viewer.add_image(noise((256, 256))))
    first.translate = (50, 60)
    workspace.use_layer(first)
    assert lies_on(workspace.document.nuclei.layer, first, (64, 64))


def test_a_stamp_lands_under_the_mouse_beside_a_layer_of_another_unit(viewer, workspace):
    image = viewer.add_image(noise((256, 256)), scale=(0.0005, 0.0005), units=("mm", "mm"))
    viewer.add_labels(np.zeros((64, 64), int), units=("um", "um"))
    workspace.use_layer(image)
    assert workspace.document.mpp == pytest.approx(0.5)
    workspace.select_tool("stamp")
    click(workspace.document.nuclei.layer, (100, 60), world=1000)
    rows, cols = np.nonzero(workspace.document.nuclei.labels)
    assert abs(rows.mean() - 100) < 4
    assert abs(cols.mean() - 60) < 4
