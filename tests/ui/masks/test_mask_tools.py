from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_histodiff.core.geometry import Region
from napari_histodiff.inpainting.masks import grow, shrink
from napari_histodiff.ui.generation.controller import Controller
from napari_histodiff.ui.generation.settings import SettingsStore
from napari_histodiff.ui.generation.states import Notice
from napari_histodiff.ui.masks.mask_tools import MaskTools
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.ui.conftest import WaitFor
from tests.ui.doubles import RecordingEngine
from tests.ui.mouse import click


class Desk:
    """A viewer with a canvas of 128 x 128 px at 0.5 um, its frame in the middle."""

    def __init__(self, folder: Path) -> None:
        self.viewer = ViewerModel()
        self.workspace = Workspace(self.viewer, seed=0)
        self.controller = Controller(
            self.viewer, self.workspace, RecordingEngine(), store=SettingsStore(folder / "s.json")
        )
        self.notices: list[Notice] = []
        self.controller.noticed.connect(self.notices.append)
        self.masks = MaskTools(self.viewer, self.workspace, self.controller)

    def with_canvas(self) -> Desk:
        self.workspace.new_canvas(128, 128)
        self.workspace.document.set_frame(Region(0, 32, 32, 64, 64))
        return self

    @property
    def mask(self) -> np.ndarray:
        return self.workspace.document.edit_mask.mask

    def paint(self, mask: np.ndarray) -> np.ndarray:
        self.workspace.document.edit_mask.put(mask)
        return mask


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path).with_canvas()


def square() -> np.ndarray:
    mask = np.zeros((64, 64), bool)
    mask[20:40, 20:40] = True
    return mask


def three_nuclei(desk: Desk) -> tuple[np.ndarray, np.ndarray]:
    classes = np.zeros((64, 64), np.uint8)
    instances = np.zeros((64, 64), np.int32)
    for number, (y, x, kind) in enumerate(((10, 10, 3), (10, 40, 1), (40, 10, 3)), 1):
        instances[y : y + 6, x : x + 6] = number
        classes[y : y + 6, x : x + 6] = kind
    desk.workspace.document.paint_nuclei(classes, instances)
    return classes, instances


def test_grow_shrink_and_invert_change_the_mask_and_can_be_taken_back(desk: Desk) -> None:
    desk.controller.set(mask_step=3.0)
    mask = desk.paint(square())
    desk.masks.grow()
    np.testing.assert_array_equal(desk.mask, grow(mask, 3.0, 0.5))
    desk.workspace.document.edit_mask.layer.undo()
    np.testing.assert_array_equal(desk.mask, mask)
    desk.masks.shrink()
    np.testing.assert_array_equal(desk.mask, shrink(mask, 3.0, 0.5))
    desk.masks.invert()
    np.testing.assert_array_equal(desk.mask, ~shrink(mask, 3.0, 0.5))
    desk.masks.clear()
    assert not desk.mask.any()
    desk.masks.whole()
    assert desk.mask.all()
    assert desk.workspace.paint.palette == "edit mask"


def test_a_change_shows_the_mask_as_an_area(desk: Desk) -> None:
    desk.paint(square())
    desk.workspace.document.edit_mask.layer.contour = 3
    desk.masks.grow()
    assert desk.workspace.document.edit_mask.layer.contour == 0


def test_what_is_painted_next_gets_the_share_of_the_strength_in_hand(desk: Desk) -> None:
    layer = desk.workspace.document.edit_mask
    desk.workspace.select_palette("edit mask")
    desk.workspace.set_brush(4.0)
    click(layer.layer, (10, 10))
    assert layer.shares is None  # the whole strength: as before there were parts
    desk.controller.set(mask_strength=40.0)
    click(layer.layer, (40, 40))
    assert layer.mask.sum() > 0
    assert (layer.shares[10, 10], layer.shares[40, 40]) == pytest.approx((1.0, 0.4))
    np.testing.assert_array_equal(layer.shares > 0, layer.mask)
    desk.masks.grow()  # what was painted keeps its share
    assert (layer.shares[10, 10], layer.shares[40, 40]) == pytest.approx((1.0, 0.4))
    assert np.unique(layer.shares).tolist() == pytest.approx([0, 0.4, 1])
    desk.workspace.select_tool("fill")
    click(layer.layer, (10, 10))
    assert np.unique(layer.shares).tolist() == pytest.approx([0, 0.4])
    layer.layer.undo()
    assert np.unique(layer.shares).tolist() == pytest.approx([0, 0.4, 1])


