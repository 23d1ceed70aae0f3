from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels

from napari_histodiff.core.errors import InvalidImage, InvalidMap, InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind
from napari_histodiff.ui.workspace.tools import TOOLS
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.ui.filling import fill_area
from tests.ui.mouse import click


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def workspace(viewer):
    return Workspace(viewer, seed=0)


@pytest.fixture
def canvas(workspace):
    workspace.new_canvas(256, 320)
    workspace.document.set_frame(Region(0, 64, 64, 128, 128))
    return workspace


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


def paint_mask(workspace, rows=slice(20, 40)):
    mask = np.zeros(workspace.document.region.shape, bool)
    mask[rows, 30:50] = True
    snapshot = workspace.document.snapshot()
    workspace.document.set_painting(snapshot.class_map, snapshot.instance_map, mask)
    return mask


def test_nothing_is_added_before_it_is_asked_for(viewer, workspace):
    assert workspace.target is None
    assert workspace.own_layers == []
    assert len(viewer.layers) == 0
    assert not workspace.can_undo
    with pytest.raises(InvalidRequest, match="make a canvas"):
        workspace.document.snapshot()


def test_layers_lie_in_order_and_the_brush_is_in_hand(viewer, canvas):
    assert [layer.name for layer in viewer.layers] == [
        "Canvas",
        "Tissue",
        "Edit mask",
        "Nuclei",
        "Frame",
    ]
    assert viewer.layers.selection.active.name == "Nuclei"
    assert viewer.layers.selection.active.mode == "paint"
    assert canvas.document.mpp == 0.5


@pytest.mark.parametrize("tool", TOOLS)
def test_every_tool_works_on_its_layer(viewer, canvas, tool):
    seen = []
    canvas.tool_changed.connect(seen.append)
    canvas.select_tool(tool)
    names = {"frame": "Frame"}
    assert viewer.layers.selection.active.name == names.get(tool, "Nuclei")
    assert viewer.layers.selection.active.mode == TOOLS[tool]
    assert canvas.paint.tool == tool
    assert seen == [tool]


def test_erase_erases_the_edit_mask_when_that_is_in_use(viewer, canvas):
    canvas.select_palette("edit mask")
    canvas.select_tool("erase")
    assert viewer.layers.selection.active.name == "Edit mask"


@pytest.mark.parametrize("tool", ["brush", "polygon", "fill", "erase"])
def test_the_edit_mask_is_painted_with_every_tool(viewer, canvas, tool):
    canvas.select_palette("edit mask")
    canvas.select_tool(tool)
    assert viewer.layers.selection.active.name == "Edit mask"
    assert canvas.document.edit_mask.layer.mode == TOOLS[tool]


def test_the_key_of_the_edit_mask_brings_the_brush_back(viewer, canvas):
    canvas.select_palette("edit mask")
    canvas.select_tool("frame")
    canvas.select_palette("edit mask")
    assert canvas.paint.tool == "brush"


def test_the_edit_mask_takes_a_brush_of_any_width(canvas):
    canvas.select_palette("edit mask")
    canvas.set_brush(120.0)
    assert canvas.document.edit_mask.layer.brush_size == 240
    click(canvas.document.edit_mask.layer, (64, 64))
    assert canvas.document.edit_mask.mask.mean() > 0.9


def test_an_outlined_edit_mask_is_filled_again_by_the_next_stroke(canvas):
    mask = canvas.document.edit_mask
    canvas.select_palette("edit mask")
    mask.layer.contour = 3
    click(mask.layer, (64, 64))
    assert mask.layer.contour == 0
    mask.layer.contour = 3
    canvas.select_tool("pan")
    assert mask.layer.contour == 3
    canvas.select_tool("polygon")
    assert mask.layer.contour == 0


def test_no_such_tool(canvas):
    with pytest.raises(InvalidRequest, match="expected a tool"):
        canvas.select_tool("airbrush")


def test_kind_follows_pixels_and_paint(canvas):
    assert canvas.document.snapshot().kind is EditKind.GENERATE
    assert not canvas.document.summary().has_pixels
    half = Region(0, 64, 64, 128, 64)
    canvas.document.write(half, noise(half.shape))
    snapshot = canvas.document.snapshot()
    assert snapshot.kind is EditKind.OUTPAINT
    assert canvas.document.summary().has_pixels
    assert snapshot.edit_mask[:, 64:].all()
    assert not snapshot.edit_mask[:, :64].any()
    mask = paint_mask(canvas)
    assert np.array_equal(canvas.document.snapshot().edit_mask, mask | ~snapshot.coverage)
    canvas.document.write(canvas.document.region, noise((128, 128)))
    assert canvas.document.snapshot().kind is EditKind.INPAINT
    assert np.array_equal(canvas.document.snapshot().edit_mask, mask)
    canvas.document.clear()
    assert canvas.document.snapshot().kind is EditKind.GENERATE
    assert canvas.document.summary().has_pixels


