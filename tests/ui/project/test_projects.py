from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from napari.layers import Image
from skimage.io import imsave

from napari_histodiff.core.engine import JobFinished
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.project import part
from napari_histodiff.ui.project.folder import read_project
from napari_histodiff.ui.viewport import camera_of
from tests.ui.conftest import OpenDock, WaitFor
from tests.ui.doubles import RecordingEngine

FAR = Region(0, 700, 800, 128, 128)
NEAR = Region(0, 64, 32, 128, 128)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    told: list[str] = []
    monkeypatch.setattr(part, "show_warning", told.append)
    monkeypatch.setattr(part, "show_info", lambda text: None)
    return told


def _paint(dock: StudioDock, place: Region, class_id: int) -> None:
    document = dock.workspace.document
    document.set_frame(place)
    classes = np.zeros(place.shape, np.uint8)
    classes[10:30, 20:44] = class_id
    document.paint_nuclei(classes, (classes > 0).astype(np.int32))
    document.paint_tissue((classes > 0).astype(np.uint8) * 2)


def _edit(dock: StudioDock, place: Region, shade: int) -> None:
    request = EditRequest(kind=EditKind.GENERATE, region=place, seed=shade, model_name="fake")
    pixels = np.full((*place.shape, 3), shade, np.uint8)
    dock.workspace.document.write(place, pixels, None, request)


def _work(dock: StudioDock, engine: RecordingEngine) -> None:
    """Paint at two places of a canvas, apply an edit, stage another."""
    dock.workspace.new_canvas(1500, 1200, mpp=0.25)
    _paint(dock, FAR, 3)
    _paint(dock, NEAR, 5)
    _edit(dock, FAR, 40)
    dock.controller.set(caption="colon, gland", guidance_scale=1.7, steps=3, variants=2)
    dock.controller.generate()
    images = np.stack([np.full((128, 128, 3), shade, np.uint8) for shade in (80, 81)])
    engine.emit(JobFinished("1", images, 0.5))
    dock.controller.pump()
    dock.controller.staged.step(1)
    dock.workspace.select_class(4)
    camera_of(dock.viewer).center, camera_of(dock.viewer).zoom = (30.0, 40.0), 7.0


def _check(dock: StudioDock) -> None:
    document = dock.workspace.document
    assert dock.workspace.target.name == "Canvas"
    assert document.mpp == 0.25
    assert document.region == NEAR
    pixels = dock.workspace.target.data
    assert pixels.shape == (1500, 1200, 3)
    assert (pixels[FAR.slices] == 40).all()
    assert document.target.coverage(document.target.bounds).sum() == FAR.area
    assert document.nuclei.maps()[0][15, 25] == 5
    assert document.tissue.tissue[15, 25] == 2
    assert [mark.seed for mark in document.journal.marks] == [40]
    settings = dock.controller.settings
    assert (settings.caption, settings.guidance_scale, settings.steps) == ("colon, gland", 1.7, 3)
    assert dock.workspace.paint.class_id == 4
    camera = camera_of(dock.viewer)
    assert (*camera.center[-2:], camera.zoom) == pytest.approx((30.0, 40.0, 7.0))
    staged = dock.controller.staged.now
    assert staged is not None
    assert (staged.image == 81).all()
    document.set_frame(FAR)
    assert document.nuclei.maps()[0][15, 25] == 3
    first_new = document.nuclei.next_instance
    assert first_new > document.nuclei.labels.max() // 7


def test_the_next_session_goes_on_where_the_last_stopped(
    open_dock: OpenDock, said: list[str], wait_for: WaitFor
) -> None:
    engine = RecordingEngine()
    dock = open_dock(engine)
    _work(dock, engine)
    dock.shut_down()

    later = open_dock(RecordingEngine())
    offers: list[object] = []
    later.project.offered.connect(offers.append)
    wait_for(lambda: bool(offers))
    assert offers[0].title.startswith("Canvas, ")
    later.project.resume()
    wait_for(lambda: later.workspace.target is not None)
    assert offers[-1] is None
    _check(later)
    assert said == []
    # What was not touched is not written again, and nothing is lost by the second end.
    folder = offers[0].path
    later.workspace.document.set_frame(NEAR)
    later.shut_down()
    assert len([slot for slot in read_project(folder).arrays if slot[1] == "pixels"]) == 1
    third = open_dock(RecordingEngine())
    third.project.open(folder)
    wait_for(lambda: third.workspace.target is not None)
    assert (third.workspace.target.data[FAR.slices] == 40).all()


