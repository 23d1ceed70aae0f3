from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.layers import Image

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.datasets.pictures import read_picture
from napari_histodiff.slide.exporting.inspection import inspect_file
from napari_histodiff.ui.generation.history import History
from napari_histodiff.ui.generation.staged import StagedVariants
from napari_histodiff.ui.generation.states import Level, Notice
from napari_histodiff.ui.saving.saving import Saved, Saving
from napari_histodiff.ui.workspace.import_tissue import tissue_from_file
from napari_histodiff.ui.workspace.workspace import Workspace


class Room:
    """A workspace with one image, and what is told of what is saved there."""

    def __init__(self) -> None:
        self.viewer = ViewerModel()
        self.workspace = Workspace(self.viewer, seed=0)
        self.notices: list[Notice] = []
        staged = StagedVariants(self.viewer, self.workspace, self.notices.append, lambda: True)
        self.saving = Saving(self.workspace, staged, History(), self.notices.append)

    def edit(self, region: Region, value: int) -> None:
        request = EditRequest(kind=EditKind.GENERATE, region=region, seed=5, model_name="fake")
        pixels = np.full((*region.shape, 3), value, np.uint8)
        self.workspace.document.write(region, pixels, None, request)

    def save(self, what: Saved, folder: Path) -> list[Path]:
        before = set(folder.iterdir())
        step = self.saving.save(folder, None, what=what)
        while not step.is_over:
            time.sleep(0.005)
            self.saving.deliver()
        assert self.notices[-1].level is Level.INFO
        files = sorted(set(folder.iterdir()) - before)
        return sorted(
            files,
            key=lambda path: (".ome.tif" not in path.name[-8:], ".json" not in path.name[-5:]),
        )


@pytest.fixture
def room() -> Room:
    return Room()


def test_nothing_can_be_saved_of_an_empty_canvas(room: Room, tmp_path: Path) -> None:
    assert room.saving.choices() == ()
    room.workspace.new_canvas(256, 320)
    assert room.saving.choices() == ()
    assert room.saving.save(tmp_path, None, what=Saved.IMAGE) is None
    assert "nothing to save" in room.notices[-1].message


def test_the_whole_canvas_is_an_ome_tiff_that_says_what_it_is(room: Room, tmp_path: Path) -> None:
    room.workspace.new_canvas(700, 1100, mpp=0.25)
    room.edit(Region(0, 10, 20, 64, 64), 90)
    paths = room.save(Saved.IMAGE, tmp_path)
    assert paths[0].name == "histodiff_image_001.ome.tif"
    canvas = room.workspace.target.data
    with tifffile.TiffFile(paths[0]) as tiff:
        np.testing.assert_array_equal(tiff.asarray(), canvas)
        assert len(tiff.series[0].levels) == 3
        mean = canvas.reshape(350, 2, 550, 2, 3).mean(axis=(1, 3))
        assert np.abs(tiff.series[0].levels[1].asarray() - mean).max() <= 0.5
        assert 'PhysicalSizeX="0.25"' in (tiff.ome_metadata or "")
    told = json.loads(paths[1].read_text())
    assert told["extent"] == "all"
    assert [(edit["y"], edit["x"], edit["model"]) for edit in told["edits"]] == [(10, 20, "fake")]
    assert room.save(Saved.IMAGE, tmp_path)[0].name == "histodiff_image_002.ome.tif"


def test_what_was_undone_is_not_told(room: Room, tmp_path: Path) -> None:
    room.workspace.new_canvas(256, 256)
    room.edit(Region(0, 0, 0, 64, 64), 90)
    room.edit(Region(0, 64, 0, 64, 64), 91)
    room.workspace.document.undo()
    told = json.loads(room.save(Saved.IMAGE, tmp_path)[1].read_text())
    assert [edit["y"] for edit in told["edits"]] == [0]


