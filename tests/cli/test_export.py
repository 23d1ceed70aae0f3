"""`histodiff export`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tifffile
from click.testing import CliRunner, Result

from napari_histodiff.cli.main import main
from napari_histodiff.slide.exporting.formats import FORMATS, WITH_TISSUE
from tests.slide.exporting.sources import drawn_slide


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


def test_a_slide_becomes_an_ome_tiff_and_says_what_is_synthetic(tmp_path: Path) -> None:
    slide = drawn_slide(tmp_path)
    slide.close()
    out = tmp_path / "out.ome.tif"
    done = run("export", slide.path, "--format", "ome-tiff", "--out", out)
    assert done.exit_code == 0, done.output
    assert done.output.startswith("All of this image is synthetic")
    assert done.output.splitlines()[1:] == [str(out), str(tmp_path / "out.ome.tif.histodiff.json")]
    with tifffile.TiffFile(out) as tiff:
        assert tiff.series[0].shape == (700, 600, 3)


def test_the_nuclei_of_a_part_become_geojson(tmp_path: Path) -> None:
    slide = drawn_slide(tmp_path)
    slide.close()
    out = tmp_path / "n.geojson"
    place = ("--region", 200, 100, 40, 60)
    done = run("export", slide.path, "--format", "geojson", *place, "-o", out)
    assert done.exit_code == 0, done.output
    assert "epithelial 1, neutrophil 1" in done.output
    features = json.loads(out.read_text())["features"]
    assert len(features) == 2
    corners = [at for one in features for at in one["geometry"]["coordinates"][0]]
    assert all(0 <= x <= 60 and 0 <= y <= 40 for x, y in corners)  # of the part, not the slide


def test_what_is_there_is_kept_and_the_error_is_one_line(tmp_path: Path) -> None:
    slide = drawn_slide(tmp_path)
    slide.close()
    out = tmp_path / "n.tif"
    out.write_text("mine")
    done = run("export", slide.path, "--format", "tiff", "-o", out)
    assert done.exit_code == 2
    said = f"expected a new file or folder, got {out}, which exists; choose another name, or give"
    assert f"{said} --overwrite\n" in done.output
    assert out.read_text() == "mine"
    done = run("export", slide.path, "--format", "tiff", "-o", out, "--overwrite")
    assert done.exit_code == 0, done.output
    assert tifffile.imread(out).shape == (700, 600, 3)


def test_two_slides_become_a_training_set(tmp_path: Path) -> None:
    slides = []
    for name in ("a", "b"):
        slide = drawn_slide(tmp_path / name)
        slide.close()
        slides.append(slide.path.rename(tmp_path / f"{name}.ome.zarr"))
    out = tmp_path / "set"
    done = run("export", *slides, "--format", "coco", "--side", 64, "-o", out)
    assert done.exit_code == 0, done.output
    assert "validation: " in done.output
    assert (out / "train" / "annotations.json").is_file()
    refused = run("export", *slides, "--format", "tiff", "-o", tmp_path / "n.tif")
    assert "give one slide for tiff" in refused.output


@pytest.mark.parametrize(
    ("kind", "name", "made"),
    [
        ("masks", "n", "n_instances.tif"),
        ("masks-npy", "n", "n_classes.npy"),
        ("changes", "c", "c"),
        ("ome-zarr-0.4", "z.ome.zarr", "z.ome.zarr"),
    ],
)
def test_every_format_is_written(tmp_path: Path, kind: str, name: str, made: str) -> None:
    slide = drawn_slide(tmp_path)
    slide.close()
    done = run("export", slide.path, "--format", kind, "-o", tmp_path / name)
    assert done.exit_code == 0, done.output
    assert str(tmp_path / made) in done.output
    assert (tmp_path / made).exists()


@pytest.mark.parametrize("kind", FORMATS)
def test_tissue_is_written_or_refused_by_each_format(tmp_path: Path, kind: str) -> None:
    slide = drawn_slide(tmp_path)
    slide.close()
    out = tmp_path / "out"
    done = run("export", slide.path, "--format", kind, "--tissue", "--side", 64, "-o", out)
    told = any(
        "tissue" in path.name for path in tmp_path.rglob("*") if slide.path not in path.parents
    )
    told |= kind == "geojson" and '"annotation"' in out.read_text()
    assert told == (kind in WITH_TISSUE)
    assert told == (done.exit_code == 0), done.output
    if not told:
        assert f"{kind} has no tissue" in done.output


def test_inspect_tells_and_ends_with_1_for_changed_pixels(tmp_path: Path) -> None:
    slide = drawn_slide(tmp_path)
    slide.close()
    out = tmp_path / "out.ome.tif"
    run("export", slide.path, "--format", "ome-tiff", "-o", out)
    done = run("inspect", out)
    assert done.exit_code == 0, done.output
    assert "the digests match" in done.output
    with tifffile.TiffFile(out) as tiff:
        start = tiff.pages.first.dataoffsets[0] + 50
    with out.open("rb+") as file:
        file.seek(start)
        file.write(b"\0\1\2\3")
    done = run("inspect", out)
    assert done.exit_code == 1
    assert "CHANGED" in done.output
