"""A scan of a real file in a viewer: edits are seen, kept, and taken back after a restart."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import platformdirs
import pytest
from napari.components import ViewerModel
from PIL import Image

from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.scans.opening import open_scan
from napari_histodiff.ui.slide.scans.view import ScanView
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.slide.overlays.fake_scan import request
from tests.ui.slide.stage import wait_until

FRAME = Region(0, 256, 192, 128, 192)
NEW = np.random.default_rng(1).integers(0, 256, (*FRAME.shape, 3), np.uint8)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(platformdirs, "user_config_path", lambda *_, **__: tmp_path / "config")
    pixels = np.random.default_rng(0).integers(0, 256, (1300, 1100, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "slide.png")
    return tmp_path / "slide.png"


def shown(path: Path):
    view = ScanView(ViewerModel(), open_scan(path, mpp=0.5))
    workspace = Workspace(view._viewer)
    workspace.use_layer(view.layer)
    workspace.document.set_frame(FRAME)
    return view, workspace.document


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
