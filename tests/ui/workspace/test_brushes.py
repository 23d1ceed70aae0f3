from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_histodiff.core.nucleus_shapes import nucleus_statistics
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.ui.filling import fill_area
from tests.ui.mouse import click, drag


@pytest.fixture
def workspace():
    workspace = Workspace(ViewerModel(), seed=0)
    workspace.new_canvas(512, 512, mpp=0.5)
    return workspace


def nuclei(workspace):
    return workspace.document.nuclei.layer


def total(workspace):
    return sum(workspace.document.nuclei.counts().values())


def test_a_click_stamps_one_nucleus_where_it_is(workspace):
    workspace.document.nuclei.select_class(4)
    workspace.select_tool("stamp")
    click(nuclei(workspace), (200, 300))
    assert workspace.document.nuclei.counts()["plasma"] == 1
    rows, cols = np.nonzero(nuclei(workspace).data)
    assert abs(rows.mean() - 200) < 3
    assert abs(cols.mean() - 300) < 3


def test_stamps_leave_other_nuclei_alone(workspace):
    workspace.select_tool("stamp")
    click(nuclei(workspace), (200, 300))
    before = nuclei(workspace).data.copy()
    for offset in range(-6, 7, 3):
        click(nuclei(workspace), (200 + offset, 306))
    assert (nuclei(workspace).data[before > 0] == before[before > 0]).all()


def test_dragging_a_stamp_places_one(workspace):
    workspace.select_tool("stamp")
    drag(nuclei(workspace), [(200, 200), (250, 250), (300, 300)])
    assert total(workspace) == 1


def test_each_stamp_is_one_undo_step(workspace):
    workspace.select_tool("stamp")
    click(nuclei(workspace), (100, 100))
    click(nuclei(workspace), (200, 200))
    nuclei(workspace).undo()
    assert total(workspace) == 1
    nuclei(workspace).undo()
    assert total(workspace) == 0


def test_a_scatter_drag_follows_the_density_and_is_one_undo_step(workspace):
    workspace.document.nuclei.select_class(3)
    workspace.select_tool("scatter")
    workspace.paint.density = 2.0
    drag(nuclei(workspace), [(256, x) for x in range(60, 460, 10)])
    swept_mm2 = (400 * 100 + np.pi * 50**2) * (0.5 / 1000) ** 2
    expected = 2 * nucleus_statistics(3).density * swept_mm2
    assert workspace.document.nuclei.counts()["lymphocyte"] == pytest.approx(expected, rel=0.25)
    rows, _ = np.nonzero(nuclei(workspace).data)
    assert rows.min() > 256 - 50 - 16
    assert rows.max() < 256 + 50 + 16
    nuclei(workspace).undo()
    assert total(workspace) == 0


def test_scatter_fills_the_edit_mask_or_the_frame(workspace):
    workspace.document.nuclei.select_class(3)
    placed = fill_area(workspace)
    assert placed == total(workspace) > 50
    workspace.document.clear()
    mask = np.zeros((512, 512), np.uint8)
    mask[:100, :100] = 1
    workspace.document.set_painting(np.zeros_like(mask), np.zeros(mask.shape, np.int32), mask)
    placed = fill_area(workspace)
    rows, cols = np.nonzero(nuclei(workspace).data)
    assert placed == total(workspace) > 0
    assert max(rows.max(), cols.max()) < 100 + 16


@pytest.mark.parametrize("tool", ["stamp", "scatter"])
def test_the_tools_hold_the_canvas_still_and_give_it_back(workspace, tool):
    layer = nuclei(workspace)
    workspace.select_tool(tool)
    assert not layer.mouse_pan
    workspace.select_tool("pan")
    assert layer.mouse_pan
    click(layer, (100, 100))
    assert total(workspace) == 0


@pytest.mark.parametrize("tool", ["stamp", "scatter", "brush"])
def test_space_pans_while_it_is_held(workspace, tool):
    layer = nuclei(workspace)
    workspace.select_tool(tool)
    mode, pan = layer.mode, layer.mouse_pan
    [hold] = [run for key, run in layer.keymap.items() if str(key) == "Space"]
    held = hold(layer)
    next(held)
    assert layer.mouse_pan
    click(layer, (50, 50))
    assert total(workspace) == 0
    assert next(held, "ended") == "ended"
    assert (layer.mode, layer.mouse_pan) == (mode, pan)


def test_other_buttons_place_nothing(workspace):
    workspace.select_tool("stamp")
    click(nuclei(workspace), (100, 100), button=2)
    assert total(workspace) == 0


def test_same_seed_same_painting():
    paintings = []
    for _ in range(2):
        workspace = Workspace(ViewerModel(), seed=5)
        workspace.new_canvas(128, 128)
        fill_area(workspace)
        paintings.append(nuclei(workspace).data)
    assert np.array_equal(*paintings)