def test_parts_of_the_mask_stay_where_the_frame_was(desk: Desk) -> None:
    document = desk.workspace.document
    parts = np.zeros((64, 64), np.uint8)
    parts[20:40, 20:30], parts[20:40, 30:40] = 1, 15
    document.edit_mask.put_parts(parts)
    document.set_frame(Region(0, 64, 64, 64, 64))
    assert not document.edit_mask.mask[20:, 20:].any()
    document.set_frame(Region(0, 32, 32, 64, 64))
    np.testing.assert_array_equal(document.edit_mask.parts, parts)
    assert document.edit_mask.shares[25, 35] == pytest.approx(0.3)


def test_strengths_of_an_edit_come_back_as_shares_of_the_largest(desk: Desk) -> None:
    mask = desk.workspace.document.edit_mask
    strengths = np.zeros((64, 64), np.float32)
    strengths[:10], strengths[10:20] = 0.8, 0.2
    mask.recall(strengths)
    assert (mask.shares[5, 5], mask.shares[15, 5], mask.shares[30, 5]) == pytest.approx(
        (1, 0.25, 0)
    )
    before = mask.parts
    mask.recall(None)
    np.testing.assert_array_equal(mask.parts, before)


def test_numbers_of_somebody_else_are_a_mask_of_the_whole_strength(desk: Desk) -> None:
    layer = desk.workspace.document.edit_mask
    layer.layer.data = np.where(square(), 255, 0).astype(np.uint8)
    np.testing.assert_array_equal(layer.parts, square())
    assert layer.shares is None


def test_a_part_is_paler_the_weaker_it_is(desk: Desk) -> None:
    colours = desk.workspace.document.edit_mask.layer.colormap.map(np.arange(21, dtype=np.uint8))
    assert colours[0, 3] == 0
    assert (np.diff(colours[1:, 3]) < 0).all()
    assert (np.diff(colours[1:, :3].sum(1)) > 0).all()


def test_the_lengths_are_remembered(desk: Desk, tmp_path: Path) -> None:
    desk.controller.set(mask_step=7.5, mask_around=0.0)
    desk.controller.close()
    again = SettingsStore(tmp_path / "s.json").load()
    assert (again.mask_step, again.mask_around) == (7.5, 0.0)


def test_a_dab_becomes_the_nuclei_it_touches(desk: Desk) -> None:
    _, instances = three_nuclei(desk)
    desk.controller.set(mask_around=0.0)
    dab = np.zeros((64, 64), bool)
    dab[12, 12] = True
    desk.paint(dab)
    desk.masks.these_nuclei()
    np.testing.assert_array_equal(desk.mask, instances == 1)


def test_all_nuclei_of_a_class_are_added(desk: Desk) -> None:
    classes, _ = three_nuclei(desk)
    desk.controller.set(mask_around=1.0)
    desk.paint(square())
    desk.masks.add_nuclei(3)
    np.testing.assert_array_equal(desk.mask, square() | grow(classes == 3, 1.0, 0.5))
    desk.masks.add_nuclei()
    np.testing.assert_array_equal(
        desk.mask, square() | grow(classes == 3, 1.0, 0.5) | grow(classes > 0, 1.0, 0.5)
    )


