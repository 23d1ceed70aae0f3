from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels
from skimage.io import imsave

from napari_histodiff.core.colours import TISSUE_HEX, rgb_of
from napari_histodiff.core.errors import InvalidMap
from napari_histodiff.core.geometry import PyramidSpec, Region
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.slide.exporting.nuclei import export_geojson
from napari_histodiff.ui.workspace.import_tissue import saved_place, tissue_from_file
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.slide.exporting.sources import of_labels
from tests.ui.workspace.test_import_labels import SlowArray

IMAGE = PyramidSpec(256, 256, 64, 3, 0.5)
REGION = Region(0, 64, 64, 64, 64)
WHOLE = np.random.default_rng(0).integers(0, len(TISSUE_NAMES), (256, 256)).astype(np.uint8)


@pytest.fixture
def workspace() -> Workspace:
    workspace = Workspace(ViewerModel(), seed=0)
    workspace.new_canvas(256, 256)
    workspace.document.set_frame(REGION)
    return workspace


def test_labels_become_tissue(workspace: Workspace) -> None:
    scale = workspace.target.scale
    labels = Labels(WHOLE, scale=scale, units=("um", "um"), name="regions")
    assert workspace.import_tissue_labels(labels).error is None
    found = workspace.document.snapshot().tissue_map
    np.testing.assert_array_equal(found, WHOLE[REGION.slices])
    workspace.document.tissue.layer.undo()
    assert not workspace.document.snapshot().tissue_map.any()


def test_numbers_of_nuclei_are_refused(workspace: Workspace) -> None:
    numbers = np.arange(256 * 256).reshape(256, 256)
    labels = Labels(numbers, scale=workspace.target.scale, units=("um", "um"), name="nuclei")
    with pytest.raises(InvalidMap, match=r"in 'nuclei', got .*import it as nuclei"):
        workspace.import_tissue_labels(labels)


def test_lazy_labels_are_read_in_a_thread(workspace: Workspace) -> None:
    source = SlowArray(WHOLE)
    labels = Labels(source, scale=workspace.target.scale, units=("um", "um"), multiscale=False)
    source.threads.clear()
    source.go.clear()
    step = workspace.import_tissue_labels(labels)
    assert workspace.doing.text
    source.go.set()
    while workspace.doing.text:
        workspace.deliver()
    assert step.error is None
    assert threading.main_thread() not in source.threads
    found = workspace.document.snapshot().tissue_map
    np.testing.assert_array_equal(found, WHOLE[REGION.slices])


@pytest.mark.parametrize(
    ("size", "region"),
    [("frame", REGION), ("image", REGION), ("level", Region(1, 32, 32, 64, 64))],
)
def test_a_picture_of_the_frame_the_image_or_its_level(
    tmp_path: Path, size: str, region: Region
) -> None:
    picture, expected = {
        "frame": (WHOLE[REGION.slices], WHOLE[REGION.slices]),
        "image": (WHOLE, WHOLE[REGION.slices]),
        "level": (WHOLE[:128, :128], WHOLE[:128, :128][region.slices]),
    }[size]
    imsave(tmp_path / "t.png", picture, check_contrast=False)
    found = tissue_from_file(tmp_path / "t.png", IMAGE, region)
    np.testing.assert_array_equal(found.tissue, expected)


def test_a_picture_of_the_image_is_seen_at_another_level(tmp_path: Path) -> None:
    blocks = np.repeat(np.repeat(WHOLE[:64, :64], 4, 0), 4, 1)
    imsave(tmp_path / "t.png", blocks, check_contrast=False)
    found = tissue_from_file(tmp_path / "t.png", IMAGE, Region(2, 0, 0, 64, 64))
    np.testing.assert_array_equal(found.tissue, WHOLE[:64, :64])


def test_colours_of_the_palette_are_tissue(tmp_path: Path) -> None:
    colours = np.array([rgb_of(colour) for colour in TISSUE_HEX], np.uint8)
    imsave(tmp_path / "t.png", colours[WHOLE], check_contrast=False)
    found = tissue_from_file(tmp_path / "t.png", IMAGE, REGION)
    np.testing.assert_array_equal(found.tissue, WHOLE[REGION.slices])


def test_another_size_is_refused(tmp_path: Path) -> None:
    imsave(tmp_path / "t.png", WHOLE[:50, :60], check_contrast=False)
    with pytest.raises(InvalidMap, match=r"64 x 64 px like the frame, or of 256 x 256 .*50 x 60"):
        tissue_from_file(tmp_path / "t.png", IMAGE, REGION)


