"""Pixel size, scale bar and the line that tells what lies under the mouse."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.viewport import camera_of, to_world
from napari_histodiff.ui.widgets.readout import under_text
from tests.ui.conftest import OpenDock
from tests.ui.doubles import RecordingEngine
from tests.ui.find import find


@pytest.fixture
def dock(open_dock: OpenDock) -> StudioDock:
    return open_dock(RecordingEngine())


def open_image(dock: StudioDock, **kwargs: object) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (256, 256, 3), np.uint8)
    layer = dock.viewer.add_image(pixels, rgb=True, name="Tile", **kwargs)
    dock.workspace.use_layer(layer)


def scale_bar(dock: StudioDock) -> object:
    canvas = getattr(dock.viewer, "canvas", None)
    overlays = getattr(canvas, "overlays", None)
    return dock.viewer.scale_bar if overlays is None else overlays.scale_bar


def test_the_pixel_size_is_asked_for_only_where_the_image_does_not_tell_it(
    dock: StudioDock,
) -> None:
    assert dock.canvas.sizes.isHidden()
    open_image(dock, scale=(0.25, 0.25), units=("um", "um"))
    assert dock.canvas.sizes.isHidden()
    open_image(dock)
    assert not dock.canvas.sizes.isHidden()
    assert "assumed" in dock.canvas.corner.text()


def test_a_pixel_size_that_is_told_counts_for_image_frame_paint_and_brush(
    dock: StudioDock,
) -> None:
    open_image(dock)
    dock.workspace.select_tool("brush")
    nuclei = dock.workspace.document.nuclei.layer
    assert nuclei.brush_size == 12
    dock.canvas.pixel_size.setValue(0.25)
    find(dock, "set_pixel_size").click()
    document = dock.workspace.document
    assert document.mpp == 0.25
    assert document.target.knows_mpp
    assert nuclei.brush_size == 24
    assert np.allclose(nuclei.scale, 0.25)
    assert np.allclose(document.frame.layer.data_to_world((100, 100)), (25, 25))
    assert "assumed" not in dock.canvas.corner.text()
    assert dock.canvas.extent.text() == "64 µm"
    # it was a guess, so it may be corrected
    assert not dock.canvas.sizes.isHidden()
    dock.canvas.pixel_size.setValue(0.5)
    find(dock, "set_pixel_size").click()
    assert document.mpp == 0.5
    assert nuclei.brush_size == 12


def test_a_scale_that_is_changed_later_is_followed(dock: StudioDock) -> None:
    open_image(dock, scale=(0.25, 0.25), units=("um", "um"))
    dock.workspace.target.scale = (1.0, 1.0)
    assert dock.workspace.document.mpp == 1
    assert "1 µm/px" in dock.canvas.corner.text()
    assert dock.canvas.extent.text() == "256 µm"


def test_every_image_has_a_scale_bar_until_it_is_hidden(dock: StudioDock) -> None:
    dock.workspace.new_canvas(128, 128)
    assert scale_bar(dock).visible
    scale_bar(dock).visible = False
    dock.workspace.target_changed.emit()
    assert not scale_bar(dock).visible
    open_image(dock)
    assert scale_bar(dock).visible


def test_the_line_tells_nucleus_and_tissue_under_the_mouse(dock: StudioDock) -> None:
    dock.workspace.new_canvas(128, 128, mpp=0.5)
    document = dock.workspace.document
    classes, instances = np.zeros((128, 128), np.uint8), np.zeros((128, 128), np.int32)
    classes[10:20, 10:20], instances[10:20, 10:20] = 4, 1
    document.paint_nuclei(classes, instances)
    tissue = np.zeros((128, 128), np.uint8)
    tissue[:64] = 2
    document.paint_tissue(tissue)
    assert under_text(document, (15, 12)) == "6.2, 7.8 µm · plasma nucleus, 25 µm² · stroma"
    assert under_text(document, (50, 50)) == "25.2, 25.2 µm · stroma"
    assert under_text(document, (100, 127)) == "63.8, 50.2 µm"
    assert under_text(document, (-5, 500)) == "250.2, -2.2 µm"

    event = SimpleNamespace(position=to_world(dock.viewer, dock.workspace.target, (15, 12)))
    for callback in dock.viewer.mouse_move_callbacks:
        callback(dock.viewer, event)
    assert dock.readout.text().endswith("plasma nucleus, 25 µm² · stroma")
    camera_of(dock.viewer).zoom = 2.0  # 0.5 um a screen pixel
    assert dock.readout.text().startswith("20× · ")


def test_without_a_pixel_size_places_are_pixels(dock: StudioDock) -> None:
    open_image(dock)
    assert under_text(dock.workspace.document, (3, 4)) == "4, 3 px"


def test_a_closed_dock_listens_no_more(dock: StudioDock) -> None:
    before = len(dock.viewer.mouse_move_callbacks)
    dock.shut_down()
    assert len(dock.viewer.mouse_move_callbacks) == before - 1


@pytest.mark.own_window
def test_the_frame_says_how_much_tissue_it_is(dock: StudioDock) -> None:
    box = dock.canvas
    for region, said in (
        (Region(0, 0, 0, 512, 512), "256 µm"),
        (Region(0, 0, 0, 256, 512), "256×128\N{THIN SPACE}µm"),
        (Region(0, 0, 0, 4096, 2048), "1.0×2.0\N{THIN SPACE}mm"),
        (Region(0, 0, 0, 2048, 2048), "1.0 mm"),
    ):
        box.set_region(region, 0.5)
        assert box.extent.text() == said
        needed = box.frame_width.fontMetrics().horizontalAdvance("4096")
        assert box.frame_width.minimumSizeHint().width() >= needed + 20
        field = box.frame_width
        field.resize(field.minimumSizeHint())
        field.show()
        assert field.lineEdit().width() >= needed  # Qt 6.12 may leave it one pixel
