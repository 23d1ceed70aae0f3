"""Layers of paint that the user removes come back as they were, and where they were."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.generation.staged import PreviewLayer
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.ui.conftest import OpenDock, WaitFor
from tests.ui.doubles import RecordingEngine
from tests.ui.mouse import drag

ORDER = ["Canvas", "Preview", "Tissue", "Edit mask", "Highlights", "Nuclei", "Frame", "own"]


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


@pytest.fixture
def workspace(viewer: ViewerModel) -> Workspace:
    """A canvas whose paint is shown as contours over a variant that waits."""
    workspace = Workspace(viewer, seed=0)
    workspace.new_canvas(256, 256)
    document = workspace.document
    document.set_frame(Region(0, 64, 64, 128, 128))
    tissue = np.ones((128, 128), np.uint8)
    document.paint_tissue(tissue)
    image = np.full((128, 128, 3), 90, np.uint8)
    PreviewLayer(viewer).show(workspace.target, document.region, image, workspace.paint_layers)
    for layer, width in zip(document.paint_layers, (2, 3, 2), strict=True):
        layer.contour = width
    viewer.add_image(np.zeros((8, 8)), name="own")
    workspace.select_tool("brush")
    assert _names(viewer) == ORDER
    return workspace


def _names(viewer: ViewerModel) -> list[str]:
    return [layer.name for layer in viewer.layers]


def _delete(viewer: ViewerModel, names: Sequence[str]) -> None:
    """Delete layers as the layer list does, which selects another one then."""
    viewer.layers.selection = {viewer.layers[name] for name in names}
    viewer.layers.remove_selected()


@pytest.mark.parametrize(
    "names",
    [
        ("Tissue",),
        ("Edit mask",),
        ("Nuclei",),
        ("Frame",),
        ("Tissue", "Edit mask"),
        ("Nuclei", "Frame"),
        ("Tissue", "Edit mask", "Nuclei", "Frame"),
    ],
)
def test_layers_come_back_in_their_order_with_contours_and_undo_steps(
    viewer: ViewerModel, workspace: Workspace, names: tuple[str, ...]
) -> None:
    before, steps = list(viewer.layers), len(workspace.document.tissue.layer._undo_history)
    assert steps
    _delete(viewer, names)
    assert workspace.document.is_whole
    assert _names(viewer) == ORDER
    assert list(viewer.layers) == before
    mask_width = 0 if "Edit mask" in names and len(names) == 1 else 3  # filled: it is worked on
    assert [layer.contour for layer in workspace.document.paint_layers] == [2, mask_width, 2]
    assert len(workspace.document.tissue.layer._undo_history) == steps
    assert (workspace.document.tissue.tissue == 1).all()


@pytest.mark.parametrize("name", ["Tissue", "Edit mask", "Nuclei", "Frame"])
def test_the_tool_in_hand_goes_on_working(
    viewer: ViewerModel, workspace: Workspace, name: str
) -> None:
    told: list[str] = []
    workspace.tool_changed.connect(told.append)
    _delete(viewer, [name])
    workspace.deliver()
    by_palette = dict(
        zip(("tissue", "edit mask", "nuclei"), workspace.document.paint_layers, strict=True)
    )
    layer = by_palette[workspace.paint.palette]
    assert layer.name == ("Nuclei" if name == "Frame" else name)
    assert viewer.layers.selection == {layer}
    assert viewer.layers.selection.active is layer
    assert layer.mode == "paint"
    assert told[-1] == "brush"
    workspace.document.clear()
    drag(layer, [(20, 20), (20, 60)])
    assert layer.data[20, 20:60].all()


def test_a_layer_that_lay_on_one_that_is_gone_lies_on_the_image(
    viewer: ViewerModel, workspace: Workspace
) -> None:
    _delete(viewer, ["Tissue"])
    viewer.layers.remove("Preview")
    assert workspace.document.is_whole
    assert _names(viewer) == [name for name in ORDER if name != "Preview"]


def test_layers_that_are_closed_are_not_put_back(viewer: ViewerModel, workspace: Workspace) -> None:
    first = workspace.document
    _delete(viewer, ["Nuclei"])
    workspace.new_canvas(64, 64)
    workspace.deliver()
    first.mend()
    assert _names(viewer).count("Nuclei") == 1
    workspace.use_layer(first.target.layer)
    assert (workspace.document.tissue.tissue == 1).all()


def test_in_the_window_paint_comes_back_under_the_mouse(
    open_dock: OpenDock, wait_for: WaitFor
) -> None:
    dock = open_dock(RecordingEngine())
    dock.workspace.new_canvas(256, 256)
    document, layers = dock.workspace.document, dock.viewer.layers
    dock.controller.staged.show(document.region, np.zeros((*document.region.shape, 3), np.uint8))
    dock.actions.toggle_outlines()
    before = list(layers)
    for name in ("Nuclei", "Frame"):
        _delete(dock.viewer, [name])
        wait_for(lambda: document.is_whole)
        assert list(layers) == before
        assert layers.selection.active is document.nuclei.layer
        assert document.nuclei.layer.contour
    drag(document.nuclei.layer, [(20, 20), (20, 40)])
    assert sum(document.nuclei.counts().values()) == 1