def test_the_selected_of_several_shapes_are_added(desk: Desk) -> None:
    # In pixels of the canvas, whose frame begins at (32, 32); the layer is twice as coarse.
    corners = np.array([[20, 20], [20, 29], [29, 29], [29, 20]], float)
    far = np.array([[30, 30], [30, 40], [40, 40], [40, 30]], float)
    canvas = desk.workspace.target
    assert canvas is not None
    scale = 2 * np.asarray(canvas.scale)
    shapes = desk.viewer.add_shapes(
        [corners, far], shape_type="rectangle", scale=scale, units=canvas.units
    )
    shapes.selected_data = {0}
    desk.masks.add_selection()
    rows = np.flatnonzero(desk.mask.any(1))
    assert (rows[0], rows[-1]) == (8, 26)
    assert desk.mask[8:27, 8:27].all()
    assert not desk.mask[28:].any()


def test_an_ellipse_is_round(desk: Desk) -> None:
    canvas = desk.workspace.target
    assert canvas is not None
    box = np.array([[40, 40], [40, 80], [60, 80], [60, 40]], float)
    shapes = desk.viewer.add_shapes(
        [box], shape_type="ellipse", scale=canvas.scale, units=canvas.units
    )
    desk.viewer.layers.selection.active = shapes
    desk.masks.add_selection()
    assert desk.mask.sum() == pytest.approx(np.pi * 10 * 20, rel=0.05)
    assert not desk.mask[8, 8]


def test_a_labels_layer_is_added(desk: Desk) -> None:
    canvas = desk.workspace.target
    assert canvas is not None
    labels = np.zeros((128, 128), np.uint8)
    labels[40:50, 60:70] = 4
    layer = desk.viewer.add_labels(labels, scale=canvas.scale, units=canvas.units)
    desk.viewer.layers.selection.active = layer
    desk.masks.add_selection()
    np.testing.assert_array_equal(desk.mask, labels[32:96, 32:96] > 0)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda masks: masks.grow(), "empty"),
        (lambda masks: masks.shrink(), "empty"),
        (lambda masks: masks.these_nuclei(), "empty"),
        (lambda masks: masks.add_nuclei(2), "epithelial"),
        (lambda masks: masks.add_nuclei(), "No nucleus"),
        (lambda masks: masks.add_selection(), "Select a Shapes"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(
    desk: Desk, act: object, words: str
) -> None:
    act(desk.masks)  # type: ignore[operator]
    assert words in desk.notices[-1].message
    assert not desk.mask.any()


def test_a_dab_on_no_nucleus_stays(desk: Desk) -> None:
    three_nuclei(desk)
    mask = desk.paint(square() & (np.indices((64, 64))[0] > 38))
    desk.masks.these_nuclei()
    assert "no nucleus" in desk.notices[-1].message
    np.testing.assert_array_equal(desk.mask, mask)


def test_pen_marks_are_added_when_they_are_found(desk: Desk, wait_for: WaitFor) -> None:
    document = desk.workspace.document
    tissue = np.full((128, 128, 3), (215, 165, 200), np.uint8)
    tissue[:, 36:] = (20, 150, 120)  # a piece of 900 um2 is a speck
    document.write(Region(0, 0, 0, 128, 128), tissue)
    mask = desk.paint(np.indices((64, 64))[1] < 2)

    def look() -> None:
        desk.masks.add_pen_marks()
        assert desk.workspace.doing.text == "Looking for pen marks…"

        def done() -> bool:
            desk.masks.deliver()
            return not desk.workspace.doing.text

        wait_for(done)

    look()
    assert (desk.mask | ~mask).all()
    assert desk.mask[:, 12:].all()
    assert desk.mask.sum() > mask.sum()
    document.write(Region(0, 0, 0, 128, 128), np.full((128, 128, 3), (215, 165, 200), np.uint8))
    look()
    assert "No green" in desk.notices[-1].message


def test_shapes_elsewhere_are_told(desk: Desk) -> None:
    desk.viewer.add_shapes([np.array([[900, 900], [900, 950], [950, 950.0]])], shape_type="polygon")
    desk.masks.add_selection()
    assert "in the frame" in desk.notices[-1].message


def test_without_an_image_it_says_so(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.masks.grow()
    assert "make a canvas" in desk.notices[-1].message