def test_edits_of_a_canvas_can_be_undone_and_repeated_in_the_next_window(
    open_dock: OpenDock, said: list[str], wait_for: WaitFor, tmp_path: Path
) -> None:
    dock = open_dock(RecordingEngine())
    dock.workspace.new_canvas(1500, 1200, mpp=0.25)
    _paint(dock, FAR, 3)
    for place, shade in ((FAR, 40), (NEAR, 50), (NEAR, 60)):
        _edit(dock, place, shade)
    dock.workspace.document.undo()
    dock.project.save(tmp_path / "project")
    dock.shut_down()
    for later in (open_dock(RecordingEngine()), open_dock(RecordingEngine())):
        later.project.open(tmp_path / "project")
        wait_for(lambda dock=later: dock.workspace.target is not None)
        document = later.workspace.document
        assert [mark.seed for mark in document.journal.marks] == [40, 50]
        pixels = later.workspace.target.data
        document.redo()
        assert (pixels[NEAR.slices] == 60).all()
        for shade in (50, 243):  # glass
            document.undo()
            assert (pixels[NEAR.slices][..., 0] == shade).all()
        document.set_frame(FAR)
        assert document.nuclei.maps()[0][15, 25] == 3
        document.redo()
        later.shut_down()  # which keeps them for the next
    assert said == []


def test_edits_that_waited_wait_on_held_in_the_next_session(
    open_dock: OpenDock, said: list[str], wait_for: WaitFor
) -> None:
    engine = RecordingEngine()
    dock = open_dock(engine)
    dock.workspace.new_canvas(1500, 1200, mpp=0.25)
    for place, class_id in ((FAR, 3), (NEAR, 5)):
        _paint(dock, place, class_id)
        dock.controller.generate()
    asked = [edit.request for edit in dock.controller.drawing.queue.edits]
    dock.shut_down()

    other = RecordingEngine()
    later = open_dock(other)
    offers: list[object] = []
    later.project.offered.connect(offers.append)
    wait_for(lambda: bool(offers))
    later.project.resume()
    wait_for(lambda: later.workspace.target is not None)
    drawing = later.controller.drawing
    assert [edit.place.frame for edit in drawing.queue.waiting] == [FAR, NEAR]
    assert other.submitted == []  # nothing is drawn unasked
    assert "2 held" in later.queue.box.corner.text()
    later.queue.toggle_hold()
    other.ready()
    later.controller.pump()
    (request,) = other.submitted
    assert request.to_dict() == asked[0].to_dict()
    images = np.full((request.variants, *request.shape, 3), 9, np.uint8)
    other.emit(JobFinished("1", images, 0.5))
    later.controller.pump()
    assert later.controller.staged.now.region == FAR
    assert said == []


def test_a_saved_project_moves_and_goes_on_by_itself(
    open_dock: OpenDock, said: list[str], wait_for: WaitFor, tmp_path: Path
) -> None:
    engine = RecordingEngine()
    dock = open_dock(engine)
    dock.project.save(tmp_path / "nothing")
    assert "image to keep" in said[0]
    _work(dock, engine)
    dock.project.save(tmp_path / "mine")
    assert not list((tmp_path / "sessions").glob("*"))
    _edit(dock, NEAR, 99)
    dock.controller.staged.discard()
    dock.shut_down()
    shutil.rmtree(tmp_path / "history")  # another machine
    (tmp_path / "mine").rename(tmp_path / "moved")

    later = open_dock(RecordingEngine())
    later.project.open(tmp_path / "moved")
    wait_for(lambda: later.workspace.target is not None)
    assert (later.workspace.target.data[NEAR.slices] == 99).all()
    assert later.controller.staged.now is None
    wait_for(lambda: later.history.list.count() == 1)  # its history came along
    other = open_dock(RecordingEngine())
    other.project.save(tmp_path / "moved")
    assert len(said) == 2


def test_pictures_are_kept_by_reference(
    open_dock: OpenDock,
    said: list[str],
    wait_for: WaitFor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (300, 280, 3), dtype=np.uint8)
    path = tmp_path / "tissue.png"
    imsave(path, pixels)
    dock = open_dock(RecordingEngine())
    (layer,) = dock.viewer.open(str(path), plugin="napari")
    layer.scale = (0.5, 0.5)
    dock.workspace.use_layer(layer)
    _edit(dock, Region(0, 16, 16, 64, 64), 7)
    _paint(dock, Region(0, 100, 100, 128, 128), 3)
    loose = dock.viewer.add_layer(Image(pixels[:128, :128], rgb=True, name="from a script"))
    dock.workspace.use_layer(loose)
    _edit(dock, Region(0, 0, 0, 64, 64), 8)
    dock.project.save(tmp_path / "project")
    dock.shut_down()
    stored = read_project(tmp_path / "project")
    # Steps that can be undone are the project's where no file keeps them, of the other image.
    planes = {slot[1] for slot in stored.arrays if not slot[1][-1].isdigit()}
    assert "pixels" in planes
    (tmp_path / "elsewhere").mkdir()
    path.rename(tmp_path / "elsewhere" / "tissue.png")

    later = open_dock(RecordingEngine())
    asked: list[Path] = []

    def locate(missing: Path) -> Path:
        asked.append(missing)
        return tmp_path / "elsewhere" / "tissue.png"

    monkeypatch.setattr(later.project, "_locate", locate)
    later.project.open(tmp_path / "project")
    wait_for(lambda: later.workspace.target is not None)
    assert asked == [path]
    assert said == []
    assert later.workspace.target.name == "from a script (edited)"
    expected = pixels[:128, :128].copy()
    expected[:64, :64] = 8
    np.testing.assert_array_equal(later.workspace.target.data, expected)
    first = later.workspace.documents[0].target
    expected = pixels.copy()
    expected[16:80, 16:80] = 7
    np.testing.assert_array_equal(first.layer.data, expected)
    assert first.edited(first.bounds).sum() == 64 * 64
    assert first.mpp == 0.5
    later.shut_down()
    again = read_project(tmp_path / "project")
    of_first = {slot: tile for slot, tile in again.arrays.items() if slot[0] == first.key}
    assert {slot[1] for slot in of_first} == planes
    edited = [tile[..., 3] > 0 for slot, tile in of_first.items() if slot[1] == "pixels"]
    assert sum(int(tile.sum()) for tile in edited) == 64 * 64
    assert {image["key"] for image in again.description["images"]} == {
        slot[0] for slot in again.arrays
    }


