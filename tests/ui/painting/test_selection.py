from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.ui.mouse import click, drag


@pytest.fixture
def workspace():
    workspace = Workspace(ViewerModel(), seed=0)
    workspace.new_canvas(256, 256)
    y, x = np.mgrid[:256, :256]
    classes, instances = np.zeros((256, 256), np.uint8), np.zeros((256, 256), np.int32)
    for number, (cy, cx, class_id) in enumerate([(60, 60, 2), (60, 120, 3), (150, 80, 4)], 1):
        disc = np.hypot(y - cy, x - cx) <= 10
        classes[disc], instances[disc] = class_id, number
    workspace.document.paint_nuclei(classes, instances)
    workspace.select_tool("select")
    return workspace


def nuclei(workspace):
    return workspace.document.nuclei.layer


def selection(workspace):
    return workspace.document.tools.selection


def painted(workspace):
    return {name: n for name, n in workspace.document.nuclei.counts().items() if n}


ALL = {"epithelial": 1, "lymphocyte": 1, "plasma": 1}


def names(workspace):
    return [picked.class_name for picked in selection(workspace).picked]


def test_a_click_selects_and_one_beside_lets_go(workspace):
    click(nuclei(workspace), (62, 58))
    assert names(workspace) == ["epithelial"]
    click(nuclei(workspace), (150, 80))
    assert names(workspace) == ["plasma"]
    click(nuclei(workspace), (200, 200))
    assert names(workspace) == []
    assert painted(workspace) == ALL


def test_a_drag_moves_the_nucleus_as_one_undo_step(workspace):
    before = nuclei(workspace).data.copy()
    label = before[60, 60]
    drag(nuclei(workspace), [(60, 60), (80, 60), (100, 64)])
    rows, cols = np.nonzero(nuclei(workspace).data == label)
    assert (rows.mean(), cols.mean()) == pytest.approx((100, 64))
    assert rows.size == np.count_nonzero(before == label)
    assert painted(workspace) == ALL
    nuclei(workspace).undo()
    assert np.array_equal(nuclei(workspace).data, before)


def test_what_a_nucleus_passes_over_stays_whole(workspace):
    before = nuclei(workspace).data.copy()
    lymphocyte = before == before[60, 120]
    drag(nuclei(workspace), [(60, 60), (60, 120), (60, 180)])
    assert (nuclei(workspace).data[lymphocyte] == before[lymphocyte]).all()
    moved = nuclei(workspace).data == before[60, 60]
    assert moved.sum() == (before == before[60, 60]).sum()
    assert np.nonzero(moved)[1].mean() == pytest.approx(180)


def test_a_nucleus_stays_where_it_has_no_room(workspace):
    drag(nuclei(workspace), [(60, 60), (60, 120)])  # right onto another one of its size
    assert painted(workspace) == ALL


def test_a_nucleus_dragged_out_of_the_frame_stays_at_its_border(workspace):
    drag(nuclei(workspace), [(60, 60), (2, 60), (-60, 60)])
    assert painted(workspace) == ALL
    assert np.nonzero(nuclei(workspace).data == nuclei(workspace).data[0, 60])[0].min() == 0


def test_keys_walk_move_delete_and_change_the_class(workspace):
    walked = []
    for _ in range(4):
        selection(workspace).step(1)
        walked += names(workspace)
    assert walked == ["epithelial", "lymphocyte", "plasma", "epithelial"]
    [right] = [run for key, run in nuclei(workspace).keymap.items() if str(key) == "Right"]
    for _ in range(5):
        right(nuclei(workspace))
    label = selection(workspace).picked[0].label
    assert np.nonzero(nuclei(workspace).data == label)[1].mean() == pytest.approx(65)
    workspace.select_class(6)
    assert painted(workspace) == {"connective": 1, "lymphocyte": 1, "plasma": 1}
    assert names(workspace) == ["connective"]
    selection(workspace).delete()
    assert painted(workspace) == {"lymphocyte": 1, "plasma": 1}
    assert names(workspace) == []
    nuclei(workspace).undo()
    assert painted(workspace)["connective"] == 1


def test_a_nucleus_grows_up_to_its_neighbour_and_shrinks_to_a_pixel(workspace):
    click(nuclei(workspace), (60, 60))
    for _ in range(80):
        selection(workspace).resize(1)
    assert painted(workspace) == ALL
    for _ in range(200):
        selection(workspace).resize(-1)
    assert painted(workspace) == ALL


def test_the_digits_leave_nuclei_alone_with_another_tool(workspace):
    click(nuclei(workspace), (60, 60))
    workspace.select_tool("brush")
    workspace.select_class(6)
    assert painted(workspace) == ALL


def test_a_selection_ends_where_its_nucleus_does(workspace):
    click(nuclei(workspace), (60, 60))
    workspace.document.clear()
    assert names(workspace) == []
    nuclei(workspace).undo()
    click(nuclei(workspace), (60, 60))
    workspace.document.set_frame(Region(0, 64, 64, 128, 128))
    assert names(workspace) == []


def test_rings_show_what_is_selected_and_leave_no_layer_behind(workspace):
    layers = workspace._viewer.layers
    assert "Highlights" not in layers
    click(nuclei(workspace), (60, 60))
    rings = layers["Highlights"]
    assert rings.visible
    assert set(np.unique(rings.data)) == {0, 2, 3}
    assert not rings.data[nuclei(workspace).data > 0].any()
    click(nuclei(workspace), (200, 200))
    assert not rings.visible
    workspace.new_canvas(64, 64)
    assert "Highlights" not in layers


def test_outlines_get_a_bright_rim_that_follows_the_paint(workspace):
    nuclei(workspace).contour = 1
    rim = workspace._viewer.layers["Highlights"]
    assert set(np.unique(rim.data)) == {0, 1}
    assert rim.data[60, 71] == 1
    workspace.select_tool("erase")
    click(nuclei(workspace), (60, 60))
    assert rim.data[60, 71] == 0
    nuclei(workspace).undo()
    assert rim.data[60, 71] == 1
    workspace.document.set_frame(Region(0, 32, 32, 128, 128))
    assert rim.data.shape == (128, 128)
    assert np.allclose(rim.data_to_world((0, 0)), nuclei(workspace).data_to_world((0, 0)))
    nuclei(workspace).contour = 0
    assert not rim.visible
