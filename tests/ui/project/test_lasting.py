"""Edits of image layers of other readers, brought back by the file they were made on."""

from __future__ import annotations

import shutil
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from napari.layers._source import layer_source
from PIL import Image as Picture

from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.project.folder import FILE
from napari_histodiff.ui.project.lasting import LastingEdits
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.slide.overlays.fake_scan import request
from tests.ui.slide.stage import wait_until

PLACE = Region(0, 60, 70, 64, 96)
NEW = np.random.default_rng(1).integers(0, 256, (*PLACE.shape, 3), np.uint8)


class Window:
    """A viewer whose images last."""

    def __init__(self, root: Path) -> None:
        self.viewer = ViewerModel()
        self.workspace = Workspace(self.viewer, seed=0)
        self.now = 0.0
        self.lasting = LastingEdits(self.workspace, root, lambda: self.now)
        self.told: list[str] = []
        self.lasting.told.connect(self.told.append)

    def open(self, path: Path, kind: str = "array") -> Image:
        pixels = np.asarray(Picture.open(path))
        with layer_source(path=str(path), reader_plugin="another"):
            if kind == "pyramid":
                levels = [da.from_array(pixels), da.from_array(pixels[::2, ::2])]
                layer = Image(levels, multiscale=True, rgb=True, name="a")
            else:
                layer = Image(pixels, rgb=True, name="a")
        self.viewer.add_layer(layer)
        self.workspace.use_layer(layer)
        return layer

    def shown(self, region: Region = PLACE) -> np.ndarray:
        return self.workspace.document.target.read(region)

    def apply(self) -> None:
        self.workspace.document.write(PLACE, NEW, None, request(PLACE))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (300, 260, 3), np.uint8)
    Picture.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "images"


@pytest.mark.parametrize("kind", ["array", "pyramid"])
def test_they_show_again_with_the_file(path: Path, root: Path, kind: str) -> None:
    before = path.read_bytes()
    window = Window(root)
    window.open(path, kind)
    window.apply()
    window.lasting.close()
    moved = path.rename(path.with_name("moved.png"))
    again = Window(root)
    again.open(moved, kind)
    np.testing.assert_array_equal(again.shown(), NEW)
    assert "are shown; they are kept in" in again.told[0]
    assert len(again.workspace.document.journal.marks) == 1
    target = again.workspace.document.target
    assert target.edited(target.bounds).sum() == PLACE.area
    assert moved.read_bytes() == before
    again.lasting.close()


def test_what_was_taken_back_does_not_come_back(path: Path, root: Path) -> None:
    window = Window(root)
    window.open(path)
    before = window.shown()
    window.apply()
    window.workspace.document.undo()
    window.lasting.close()
    again = Window(root)
    again.open(path)
    np.testing.assert_array_equal(again.shown(), before)
    assert not again.told
    again.lasting.close()


def test_another_file_of_the_name_shows_nothing(path: Path, root: Path) -> None:
    window = Window(root)
    window.open(path)
    window.apply()
    window.lasting.close()
    pixels = np.random.default_rng(7).integers(0, 256, (300, 260, 3), np.uint8)
    Picture.fromarray(pixels).save(path)
    again = Window(root)
    again.open(path)
    np.testing.assert_array_equal(again.shown(), pixels[PLACE.slices])
    again.lasting.close()


def test_a_layer_removed_at_once_and_opened_again_has_them(path: Path, root: Path) -> None:
    window = Window(root)
    layer = window.open(path)
    window.apply()
    window.viewer.layers.remove(layer)
    window.open(path)
    np.testing.assert_array_equal(window.shown(), NEW)
    window.lasting.close()


def test_they_are_written_in_a_moment_and_not_before(path: Path, root: Path) -> None:
    window = Window(root)
    window.open(path)
    window.lasting.pump()
    assert not root.exists()
    window.apply()
    window.lasting.pump()
    assert not root.exists()
    window.now = 5.0
    wait_until(lambda: window.lasting.pump() or bool(list(root.glob(f"*/{FILE}"))))
    window.lasting.close()


def test_an_image_that_another_window_edits_is_told(
    path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = Window(root)
    window.open(path)
    window.apply()
    window.now = 5.0
    wait_until(lambda: window.lasting.pump() or bool(list(root.glob(f"*/{FILE}"))))
    monkeypatch.setattr("napari_histodiff.ui.project.folder._me", lambda: {"pid": -1})
    monkeypatch.setattr("napari_histodiff.ui.project.folder._lives", lambda _: True)
    other = Window(root)
    other.open(path)
    assert "in another window" in other.told[0]
    other.apply()
    other.lasting.close()
    monkeypatch.undo()
    window.lasting.close()


def test_damage_and_a_full_disk_are_told(
    path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = Window(root)
    window.open(path)
    window.apply()
    window.lasting.close()
    (folder,) = root.iterdir()
    shutil.rmtree(folder / "arrays")
    again = Window(root)
    again.open(path)
    assert "cannot be shown" in again.told[0]
    again.lasting.close()


def test_canvases_and_layers_without_a_file_keep_nothing(root: Path) -> None:
    window = Window(root)
    window.workspace.new_canvas(128, 128)
    window.workspace.document.write(Region(0, 0, 0, 64, 96), NEW)
    layer = window.viewer.add_image(np.full((128, 128, 3), 200, np.uint8), rgb=True)
    window.workspace.use_layer(layer)
    window.workspace.document.write(Region(0, 0, 0, 64, 96), NEW)
    window.lasting.close()
    assert not root.exists()
