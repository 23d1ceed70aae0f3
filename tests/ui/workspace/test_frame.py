from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from napari.components import ViewerModel

from napari_histodiff.core.errors import InvalidImage, InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.workspace.frame import fit_frame
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.ui.mouse import drag

sides = st.integers(1, 3000)


@given(sides, sides, st.integers(-4000, 4000), st.integers(-4000, 4000),
       st.integers(64, 3000), st.integers(64, 3000), st.sampled_from([1, 8, 16, 32]))  # fmt: skip
def test_a_fitted_frame_is_inside_in_multiples_and_stays(h, w, y, x, height, width, multiple):
    bounds, asked = Region(0, 0, 0, height, width), Region(0, y, x, h, w)
    if asked.intersect(bounds).is_empty:
        with pytest.raises(InvalidRequest, match="move it onto the image"):
            fit_frame(asked, bounds, multiple)
        return
    frame = fit_frame(asked, bounds, multiple)
    assert bounds.contains(frame)
    assert frame.height % multiple == frame.width % multiple == 0
    assert min(frame.shape) >= 64
    assert fit_frame(frame, bounds, multiple) == frame


def test_too_large_a_frame_is_refused():
    with pytest.raises(InvalidRequest, match="at most 4096"):
        fit_frame(Region(0, 0, 0, 4112, 64), Region(0, 0, 0, 9000, 9000), 16)


def test_too_small_an_image_is_refused():
    with pytest.raises(InvalidImage, match="at least 64"):
        fit_frame(Region(0, 0, 0, 64, 64), Region(0, 0, 0, 60, 900), 16)


@pytest.fixture
def workspace():
    workspace = Workspace(ViewerModel(), seed=0)
    workspace.new_canvas(512, 640)
    workspace.document.set_frame(Region(0, 64, 64, 128, 192))
    workspace.select_tool("frame")
    return workspace


def frame_layer(workspace):
    return workspace.own_layers[-1]


def corners(layer):
    assert len(layer.data) == 1
    return layer.data[0].min(axis=0).tolist(), layer.data[0].max(axis=0).tolist()


def test_the_frame_is_drawn_around_its_pixels(workspace):
    assert corners(frame_layer(workspace)) == ([63.5, 63.5], [191.5, 255.5])


def test_dragging_the_frame_moves_it_by_whole_pixels(workspace):
    drag(frame_layer(workspace), [(100, 100), (110.4, 120.2), (120.4, 130.3)])
    assert workspace.document.region == Region(0, 84, 94, 128, 192)
    assert corners(frame_layer(workspace)) == ([83.5, 93.5], [211.5, 285.5])


def test_dragging_a_corner_resizes_in_multiples(workspace):
    drag(frame_layer(workspace), [(191.5, 255.5), (200, 270), (216, 300)])
    assert workspace.document.region == Region(0, 64, 64, 160, 240)


def test_a_frame_dragged_over_the_border_is_shifted_inside(workspace):
    drag(frame_layer(workspace), [(100, 100), (60, 60), (-20, 40)])
    assert workspace.document.region == Region(0, 0, 4, 128, 192)


def test_a_frame_dragged_off_the_image_returns(workspace, monkeypatch):
    told = []
    monkeypatch.setattr("napari_histodiff.ui.workspace.frame.show_warning", told.append)
    drag(frame_layer(workspace), [(100, 100), (500, 300), (2000, 2000)])
    assert workspace.document.region == Region(0, 64, 64, 128, 192)
    assert corners(frame_layer(workspace)) == ([63.5, 63.5], [191.5, 255.5])
    assert "Move it onto the image" in told[0]


def test_a_new_rectangle_becomes_the_frame(workspace):
    layer = frame_layer(workspace)
    layer.add_rectangles(np.array([[300, 310], [300, 410], [400, 410], [400, 310]]) - 0.5)
    assert workspace.document.region == Region(0, 300, 310, 96, 96)
    assert corners(layer) == ([299.5, 309.5], [395.5, 405.5])


def test_a_deleted_frame_comes_back(workspace):
    layer = frame_layer(workspace)
    layer.selected_data = {0}
    layer.remove_selected()
    assert corners(layer) == ([63.5, 63.5], [191.5, 255.5])


def test_moving_is_told_once(workspace):
    seen = []
    workspace.frame_changed.connect(seen.append)
    drag(frame_layer(workspace), [(100, 100), (110, 110), (120, 120)])
    assert seen == [Region(0, 84, 84, 128, 192)]
