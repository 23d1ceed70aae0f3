from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_histodiff.core.errors import InvalidMap, InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.core.requests import EditKind
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.ui.mouse import click, drag

if TYPE_CHECKING:
    from napari.layers import Labels

REGION = Region(0, 64, 32, 128, 128)
GLAND, STROMA, LUMEN, GLASS = range(1, 5)


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


@pytest.fixture
def workspace(viewer: ViewerModel) -> Workspace:
    workspace = Workspace(viewer, seed=0)
    workspace.new_canvas(256, 256)
    workspace.document.set_frame(REGION)
    return workspace


def tissue(workspace: Workspace) -> np.ndarray:
    return workspace.document.snapshot().tissue_map


def layer(workspace: Workspace) -> Labels:
    return workspace.document.tissue.layer


def test_brush_polygon_fill_and_erase_work_on_it(workspace: Workspace) -> None:
    workspace.select_tissue(STROMA)
    layer(workspace).brush_size = 10
    drag(layer(workspace), [(20, 20), (20, 60)])
    assert set(np.unique(tissue(workspace))) == {0, STROMA}
    assert not workspace.document.nuclei.labels.any()
    workspace.select_tool("fill")
    workspace.select_tissue(LUMEN)
    click(layer(workspace), (20, 30))
    assert set(np.unique(tissue(workspace))) == {0, LUMEN}
    click(layer(workspace), (100, 100))
    assert (tissue(workspace) == LUMEN).all()
    workspace.select_tool("erase")
    click(layer(workspace), (64, 64))
    assert (tissue(workspace) == 0).any()
    layer(workspace).undo()
    assert (tissue(workspace) == LUMEN).all()
    workspace.select_tool("polygon")
    assert layer(workspace).mode == "polygon"


def test_choosing_a_class_or_a_tissue_takes_the_palette_and_the_layer_along(
    workspace: Workspace, viewer: ViewerModel
) -> None:
    told: list[str] = []
    workspace.palette_changed.connect(told.append)
    workspace.select_tissue(GLASS)
    assert viewer.layers.selection.active is layer(workspace)
    workspace.select_class(3)
    assert viewer.layers.selection.active is workspace.document.nuclei.layer
    workspace.select_palette("tissue")
    workspace.select_tool("scatter")  # which places nuclei
    assert workspace.paint.palette == "nuclei"
    workspace.select_palette("tissue")
    assert (workspace.paint.tool, layer(workspace).mode) == ("brush", "paint")
    assert told == ["tissue", "nuclei", "tissue", "nuclei", "tissue"]
    with pytest.raises(InvalidRequest, match="palette of nuclei, tissue, edit mask, got 'fat'"):
        workspace.select_palette("fat")


def test_a_layer_chosen_in_napari_s_list_takes_the_palette_along(
    workspace: Workspace, viewer: ViewerModel
) -> None:
    viewer.layers.selection.active = layer(workspace)
    assert (workspace.paint.palette, layer(workspace).mode) == ("tissue", "paint")
    viewer.layers.selection.active = viewer.layers["Edit mask"]
    assert workspace.paint.palette == "edit mask"
    viewer.layers.selection.active = viewer.layers["Nuclei"]
    assert workspace.paint.palette == "nuclei"
    workspace.select_tool("frame")
    viewer.layers.selection.active = layer(workspace)
    assert (workspace.paint.palette, workspace.paint.tool) == ("tissue", "frame")
    workspace.new_canvas(64, 64)
    assert workspace.paint.palette == "tissue"


def test_napari_s_own_label_selects_the_tissue(workspace: Workspace) -> None:
    chosen: list[int] = []
    workspace.tissue_changed.connect(chosen.append)
    layer(workspace).selected_label = 7
    for none in (12, 99):  # as napari's field and "new" take in hand
        layer(workspace).selected_label = none
        assert layer(workspace).selected_label == 7
    layer(workspace).selected_label = 0  # paints with nothing
    assert layer(workspace).selected_label == 0
    assert chosen == [7]
    assert workspace.paint.tissue_id == 7
    with pytest.raises(InvalidRequest, match="from 1 to 11, got 12; choose one of gland"):
        workspace.select_tissue(12)


