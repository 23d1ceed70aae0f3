"""Nuclei placed in painted tissue: what Fill area, scatter and stamp make of it."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from skimage.measure import regionprops

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import CLASS_NAMES, TISSUE_NAMES
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.ui.filling import fill_area
from tests.ui.mouse import click, drag

GLAND, STROMA, LUMEN, GLASS = range(1, 5)
LYMPHOID = TISSUE_NAMES.index("lymphoid")
SIDE = 384


@pytest.fixture
def workspace() -> Workspace:
    workspace = Workspace(ViewerModel(), seed=0)
    workspace.new_canvas(SIDE, SIDE)
    workspace.document.set_frame(Region(0, 0, 0, SIDE, SIDE))
    return workspace


def crypt() -> np.ndarray:
    """A gland with a lumen in stroma, a lymphoid area, and a strip of glass."""
    y, x = np.mgrid[:SIDE, :SIDE]
    tissue = np.full((SIDE, SIDE), STROMA, np.uint8)
    far = np.hypot(y - 130, x - 130)
    tissue[far < 100], tissue[far < 50] = GLAND, LUMEN
    tissue[np.hypot(y - 270, x - 290) < 70] = LYMPHOID
    tissue[:, -24:] = GLASS
    return tissue


def classes(workspace: Workspace) -> np.ndarray:
    return workspace.document.snapshot().class_map


def shares(found: np.ndarray) -> dict[str, float]:
    counts = np.bincount(found.ravel(), minlength=7)[1:]
    return dict(zip(CLASS_NAMES, counts / max(1, counts.sum()), strict=True))


def test_fill_area_places_the_nuclei_that_tissue_has(workspace: Workspace) -> None:
    tissue = crypt()
    workspace.document.paint_tissue(tissue)
    assert fill_area(workspace) > 100
    found = classes(workspace)
    assert shares(found[tissue == GLAND])["epithelial"] > 0.9
    assert shares(found[tissue == STROMA])["connective"] > 0.3
    assert shares(found[tissue == LYMPHOID])["lymphocyte"] > 0.5
    assert (found[tissue == LYMPHOID] > 0).mean() > (found[tissue == STROMA] > 0).mean()
    assert (found[np.isin(tissue, (LUMEN, GLASS))] > 0).mean() < 0.01
    workspace.document.nuclei.layer.undo()
    assert not classes(workspace).any()


def test_a_gland_gets_a_row_of_nuclei_along_its_border(workspace: Workspace) -> None:
    nothing = np.zeros((SIDE, SIDE), np.uint8)
    mask, labels = crypt() == GLAND, nothing.astype(np.int32)
    workspace.document.set_painting(nothing, labels, mask, crypt())
    fill_area(workspace)
    y, x = np.mgrid[:SIDE, :SIDE]
    depth = (100 - np.hypot(y - 130, x - 130)) / 2  # um from the border
    found = classes(workspace) > 0
    basal = found[(depth > 3) & (depth < 9)].mean()
    assert basal > 2 * found[(depth > 18) & (depth < 25)].mean()
    around = np.arctan2(y - 130, x - 130)[found]
    assert (np.histogram(around, 24)[0] > 0).all()  # all the way round


def test_painted_nuclei_stay_and_only_the_edit_mask_is_filled(workspace: Workspace) -> None:
    document = workspace.document
    empty = np.zeros((SIDE, SIDE), np.uint8)
    nuclei, mask = empty.copy(), np.zeros((SIDE, SIDE), bool)
    nuclei[200:212, 100:112], mask[180:] = 4, True
    document.set_painting(nuclei, nuclei.astype(np.int32), mask, np.full_like(empty, STROMA))
    fill_area(workspace)
    found = classes(workspace)
    assert (found[200:212, 100:112] == 4).all()
    assert not found[:160].any()
    assert (found[200:] > 0).mean() > 0.02


def test_where_no_tissue_is_painted_the_selected_class_is_scattered(workspace: Workspace) -> None:
    tissue = np.zeros((SIDE, SIDE), np.uint8)
    tissue[:, : SIDE // 2] = STROMA
    workspace.document.paint_tissue(tissue)
    workspace.select_class(5)
    fill_area(workspace)
    found = classes(workspace)
    assert shares(found[:, SIDE // 2 + 16 :])["eosinophil"] == 1
    assert shares(found[:, : SIDE // 2 - 16])["connective"] > 0.3
    workspace.document.nuclei.layer.undo()  # both in one step
    assert not classes(workspace).any()


def test_density_and_caption_count(workspace: Workspace) -> None:
    def filled(density: float, caption: str = "") -> int:
        workspace.document.clear()
        workspace.document.paint_tissue(np.full((SIDE, SIDE), STROMA))
        workspace.paint.density = density
        return fill_area(workspace, caption=caption)

    assert filled(0.2) < 0.5 * filled(1.0)
    workspace.paint.density = 1.0
    filled(1.0, "colon, no lymphocytes")
    assert shares(classes(workspace))["lymphocyte"] == 0


@pytest.mark.parametrize("start", [GLAND, LUMEN])
def test_scatter_stays_in_the_tissue_it_began_in(workspace: Workspace, start: int) -> None:
    tissue = crypt()
    workspace.document.paint_tissue(tissue)
    workspace.select_tool("scatter")
    column = {GLAND: 50, LUMEN: 110}[start]
    layer = workspace.document.nuclei.layer
    drag(layer, [(130, column), (130, column + 40), (160, column)], world=1.0)
    middles = [p.centroid for p in regionprops(workspace.document.snapshot().instance_map)]
    assert middles
    inside = [tissue[round(y), round(x)] == start for y, x in middles]
    assert np.mean(inside) > 0.8  # of those at the border a part is cut off


def test_a_stamped_epithelial_nucleus_stands_on_its_border(workspace: Workspace) -> None:
    workspace.document.paint_tissue(crypt())
    workspace.select_tool("stamp")
    for row in range(100, 165, 16):  # left border of the gland, where inwards is to the right
        click(workspace.document.nuclei.layer, (row, 40))
    found = regionprops(workspace.document.snapshot().instance_map)
    assert len(found) == 5
    long = [p for p in found if p.axis_major_length > 1.25 * p.axis_minor_length]
    assert long
    # Orientation 0 is along rows; these lie along columns.
    assert np.mean([abs(abs(p.orientation) - np.pi / 2) for p in long]) < np.pi / 5