def test_paint_stays_at_its_place_when_the_frame_moves(canvas):
    fill_area(canvas)
    mask = paint_mask(canvas)
    before = canvas.document.snapshot()
    counts = canvas.document.nuclei.counts()
    canvas.document.set_frame(Region(0, 96, 80, 128, 128))
    moved = canvas.document.snapshot()
    assert np.array_equal(moved.class_map[:96, :112], before.class_map[32:, 16:])
    assert not moved.class_map[96:].any()
    canvas.document.set_frame(Region(0, 0, 192, 64, 64))
    canvas.document.set_frame(Region(0, 64, 64, 128, 128))
    after = canvas.document.snapshot()
    assert np.array_equal(after.class_map, before.class_map)
    assert np.array_equal(after.edit_mask, mask)
    assert canvas.document.nuclei.counts() == counts


def test_new_nuclei_after_a_move_never_join_resting_ones(canvas):
    canvas.select_tool("brush")
    nuclei = canvas.document.nuclei.layer
    click(nuclei, (50, 50))
    canvas.document.set_frame(Region(0, 0, 192, 64, 64))
    click(nuclei, (20, 20))
    canvas.document.set_frame(Region(0, 0, 0, 256, 320))
    assert canvas.document.nuclei.counts()["epithelial"] == 2


def test_frame_is_snapped_again_when_the_model_wants_other_multiples(canvas):
    canvas.document.set_frame(Region(0, 0, 0, 80, 80))
    canvas.snap = 64
    assert canvas.document.region.shape == (64, 64)


def test_write_undo_redo_are_byte_exact_and_told(canvas):
    seen = []
    canvas.pixels_changed.connect(seen.append)
    region = canvas.document.region
    before = canvas.target.data.copy()
    canvas.document.write(region, noise(region.shape))
    written = canvas.target.data.copy()
    assert np.array_equal(written[region.slices], noise(region.shape))
    canvas.document.undo()
    assert np.array_equal(canvas.target.data, before)
    assert not canvas.document.summary().has_pixels
    canvas.document.redo()
    assert np.array_equal(canvas.target.data, written)
    assert seen == [region] * 3
    assert canvas.can_undo
    assert not canvas.can_redo


def test_not_one_byte_changes_outside_the_edit_mask(viewer, workspace):
    photo = noise((128, 128))
    workspace.use_layer(viewer.add_image(photo))
    mask = paint_mask(workspace)
    workspace.document.write(workspace.document.region, noise((128, 128), seed=1), mask)
    changed = (workspace.document.snapshot().image != photo).any(axis=2)
    assert changed.any()
    assert not changed[~mask].any()


@pytest.mark.parametrize(
    ("region", "shape", "mask"),
    [
        (Region(0, 200, 0, 64, 64), (64, 64), None),
        (Region(0, 0, 0, 64, 64), (64, 32), None),
        (Region(0, 0, 0, 64, 64), (64, 64), np.ones((32, 64), bool)),
    ],
)
def test_misplaced_pixels_are_refused_before_anything_changes(canvas, region, shape, mask):
    before = canvas.target.data.copy()
    with pytest.raises(InvalidRequest, match="expected"):
        canvas.document.write(region, noise(shape), mask)
    assert np.array_equal(canvas.target.data, before)
    assert not canvas.can_undo


def test_a_pyramid_is_edited_without_touching_it(viewer, workspace):
    photo = noise((512, 512))
    levels = [da.from_array(photo), da.from_array(photo[::2, ::2])]
    layer = viewer.add_image(levels, multiscale=True, scale=(0.25, 0.25), units=("um", "um"))
    workspace.use_layer(layer)
    assert workspace.document.mpp == 0.25
    region = Region(0, 128, 128, 128, 128)
    workspace.document.set_frame(region)
    workspace.document.write(region, noise(region.shape, seed=1))
    assert np.array_equal(workspace.document.snapshot().image, noise(region.shape, seed=1))
    assert np.array_equal(levels[0].compute(), photo)
    names = [other.name for other in viewer.layers]
    assert names.index("Edit mask") > names.index(workspace.own_layers[0].name)
    workspace.document.undo()
    assert np.array_equal(workspace.document.snapshot().image, photo[region.slices])


def test_each_image_keeps_its_own_paint_and_undo(viewer, canvas):
    first = canvas.target
    fill_area(canvas)
    counts = canvas.document.nuclei.counts()
    canvas.document.write(canvas.document.region, noise((128, 128)))
    canvas.use_layer(viewer.add_image(noise((256, 256))))
    assert not any(canvas.document.nuclei.counts().values())
    assert not canvas.can_undo
    canvas.use_layer(first)
    assert canvas.document.nuclei.counts() == counts
    assert canvas.can_undo
    assert sum(layer.name == "Nuclei" for layer in viewer.layers) == 1


def test_removing_the_image_lets_go_of_it(viewer, canvas):
    seen = []
    canvas.target_changed.connect(lambda: seen.append(canvas.target))
    viewer.layers.remove(canvas.target)
    assert canvas.target is None
    assert len(viewer.layers) == 0
    assert seen == [None]


