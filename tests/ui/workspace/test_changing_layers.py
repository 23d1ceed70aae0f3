"""Layers are mutable: what the user does to one is followed, or refused with the way out."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.workspace.workspace import Workspace

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
