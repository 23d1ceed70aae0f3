from __future__ import annotations

import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from skimage.io import imread

from napari_histodiff.core.errors import StorageError
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.slide import export
from tests.fakes import FAKE_INFO


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


@pytest.fixture
def request_(image: np.ndarray) -> EditRequest:
    classes = np.zeros((48, 64), np.uint8)
    classes[3:9, 5:12] = 4
    mask = np.zeros((48, 64), bool)
    mask[:20, :20] = True
    return EditRequest(
        kind=EditKind.INPAINT,
        region=Region(0, 16, 32, 48, 64),
        class_map=classes,
        instance_map=classes.astype(np.int32) * 70000,
        image=image,
        tissue_map=np.where(mask, 3, 1),
        edit_mask=mask,
        caption="colon",
        mpp=0.25,
    )


def test_what_was_saved_comes_back(
    tmp_path: Path, image: np.ndarray, request_: EditRequest
) -> None:
    paths = export.save_edit(tmp_path / "new", "edit", image, request_, info=FAKE_INFO)

    assert [path.name for path in paths] == [
        "edit.tif",
        "edit_classes.png",
        "edit_instances.tif",
        "edit_tissue.png",
        "edit_edit_mask.png",
        "edit.json",
    ]
    folder = tmp_path / "new"
    np.testing.assert_array_equal(tifffile.imread(folder / "edit.tif"), image)
    np.testing.assert_array_equal(imread(folder / "edit_classes.png"), request_.class_map)
    np.testing.assert_array_equal(
        tifffile.imread(folder / "edit_instances.tif"), request_.instance_map
    )
    np.testing.assert_array_equal(imread(folder / "edit_tissue.png"), request_.tissue_map)
    np.testing.assert_array_equal(imread(folder / "edit_edit_mask.png") > 0, request_.edit_mask)
    data = json.loads((folder / "edit.json").read_text())
    assert data["synthetic"] is True
    assert data["model"]["name"] == FAKE_INFO.name
    assert data["model"]["tissue_names"] == list(FAKE_INFO.tissue_names)
    again = EditRequest.from_dict(data)
    assert again.caption == "colon"
    np.testing.assert_array_equal(again.class_map, request_.class_map)
    assert sorted(p.name for p in folder.iterdir()) == sorted(p.name for p in paths)


def test_image_knows_its_pixel_size(
    tmp_path: Path, image: np.ndarray, request_: EditRequest
) -> None:
    path = export.save_edit(tmp_path, "edit", image, request_)[0]
    with tifffile.TiffFile(path) as file:
        tags = file.pages[0].tags
        numerator, denominator = tags["XResolution"].value
        assert tags["ResolutionUnit"].value == tifffile.RESUNIT.CENTIMETER
    assert numerator / denominator == pytest.approx(1e4 / 0.25)


def test_maps_that_are_not_there_are_not_written(tmp_path: Path, image: np.ndarray) -> None:
    request = EditRequest(kind=EditKind.GENERATE, region=Region(0, 0, 0, 48, 64))
    paths = export.save_edit(tmp_path, "edit", image, request)
    assert [path.name for path in paths] == ["edit.tif", "edit.json"]


def test_full_disk_leaves_the_old_files_whole(
    tmp_path: Path,
    image: np.ndarray,
    request_: EditRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    export.save_edit(tmp_path, "edit", image, request_)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(export.json, "dump", full)
    with pytest.raises(StorageError, match="free some space"):
        export.save_edit(tmp_path, "edit", 255 - image, request_)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_file_that_cannot_be_replaced_leaves_all_the_old_ones(
    tmp_path: Path,
    image: np.ndarray,
    request_: EditRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    export.save_edit(tmp_path, "edit", image, request_)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    replace = os.replace

    def held_open(source: Path, target: Path) -> None:
        if target.name == "edit_instances.tif" and not source.name.endswith(".old"):
            raise PermissionError(errno.EACCES, "open in another program")
        replace(source, target)

    monkeypatch.setattr(os, "replace", held_open)
    with pytest.raises(StorageError, match="open in another program"):
        export.save_edit(tmp_path, "edit", 255 - image, request_, png=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_file_where_the_folder_should_be_is_told(
    tmp_path: Path, image: np.ndarray, request_: EditRequest
) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(StorageError, match="another folder"):
        export.save_edit(tmp_path / "taken", "edit", image, request_)


def test_a_number_in_use_is_never_taken(tmp_path: Path) -> None:
    for taken in ("a_001.tif", "a_002_classes.png", "a_0035.json", "b_003.tif"):
        (tmp_path / taken).write_text("")
    with export.free_stem(tmp_path, "a_") as first, export.free_stem(tmp_path, "a_") as second:
        assert (first, second) == ("a_003", "a_004")
    (tmp_path / "a_003.tif").write_text("")
    with export.free_stem(tmp_path, "a_") as third:
        assert third == "a_004"
    assert not list(tmp_path.glob(".*"))


def _claim(folder: str) -> str:
    with export.free_stem(Path(folder), "edit_") as stem:
        (Path(folder) / f"{stem}.tif").write_text("")
        return stem


def test_windows_that_save_at_once_get_numbers_of_their_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        stems = list(pool.map(_claim, [str(tmp_path)] * 40))
    assert sorted(stems) == [f"edit_{number:03d}" for number in range(1, 41)]