def test_an_edited_image_tells_which_pixels_are_synthetic(room: Room, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    layer = room.viewer.add_layer(Image(pixels, rgb=True, scale=(0.5, 0.5), units=("um", "um")))
    room.workspace.use_layer(layer)
    told = json.loads(room.save(Saved.IMAGE, tmp_path)[1].read_text())
    assert told["extent"] == "none"
    room.edit(Region(0, 16, 32, 64, 64), 90)
    paths = room.save(Saved.IMAGE, tmp_path)
    told = json.loads(paths[1].read_text())
    assert told["extent"] == "part"
    assert told["share"] == pytest.approx(64 * 64 / 256**2)
    assert paths[2].name.endswith(".synthetic.geojson")
    room.workspace.document.undo()
    assert json.loads(room.save(Saved.IMAGE, tmp_path)[1].read_text())["extent"] == "none"


def test_the_frame_is_saved_with_its_nuclei(room: Room, tmp_path: Path) -> None:
    room.workspace.new_canvas(512, 512)
    document = room.workspace.document
    document.set_frame(Region(0, 37, 53, 128, 96))
    room.edit(document.region, 70)
    classes = np.zeros((128, 96), np.uint8)
    classes[5:15, 5:15] = 3
    document.paint_nuclei(classes, (classes > 0).astype(np.int32))
    paths = room.save(Saved.FRAME, tmp_path)
    names = [path.name for path in paths]
    assert names[0] == "histodiff_frame_001.ome.tif"
    assert "histodiff_frame_001_instances.tif" in names
    assert (tifffile.imread(paths[0]) == 70).all()
    assert tifffile.imread(paths[0]).shape == (128, 96, 3)
    found = tifffile.imread(tmp_path / "histodiff_frame_001_classes.tif")
    np.testing.assert_array_equal(found, classes)
    told = json.loads(paths[1].read_text())
    assert told["source"]["part"] == {"y": 37, "x": 53, "height": 128, "width": 96}


def _with_tissue(room: Room, mpp: float = 0.25) -> np.ndarray:
    """A drawn frame that tissue is painted on; returns the tissue."""
    room.workspace.new_canvas(256, 256, mpp=mpp)
    document = room.workspace.document
    document.set_frame(Region(0, 16, 32, 128, 96))
    room.edit(document.region, 70)
    tissue = np.zeros((128, 96), np.uint8)
    tissue[10:90, 20:70] = TISSUE_NAMES.index("muscle")
    tissue[90:, :] = TISSUE_NAMES.index("glass")
    document.paint_tissue(tissue)
    return tissue


def test_the_frame_is_saved_with_its_tissue_where_no_nuclei_are_painted(
    room: Room, tmp_path: Path
) -> None:
    tissue = _with_tissue(room)
    names = [path.name for path in room.save(Saved.FRAME, tmp_path)]
    assert sorted(names) == [
        "histodiff_frame_001.ome.tif",
        "histodiff_frame_001.ome.tif.histodiff.json",
        "histodiff_frame_001_tissue.png",
        "histodiff_frame_001_tissue.png.histodiff.json",
    ]
    assert "histodiff_frame_001_tissue.png" in room.notices[-1].message
    path = tmp_path / "histodiff_frame_001_tissue.png"
    picture = read_picture(path)
    np.testing.assert_array_equal(picture.ids(), tissue)
    assert picture.mpp == pytest.approx(0.25, rel=1e-3)
    told = json.loads((tmp_path / f"{path.name}.histodiff.json").read_text())
    assert told["file"] == path.name
    assert told["tissue_names"] == list(TISSUE_NAMES)
    assert "synthetic" in inspect_file(path).statement.lower()
    document = room.workspace.document
    found = tissue_from_file(path, document.target.spec, document.region)
    np.testing.assert_array_equal(found.tissue, tissue)
    assert not found.left_out


def test_nuclei_and_tissue_of_the_frame_are_saved_together(room: Room, tmp_path: Path) -> None:
    tissue = _with_tissue(room)
    classes = np.zeros((128, 96), np.uint8)
    classes[5:15, 5:15] = 3
    room.workspace.document.paint_nuclei(classes, (classes > 0).astype(np.int32))
    room.save(Saved.FRAME, tmp_path)
    painted = read_picture(tmp_path / "histodiff_frame_001_tissue.png").ids()
    np.testing.assert_array_equal(painted, tissue)
    found = tifffile.imread(tmp_path / "histodiff_frame_001_classes.tif")
    np.testing.assert_array_equal(found, classes)


def test_tissue_of_an_image_without_a_pixel_size_states_none(room: Room, tmp_path: Path) -> None:
    pixels = np.full((256, 256, 3), 200, np.uint8)
    room.workspace.use_layer(room.viewer.add_layer(Image(pixels, rgb=True)))
    tissue = np.ones(room.workspace.document.region.shape, np.uint8)
    room.workspace.document.paint_tissue(tissue)
    room.save(Saved.FRAME, tmp_path)
    picture = read_picture(tmp_path / "histodiff_frame_001_tissue.png")
    np.testing.assert_array_equal(picture.ids(), tissue)
    assert picture.mpp is None


def test_a_frame_is_saved_whole_or_not_at_all(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _with_tissue(room)
    classes = np.zeros((128, 96), np.uint8)
    classes[5:15, 5:15] = 3
    room.workspace.document.paint_nuclei(classes, (classes > 0).astype(np.int32))

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_histodiff.ui.saving.saving.write_png", fail)
    step = room.saving.save(tmp_path, None, what=Saved.FRAME)
    assert step is not None
    while not step.is_over:
        time.sleep(0.005)
        room.saving.deliver()
    assert room.notices[-1].level is Level.ERROR
    assert "No space left" in room.notices[-1].message
    assert list(tmp_path.iterdir()) == []
