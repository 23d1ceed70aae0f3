"""Edits whose scan lies elsewhere, or is called otherwise."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import platformdirs
import pytest
from PIL import Image

import napari_histodiff as hd
from napari_histodiff.core.errors import InvalidRequest, StorageError
from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.overlays.attaching import is_edits, scan_beside
from napari_histodiff.slide.overlays.places import open_overlay
from napari_histodiff.slide.scans.opening import open_scan
from tests.slide.overlays.fake_scan import request

PLACE = Region(0, 100, 120, 60, 90)
NEW = np.random.default_rng(1).integers(0, 256, (60, 90, 3), np.uint8)


@pytest.fixture(autouse=True)
def _config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platformdirs, "user_config_path", lambda *_, **__: tmp_path / "config")


def picture(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (600, 500, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    return picture(tmp_path / "slides" / "slide.png")


@pytest.fixture
def edits(slide: Path) -> Path:
    scan = open_scan(slide, mpp=0.5)
    with open_overlay(scan) as overlay:
        overlay.write(request(PLACE), NEW)
    scan.close()
    return overlay.path


def test_a_folder_of_edits_is_told_from_others(edits: Path, tmp_path: Path) -> None:
    assert is_edits(edits)
    assert not is_edits(tmp_path)
    assert not is_edits(tmp_path / "nothing")


def test_the_scan_is_found_beside_them_whatever_it_is_called(edits: Path, slide: Path) -> None:
    assert scan_beside(edits) == slide
    picture(slide.with_name("aaa.png"), seed=1)
    renamed = slide.rename(slide.with_name("other.png"))
    assert scan_beside(edits) == renamed
    renamed.unlink()
    assert scan_beside(edits) is None


def test_another_scan_of_the_name_is_not_taken_for_it(edits: Path, slide: Path) -> None:
    picture(slide, seed=2)
    assert scan_beside(edits) is None


def test_a_script_opens_them_by_either(edits: Path, slide: Path, tmp_path: Path) -> None:
    with hd.open_slide(edits) as opened:
        np.testing.assert_array_equal(opened.read(PLACE), NEW)
        assert opened.path == slide
    sent = tmp_path / "sent" / edits.name
    shutil.move(edits, sent)
    with pytest.raises(StorageError, match=r"slide.png.*edits="):
        hd.open_slide(sent)
    with hd.open_slide(slide, edits=sent) as opened:
        np.testing.assert_array_equal(opened.read(PLACE), NEW)
    with hd.open_slide(slide) as opened:  # attached from now on
        np.testing.assert_array_equal(opened.read(PLACE), NEW)
    other = picture(tmp_path / "other.png", seed=3)
    with pytest.raises(StorageError, match=r"these edits were made on, 'slide\.png'"):
        hd.open_slide(other, edits=sent)


def test_a_slide_of_this_package_takes_no_edits(tmp_path: Path, edits: Path) -> None:
    (tmp_path / "made" / "histodiff").mkdir(parents=True)
    (tmp_path / "made" / "histodiff" / "zarr.json").write_text("{}")
    with pytest.raises(InvalidRequest, match="window, icc or edits"):
        hd.open_slide(tmp_path / "made", edits=edits)
