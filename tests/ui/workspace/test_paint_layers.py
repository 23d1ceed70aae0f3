from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.ui.mouse import click, drag


@pytest.fixture
def workspace():
    workspace = Workspace(ViewerModel(), seed=0)
    workspace.new_canvas(256, 256)
    workspace.document.set_frame(Region(0, 64, 32, 128, 128))
    workspace.select_tool("brush")
    layer(workspace).brush_size = 8
    return workspace


def layer(workspace):
    return workspace.document.nuclei.layer


def painted(workspace):
    return {name: n for name, n in workspace.document.nuclei.counts().items() if n}


def test_the_layer_lies_on_the_frame(workspace):
    canvas = workspace.target
    assert layer(workspace).data.dtype == np.int32
    assert np.allclose(layer(workspace).data_to_world((0, 0)), canvas.data_to_world((64, 32)))
    assert layer(workspace).units == canvas.units


def test_touching_strokes_of_a_class_are_two_nuclei(workspace):
    drag(layer(workspace), [(20, 20), (20, 40)])
    click(layer(workspace), (29, 30))
    assert painted(workspace) == {"epithelial": 2}
    assert workspace.document.snapshot().instance_map.max() == 2


def test_a_stroke_that_starts_on_a_nucleus_goes_on_with_it(workspace):
    drag(layer(workspace), [(20, 20), (20, 40)])
    drag(layer(workspace), [(20, 38), (20, 60)])
    assert painted(workspace) == {"epithelial": 1}
    click(layer(workspace), (60, 60))
    assert painted(workspace) == {"epithelial": 2}


def test_another_class_over_a_nucleus_is_a_nucleus_of_its_own(workspace):
    drag(layer(workspace), [(20, 20), (20, 40)])
    workspace.document.nuclei.select_class(3)
    click(layer(workspace), (20, 30))
    assert painted(workspace) == {"epithelial": 1, "lymphocyte": 1}


def test_fill_gives_a_nucleus_another_class(workspace):
    drag(layer(workspace), [(20, 20), (20, 40)])
    workspace.document.nuclei.select_class(6)
    workspace.select_tool("fill")
    click(layer(workspace), (20, 30))
    assert painted(workspace) == {"connective": 1}


def test_polygons_are_nuclei_each(workspace):
    workspace.select_tool("polygon")
    for y in (10, 21):
        nuclei = layer(workspace)
        nuclei.paint_polygon([(y, 10), (y, 30), (y + 10, 30), (y + 10, 10)], nuclei.selected_label)
    assert painted(workspace) == {"epithelial": 2}


def test_a_nucleus_cut_in_two_is_two_in_the_snapshot(workspace):
    drag(layer(workspace), [(40, 20), (40, 90)])
    workspace.select_tool("erase")
    layer(workspace).brush_size = 5
    drag(layer(workspace), [(20, 55), (60, 55)])
    assert workspace.document.nuclei.counts()["epithelial"] == 1
    snapshot = workspace.document.snapshot()
    assert sorted(np.unique(snapshot.instance_map)) == [0, 1, 2]
    assert set(np.unique(snapshot.class_map)) == {0, 2}


def test_undo_and_redo_are_naparis(workspace):
    click(layer(workspace), (20, 20))
    click(layer(workspace), (60, 60))
    layer(workspace).undo()
    assert painted(workspace) == {"epithelial": 1}
    layer(workspace).redo()
    assert painted(workspace) == {"epithelial": 2}


def test_a_stroke_and_an_undo_tell_of_the_change(workspace):
    seen = []
    workspace.painting_changed.connect(lambda: seen.append(1))
    click(layer(workspace), (20, 20))
    after_stroke = len(seen)
    assert after_stroke
    layer(workspace).undo()
    assert len(seen) > after_stroke


def test_naparis_picker_selects_the_class(workspace):
    workspace.document.nuclei.select_class(5)
    click(layer(workspace), (30, 30))
    workspace.document.nuclei.select_class(1)
    seen = []
    workspace.class_changed.connect(seen.append)
    layer(workspace).mode = "pick"
    click(layer(workspace), (30, 30))
    assert workspace.paint.class_id == 5
    assert seen == [5]


@pytest.mark.parametrize("class_id", [0, 7, "plasma"])
def test_no_such_class(workspace, class_id):
    with pytest.raises(InvalidRequest, match="from 1 to 6"):
        workspace.document.nuclei.select_class(class_id)


def test_nuclei_of_unknown_class_are_counted_and_kept(workspace):
    layer(workspace).data[10:20, 10:20] = 7 * 4
    assert painted(workspace) == {"unknown": 1}
    snapshot = workspace.document.snapshot()
    assert not snapshot.class_map.any()
    assert snapshot.instance_map.max() == 1
