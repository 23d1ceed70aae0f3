"""A file tells what in it is synthetic, and whether it was changed."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_histodiff.core.errors import InvalidRequest, StorageError
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind
from napari_histodiff.slide.export import save_edit
from napari_histodiff.slide.exporting.changes import export_changes
from napari_histodiff.slide.exporting.inspection import inspect_file
from napari_histodiff.slide.exporting.nuclei import export_geojson
from napari_histodiff.slide.exporting.ome_zarr import export_ome_zarr
from napari_histodiff.slide.exporting.provenance import EditMark, Provenance, sha256_of
from napari_histodiff.slide.exporting.source import ExportSource
from napari_histodiff.slide.exporting.tiff import export_tiff
from napari_histodiff.slide.exporting.training_sets import export_training_set
from tests.fakes import FAKE_INFO
from tests.recording import edit_request
from tests.slide.exporting.sources import drawn_slide, part_synthetic
from tests.slide.slides import request


@pytest.mark.parametrize("name", ["a.ome.tif", "a.tif", "a.ome.zarr", "b.ome.zarr"])
def test_images_tell_it_themselves_and_are_verified(tmp_path: Path, name: str) -> None:
    source = part_synthetic()
    path = tmp_path / name
    if name.endswith("zarr"):
        _, sidecar, _ = export_ome_zarr(source, path, version="0.4" if name[0] == "b" else "0.5")
    else:
        kind = "ome" if ".ome." in name else "pyramid"
        _, sidecar, _ = export_tiff(source, path, kind=kind, compression="jpeg")
    sidecar.unlink()
    found = inspect_file(path)
    assert found.unchanged is True
    assert found.place == "in the file"
    text = str(found)
    assert "Parts of this image are synthetic" in text
    assert "edit 1: inpaint at x 300, y 200, 200 x 200 px" in text
    assert 'caption "colon, gland", seed 11, model fake abc123' in text
    assert "edit_mask sha256 0000" in text
    assert "the digests match" in text
    if name.endswith("zarr"):
        zarr.open_group(path)["0"][0, 5, 5] = 77
    else:
        with tifffile.TiffFile(path) as tiff:
            start = tiff.pages.first.dataoffsets[1] + 300
        with path.open("rb+") as file:
            file.seek(start)
            byte = file.read(1)[0]
            file.seek(start)
            file.write(bytes([byte ^ 1]))
    assert inspect_file(path).unchanged is False
    assert "CHANGED since the export" in str(inspect_file(path))


def test_a_copy_by_another_program_is_told_by_what_lies_beside_it(tmp_path: Path) -> None:
    source = part_synthetic()
    path, *_ = export_tiff(source, tmp_path / "a.ome.tif")
    tifffile.imwrite(path, tifffile.imread(path), photometric="rgb", tile=(256, 256))
    found = inspect_file(path)
    assert (found.place, found.unchanged) == ("beside it", False)


def test_edits_changes_sets_geojson_and_slides_are_told_too(tmp_path: Path) -> None:
    slide = drawn_slide(tmp_path)
    source = ExportSource.of_slide(slide)
    image = np.zeros((40, 50, 3), np.uint8)
    made = request(Region(0, 0, 0, 40, 50))
    save_edit(tmp_path, "edit", image, made, info=FAKE_INFO, png=True)
    assert f"model {FAKE_INFO.name}" in str(inspect_file(tmp_path / "edit.png"))
    export_geojson(source, tmp_path / "n.geojson")
    assert "All of this image" in str(inspect_file(tmp_path / "n.geojson"))
    export_training_set([source], tmp_path / "set", side=64)
    assert "slide: All of this image" in str(inspect_file(tmp_path / "set"))
    assert "A synthetic slide of napari-histodiff" in str(inspect_file(slide.path))
    export_changes(source, tmp_path / "changes")
    assert inspect_file(tmp_path / "changes").unchanged is True
    Image.fromarray(image).save(tmp_path / "changes" / "tiles" / "0-0.png")
    assert inspect_file(tmp_path / "changes").unchanged is False


def test_what_says_nothing_is_not_called_real(tmp_path: Path) -> None:
    path = tmp_path / "real.tif"
    tifffile.imwrite(path, np.zeros((9, 9, 3), np.uint8), photometric="rgb")
    with pytest.raises(InvalidRequest, match="that does not mean that it is real"):
        inspect_file(path)
    with pytest.raises(StorageError, match="which is not there"):
        inspect_file(tmp_path / "none.tif")
    (tmp_path / "broken.tif").write_bytes(b"II*\0broken")
    with pytest.raises(StorageError, match="expected an exported image in"):
        inspect_file(tmp_path / "broken.tif")


def test_packed_geojson_is_told(tmp_path: Path) -> None:
    source = ExportSource.of_slide(drawn_slide(tmp_path))
    export_geojson(source, tmp_path / "n.geojson.gz")
    assert gzip.decompress((tmp_path / "n.geojson.gz").read_bytes())
    assert "All of this image" in str(inspect_file(tmp_path / "n.geojson.gz"))


def test_strengths_of_parts_are_told_with_the_edit() -> None:
    strengths = np.zeros((32, 48), np.float32)
    strengths[8:12, 12:24], strengths[12:16, 12:24] = 1, 0.4
    edit = edit_request(EditKind.INPAINT, strength_map=strengths)
    mark = EditMark.of(edit, "model", "revision")
    assert (mark.strength, mark.steering) == (1.0, "parts of strength 0.4 to 1")
    assert edit.strength_map is not None
    assert mark.masks["strength_map"] == sha256_of(edit.strength_map)
    told = dict(Provenance(extent="part", source={}, edits=(mark,)).pairs())["Edit 1"]
    assert "parts of strength 0.4 to 1" in told
    assert "strength_map sha256" in told
