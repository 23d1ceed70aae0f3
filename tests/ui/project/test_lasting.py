"""Edits of image layers of other readers, brought back by the file they were made on."""

from __future__ import annotations

import json
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
from napari_histodiff.ui.project.folder import FILE, read_project
from napari_histodiff.ui.project.lasting import LastingEdits, lay_over
from napari_histodiff.ui.project.steps import KeptSteps
from napari_histodiff.ui.workspace.journal import MemoryJournal
from napari_histodiff.ui.workspace.targets import CanvasTarget
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


@pytest.mark.parametrize("kind", ["array", "pyramid"])
def test_they_can_be_undone_and_redone_in_the_next_window(path, root, kind) -> None:
    window = Window(root)
    window.open(path, kind)
    blank = window.shown()
    window.apply()
    second = request(PLACE)
    other = NEW[::-1].copy()
    window.workspace.document.write(PLACE, other, None, second)
    third = Region(0, 200, 10, 32, 40)
    untouched = window.shown(third)
    window.workspace.document.write(third, NEW[:32, :40], None, request(third))
    window.workspace.document.undo()
    window.lasting.close()
    for _ in range(2):  # what is kept is kept again
        again = Window(root)
        again.open(path, kind)
        assert "The last can be undone." in again.told[0]
        document = again.workspace.document
        journal = document.journal
        assert (len(journal.done), len(journal.undone), len(journal.marks)) == (2, 1, 2)
        np.testing.assert_array_equal(again.shown(), other)
        document.undo()
        np.testing.assert_array_equal(again.shown(), NEW)
        document.undo()
        np.testing.assert_array_equal(again.shown(), blank)
        assert (journal.can_undo, journal.marks) == (False, ())
        for _ in range(3):
            document.redo()
        np.testing.assert_array_equal(again.shown(), other)
        np.testing.assert_array_equal(again.shown(third), NEW[:32, :40])
        document.undo()
        np.testing.assert_array_equal(again.shown(third), untouched)
        again.lasting.close()
    # Nothing of a step is left that cannot be taken any more.
    last = Window(root)
    last.open(path, kind)
    last.workspace.document.undo()
    last.workspace.document.write(PLACE, NEW[:, ::-1], None, second)
    last.lasting.close()
    kept = read_project(next(root.iterdir()))
    assert [step["undone"] for step in kept.description["images"][0]["steps"]] == [False, False]
    assert {slot[1] for slot in kept.arrays} - {"before 1"} == {
        *("pixels", "after 1", "before 4", "after 4")
    }


def test_all_taken_back_can_be_redone_in_the_next_window(path: Path, root: Path) -> None:
    window = Window(root)
    window.open(path)
    blank = window.shown()
    window.apply()
    window.workspace.document.undo()
    window.lasting.close()
    again = Window(root)
    again.open(path)
    assert not again.told
    np.testing.assert_array_equal(again.shown(), blank)
    again.workspace.document.redo()
    np.testing.assert_array_equal(again.shown(), NEW)
    again.workspace.document.undo()
    np.testing.assert_array_equal(again.shown(), blank)
    again.lasting.close()


def test_only_the_last_steps_are_kept() -> None:
    target = CanvasTarget(64, 64, 0.5, (255, 255, 255), "a")
    journal = MemoryJournal(target)
    for value in range(4):
        place = Region(0, 0, 0, 8, 8)
        journal.write(place, np.full((8, 8, 3), value, np.uint8), None, request(place))
    step = 2 * 8 * 8 * 4
    kept = KeptSteps.of(journal, 2 * step)
    assert [one.number for one in kept.done] == [3, 4]
    assert len(kept.marks) == 2
    journal.undo()
    kept = KeptSteps.of(journal, 2 * step)
    assert ([one.number for one in kept.done], len(kept.marks)) == ([2, 3], 1)
    assert kept.undone == ()  # what is shown counts first
    assert KeptSteps.of(object()).described() == {"marks": [], "steps": []}


def test_a_project_brings_undo_along_where_it_shows_the_same(path: Path, root: Path) -> None:
    window = Window(root)
    window.open(path)
    window.apply()
    window.lasting.close()
    for pixels, undo in ((NEW, True), (NEW[::-1], False)):
        again = Window(root)
        again.lasting.restores = False
        again.open(path)
        target = again.workspace.document.target
        lay_over(target, PLACE, np.dstack((pixels, np.full(PLACE.shape, 255, np.uint8))))
        again.lasting.pump()
        assert again.workspace.document.journal.can_undo == undo
        again.lasting.close()


@pytest.mark.parametrize("steps", [None, [{}], [{"number": 1, "region": [0, 0, 0, 5, 5]}], [7]])
def test_steps_that_are_garbled_are_told_and_do_no_harm(path, root, steps) -> None:
    window = Window(root)
    window.open(path)
    window.apply()
    window.lasting.close()
    file = next(root.glob(f"*/{FILE}"))
    said = json.loads(file.read_text())
    said["images"][0]["steps"] = steps
    file.write_text(json.dumps(said))
    for restores in (True, False):
        again = Window(root)
        again.lasting.restores = restores
        again.open(path)
        again.lasting.pump()
        assert not again.workspace.document.journal.can_undo
        assert ("cannot be shown" in "".join(again.told)) == restores
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
