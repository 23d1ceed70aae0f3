from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from napari.layers import Labels
from PIL import Image

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.layout.sketch import Sketch
from napari_histodiff.slide.sketch_files import read_sketch
from napari_histodiff.slide.storage.tile_table import TileState
from napari_histodiff.slide.store import SlideStore
from napari_histodiff.ui.slide.sketching import SKETCH_NAME, SketchEditor
from tests.fakes import FAKE_INFO
from tests.slide.fake_store import small_recipe
from tests.ui.doubles import RecordingEngine
from tests.ui.slide.stage import Stage, put_block


@pytest.fixture
def make_stage(tmp_path):
    made = []

    def make(sketch=None, **recipe) -> Stage:
        store = SlideStore.create(tmp_path / "slide.ome.zarr", small_recipe(**recipe), sketch)
        made.append(Stage(store, RecordingEngine()))
        return made[-1]

    yield make
    for stage in made:
        stage.session.close()


def test_the_sketch_lies_over_the_slide_in_large_pixels(make_stage):
    stage = make_stage()
    layer = stage.session.edit_sketch()
    assert isinstance(layer, Labels)
    assert layer.name == SKETCH_NAME
    assert layer.data.shape == (32, 32)
    assert not layer.data.any()
    assert stage.viewer.layers.selection.active is layer
    assert layer.mode == "paint"
    np.testing.assert_allclose(layer.extent.world, stage.session.layer.extent.world, atol=64 * 0.25)
    placed = layer.data_to_world((-0.5, -0.5))
    np.testing.assert_allclose(placed, stage.session.layer.data_to_world((-0.5, -0.5)))
    end = layer.data_to_world((31.5, 31.5))
    np.testing.assert_allclose(end, stage.session.layer.data_to_world((2047.5, 2047.5)))
    assert stage.session.edit_sketch() is layer
    assert len([x for x in stage.viewer.layers if isinstance(x, Labels)]) == 1


def test_the_present_sketch_is_shown_whatever_its_pixels(make_stage):
    classes = np.zeros((8, 16), np.uint8)
    classes[2:5, 3:9] = 2
    stage = make_stage(Sketch(classes, 256))
    shown = stage.session.edit_sketch().data
    np.testing.assert_array_equal(shown, classes[:, :8].repeat(4, 0).repeat(4, 1))


def test_a_finer_level_leaves_the_sketch_its_pixels(make_stage):
    stage = make_stage()
    stage.session.edit_sketch().data[4:9, 5:20] = 3
    stage.session.apply_sketch()
    before = stage.store.sketch
    stage.store.refine(replace(FAKE_INFO, mpp=(0.125, 1.0)))
    editor = SketchEditor(stage.viewer, stage.session.layer, stage.store)
    layer = editor.open()
    np.testing.assert_array_equal(layer.data, before.classes)
    layer.data[30, 30] = 4
    editor.apply()
    assert stage.store.sketch.pixel == 2 * before.pixel
    assert np.argwhere(stage.store.sketch.classes != before.classes).tolist() == [[30, 30]]
    editor.close()


def test_what_is_painted_becomes_the_slides_sketch(make_stage):
    stage = make_stage()
    stage.rest()
    layer = stage.session.edit_sketch()
    layer.data[:, 16:] = 4
    assert stage.session.apply_sketch() == 0
    assert SKETCH_NAME not in stage.viewer.layers
    sketch = stage.store.sketch
    assert (sketch.classes[:, 16:] == 4).all()
    assert not sketch.classes[:, :16].any()
    assert sketch.pixel == 64
    right = Region(0, 900, 1400, 64, 64)
    assert (stage.store.layout.tissue(right) == 4).all()
    assert stage.store.read(right).min() > 200  # glass
    stage.store.undo()
    assert stage.store.sketch is None


def test_a_picture_in_the_colours_of_the_window_is_read_back(make_stage, tmp_path):
    stage = make_stage()
    layer = stage.session.edit_sketch()
    layer.data[2:7, 3:12] = np.arange(5)[:, None]
    shown = np.round(layer.colormap.map(layer.data) * 255).astype(np.uint8)
    Image.fromarray(shown).save(tmp_path / "sketch.png")
    spec = stage.store.spec
    read = read_sketch(tmp_path / "sketch.png", spec.height, spec.width)
    np.testing.assert_array_equal(read.classes, layer.data)


def test_drawn_tiles_become_stale_where_the_sketch_changes(make_stage):
    stage = make_stage(height=8192, width=8192)
    put_block(stage.store, stage.store.spec.bounds(2), 120)
    layer = stage.session.edit_sketch()
    layer.data[:8, :8] = 1 + (stage.store.layout.tissue(Region(0, 256, 256, 1, 1))[0, 0] % 4)
    stage.session.apply_sketch()
    state = stage.store.state(2)
    assert state[0, 0] == TileState.STALE
    assert state[-1, -1] == TileState.GENERATED


def test_edited_tiles_are_asked_about_first(make_stage):
    stage = make_stage()
    store = stage.store
    put_block(store, store.spec.bounds(2), 120)
    put_block(store, store.spec.bounds(1), 120)
    put_block(store, store.spec.bounds(0), 120)
    region = Region(0, 64, 64, 128, 128)
    request = EditRequest(kind=EditKind.GENERATE, region=region, mpp=0.25)
    store.write(request, np.full((128, 128, 3), 9, np.uint8))
    layer = stage.session.edit_sketch()
    layer.data[28:, 28:] = 4  # far from the edit
    assert stage.session.apply_sketch() == 0
    layer = stage.session.edit_sketch()
    layer.data[:8, :8] = 4
    assert stage.session.apply_sketch() > 0
    assert stage.session.apply_sketch() > 0  # and nothing was done
    assert not (store.sketch.classes[:8, :8] == 4).any()
    assert SKETCH_NAME in stage.viewer.layers
    assert stage.session.apply_sketch(overwrite=True) == 0
    assert (store.sketch.classes[:8, :8] == 4).all()


def test_a_number_that_is_no_tissue_is_refused(make_stage):
    stage = make_stage()
    layer = stage.session.edit_sketch()
    layer.data[3, 3] = 12
    with pytest.raises(InvalidRequest, match="label 12"):
        stage.session.apply_sketch()
    assert stage.store.sketch is None


def test_no_sketch_no_apply(make_stage):
    stage = make_stage()
    with pytest.raises(InvalidRequest, match="Edit sketch"):
        stage.session.apply_sketch()
    stage.session.edit_sketch()
    stage.session.close_sketch()
    with pytest.raises(InvalidRequest, match="Edit sketch"):
        stage.session.apply_sketch()


def test_the_largest_slide_has_a_sketch_that_can_be_painted(make_stage):
    stage = make_stage(height=131072, width=70000)
    layer = stage.session.edit_sketch()
    assert layer.data.shape == (2048, 1094)
