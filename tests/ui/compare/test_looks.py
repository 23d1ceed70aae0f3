from __future__ import annotations

import numpy as np
import pytest

from napari_histodiff.core.engine import JobFinished
from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.compare.looks import DIFFERENCE_NAME
from napari_histodiff.ui.dock import StudioDock
from tests.ui.conftest import OpenDock
from tests.ui.doubles import RecordingEngine

FRAME = Region(0, 32, 32, 64, 64)


@pytest.fixture
def dock(open_dock: OpenDock) -> StudioDock:
    """A dock with a variant staged over grey tissue: 40 levels darker under the mask."""
    engine = RecordingEngine()
    dock = open_dock(engine)
    engine.ready()
    dock.controller.pump()
    layer = dock.viewer.add_image(
        np.full((128, 128, 3), 180, np.uint8), rgb=True, scale=(0.5, 0.5), units=("um", "um")
    )
    dock.workspace.use_layer(layer)
    dock.controller.set(context=0.0, variants=1)
    dock.workspace.document.set_frame(FRAME)
    mask = np.zeros(FRAME.shape, bool)
    mask[16:48, 16:48] = True
    dock.workspace.document.edit_mask.put(mask)
    dock.actions.generate()
    drawn = np.full((1, 64, 64, 3), 180, np.uint8)
    drawn[0][mask] = 140
    engine.emit(JobFinished("1", drawn, 1.0))
    dock.controller.pump()
    assert dock.controller.staged.now is not None
    return dock


def test_before_is_seen_as_long_as_a_key_is_held(dock: StudioDock) -> None:
    preview = dock.controller.staged.preview.layer
    handler = dock.viewer.window._qt_viewer._key_map_handler
    assert handler.press_key("B")
    assert not preview.visible
    handler.release_key("B")
    assert preview.visible


def test_a_divider_shows_before_on_its_left(dock: StudioDock) -> None:
    preview = dock.controller.staged.preview.layer
    dock.run.readings.divider.setValue(50)
    assert preview.data.shape == (64, 32, 3)
    place = preview.data_to_world((0, 0))
    np.testing.assert_allclose(dock.workspace.target.world_to_data(place), (32, 64))
    dock.run.readings.divider.setValue(0)
    assert preview.data.shape == (64, 64, 3)
    dock.controller.staged.apply()
    assert dock.run.readings.divider.value() == 0


def test_differences_are_a_layer_that_comes_and_goes(dock: StudioDock) -> None:
    dock.looks.toggle_difference()
    layer = dock.viewer.layers[DIFFERENCE_NAME]
    assert layer.data.max() == 40
    assert (layer.data > 0).sum() == 32 * 32
    dock.looks.toggle_difference()
    assert not layer.visible
    dock.looks.toggle_difference()
    assert layer.visible
    dock.controller.staged.discard()
    assert not layer.visible
    dock.looks.toggle_difference()
    assert not layer.visible