def test_removing_our_layers_by_accident_loses_no_paint(viewer, canvas):
    fill_area(canvas)
    counts = canvas.document.nuclei.counts()
    viewer.layers.remove("Nuclei")
    viewer.layers.remove("Frame")
    assert canvas.document.nuclei.counts() == counts
    assert [layer.name for layer in viewer.layers] == [
        "Canvas",
        "Tissue",
        "Edit mask",
        "Nuclei",
        "Frame",
    ]


def test_painting_is_restored_as_it_was(canvas):
    fill_area(canvas)
    paint_mask(canvas)
    before = canvas.document.snapshot()
    canvas.document.clear()
    assert not any(canvas.document.nuclei.counts().values())
    canvas.document.set_painting(before.class_map, before.instance_map, before.edit_mask)
    after = canvas.document.snapshot()
    for name in ("class_map", "instance_map", "edit_mask"):
        assert np.array_equal(getattr(after, name), getattr(before, name))
    with pytest.raises(InvalidMap, match="128 x 128"):
        canvas.document.set_painting(*[np.zeros((9, 9), np.uint8)] * 3)


def test_import_of_instances_with_classes(viewer, canvas):
    ids = np.zeros((256, 320), np.uint16)
    ids[70:80, 70:80] = 41
    ids[70:80, 80:90] = 42  # touches 41
    ids[150:160, 150:160] = 43
    ids[0:10, 0:10] = 44  # outside the frame
    layer = viewer.add_labels(ids, scale=(0.5, 0.5), units=("um", "um"))
    canvas.document.import_labels(layer, {41: 3, 42: 3})
    found = {name: n for name, n in canvas.document.nuclei.counts().items() if n}
    assert found == {"lymphocyte": 2, "unknown": 1}
    snapshot = canvas.document.snapshot()
    assert (snapshot.class_map[6:16, 6:26] == 3).all()
    assert snapshot.instance_map.max() == 3
    canvas.document.nuclei.layer.undo()
    assert not any(canvas.document.nuclei.counts().values())


def test_import_of_classes_only_at_another_scale(viewer, canvas):
    classes = np.zeros((128, 160), np.uint8)
    classes[40:44, 40:44] = 6
    classes[60:64, 40:44] = 6
    layer = viewer.add_labels(classes, scale=(1, 1), translate=(0.25, 0.25), units=("um", "um"))
    canvas.document.import_labels(layer, None)
    assert canvas.document.nuclei.counts()["connective"] == 2
    assert canvas.document.snapshot().class_map[16:24, 16:24].all()


@pytest.mark.parametrize(
    ("labels", "class_of", "words"),
    [
        (Labels(np.full((256, 320), 9)), None, "which class"),
        (Labels(np.full((256, 320), 2)), {2: 8}, "which class"),
        (Labels(np.full((256, 320), -2)), None, "negative"),
        (Labels(np.ones((2, 256, 320), int)), None, "one plane"),
        (Labels(np.ones((256, 320), int), rotate=30), None, "turned"),
    ],
)
def test_labels_that_make_no_nuclei_are_refused(canvas, labels, class_of, words):
    with pytest.raises(InvalidMap, match=words):
        canvas.document.import_labels(labels, class_of)
    assert not any(canvas.document.nuclei.counts().values())


def test_a_refused_layer_leaves_the_workspace_as_it_was(viewer, canvas):
    target = canvas.target
    with pytest.raises(InvalidImage):
        canvas.use_layer(viewer.add_image(np.zeros((90, 90))))
    with pytest.raises(InvalidImage, match="at least 64"):
        canvas.use_layer(viewer.add_image(np.zeros((40, 90, 3), np.uint8)))
    assert canvas.target is target
    assert canvas.document.snapshot().region == Region(0, 64, 64, 128, 128)


def test_the_summary_says_what_the_snapshot_holds(canvas):
    document = canvas.document

    def same():
        summary, snapshot = document.summary(), document.snapshot()
        assert summary.kind is snapshot.kind
        assert (summary.region, summary.mpp) == (snapshot.region, snapshot.mpp)
        assert summary.has_pixels == snapshot.coverage.any()
        assert summary.uses_paint == snapshot.uses_paint
        assert sum(summary.counts.values()) == len(np.unique(snapshot.instance_map)) - 1
        return summary

    assert not same().uses_paint
    click(document.nuclei.layer, (50, 50))
    assert same().uses_paint
    document.write(Region(0, 64, 64, 128, 64), noise((128, 64)))
    assert same().kind is EditKind.OUTPAINT
    assert not same().uses_paint  # the nucleus lies on pixels that stay
    click(document.nuclei.layer, (50, 90))
    assert same().uses_paint
    document.write(document.region, noise((128, 128)))
    assert same().kind is EditKind.GENERATE
    document.edit_mask.layer.paint((10, 10), 1)
    assert same().kind is EditKind.INPAINT
    assert not same().uses_paint
    assert not same().problem


def test_labels_that_are_no_nuclei_are_told(canvas):
    canvas.document.nuclei.layer.data[3, 3] = -1
    for look in (canvas.document.summary, canvas.document.snapshot):
        with pytest.raises(InvalidMap, match="clear the painting"):
            look()
