"""Where edits of a scan are found and made: beside it, elsewhere, moved, and of another scan."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import platformdirs
import pytest

from napari_histodiff.core.errors import StorageError
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.recipe import SlideRecipe
from napari_histodiff.slide.overlays.overlay import ScanOverlay
from napari_histodiff.slide.overlays.places import NeedsPlace, find_overlay, open_overlay
from napari_histodiff.slide.store import SlideStore
from tests.slide import slides
from tests.slide.overlays.fake_scan import FakeScan, make_scan, request

PLACE = Region(0, 240, 200, 60, 90)
NEW = np.random.default_rng(1).integers(0, 256, (60, 90, 3), np.uint8)


@pytest.fixture(autouse=True)
def _config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platformdirs, "user_config_path", lambda *_, **__: tmp_path / "config")


@pytest.fixture
def scan(tmp_path: Path) -> FakeScan:
    return make_scan(tmp_path / "slides" / "slide.svs")


def edited(scan: FakeScan, path: Path | None = None) -> Path:
    with open_overlay(scan, path) as overlay:
        overlay.write(request(PLACE), NEW)
        return overlay.path


def test_they_lie_beside_the_scan_and_open_with_it(scan: FakeScan) -> None:
    assert find_overlay(scan) is None
    path = edited(scan)
    assert path == scan.path.with_name("slide.histodiff.ome.zarr")
    assert find_overlay(scan) == path
    with open_overlay(FakeScan(scan.path)) as overlay:
        np.testing.assert_array_equal(overlay.read(PLACE), NEW)


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("a.b.ndpi", "a.b.histodiff.ome.zarr"),
        ("c.ome.tif", "c.histodiff.ome.zarr"),
        ("d.ome.zarr", "d.histodiff.ome.zarr"),
        ("e", "e.histodiff.ome.zarr"),
    ],
)
def test_the_folder_is_called_after_the_scan(tmp_path: Path, name: str, folder: str) -> None:
    assert edited(make_scan(tmp_path / name)).name == folder


def test_two_scans_of_one_name_and_other_endings_have_their_own(scan: FakeScan) -> None:
    other = make_scan(scan.path.with_suffix(".ndpi"), key=1)
    first, second = edited(scan), edited(other)
    assert second.name == "slide.ndpi.histodiff.ome.zarr"
    assert (find_overlay(scan), find_overlay(other)) == (first, second)


def test_scan_and_edits_can_be_moved_and_called_otherwise(scan: FakeScan, tmp_path: Path) -> None:
    path = edited(scan)
    away = tmp_path / "elsewhere"
    away.mkdir()
    moved = FakeScan(Path(shutil.move(scan.path, away / "renamed.svs")))
    shutil.move(path, away / "mine.histodiff.ome.zarr")
    with open_overlay(moved) as overlay:
        assert overlay.path == away / "mine.histodiff.ome.zarr"
        np.testing.assert_array_equal(overlay.read(PLACE), NEW)
        assert overlay.recipe.name == "renamed.svs"


def test_a_place_that_was_chosen_is_remembered(scan: FakeScan, tmp_path: Path) -> None:
    chosen = tmp_path / "mine"
    chosen.mkdir()
    path = edited(scan, chosen)
    assert path == chosen / "slide.histodiff.ome.zarr"
    with open_overlay(FakeScan(scan.path)) as overlay:
        assert overlay.path == path
        np.testing.assert_array_equal(overlay.read(PLACE), NEW)
    shutil.rmtree(path)
    assert find_overlay(scan) is None


def test_edits_of_another_scan_are_refused(scan: FakeScan, tmp_path: Path) -> None:
    path = edited(scan)
    other = make_scan(tmp_path / "other.svs", key=9)
    with pytest.raises(StorageError, match="open the edits with their own scan") as refused:
        open_overlay(other, path)
    assert "'slide.svs' (610 x 700 pixels" in str(refused.value)
    with pytest.raises(StorageError, match="open the edits with their own scan"):
        ScanOverlay.open(path, other, read_only=True)


def test_a_scan_that_was_exchanged_does_not_get_the_edits_nor_new_ones(scan: FakeScan) -> None:
    path = edited(scan)
    exchanged = make_scan(scan.path, key=3)
    with pytest.raises(StorageError, match="move that folder to its scan"):
        open_overlay(exchanged)
    assert path.exists()


def test_a_folder_that_can_not_be_written_asks_for_a_place(
    scan: FakeScan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: Path(path) != scan.path.parent and allowed(path, mode)
    )
    with pytest.raises(NeedsPlace, match="choose another folder"):
        open_overlay(scan)
    assert [path.name for path in scan.path.parent.iterdir()] == ["slide.svs"]
    chosen = tmp_path / "mine"
    chosen.mkdir()
    assert edited(scan, chosen).parent == chosen
    assert find_overlay(scan) == chosen / "slide.histodiff.ome.zarr"


def test_only_looking_makes_no_folder(scan: FakeScan) -> None:
    with pytest.raises(StorageError, match="got none yet"):
        open_overlay(scan, read_only=True)
    assert find_overlay(scan) is None


def test_a_second_window_only_looks_and_follows(scan: FakeScan) -> None:
    with open_overlay(scan) as first, open_overlay(FakeScan(scan.path)) as second:
        assert second.read_only
        first.write(request(PLACE), NEW)
        second.refresh()
        np.testing.assert_array_equal(second.read(PLACE), NEW)
        with pytest.raises(StorageError, match="open elsewhere"):
            open_overlay(FakeScan(scan.path), read_only=False)


def test_synthetic_slides_and_edits_are_not_taken_for_each_other(
    scan: FakeScan, tmp_path: Path
) -> None:
    with pytest.raises(StorageError, match="edits of a scanned slide"):
        SlideStore.open(edited(scan))
    slide = slides.make(tmp_path)
    slide.close()
    assert isinstance(slide.recipe, SlideRecipe)
    with pytest.raises(StorageError, match="is a synthetic slide"):
        ScanOverlay.open(slide.path, scan)


def test_a_pixel_size_that_was_asked_for_is_kept(scan: FakeScan) -> None:
    path = edited(scan)
    with open_overlay(FakeScan(scan.path, mpp=0.5)) as overlay:
        assert overlay.spec.mpp == 0.5
    with ScanOverlay.open(path) as alone:
        assert alone.spec.mpp == 0.5


def test_a_scan_read_in_other_levels_is_refused(scan: FakeScan) -> None:
    edited(scan)
    with pytest.raises(StorageError, match="expected 3 levels"):
        open_overlay(FakeScan(scan.path, levels=2))
