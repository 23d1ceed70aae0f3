"""What is worked on is seen: it comes above the pictures that cover it, and nothing else moves."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel

from napari_histodiff.core.engine import JobFinished
from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.generation.staged import PreviewLayer
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.ui.conftest import OpenDock
from tests.ui.doubles import RecordingEngine

PAINT = ["Tissue", "Edit mask", "Nuclei", "Frame"]
PIXELS = np.full((256, 256, 3), 90, np.uint8)


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


@pytest.fixture
def workspace(viewer: ViewerModel) -> Workspace:
    return Workspace(viewer, seed=0)


def _names(viewer: ViewerModel) -> list[str]:
    return [layer.name for layer in viewer.layers]


def test_an_image_that_is_worked_on_again_comes_above_those_that_cover_it(
    viewer: ViewerModel, workspace: Workspace
) -> None:
    for name in ("a", "b", "c"):
        workspace.use_layer(viewer.add_image(PIXELS, name=name))
    viewer.add_points([(9, 9)], name="points on top")
    workspace.use_layer(viewer.layers["a"])
    assert _names(viewer) == ["b", "c", "a", *PAINT, "points on top"]
    workspace.use_layer(viewer.layers["b"])
    assert _names(viewer) == ["c", "a", "b", *PAINT, "points on top"]


def test_the_edits_and_the_annotations_of_an_image_go_along(
    viewer: ViewerModel, workspace: Workspace
) -> None:
    workspace.use_layer(viewer.add_image(da.from_array(PIXELS), rgb=True, name="a"))
    workspace.document.write(Region(0, 0, 0, 64, 64), PIXELS[:64, :64])
    viewer.add_labels(np.zeros((256, 256), np.uint8), name="annotation of a")
    b = viewer.add_image(da.from_array(PIXELS), rgb=True, name="b")
    workspace.use_layer(b)
    workspace.document.write(Region(0, 0, 0, 64, 64), PIXELS[:64, :64])
    workspace.use_layer(viewer.layers["a"])
    assert _names(viewer) == [
        "b",
        "Edits of b at 0, 0",
        "a",
        "Edits of a at 0, 0",
        *PAINT,
        "annotation of a",
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"visible": False},
        {"opacity": 0.5},
        {"blending": "additive"},
        {"translate": (300, 0)},
        {"translate": (0, 256)},
    ],
)
def test_what_does_not_cover_it_stays_above(
    viewer: ViewerModel, workspace: Workspace, change: dict[str, object]
) -> None:
    workspace.use_layer(viewer.add_image(PIXELS, name="a"))
    workspace.use_layer(viewer.add_image(PIXELS, name="b", **change))
    workspace.use_layer(viewer.layers["a"])
    assert _names(viewer) == ["a", *PAINT, "b"]


def test_places_are_compared_in_the_length_that_each_layer_is_measured_in(
    viewer: ViewerModel, workspace: Workspace
) -> None:
    size = {"scale": (0.5, 0.5), "units": ("um", "um")}
    workspace.use_layer(viewer.add_image(PIXELS, name="a", **size))
    apart = {"scale": (0.0005, 0.0005), "units": ("mm", "mm"), "translate": (0, 0.2)}
    viewer.add_image(PIXELS, name="apart", **apart)
    workspace.new_canvas(256, 256)
    workspace.use_layer(viewer.layers["a"])
    assert _names(viewer) == ["apart", "Canvas", "a", *PAINT]
    workspace.use_layer(viewer.layers["Canvas"])
    viewer.layers["apart"].translate = (0, 0)
    workspace.use_layer(viewer.layers["apart"])
    assert _names(viewer) == ["a", "Canvas", "apart", *PAINT]


def test_the_image_in_hand_comes_up_with_its_paint_and_preview(
    viewer: ViewerModel, workspace: Workspace
) -> None:
    a = viewer.add_image(PIXELS, name="a")
    workspace.use_layer(a)
    region = workspace.document.region
    preview = PreviewLayer(viewer)
    preview.show(a, region, np.zeros((*region.shape, 3), np.uint8), workspace.paint_layers)
    viewer.add_image(PIXELS, name="dropped")
    frame, selected = workspace.document.frame.layer, set(viewer.layers.selection)
    workspace.use_layer(a)
    assert _names(viewer) == ["dropped", "a", "Preview", *PAINT]
    assert workspace.document.frame.layer is frame
    assert set(viewer.layers.selection) == selected


@pytest.mark.parametrize("way", ["history", "queue", "use image"])
def test_every_way_back_to_an_image_shows_it_with_paint_and_variant(
    open_dock: OpenDock, way: str
) -> None:
    engine = RecordingEngine()
    dock = open_dock(engine)
    dock.controller.set(variants=1)
    dock.workspace.new_canvas(256, 256)
    first = dock.workspace.target
    assert first is not None
    first.name = "first"
    dock.controller.generate()
    if way != "queue":
        _finish(dock, engine)
    dock.workspace.new_canvas(256, 256)
    assert dock.workspace.target is not first
    if way == "history":
        dock.returning.go(dock.past.entries[0])
    elif way == "queue":
        _finish(dock, engine)
        dock.queue.go_to_next()
    else:
        dock.viewer.layers.selection = {first}
        dock.actions.use_selected()
    assert dock.workspace.target is first
    shown = [] if way == "use image" else ["Preview"]
    names = [layer.name for layer in dock.viewer.layers if layer.visible]
    assert names[:2] == ["Canvas", "first"]
    assert [name for name in names[2:] if name != "Highlights"] == [*shown, *PAINT]


def _finish(dock: StudioDock, engine: RecordingEngine) -> None:
    request = engine.submitted[-1]
    images = np.full((request.variants, *request.shape, 3), 90, np.uint8)
    engine.emit(JobFinished(str(len(engine.submitted)), images, 0.5))
    dock.controller.pump()
