"""`histodiff export`."""

from __future__ import annotations

import json
from pathlib import Path

import tifffile
from click.testing import CliRunner, Result

from napari_histodiff.cli.main import main
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
    assert done.output.splitlines()[1:] == [str(out), str(tmp_path / "out.histodiff.json")]
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
    assert len(json.loads(out.read_text())["features"]) == 2


def test_what_is_there_is_kept_and_the_error_is_one_line(tmp_path: Path) -> None:
    slide = drawn_slide(tmp_path)
    slide.close()
    out = tmp_path / "n.tif"
    out.write_text("mine")
    done = run("export", slide.path, "--format", "tiff", "-o", out)
    assert done.exit_code == 2
    assert "expected a new file or folder" in done.output
    assert out.read_text() == "mine"
    done = run("export", slide.path, "--format", "tiff", "-o", out, "--overwrite")
    assert done.exit_code == 0, done.output
    assert tifffile.imread(out).shape == (700, 600, 3)
