from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_histodiff.core.colours import GLASS_COLOUR
from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.scans import scan_levels as levels_module
from napari_histodiff.slide.scans.level_builder import LevelBuilder
from napari_histodiff.slide.scans.opening import open_scan
from napari_histodiff.slide.scans.pyramid_scan import PyramidScan
from napari_histodiff.slide.scans.scan import ScanError
from napari_histodiff.slide.scans.scan_levels import ScanLevel, scan_levels
from tests.slide.scans.layouts import tissue, write_pyramid
from tests.slide.scans.test_tiff_reader import damaged

SIDE = 4200


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pyramid(tmp_path_factory.mktemp("scan") / "a.tif", [tissue(SIDE, SIDE)])


@pytest.fixture
def path(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HISTODIFF_CACHE", str(tmp_path / "cache"))
    return Path(shutil.copy(written, tmp_path))


@pytest.fixture
def scan(path: Path) -> Iterator[PyramidScan]:
    scan = open_scan(path)
    yield scan
    scan.close()


Window = tuple[list[ScanLevel], LevelBuilder, list[Region], list[ScanError]]


@pytest.fixture
def window(scan: PyramidScan, monkeypatch: pytest.MonkeyPatch) -> Iterator[Window]:
    """The levels as a window has them; what was made; what was damaged."""
    monkeypatch.setattr(levels_module, "_AT_ONCE", 0)
    monkeypatch.setattr(levels_module, "_OVERVIEW_AT_ONCE", 0)
    made: list[Region] = []
    damage: list[ScanError] = []
    builder = LevelBuilder(
        scan,
        lambda region, pixels: (overview.fill(region, pixels), made.append(region)),
        damage.append,
    )
    levels, overview = scan_levels(scan, damage.append, builder)
    yield levels, builder, made, damage
    builder.close()


def wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_levels_without_a_window_are_exact_at_once(scan: PyramidScan) -> None:
    level = ScanLevel(scan, 3)
    np.testing.assert_array_equal(level[5:40, 7:90], scan.read(Region(3, 5, 7, 35, 83)))
    assert ScanLevel(scan, 1).to_dask()[:20, :30].compute().shape == (20, 30, 3)
    assert level.name != ScanLevel(scan, 2).name


def test_what_takes_long_is_made_beside_the_window(scan: PyramidScan, window: Window) -> None:
    levels, builder, made, _ = window
    overview = np.asarray(levels[-1])
    glass = (overview == GLASS_COLOUR).all(-1)
    assert glass.mean() > 0.5  # of this test's fast machine some may be there already
    wait(lambda: builder.is_idle)
    assert np.asarray(levels[-1]) is overview
    np.testing.assert_array_equal(overview, scan.read(scan.spec.bounds(scan.spec.levels - 1)))
    assert max(scan.cost(region) for region in made) == 0


def test_made_tiles_show_though_the_file_is_gone(scan: PyramidScan, window: Window) -> None:
    levels, builder, _, _ = window
    np.asarray(levels[-1])
    wait(lambda: builder.is_idle)
    wanted = scan.read(Region(1, 1030, 770, 60, 90))
    scan.close()
    np.testing.assert_array_equal(levels[1][1030:1090, 770:860], wanted)


def test_the_overview_is_enlarged_where_a_tile_lacks(
    scan: PyramidScan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(levels_module, "_AT_ONCE", 0)

    class Idle(LevelBuilder):
        def __init__(self) -> None:
            self.wanted: list[object] = []

        def want(self, tiles) -> None:
            self.wanted += tiles

    idle = Idle()
    levels, overview = scan_levels(scan, lambda error: None, idle)
    place = Region(1, 512, 600, 8, 200)
    assert (levels[1][512:520, 600:800] == GLASS_COLOUR).all()
    assert set(scan.spec.tiles(place)) <= set(idle.wanted)
    below = scan.spec.region(next(scan.spec.tiles(place)))
    overview.fill(below, scan.read(below))
    scale = 1 << (overview.level - 1)
    rows, cols = (np.arange(first, last) // scale for first, last in ((512, 520), (600, 800)))
    shown = overview.enlarged(place)
    np.testing.assert_array_equal(shown, np.asarray(overview)[rows[:, None], cols])
    exact = scan.read(place).astype(int)
    assert np.abs(shown[:, :160].astype(int) - exact[:, :160]).mean() < 20
    np.testing.assert_array_equal(levels[0][:30, :40], scan.read(Region(0, 0, 0, 30, 40)))


def test_kept_levels_are_not_made_again(scan: PyramidScan) -> None:
    coarsest = scan.spec.bounds(scan.spec.levels - 1)
    assert scan.cost(coarsest) > 256
    wanted = scan.read(coarsest)
    again = open_scan(scan.path)
    assert again.cost(coarsest) == 0
    np.testing.assert_array_equal(again.read(coarsest), wanted)
    again.close()


def test_damage_is_striped_where_it_is_and_nowhere_else(path: Path, scan: PyramidScan) -> None:
    whole = scan.read(scan.spec.bounds(3))
    scan.close()
    hurt = open_scan(damaged(path, (1, 1)))
    told: list[ScanError] = []
    finest = hurt.show(Region(0, 200, 200, 400, 400), told.append)
    assert {error.region for error in told} == {Region(0, 256, 256, 256, 256)}
    striped = finest[56:312, 56:312]
    assert set(map(tuple, striped.reshape(-1, 3))) == {(255, 0, 255), (40, 40, 40)}
    coarse = hurt.show(hurt.spec.bounds(3), told.append)
    differs = (coarse != whole).any(-1)
    assert differs[32:64, 32:64].all()
    differs[32:64, 32:64] = False
    assert not differs.any()
    assert hurt.cost(Region(3, 0, 0, 10, 10)) > 0  # nothing striped is kept
    hurt.close()
