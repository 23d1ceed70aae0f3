"""What was answered about a scan once is used by the window, scripts and the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import platformdirs
import pytest
from click.testing import CliRunner

import napari_histodiff as hd
from napari_histodiff.cli.main import main
from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.exporting.source import open_source
from napari_histodiff.slide.scans.brightfield import SixteenBits
from napari_histodiff.slide.scans.opening import open_scan
from napari_histodiff.slide.scans.remembered import (
    FULL_WINDOW,
    DisputedPixelSize,
    RememberedScans,
    open_known,
)
from tests.slide.scans.layouts import tissue, write_pyramid


@pytest.fixture(autouse=True)
def _own_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platformdirs, "user_config_path", lambda *_, **__: tmp_path / "config")


@pytest.fixture
def silent(tmp_path: Path) -> Path:
    """A slide that does not say how long its pixels are."""
    return write_pyramid(tmp_path / "silent.tif", [tissue(300, 400)], mpp=None)


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """A slide of 16 bits a colour."""
    pixels = np.full((300, 400, 3), 2000, np.uint16)
    return write_pyramid(tmp_path / "deep.tif", [pixels])


def answer(path: Path, **values: object) -> None:
    scan = open_scan(path, window=FULL_WINDOW)
    RememberedScans().remember(scan.identity(), **values)
    scan.close()


def test_a_length_that_was_answered_is_used_wherever_the_slide_is_moved(silent: Path) -> None:
    with hd.open_slide(silent) as slide:
        assert slide.mpp is None
    answer(silent, mpp=0.4)
    moved = silent.rename(silent.with_name("moved.tif"))
    with hd.open_slide(moved) as slide:
        assert slide.mpp == 0.4
        assert slide.facts is not None
        assert slide.facts.mpp_from == "asked"
    with hd.open_slide(moved, mpp=0.3) as slide:
        assert slide.mpp == 0.3
    with open_source(moved) as source:
        assert source.mpp == (0.4, 0.4)


def test_a_window_that_was_answered_is_used(deep: Path) -> None:
    with pytest.raises(SixteenBits, match="window"):
        hd.open_slide(deep)
    answer(deep, window=[0.0, 4000.0])
    with hd.open_slide(deep) as slide:
        assert (slide.read(Region(0, 0, 0, 9, 9)) == 128).all()
    with hd.open_slide(deep, window=(0, 2000)) as slide:
        assert (slide.read(Region(0, 0, 0, 9, 9)) == 255).all()


def test_the_answer_outlives_garbage_and_a_folder_that_cannot_be_written(
    silent: Path, tmp_path: Path
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "scans.json").write_text('{"half')
    scan = open_known(silent)
    assert scan.facts.mpp is None
    (tmp_path / "file").touch()
    RememberedScans(tmp_path / "file" / "scans.json").remember(scan.identity(), mpp=0.4)
    RememberedScans().remember(scan.identity(), mpp=0.4)
    assert RememberedScans().mpp(scan.identity()) == 0.4
    scan.close()


def test_slide_info_says_who_knows_the_length(silent: Path) -> None:
    def info(*more: str) -> str:
        result = CliRunner().invoke(main, ["slide", "info", str(silent), *more])
        assert result.exit_code == 0, result.output
        return result.output

    assert "um per pixel not known" in info()
    assert "400 x 300 px, tiff, read by tifffile" in info()
    assert "0.25 um per pixel (as somebody said, not the file)" in info("--mpp", "0.25")
    assert "not known" in info(), "looking at a slide once is no answer"
    answer(silent, mpp=0.4)
    assert "0.4 um per pixel (as somebody said, not the file)" in info()


def test_slide_info_of_what_a_header_says(tmp_path: Path) -> None:
    path = write_pyramid(tmp_path / "said.tif", [tissue(600, 400)], mpp=0.25)
    result = CliRunner().invoke(main, ["slide", "info", str(path)])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[1] == "0.25 um per pixel"
    assert lines[2] == "levels in the file: 400 x 600; shown: 2"


def test_slide_info_refuses_a_length_of_a_slide_that_knows_its_own(tmp_path: Path) -> None:
    slide = tmp_path / "own.ome.zarr"
    CliRunner().invoke(main, ["slide", "new", str(slide), "--size", "512"])
    result = CliRunner().invoke(main, ["slide", "info", str(slide), "--mpp", "0.3"])
    assert result.exit_code == 2
    assert "leave it out" in result.output


def test_a_length_other_than_the_files_is_said_and_the_one_that_was_told_is_taken(
    tmp_path: Path,
) -> None:
    path = write_pyramid(tmp_path / "said.tif", [tissue(600, 400)], mpp=0.25)
    with pytest.warns(DisputedPixelSize, match=r"states 0.25 um per pixel; 0.5 is taken"):
        scan = open_known(path, mpp=0.5)
    assert scan.facts.mpp == (0.5, 0.5)
    scan.close()
    open_known(path, mpp=0.2501).close()  # the same, rounded
    with pytest.warns(DisputedPixelSize):
        run = CliRunner().invoke(
            main,
            ["export", str(path), "--format", "tiff", "-o", str(tmp_path / "a.tif"), "--mpp", "1"],
        )
    assert run.exit_code == 0, run.output