def test_a_number_that_is_no_tissue_is_refused(workspace: Workspace) -> None:
    layer(workspace).data_setitem((np.array([3]), np.array([3])), 40)
    for look in (workspace.document.summary, workspace.document.snapshot):
        with pytest.raises(InvalidMap, match="got 40 in the layer Tissue; paint over it"):
            look()
    with pytest.raises(InvalidMap, match="128 x 128 px like the frame"):
        workspace.document.paint_tissue(np.zeros((64, 64), np.uint8))
    with pytest.raises(InvalidMap, match="ids 0-11, got"):
        workspace.document.paint_tissue(np.full(REGION.shape, 12))


def test_it_is_kept_at_its_place(workspace: Workspace, viewer: ViewerModel) -> None:
    rng = np.random.default_rng(0)
    painted = rng.integers(0, len(TISSUE_NAMES), REGION.shape).astype(np.uint8)
    workspace.document.paint_tissue(painted)
    workspace.document.set_frame(REGION.translate(0, 64))
    np.testing.assert_array_equal(tissue(workspace)[:, :64], painted[:, 64:])
    assert not tissue(workspace)[:, 64:].any()
    workspace.document.set_frame(REGION)
    np.testing.assert_array_equal(tissue(workspace), painted)
    viewer.layers.remove("Tissue")
    np.testing.assert_array_equal(workspace.document.tissue.tissue, painted)
    workspace.document.clear()
    assert not tissue(workspace).any()
    layer(workspace).undo()
    np.testing.assert_array_equal(tissue(workspace), painted)


def test_the_summary_tells_shares_and_nuclei_where_none_are_expected(workspace: Workspace) -> None:
    painted = np.zeros(REGION.shape, np.uint8)
    painted[:, 64:96], painted[:, 96:] = LUMEN, GLASS
    nuclei = np.zeros(REGION.shape, np.int32)
    nuclei[10:20, 70:80] = 1  # in lumen
    nuclei[40:50, 58:68] = 2  # most of it beside it
    nuclei[60:70, 90:100] = 3  # 60 of 100 pixels in lumen
    nuclei[90:99, 110:119] = 4  # in glass
    classes = np.where(nuclei, 2, 0)
    document = workspace.document
    document.set_painting(classes, nuclei, np.zeros(REGION.shape, bool), painted)
    summary = document.summary()
    assert summary.tissue == {"lumen": 0.25, "glass": 0.25}
    assert summary.astray == {"lumen": 2, "glass": 1}
    document.paint_tissue(np.full(REGION.shape, GLAND))
    assert document.summary().astray == {}


def test_the_summary_tells_the_strengths_of_parts(workspace: Workspace) -> None:
    document = workspace.document
    assert document.summary().shares == (1.0,)
    parts = np.zeros(REGION.shape, np.uint8)
    parts[:20], parts[20:30] = 1, 9
    document.edit_mask.put_parts(parts)
    assert document.summary().shares == (1.0, 0.6)


def test_tissue_counts_where_pixels_may_change(workspace: Workspace) -> None:
    document = workspace.document
    empty = np.zeros(REGION.shape, np.uint8)
    painted, mask = empty.copy(), np.zeros(REGION.shape, bool)
    painted[:32], mask[64:] = STROMA, True
    document.set_painting(empty, empty.astype(np.int32), mask, painted)
    assert document.snapshot().uses_tissue  # all of an empty canvas may change
    document.write(REGION, np.zeros((*REGION.shape, 3), np.uint8))
    snapshot = document.snapshot()
    assert snapshot.kind is EditKind.INPAINT
    assert not snapshot.uses_tissue
    painted[70] = STROMA
    document.paint_tissue(painted)
    assert document.snapshot().uses_tissue


def test_the_brush_has_a_width_in_micrometres(workspace: Workspace) -> None:
    widths: list[float] = []
    workspace.brush_changed.connect(widths.append)
    workspace.select_tissue(STROMA)
    assert widths[-1] == 40.0
    workspace.set_brush(25.0)
    assert layer(workspace).brush_size == 50
    assert widths[-1] == 25.0
    workspace.select_palette("edit mask")
    workspace.set_brush(10.0)
    assert workspace.document.edit_mask.layer.brush_size == 20
    assert layer(workspace).brush_size == 50
    workspace.select_palette("nuclei")
    workspace.set_brush(0.01)
    assert workspace.document.nuclei.layer.brush_size == 1


def test_contours_are_seen_and_a_chosen_opacity_stays(workspace: Workspace) -> None:
    made = layer(workspace)
    filled = made.opacity
    made.contour = 1
    assert made.opacity > 2 * filled
    made.contour = 0
    assert made.opacity == filled
    made.opacity = 0.7
    made.contour = 1
    assert made.opacity == 0.7
