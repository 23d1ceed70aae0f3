from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_histodiff.ui.painting.pieces import centres, piece_at, remnants
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.ui.mouse import click, drag


@pytest.fixture
def workspace():
    workspace = Workspace(ViewerModel(), seed=0)
    workspace.new_canvas(256, 256)
    return workspace


def nuclei(workspace):
    return workspace.document.nuclei.layer


def painted(workspace):
    return {name: n for name, n in workspace.document.nuclei.counts().items() if n}


def put(workspace, *discs):
    """Paint discs of (y, x, radius, class), each a nucleus."""
    y, x = np.mgrid[:256, :256]
    classes, instances = np.zeros((256, 256), np.uint8), np.zeros((256, 256), np.int32)
    for number, (cy, cx, radius, class_id) in enumerate(discs, 1):
        disc = np.hypot(y - cy, x - cx) <= radius
        classes[disc], instances[disc] = class_id, number
    workspace.document.paint_nuclei(classes, instances)


def test_a_click_of_the_eraser_deletes_the_nucleus_under_it_and_no_other_pixel(workspace):
    put(workspace, (100, 100, 12, 2), (100, 122, 9, 3))
    other = nuclei(workspace).data == nuclei(workspace).data[100, 122]
    workspace.select_tool("erase")
    nuclei(workspace).brush_size = 20
    click(nuclei(workspace), (100, 108))  # the brush reaches into the other one
    assert painted(workspace) == {"lymphocyte": 1}
    assert (nuclei(workspace).data[other] > 0).all()


def test_a_click_beside_a_nucleus_takes_the_nearest_under_the_brush(workspace):
    put(workspace, (100, 100, 8, 2), (100, 130, 8, 3))
    workspace.select_tool("erase")
    nuclei(workspace).brush_size = 12
    click(nuclei(workspace), (100, 111))
    assert painted(workspace) == {"lymphocyte": 1}
    before = nuclei(workspace).data.copy()
    click(nuclei(workspace), (200, 200))
    assert np.array_equal(nuclei(workspace).data, before)


def test_what_the_eraser_deletes_comes_back_in_one_step(workspace):
    put(workspace, (100, 100, 12, 2), (100, 122, 9, 3))
    before = nuclei(workspace).data.copy()
    workspace.select_tool("erase")
    nuclei(workspace).brush_size = 20
    click(nuclei(workspace), (100, 108))
    nuclei(workspace).undo()
    assert np.array_equal(nuclei(workspace).data, before)


def test_a_drag_leaves_no_crescents(workspace):
    put(workspace, (100, 100, 12, 2), (100, 160, 12, 3))
    workspace.select_tool("erase")
    nuclei(workspace).brush_size = 20
    drag(nuclei(workspace), [(70, 104), (100, 104), (130, 104)])  # a rim is left of the first one
    assert painted(workspace) == {"lymphocyte": 1}
    nuclei(workspace).undo()
    assert painted(workspace) == {"epithelial": 1, "lymphocyte": 1}


def test_a_drag_still_trims_a_nucleus(workspace):
    put(workspace, (100, 100, 14, 2))
    area = np.count_nonzero(nuclei(workspace).data)
    workspace.select_tool("erase")
    nuclei(workspace).brush_size = 6
    drag(nuclei(workspace), [(80, 112), (120, 112)])
    assert painted(workspace) == {"epithelial": 1}
    assert 0.6 * area < np.count_nonzero(nuclei(workspace).data) < area


def test_the_eraser_on_tissue_is_napari_s_own(workspace):
    workspace.select_palette("tissue")
    workspace.document.paint_tissue(np.ones((256, 256), np.uint8))
    workspace.select_tool("erase")
    tissue = workspace.document.tissue.layer
    tissue.brush_size = 10
    click(tissue, (100, 100))
    assert 50 < np.count_nonzero(tissue.data == 0) < 120


def test_a_lasso_closes_and_fills_one_nucleus(workspace):
    workspace.document.nuclei.select_class(4)
    workspace.select_tool("lasso")
    around = [(100 + 20 * np.sin(a), 100 + 20 * np.cos(a)) for a in np.linspace(0, 5.5, 40)]
    drag(nuclei(workspace), around)
    assert painted(workspace) == {"plasma": 1}
    assert np.count_nonzero(nuclei(workspace).data) == pytest.approx(np.pi * 20**2, rel=0.1)
    nuclei(workspace).undo()
    assert painted(workspace) == {}
    click(nuclei(workspace), (100, 100))
    assert painted(workspace) == {}


def test_a_lasso_that_leaves_the_frame_fills_what_lies_inside(workspace):
    workspace.select_tool("lasso")
    drag(nuclei(workspace), [(-20, 50), (40, 50), (40, 90), (-20, 90)])
    assert painted(workspace) == {"epithelial": 1}
    assert nuclei(workspace).data[20, 70]


def test_a_lasso_paints_tissue_too(workspace):
    workspace.select_tissue(3)
    workspace.select_tool("lasso")
    tissue = workspace.document.tissue.layer
    drag(tissue, [(50, 50), (50, 100), (100, 100), (100, 50)])
    assert (tissue.data[60:90, 60:90] == 3).all()
    assert not nuclei(workspace).data.any()


def test_a_lasso_paints_the_edit_mask_too(workspace):
    workspace.select_palette("edit mask")
    workspace.select_tool("lasso")
    mask = workspace.document.edit_mask
    drag(mask.layer, [(50, 50), (50, 100), (100, 100), (100, 50)])
    assert mask.mask[60:90, 60:90].all()
    assert mask.mask.sum() < 60 * 60


def test_space_gives_the_lasso_back(workspace):
    workspace.select_tool("lasso")
    for layer in (nuclei(workspace), workspace.document.tissue.layer):
        [hold] = [run for key, run in layer.keymap.items() if str(key) == "Space"]
        was = layer.mouse_pan
        held = hold(layer)
        next(held)
        assert layer.mouse_pan
        next(held, None)
        assert layer.mouse_pan == was
    assert not nuclei(workspace).mouse_pan


def test_a_piece_is_connected_also_at_corners():
    labels = np.zeros((6, 6), np.int32)
    labels[1, 1] = labels[2, 2] = labels[5, 5] = 9
    rows, cols = piece_at(labels, 1, 1)
    assert sorted(zip(rows.tolist(), cols.tolist(), strict=True)) == [(1, 1), (2, 2)]
    assert piece_at(labels, 0, 0)[0].size == 0
    assert piece_at(labels, -1, 7)[0].size == 0


def test_centres_lie_on_their_nuclei_in_reading_order():
    labels = np.zeros((40, 40), np.int32)
    labels[20:25, 2:8] = 9
    labels[3:8, 30:35] = 16
    labels[30:36, 30:36] = 16  # another piece of the same label
    found = centres(labels)
    assert labels[tuple(found.T)].tolist() == [16, 9, 16]


def test_nothing_remains_of_nothing():
    labels = np.zeros((10, 10), np.int32)
    assert remnants(labels, labels)[0].size == 0
