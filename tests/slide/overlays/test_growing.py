"""A canvas larger than its scan: everything stays where it is on the scan, undo included."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import get_ident
from typing import Any

import numpy as np
import platformdirs
import pytest

from napari_histodiff.core.colours import GLASS_COLOUR
from napari_histodiff.core.errors import InvalidRequest, StorageError
from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.exporting.source import ExportSource
from napari_histodiff.slide.overlays import growing
from napari_histodiff.slide.overlays.edited_scan import EditedLevel, EditedScan
from napari_histodiff.slide.overlays.growing import enlarge
from napari_histodiff.slide.overlays.overlay import ScanOverlay
from napari_histodiff.slide.overlays.places import find_overlay, open_overlay
from napari_histodiff.slide.scans.padded import Margins, PaddedScan
from napari_histodiff.slide.scans.scan_levels import ScanLevel
from tests.slide.overlays.fake_scan import (
    Expected,
    FakeScan,
    levels_of,
    make_scan,
    random_edit,
    request,
)

MORE = Margins(top=12, left=300, bottom=8, right=100)
PLACE = Region(0, 240, 200, 60, 90)
NEW = np.random.default_rng(1).integers(0, 256, (60, 90, 3), np.uint8)


@pytest.fixture(autouse=True)
def _config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platformdirs, "user_config_path", lambda *_, **__: tmp_path / "config")


@pytest.fixture
def scan(tmp_path: Path) -> FakeScan:
    return make_scan(tmp_path / "slide.svs")


@pytest.fixture
def overlay(scan: FakeScan) -> Iterator[ScanOverlay]:
    with open_overlay(scan) as overlay:
        yield overlay


class OnCanvas:
    """The fake scan with glass around it, all levels in memory."""

    def __init__(self, scan: FakeScan, margins: Margins) -> None:
        wide = PaddedScan(scan, margins)
        self.spec = wide.spec
        self.pixels = [wide.read(wide.spec.bounds(level)) for level in range(wide.spec.levels)]


def moved(region: Region, by: Margins = MORE) -> Region:
    return region.translate(by.top >> region.level, by.left >> region.level)


def assert_shows(overlay: ScanOverlay, expected: Expected) -> None:
    for level, (found, wanted) in enumerate(zip(levels_of(overlay), expected.shown(), strict=True)):
        np.testing.assert_array_equal(found, wanted, err_msg=f"level {level}")


def test_what_takes_long_is_carried_out_elsewhere_and_the_edits_are_seen_meanwhile(
    overlay: ScanOverlay,
) -> None:
    overlay.write(request(PLACE), NEW)
    threads: list[int] = []
    seen: list[bool] = []

    def carry_out(work: Callable[[], None]) -> None:
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(lambda: (work(), threads.append(get_ident())))
            seen.append(np.array_equal(overlay.read(PLACE), NEW))
            done.result()
        seen.append(np.array_equal(overlay.read(PLACE), NEW))

    with enlarge(overlay, MORE, carry_out) as larger:
        np.testing.assert_array_equal(larger.read(moved(PLACE)), NEW)
    assert seen == [True, True]
    assert threads != [get_ident()]


def test_what_fails_elsewhere_leaves_all_as_it_was(overlay: ScanOverlay) -> None:
    overlay.write(request(PLACE), NEW)

    def carry_out(work: Callable[[], None]) -> None:
        work()
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match="No space left"):
        enlarge(overlay, MORE, carry_out)
    np.testing.assert_array_equal(overlay.read(PLACE), NEW)
    assert [path.name for path in overlay.path.parent.iterdir() if path.name[0] == "."] == []


@pytest.mark.parametrize("seed", range(2))
def test_all_edits_stay_on_the_scan_and_can_be_undone(
    overlay: ScanOverlay, scan: FakeScan, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    expected = Expected(OnCanvas(scan, MORE))  # type: ignore[arg-type]
    for _ in range(6):
        region, pixels, mask = random_edit(overlay.spec, rng)
        inside = region.intersect(overlay.spec.bounds(region.level))
        part = inside.relative_to(region).slices
        overlay.write(request(inside), pixels[part], mask[part])
        expected.write(moved(inside), pixels[part], mask[part])
    overlay.undo()
    expected.undo()
    requests = overlay.requests()
    with enlarge(overlay, MORE) as larger:
        assert larger.path == overlay.path
        assert larger.margins == MORE
        assert_shows(larger, expected)
        assert [Region(*found["region"]) for found in larger.requests()] == [
            moved(Region(*found["region"])) for found in requests
        ]
        region, pixels, mask = random_edit(larger.spec, rng)
        larger.write(request(region), pixels, mask)
        expected.write(region, pixels, mask)
        assert_shows(larger, expected)
        while larger.can_undo:
            larger.undo()
            expected.undo()
            assert_shows(larger, expected)
        assert not expected.done


def test_it_opens_again_as_large_with_the_scan_itself(overlay: ScanOverlay, scan: FakeScan) -> None:
    overlay.write(request(PLACE), NEW)
    before = hashlib.sha256(scan.path.read_bytes()).hexdigest()
    beyond = Region(0, 2, 3, 40, 50)
    with enlarge(overlay, MORE) as larger:
        larger.write(request(beyond), NEW[:40, :50])
    again = EditedScan(FakeScan(scan.path))
    assert again.margins == MORE
    np.testing.assert_array_equal(again.read(beyond), NEW[:40, :50])
    np.testing.assert_array_equal(again.read(moved(PLACE)), NEW)
    there = again.covered(Region(0, 0, 0, 60, 400))
    assert there[2:42, 3:53].all()
    assert not there[:12, 60:].any()
    assert there[12:, 300:].all()
    assert again.overlay is not None
    assert again.overlay.undo() == beyond
    assert tuple(again.read(Region(0, 10, 10, 1, 1))[0, 0]) == GLASS_COLOUR
    again.close()
    assert hashlib.sha256(scan.path.read_bytes()).hexdigest() == before
    assert sorted(path.name for path in scan.path.parent.iterdir()) == [
        "slide.histodiff.ome.zarr",
        "slide.svs",
    ]


def test_it_grows_again_and_a_scan_without_edits_grows_too(overlay: ScanOverlay) -> None:
    with enlarge(enlarge(overlay, Margins(left=8)), MORE) as larger:
        assert larger.margins == Margins(12, 308, 8, 100)
        assert larger.spec.width == 610 + 408
        assert not larger.can_undo


def test_what_the_window_shows_is_what_is_read(overlay: ScanOverlay, scan: FakeScan) -> None:
    overlay.write(request(PLACE), NEW)
    enlarge(overlay, MORE).close()
    edited = EditedScan(FakeScan(scan.path))
    for level in range(3):
        shown = EditedLevel(ScanLevel(scan, level), edited)  # type: ignore[arg-type]
        bounds = edited.scan.spec.bounds(level)
        assert shown.shape[:2] == bounds.shape
        whole = np.asarray(shown) if level == 2 else shown[bounds.slices]
        np.testing.assert_array_equal(whole, edited.read(bounds))
    edited.close()


def paint(overlay: ScanOverlay, scan: FakeScan, y: int, x: int) -> None:
    ring = [[x, y], [x + 9, y], [x + 9, y + 8], [x, y + 8], [x, y]]
    said = {"objectType": "detection", "classification": {"name": "Lymphocyte"}}
    found: dict[str, Any] = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": said,
    }
    path = scan.path.with_suffix(".geojson")
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [found]}))
    overlay.paint_annotations(path)
    path.unlink()


def test_paint_goes_along_and_annotations_are_in_pixels_of_the_scan(
    overlay: ScanOverlay, scan: FakeScan
) -> None:
    labels = np.zeros(PLACE.shape, np.int32)
    labels[5:20, 5:20] = 7 * 41 + 3
    overlay.paint(PLACE, labels, (labels > 0).astype(np.uint8) * 2)
    paint(overlay, scan, 250, 250)
    whole = overlay.labels(overlay.spec.bounds(0))
    with enlarge(overlay, MORE) as larger:
        place = Region(0, MORE.top, MORE.left, *whole.shape)
        np.testing.assert_array_equal(larger.labels(place), whole)
        assert (larger.tissue(moved(PLACE)) == (labels > 0) * 2).all()
        paint(larger, scan, 40, 60)
        assert (larger.labels(moved(Region(0, 40, 60, 8, 9))) > 0).all()
        assert larger.undo() is not None
        np.testing.assert_array_equal(larger.labels(place), whole)
        assert larger.undo() is not None
        np.testing.assert_array_equal(larger.labels(moved(PLACE)), labels)


def test_edits_too_old_to_be_undone_stay(scan: FakeScan) -> None:
    path = scan.path.with_name("slide.histodiff.ome.zarr")
    ScanOverlay.create(path, scan).close()
    overlay = ScanOverlay.open(path, scan, max_undo_bytes=1)
    expected = Expected(OnCanvas(scan, MORE))  # type: ignore[arg-type]
    coarse = Region(2, 20, 30, 40, 50)
    for region in (coarse, PLACE, PLACE.translate(20, 30)):
        pixels = np.random.default_rng(region.y).integers(0, 256, (*region.shape, 3), np.uint8)
        mask = np.ones(region.shape, np.bool_)
        overlay.write(request(region), pixels, mask)
        expected.write(moved(region), pixels, mask)
    assert len(overlay.requests()) == 1
    with enlarge(overlay, MORE) as larger:
        assert_shows(larger, expected)
        assert len(larger.requests()) == 1
        assert larger.undo() is not None
        assert larger.undo() is None


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (Margins(top=3), "multiple of 4"),
        (Margins(left=-4), "multiple of 4"),
        (Margins(), "expected a side to grow"),
        (Margins(right=1 << 20), "up to 262144"),
    ],
)
def test_margins_that_are_none_are_refused(overlay: ScanOverlay, more: Margins, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        enlarge(overlay, more)
    overlay.write(request(PLACE), NEW)


def test_one_that_is_only_looked_at_does_not_grow_and_says_when_it_did(
    overlay: ScanOverlay, scan: FakeScan
) -> None:
    watching = ScanOverlay.open(overlay.path, FakeScan(scan.path), read_only=True)
    with pytest.raises(StorageError, match="reading only"):
        enlarge(watching, MORE)
    enlarge(overlay, MORE).close()
    with pytest.raises(StorageError, match="made larger in another window"):
        watching.refresh()
    watching.close()


def fail(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("step", ["copytree", "_do_again"])
def test_when_there_is_no_room_everything_stays(
    overlay: ScanOverlay, scan: FakeScan, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    overlay.write(request(PLACE), NEW)
    edited = EditedScan(scan, read_only=True)
    edited.close()
    monkeypatch.setattr(growing if step == "_do_again" else shutil, step, fail)
    with pytest.raises(StorageError, match="No space left"):
        enlarge(overlay, MORE)
    np.testing.assert_array_equal(overlay.read(PLACE), NEW)
    assert overlay.undo() == PLACE
    assert len(list(scan.path.parent.iterdir())) == 2


def test_one_that_was_cut_off_between_two_names_is_found(
    overlay: ScanOverlay, scan: FakeScan
) -> None:
    overlay.write(request(PLACE), NEW)
    overlay.close()
    overlay.path.rename(overlay.path.with_name(f".{overlay.path.name}.before"))
    assert find_overlay(scan) == overlay.path
    with open_overlay(scan) as again:
        np.testing.assert_array_equal(again.read(PLACE), NEW)


def test_what_fails_after_it_was_closed_is_opened_again(
    scan: FakeScan, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited = EditedScan(scan)
    edited.make().write(request(PLACE), NEW)
    real = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if self.name.endswith(".larger"):
            fail()
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(StorageError, match="No space left"):
        edited.enlarge(MORE)
    monkeypatch.undo()
    assert not edited.read_only
    assert edited.margins == Margins()
    np.testing.assert_array_equal(edited.read(PLACE), NEW)
    edited.close()


def test_garbled_margins_are_refused(overlay: ScanOverlay) -> None:
    recipe = replace(overlay.recipe, margins=(0, 3, 0, 0)).to_dict()
    with pytest.raises(ValueError, match="every level"):
        type(overlay.recipe).from_dict(recipe)


def test_exports_hold_the_canvas_or_the_scan_alone(overlay: ScanOverlay, scan: FakeScan) -> None:
    overlay.write(request(PLACE), NEW)
    with enlarge(overlay, MORE) as larger:
        beyond = Region(0, 0, 0, 30, 40)
        larger.write(request(beyond), NEW[:30, :40])
        source = ExportSource.of_scan(scan, larger)
        assert source.spec == larger.spec
        assert source.provenance.source["margins"]["left"] == 300
        np.testing.assert_array_equal(source.read(beyond), NEW[:30, :40])
        alone = source.within_scan()
        assert alone.spec.bounds(0).shape == (700, 610)
        np.testing.assert_array_equal(alone.read(PLACE), NEW)
        for level in range(alone.spec.levels):
            bounds = alone.spec.bounds(level)
            canvas = larger.read(moved(bounds))
            np.testing.assert_array_equal(alone.read(bounds), canvas)
        assert not alone.edited(Region(0, 0, 0, 200, 200)).any()
        assert len(alone.provenance.edits) == 1
