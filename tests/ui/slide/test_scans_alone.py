"""Edits that are opened in the window without their scan."""

from __future__ import annotations

import shutil
from pathlib import Path
from threading import Event, get_ident
from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from PIL import Image
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog, QMessageBox

from napari_histodiff.core.errors import StorageError
from napari_histodiff.slide.overlays import growing
from napari_histodiff.slide.scans.padded import Margins
from napari_histodiff.slide.scans.remembered import RememberedScans
from napari_histodiff.ui.slide.scans import shown
from napari_histodiff.ui.slide.scans.alone import ask_scan
from napari_histodiff.ui.slide.scans.shown import ShownScans
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.slide.overlays.test_attaching import NEW, PLACE, _config, edits, picture, slide

__all__ = ["_config", "edits", "slide"]  # fixtures


@pytest.fixture
def scans(tmp_path: Path, qapp: object):
    viewer = ViewerModel()
    controller = SimpleNamespace(staged=SimpleNamespace(now=None))
    remembered = RememberedScans(tmp_path / "scans.json")
    made = ShownScans(viewer, Workspace(viewer), controller, None, remembered)
    yield SimpleNamespace(viewer=viewer, scans=made, remembered=remembered)
    made.close()


@pytest.fixture
def sent(edits: Path, slide: Path, tmp_path: Path, scans) -> Path:
    from napari_histodiff.slide.scans.opening import open_scan

    scan = open_scan(slide)
    scans.remembered.remember(scan.identity(), mpp=0.5)
    scan.close()
    return Path(shutil.move(edits, tmp_path / "sent" / edits.name))


def answer(monkeypatch: pytest.MonkeyPatch, found: object) -> None:
    monkeypatch.setattr(shown, "ask_scan", lambda *_: found)


def test_the_scan_that_is_chosen_shows_them_and_goes_on(scans, sent, slide, monkeypatch):
    answer(monkeypatch, slide)
    assert scans.scans.show_edits(sent) == slide
    (layer,) = [layer for layer in scans.viewer.layers if "scan" in layer.metadata]
    np.testing.assert_array_equal(layer.data[0][PLACE.slices], NEW)
    scans.scans.close()
    assert scans.scans.show(slide)  # they open with it by themselves
    (layer,) = [layer for layer in scans.viewer.layers if "scan" in layer.metadata]
    np.testing.assert_array_equal(layer.data[0][PLACE.slices], NEW)


def test_another_scan_is_refused(scans, sent, slide, monkeypatch):
    other = picture(slide.with_name("other.png"), seed=5)
    answer(monkeypatch, other)
    monkeypatch.setattr(shown, "open_asking", lambda path, *_: opened(path))
    with pytest.raises(StorageError, match=r"'slide\.png'"):
        scans.scans.show_edits(sent)
    assert not scans.viewer.layers


def opened(path: Path):
    from napari_histodiff.slide.scans.opening import open_scan

    return open_scan(path, mpp=0.5)


def test_the_edited_places_alone_can_be_looked_at(scans, sent, monkeypatch):
    answer(monkeypatch, True)
    assert scans.scans.show_edits(sent) is None
    (layer,) = scans.viewer.layers
    assert layer.name == "slide (edited places)"
    np.testing.assert_array_equal(np.asarray(layer.data[0][PLACE.slices]), NEW)
    scans.viewer.layers.remove(layer)


def test_neither_shows_nothing(scans, sent, monkeypatch):
    answer(monkeypatch, False)
    assert scans.scans.show_edits(sent) is None
    assert not scans.viewer.layers


@pytest.mark.parametrize(
    ("press", "named", "found"),
    [
        ("Choose", "/tmp/a.svs", Path("/tmp/a.svs")),
        ("Choose", "", False),
        ("Edited", "", True),
        ("Cancel", "", False),
    ],
)
def test_the_question(qapp, sent, monkeypatch, press, named, found):
    said = []

    def run(box: QMessageBox) -> int:
        said.append(box.text())
        button = next(one for one in box.buttons() if press in one.text())
        monkeypatch.setattr(QMessageBox, "clickedButton", lambda _: button)
        return 0

    monkeypatch.setattr(QMessageBox, "exec", run)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (named, ""))
    assert ask_scan(None, sent) == found
    assert "slide.png" in said[0]


def test_room_is_made_in_a_thread_while_the_window_lives(scans, sent, slide, monkeypatch):
    answer(monkeypatch, slide)
    scans.scans.show_edits(sent)
    workspace = scans.scans._workspace
    ticked, said, threads = Event(), [], []
    real = growing._write_larger

    def slowly(*arguments: object) -> None:
        threads.append(get_ident())
        assert ticked.wait(30)  # for the window's timer
        real(*arguments)

    def tick() -> None:
        said.append(workspace.doing.text)
        ticked.set()

    monkeypatch.setattr(growing, "_write_larger", slowly)
    QTimer.singleShot(0, tick)
    scans.scans.make_room(Margins(right=256))
    assert threads != [get_ident()]
    assert said == ["Making room: all edits are written anew…"]
    assert workspace.doing.text == ""
    (layer,) = [layer for layer in scans.viewer.layers if "scan" in layer.metadata]
    height, width = open_size(slide)
    assert layer.data[0].shape == (height, width + 256, 3)
    np.testing.assert_array_equal(layer.data[0][PLACE.slices], NEW)


def open_size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.height, picture.width
