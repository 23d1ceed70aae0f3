from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.painting.highlights import Highlights, rim_of
from napari_histodiff.ui.workspace.workspace import Workspace


@pytest.fixture
def workspace() -> Workspace:
    workspace = Workspace(ViewerModel(), seed=0)
    workspace.new_canvas(256, 256)
    workspace.document.set_frame(Region(0, 0, 0, 128, 128))
    return workspace


def paint(workspace: Workspace, y: int, x: int, side: int = 6, label: int = 9) -> None:
    rows, cols = (part.ravel() for part in np.mgrid[y : y + side, x : x + side])
    layer = workspace.document.nuclei.layer
    with layer.block_history():  # as a stroke: who listens is told at its end
        layer.data_setitem((rows, cols), label)


def marks_of(workspace: Workspace) -> np.ndarray:
    layer = workspace.document.tools.highlights.layer
    assert layer is not None
    assert layer.visible
    return layer.data


def expected(workspace: Workspace) -> np.ndarray:
    """The marks of a layer that has seen nothing before."""
    document = workspace.document
    fresh = Highlights(document.nuclei, document.tools.selection, lambda _: None, workspace._viewer)
    return fresh._draw_all()


def test_marks_follow_every_change_as_if_they_were_drawn_anew(workspace) -> None:
    document = workspace.document
    paint(workspace, 20, 20)
    document.nuclei.layer.contour = 1
    assert (marks_of(workspace) == rim_of(document.nuclei.labels)).all()
    paint(workspace, 0, 122)  # at the border
    paint(workspace, 23, 26, label=16)  # beside another one
    np.testing.assert_array_equal(marks_of(workspace), expected(workspace))
    document.nuclei.layer.undo()
    np.testing.assert_array_equal(marks_of(workspace), expected(workspace))
    selection = document.tools.selection
    workspace.select_tool("select")
    selection.step(1)
    selection.move(60, 3)
    assert {2, 3} <= set(np.unique(marks_of(workspace)))
    np.testing.assert_array_equal(marks_of(workspace), expected(workspace))
    selection.move(-90, 3)  # partly out of the frame
    np.testing.assert_array_equal(marks_of(workspace), expected(workspace))
    selection.clear()
    np.testing.assert_array_equal(marks_of(workspace), expected(workspace))
    document.clear()
    assert not marks_of(workspace).any()
    paint(workspace, 50, 50)
    document.set_frame(Region(0, 64, 64, 128, 128))
    np.testing.assert_array_equal(marks_of(workspace), expected(workspace))
    document.set_frame(Region(0, 64, 64, 96, 96))
    np.testing.assert_array_equal(marks_of(workspace), expected(workspace))


def test_a_stroke_sends_its_own_rectangle_to_the_screen(workspace) -> None:
    paint(workspace, 20, 20)
    workspace.document.nuclei.layer.contour = 1
    layer = workspace.document.tools.highlights.layer
    whole, parts = [], []
    layer.events.set_data.connect(lambda _: whole.append(True))
    layer.events.labels_update.connect(lambda event: parts.append(event.data.shape))
    paint(workspace, 60, 60)
    assert not whole
    assert parts == [(8, 8)]
