"""What several layers of paint take in one step, one Ctrl+Z takes back."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils.key_bindings import KeymapHandler
from napari.utils.notifications import notification_manager

from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.workspace.document import Document
from napari_histodiff.ui.workspace.workspace import Workspace


@pytest.fixture
def document() -> Document:
    """A frame with a nucleus, an area of tissue and an edit mask."""
    workspace = Workspace(ViewerModel(), seed=0)
    workspace.new_canvas(128, 128)
    document = workspace.document
    document.set_frame(Region(0, 0, 0, 64, 64))
    square = np.zeros((64, 64), np.int32)
    square[20:30, 20:30] = 1
    document.paint_nuclei(2 * square, square)
    document.paint_tissue(3 * square)
    document.edit_mask.put(square > 0)
    return document


def paint(document: Document) -> list[np.ndarray]:
    return [np.array(layer.data) for layer in document.paint_layers]


def assert_paint(document: Document, expected: list[np.ndarray]) -> None:
    for one, other in zip(paint(document), expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("number", range(3))
def test_clearing_is_taken_back_and_repeated_whole_from_any_layer(document, number) -> None:
    before, layer = paint(document), document.paint_layers[number]
    document.clear()
    empty = paint(document)
    assert not any(painted.any() for painted in empty)
    for _ in range(2):
        layer.undo()
        assert_paint(document, before)
        document.paint_layers[number - 1].redo()
        assert_paint(document, empty)


def test_painting_that_is_restored_is_one_step(document: Document) -> None:
    before = paint(document)
    maps = np.zeros((3, 64, 64), np.int32)
    maps[:, :9, :9] = 1
    document.set_painting(maps[0], maps[1], maps[2] > 0, maps[0])
    document.nuclei.layer.undo()
    assert_paint(document, before)


def test_what_a_layer_was_painted_with_since_is_not_taken_back_by_another(document) -> None:
    before = paint(document)
    document.clear()
    document.tissue.layer.paint((5, 5), 3)
    stroke = document.tissue.tissue.copy()
    document.nuclei.layer.undo()
    tissue, mask, nuclei = paint(document)
    np.testing.assert_array_equal(tissue, stroke)
    np.testing.assert_array_equal(mask, before[1])
    np.testing.assert_array_equal(nuclei, before[2])
    document.tissue.layer.undo()
    document.tissue.layer.undo()
    assert_paint(document, before)
    document.tissue.layer.redo()
    assert not any(painted.any() for painted in paint(document))


def test_a_step_of_one_layer_is_its_own(document: Document) -> None:
    tissue, mask, nuclei = paint(document)
    document.tissue.layer.paint((5, 5), 3)
    document.nuclei.layer.undo()
    assert not document.nuclei.labels.any()
    document.tissue.layer.undo()
    assert_paint(document, [tissue, mask, np.zeros_like(nuclei)])
    for _ in range(5):  # there is nothing more to take back
        document.nuclei.layer.undo()
    assert_paint(document, [tissue, mask, np.zeros_like(nuclei)])


def test_moving_the_frame_forgets_the_step(document: Document) -> None:
    told = len(notification_manager.records)
    for _ in range(5):
        document.nuclei.layer.undo()
    assert len(notification_manager.records) == told  # nothing ended: nothing is said
    document.nuclei.layer.redo()
    document.clear()
    document.set_frame(Region(0, 64, 64, 64, 64))
    document.nuclei.layer.undo()
    assert "steps of paint end when the frame moves" in notification_manager.records[-1].message
    document.set_frame(Region(0, 0, 0, 64, 64))
    assert not any(painted.any() for painted in paint(document))


def test_napari_s_keys_take_it_back_and_repeat_it(document: Document) -> None:
    handler = KeymapHandler()
    handler.keymap_providers = [document.tissue.layer]
    before = paint(document)
    document.clear()
    handler.press_key("Control-Z")
    assert_paint(document, before)
    handler.press_key("Control-Shift-Z")
    assert not any(painted.any() for painted in paint(document))


def test_layers_of_paint_are_labels_to_napari(document: Document) -> None:
    assert [layer.as_layer_data_tuple()[2] for layer in document.paint_layers] == ["labels"] * 3
