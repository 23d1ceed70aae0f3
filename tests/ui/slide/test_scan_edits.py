"""A scan of a real file in a viewer: edits are seen, kept, and taken back after a restart."""

from __future__ import annotations

import hashlib
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
import platformdirs
import pytest
from napari.components import ViewerModel
from PIL import Image

from napari_histodiff.core.colours import GLASS_COLOUR
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.scans.opening import open_scan
from napari_histodiff.slide.scans.padded import Margins
from napari_histodiff.ui.slide.scans.view import ScanView
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.slide.overlays.fake_scan import request
from tests.ui.slide.stage import wait_until

FRAME = Region(0, 256, 192, 128, 192)
NEW = np.random.default_rng(1).integers(0, 256, (*FRAME.shape, 3), np.uint8)


WORKSPACES: WeakKeyDictionary[object, Workspace] = WeakKeyDictionary()


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(platformdirs, "user_config_path", lambda *_, **__: tmp_path / "config")
    pixels = np.random.default_rng(0).integers(0, 256, (1300, 1100, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "slide.png")
    return tmp_path / "slide.png"


def shown(path: Path):
    view = ScanView(ViewerModel(), open_scan(path, mpp=0.5))
    workspace = WORKSPACES[view.layer] = Workspace(view._viewer)
    workspace.use_layer(view.layer)
    workspace.document.set_frame(FRAME)
    return view, workspace.document


def workspace_of(view: ScanView) -> Workspace:
    return WORKSPACES[view.layer]


def three_classes(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    classes = np.zeros(shape, np.uint8)
    classes[20:40, 30:60] = 3
    return classes, classes.astype(np.int32), np.zeros(shape, bool)


def carried_out(view: ScanView, step) -> None:
    wait_until(lambda: view.pump() or step.is_over)
    assert step.error is None


def test_an_edit_is_seen_kept_and_taken_back_after_a_restart(path):
    checksum = hashlib.sha256(path.read_bytes()).digest()
    view, document = shown(path)
    overview = np.array(view.layer.data[-1])
    carried_out(view, document.write(FRAME, NEW, None, request(FRAME)))
    np.testing.assert_array_equal(view.layer.data[0][FRAME.slices], NEW)
    edited = np.array(view.layer.data[-1])
    assert (edited != overview).any()
    view.close()
    assert view.layer not in view._viewer.layers

    view, document = shown(path)
    news = []
    view.target.told.connect(news.append)
    view.pump()
    assert "edits of this slide are shown; they are kept in" in news[0]
    np.testing.assert_array_equal(np.array(view.layer.data[-1]), edited)
    carried_out(view, document.undo())
    np.testing.assert_array_equal(np.array(view.layer.data[-1]), overview)
    view.close()
    assert hashlib.sha256(path.read_bytes()).digest() == checksum


def test_room_beyond_the_border_is_drawn_in_and_stays(path):
    more = Margins(top=64, left=256, bottom=0, right=128)
    view, document = shown(path)
    carried_out(view, document.write(FRAME, NEW, None, request(FRAME)))
    document.set_painting(*three_classes(FRAME.shape))
    layer = view.layer
    before = layer.data_to_world((300, 200))
    view.enlarge(more)
    np.testing.assert_allclose(layer.data_to_world((300 + 64, 200 + 256)), before)
    assert [level.shape[:2] for level in layer.data] == [
        view.target.spec.bounds(level).shape for level in range(view.target.spec.levels)
    ]
    document = workspace_of(view).document
    assert document.region == FRAME.translate(64, 256)
    np.testing.assert_array_equal(layer.data[0][document.region.slices], NEW)
    assert (document.nuclei.maps()[0] == three_classes(FRAME.shape)[0]).all()
    beyond = Region(0, 64, 128, 128, 192)
    document.set_frame(beyond)
    assert document.summary().kind == "outpaint"
    snapshot = document.snapshot()
    assert snapshot.edit_mask[:, :128].all()
    assert not snapshot.edit_mask[:, 128:].any()
    step = document.write(beyond, NEW, snapshot.edit_mask, request(beyond))
    carried_out(view, step)
    np.testing.assert_array_equal(layer.data[0][64:192, 128:256], NEW[:, :128])
    assert document.summary().kind == "generate"  # all of the frame has pixels now
    view.close()

    view, document = shown(path)
    np.testing.assert_allclose(view.layer.data_to_world((300 + 64, 200 + 256)), before)
    np.testing.assert_array_equal(view.layer.data[0][64:192, 128:256], NEW[:, :128])
    carried_out(view, document.undo())
    assert (view.layer.data[0][64:192, 128:256] == GLASS_COLOUR).all()
    view.close()


def test_room_is_refused_where_nothing_can_be_kept(path):
    view, _ = shown(path)
    with pytest.raises(InvalidRequest, match="multiple of"):
        view.enlarge(Margins(top=1))
    assert view.target.spec.bounds(0).shape == (1300, 1100)
    view.close()
