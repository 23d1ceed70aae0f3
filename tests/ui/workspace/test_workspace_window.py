"""Painting in a real window: the mouse goes through Qt and vispy, colours through the shader."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from napari.layers import Image
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.colormaps import CLASS_COLOURS
from napari_histodiff.ui.workspace.transforms import insert_above
from napari_histodiff.ui.workspace.workspace import Workspace


@pytest.fixture
def viewer(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(900, 700)
    return viewer


@pytest.fixture
def workspace(viewer):
    workspace = Workspace(viewer, seed=0)
    workspace.new_canvas(128, 128)
    viewer.reset_view()
    return workspace


def canvas_widget(viewer):
    return viewer.window._qt_viewer.canvas.native


def view_centre(viewer):
    # The camera moved to the scene in napari 0.9.
    camera = viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera
    return tuple(camera.center)


def test_a_click_stamps_in_the_middle_and_the_view_stays(viewer, workspace, qtbot):
    workspace.document.nuclei.select_class(2)
    workspace.select_tool("stamp")
    widget = canvas_widget(viewer)
    qtbot.waitExposed(widget)
    centre = view_centre(viewer)
    middle = QPoint(widget.width() // 2, widget.height() // 2)
    QTest.mouseMove(widget, middle)
    QTest.mouseClick(widget, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, middle)
    assert workspace.document.nuclei.counts()["epithelial"] == 1
    rows, cols = np.nonzero(workspace.document.nuclei.layer.data)
    assert abs(rows.mean() - 63.5) < 4
    assert abs(cols.mean() - 63.5) < 4
    assert view_centre(viewer) == centre


def test_the_frame_draws_no_text_until_it_has_one(viewer, workspace):
    frame = workspace.document.frame.layer
    text = viewer.window._qt_viewer.canvas.layer_to_visual[frame].node.text
    assert not text.visible
    frame.text = {"string": {"constant": "here"}}
    assert text.visible
    workspace.new_canvas(128, 128)  # the one that goes leaves nothing behind that is told of
    frame.text = {"string": {"constant": "there"}}


def test_the_frame_draws_no_highlight_until_it_may_have_one(viewer, workspace):
    workspace.select_tool("brush")
    frame = workspace.document.frame.layer
    node = viewer.window._qt_viewer.canvas.layer_to_visual[frame].node
    marks = node.shape_highlights, node.highlight_lines, node.highlight_vertices
    frame.refresh()
    assert not any(mark.visible for mark in marks)
    workspace.select_tool("frame")
    assert all(mark.visible for mark in marks)


def test_the_window_lives_between_the_controls_of_a_layer_and_the_layer(viewer):
    layer = Image(np.zeros((8, 8, 3), np.uint8), rgb=True)
    controls = viewer.window._qt_viewer.controls.widgets
    seen: list[tuple[bool, bool]] = []
    look = partial(_note, seen, layer, (controls, viewer.layers))
    insert_above(viewer, layer, [], look)
    assert seen == [(True, False)]
    viewer.layers.selection.active = layer  # which looks for its controls
    assert viewer.window._qt_viewer.controls.currentWidget() is controls[layer]
    assert viewer.window._qt_viewer.controls.count() == len(controls) + 1  # an empty one
    viewer.layers.remove(layer)
    assert layer not in controls
    insert_above(viewer, layer, [])
    assert layer in controls


def _note(seen, layer, places):
    seen.append(tuple(layer in place for place in places))


def test_polygons_are_drawn_by_clicks_though_their_lines_are_made_late(viewer, workspace, qtbot):
    workspace.select_tool("brush")
    workspace.select_tool("polygon")
    widget = canvas_widget(viewer)
    qtbot.waitExposed(widget)
    middle = QPoint(widget.width() // 2, widget.height() // 2)
    corners = [middle + QPoint(*by) for by in ((-60, -60), (60, -60), (60, 60), (-60, 60))]
    plain = Qt.KeyboardModifier.NoModifier
    for corner in corners:
        QTest.mouseMove(widget, corner)
        QTest.mouseClick(widget, Qt.MouseButton.LeftButton, plain, corner)
    QTest.mouseDClick(widget, Qt.MouseButton.LeftButton, plain, corners[-1])
    assert sum(workspace.document.nuclei.counts().values()) == 1
    assert workspace.document.nuclei.layer.data[64, 64] > 0


def test_each_class_shows_in_its_colour(viewer, workspace):
    labels = workspace.document.nuclei.layer
    labels.opacity = 1
    for class_id in range(1, 7):
        # Instances 3, 6, ...: the plain shade.
        labels.data[:, 20 * class_id - 18 : 20 * class_id - 4] = 7 * 3 * class_id + class_id
    labels.refresh()
    shot = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
    for colour in CLASS_COLOURS:
        near = np.abs(shot - colour).max(axis=2) <= 3
        assert near.mean() > 0.02


def test_generated_pixels_show_at_once_and_leave_on_undo(viewer, workspace):
    def red():
        shot = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
        return (np.abs(shot - (255, 0, 0)).max(axis=2) <= 3).mean()

    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[..., 0] = 255
    workspace.document.write(Region(0, 32, 32, 64, 64), pixels)
    assert red() > 0.05
    workspace.document.undo()
    assert red() == 0