def test_an_image_that_is_away_keeps_its_edits_and_paint(
    open_dock: OpenDock,
    said: list[str],
    wait_for: WaitFor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "tissue.png"
    imsave(path, np.full((256, 256, 3), 200, np.uint8), check_contrast=False)
    dock = open_dock(RecordingEngine())
    dock.workspace.new_canvas(256, 256, mpp=0.5)
    (layer,) = dock.viewer.open(str(path), plugin="napari")
    dock.workspace.use_layer(layer)
    _edit(dock, Region(0, 0, 0, 64, 64), 7)
    _paint(dock, Region(0, 64, 64, 128, 128), 3)
    dock.project.save(tmp_path / "project")
    dock.shut_down()
    path.rename(tmp_path / "away.png")

    later = open_dock(RecordingEngine())

    def nobody_knows(missing: Path) -> None:
        # Whoever thinks about the question for long lets the timer keep the session meanwhile.
        later.project.capture.is_due = True
        later.project.keeper.finish()

    monkeypatch.setattr(later.project, "_locate", nobody_knows)
    later.project.open(tmp_path / "project")
    wait_for(lambda: bool(said))
    assert "stay in the project" in said[0]
    _edit(later, Region(0, 0, 0, 128, 128), 9)
    later.shut_down()

    (tmp_path / "away.png").rename(path)
    third = open_dock(RecordingEngine())
    third.project.open(tmp_path / "project")
    wait_for(lambda: len(third.workspace.documents) == 2)
    picture, canvas = sorted(third.workspace.documents, key=lambda one: one.target.name != "tissue")
    assert (canvas.target.data[:128, :128] == 9).all()
    assert (picture.target.layer.data[:64, :64] == 7).all()
    assert (picture.target.layer.data[64:] == 200).all()
    assert picture.nuclei.maps()[0][15, 25] == 3


def test_another_picture_of_the_name_is_refused(
    open_dock: OpenDock, said: list[str], wait_for: WaitFor, tmp_path: Path
) -> None:
    path = tmp_path / "tissue.png"
    imsave(path, np.full((128, 128, 3), 200, np.uint8), check_contrast=False)
    dock = open_dock(RecordingEngine())
    (layer,) = dock.viewer.open(str(path), plugin="napari")
    dock.workspace.use_layer(layer)
    _edit(dock, Region(0, 16, 16, 64, 64), 7)
    dock.project.save(tmp_path / "project")
    dock.shut_down()
    imsave(path, np.full((128, 128, 3), 201, np.uint8), check_contrast=False)
    later = open_dock(RecordingEngine())
    later.project.open(tmp_path / "project")
    wait_for(lambda: bool(said))
    assert "another file" in said[0]
    assert later.workspace.target is None


def test_keeping_copies_little_at_a_time_and_only_what_changed(
    open_dock: OpenDock, said: list[str]
) -> None:
    dock = open_dock(RecordingEngine())
    dock.workspace.new_canvas(4096, 4096)
    capture = dock.project.capture
    taken: dict = {}
    assert capture.take(taken, 2**20)
    assert not taken
    _edit(dock, Region(0, 0, 0, 4096, 4096), 9)
    turns = 0
    while not capture.take(taken, 2**22):
        turns += 1
        assert len(taken) <= turns  # a square of 4 MB each time
    assert turns >= 15
    assert sum(array.nbytes for array in taken.values()) == 4 * 4096**2
    taken.clear()
    dock.workspace.document.undo()
    _edit(dock, Region(0, 1000, 0, 64, 64), 9)
    capture.take(taken, 2**40)
    taken.clear()
    _edit(dock, Region(0, 1000, 0, 64, 64), 10)
    capture.take(taken, 2**40)
    assert [slot[2] for slot in taken] == [
        Region(0, 0, 0, 1024, 1024),
        Region(0, 1024, 0, 1024, 1024),
    ]