def test_a_saved_map_of_another_model_is_read_by_its_names(tmp_path: Path) -> None:
    imsave(tmp_path / "edit_tissue.png", np.eye(64, dtype=np.uint8) * 2, check_contrast=False)
    names = ["unspecified", "bone", "vessel"]
    (tmp_path / "edit.json").write_text(json.dumps({"model": {"tissue_names": names}}))
    found = tissue_from_file(tmp_path / "edit_tissue.png", IMAGE, REGION)
    assert set(np.unique(found.tissue)) == {0, TISSUE_NAMES.index("vessel")}
    assert found.left_out == {}
    imsave(tmp_path / "edit_tissue.png", np.ones((64, 64), np.uint8), check_contrast=False)
    found = tissue_from_file(tmp_path / "edit_tissue.png", IMAGE, REGION)
    assert not found.tissue.any()
    assert found.left_out == {"class bone": 1}


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("edit", [False, True])
def test_a_saved_map_says_where_it_lies(tmp_path: Path, level: int, edit: bool) -> None:
    path, place = tmp_path / "a_tissue.png", Region(level, 16, 32, 64, 48)
    imsave(path, np.ones(place.shape, np.uint8), check_contrast=False)
    assert saved_place(path, IMAGE) is None
    whole = place.at_level(0)
    part = {"y": whole.y, "x": whole.x, "height": whole.height, "width": whole.width}
    if edit:
        said: dict[str, object] = {"region": [level, 16, 32, 64, 48]}
        (tmp_path / "a.json").write_text(json.dumps(said))
    else:
        beside = tmp_path / "a_tissue.png.histodiff.json"
        beside.write_text(json.dumps({"source": {"part": part}}))
    assert saved_place(path, IMAGE) == place
    assert saved_place(path, PyramidSpec(60, 60, 64, 3, 0.5)) is None  # another image
    imsave(path, np.ones((64, 40), np.uint8), check_contrast=False)
    assert saved_place(path, IMAGE) is None  # it was cut since


@pytest.mark.parametrize("level", [0, 1])
def test_regions_exported_of_a_part_come_back_where_they_were(tmp_path: Path, level: int) -> None:
    part, side = Region(0, 64, 32, 128, 160), 1 << level
    tissue = np.kron(WHOLE[:16, :16], np.ones((16, 16), np.uint8))
    nuclei = np.ones((256, 256), np.uint8)
    whole = replace(of_labels(nuclei, nuclei), tissue=lambda one: tissue[one.slices])
    export_geojson(whole.part(part), tmp_path / "t.geojson", tissue=True)
    frame = Region(0, 48, 48, 96, 96)
    found = tissue_from_file(tmp_path / "t.geojson", IMAGE, IMAGE.at_level(frame, level)).tissue
    expected = np.zeros_like(tissue)
    expected[part.slices] = tissue[part.slices]
    np.testing.assert_array_equal(found, expected[frame.slices][::side, ::side])


def test_annotations_of_a_scan_with_room_lie_on_the_scan(tmp_path: Path) -> None:
    path = tmp_path / "q.geojson"
    square = [[10, 20], [30, 20], [30, 40], [10, 40], [10, 20]]
    told = {"properties": {"classification": {"name": "Tumor"}}, "type": "Feature"}
    path.write_text(json.dumps(told | {"geometry": {"type": "Polygon", "coordinates": [square]}}))
    found = tissue_from_file(path, IMAGE, IMAGE.bounds(0), Region(0, 100, 50, 156, 206)).tissue
    rows, cols = np.nonzero(found)
    assert (rows.min(), rows.max(), cols.min(), cols.max()) == (120, 139, 60, 79)


def test_annotations_of_qupath_are_tissue_in_the_frame(
    workspace: Workspace, tmp_path: Path
) -> None:
    def square(name: str, low: int, high: int) -> dict[str, object]:
        ring = [[low, low], [high, low], [high, high], [low, high], [low, low]]
        return {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {"objectType": "annotation", "classification": {"name": name}},
        }

    features = [square("Stroma", 64, 128), square("Tumor", 70, 100), square("Weird", 0, 9)]
    path = tmp_path / "regions.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    assert workspace.import_tissue_file(path) == {"class Weird": 1}
    found = workspace.document.snapshot().tissue_map
    expected = np.full((64, 64), 2)
    expected[6:36, 6:36] = 1
    np.testing.assert_array_equal(found, expected)
    workspace.document.set_frame(Region(0, 160, 160, 64, 64))
    with pytest.raises(InvalidMap, match=r"regions.geojson in the frame, got none there"):
        workspace.import_tissue_file(path)
