from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.workspace.workspace import Workspace


@pytest.fixture
def workspace():
    workspace = Workspace(ViewerModel(), seed=0)
    workspace.new_canvas(256, 256)
    return workspace


@pytest.mark.parametrize("name", ["Nuclei", "Tissue", "Edit mask", "Frame"])
def test_layers_of_ours_stay_on_their_image(workspace, name):
    layer = workspace._viewer.layers[name]
    place = layer.data_to_world((7, 9))
    layer.translate = (41, 3)
    assert np.allclose(layer.data_to_world((7, 9)), place)
    layer.scale = (2, 2)
    layer.rotate = 30
    layer.shear = [1]
    assert np.allclose(layer.data_to_world((7, 9)), place)
    moved = np.eye(3)
    moved[:2, 2] = 41
    layer.affine = moved
    assert np.allclose(layer.data_to_world((7, 9)), place)


def test_they_go_along_with_frame_and_image(workspace):
    workspace.document.set_frame(Region(0, 64, 32, 128, 128))
    layers = workspace._viewer.layers
    assert np.allclose(layers["Nuclei"].data_to_world((0, 0)), (32, 16))
    workspace.target.translate = (10, 20)
    assert np.allclose(layers["Nuclei"].data_to_world((0, 0)), (42, 36))
    assert np.allclose(layers["Frame"].data_to_world((0, 0)), (10, 20))


def test_napari_s_mode_that_moves_layers_gives_the_tool_back(workspace):
    workspace.select_tool("brush")
    layer = workspace.document.nuclei.layer
    layer.mode = "transform"
    assert layer.mode == "paint"
    workspace.select_tool("lasso")
    layer.mode = "transform"
    assert (layer.mode, layer.mouse_pan) == ("pan_zoom", False)
    workspace.select_tool("frame")
    frame = workspace.document.frame.layer
    frame.mode = "transform"
    assert frame.mode == "select"


def test_the_status_bar_names_no_key_that_is_ours(workspace):
    for tool in ("brush", "erase", "stamp", "lasso", "polygon", "select", "pan", "frame"):
        workspace.select_tool(tool)
        active = workspace._viewer.layers.selection.active
        assert "<" not in active.help
        assert active.help
    workspace.document.nuclei.layer.mode = "pick"
    assert "<" not in workspace.document.nuclei.layer.help


def test_the_brush_is_measured_in_micrometres(workspace):
    workspace.select_tool("brush")
    widths = []
    workspace.brush_changed.connect(widths.append)
    layer = workspace.document.nuclei.layer
    assert layer.brush_size * workspace.document.mpp == 6
    workspace.step_brush(1)
    assert widths[-1] == pytest.approx(7)
    for _ in range(40):
        workspace.step_brush(-1)
    assert layer.brush_size == 1
    workspace.step_brush(1)
    assert layer.brush_size == 2
    workspace.select_tool("scatter")
    workspace.step_brush(1)
    assert workspace.paint.radius_um == pytest.approx(30)
    assert widths[-1] == pytest.approx(60)
    assert layer.cursor_size == pytest.approx(120)
    workspace.set_brush(20)
    assert workspace.paint.radius_um == 10


def test_the_first_brush_is_as_wide_on_finer_pixels():
    workspace = Workspace(ViewerModel(), seed=0)
    workspace.new_canvas(256, 256, mpp=0.25)
    assert workspace.document.nuclei.layer.brush_size == 24
