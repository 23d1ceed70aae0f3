from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_histodiff.core.errors import InvalidImage
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.workspace.import_labels import resampled
from napari_histodiff.ui.workspace.targets import Target, open_target
from napari_histodiff.ui.workspace.transforms import pixel_size
from tests.ui.conftest import OpenDock
from tests.ui.doubles import RecordingEngine


def _target(pixels: np.ndarray, mpp: float = 0.275) -> Target:
    layer = Image(pixels, rgb=True, scale=(mpp, mpp), translate=(3, 5), units=("um", "um"))
    return open_target(layer, ViewerModel())


def test_the_copy_has_the_pixel_size_and_lies_on_the_same_place() -> None:
    rows = np.broadcast_to(np.arange(230, dtype=np.uint8)[:, None, None], (230, 301, 3)).copy()
    target = _target(rows)
    before = rows.copy()
    copy = resampled(target, 0.5)
    assert pixel_size(copy) == (0.5, True)
    assert copy.data.shape == (126, 165, 3)
    assert copy.data.dtype == np.uint8
    # What lies at one place of the world is the same in both.
    row = target.layer.world_to_data(copy.data_to_world((60, 60)))[0]
    assert copy.data[60, 60, 0] == pytest.approx(row, abs=1)
    np.testing.assert_array_equal(rows, before)


def test_an_image_too_large_for_memory_is_refused() -> None:
    with pytest.raises(InvalidImage, match="coarser level"):
        resampled(_target(np.broadcast_to(np.uint8(9), (64, 8193, 3))), 0.5)


def test_a_too_fine_image_is_resampled_by_one_button(open_dock: OpenDock) -> None:
    engine = RecordingEngine()
    dock: StudioDock = open_dock(engine)
    engine.ready()
    dock.controller.pump()
    pixels = np.full((300, 300, 3), 200, np.uint8)
    fine = dock.viewer.add_image(pixels, rgb=True, scale=(0.1, 0.1), units=("um", "um"))
    dock.actions.use_selected()
    dock.controller.refresh_plan()
    assert "too fine" in dock.run.note.text()
    assert dock.run.resample.text() == "Resample to 0.25 µm/px"
    dock.run.resample.click()
    dock.controller.refresh_plan()
    assert dock.workspace.document.mpp == pytest.approx(0.25)
    assert dock.run.resample.isHidden()
    assert dock.run.main.isEnabled()
    assert fine.data is pixels


def test_an_assumed_pixel_size_is_said(open_dock: OpenDock) -> None:
    dock = open_dock(RecordingEngine())
    dock.viewer.add_image(np.full((100, 100, 3), 200, np.uint8), rgb=True)
    dock.actions.use_selected()
    assert "assumed" in dock.canvas.corner.text()
    assert "say it below" in dock.canvas.corner.toolTip()
