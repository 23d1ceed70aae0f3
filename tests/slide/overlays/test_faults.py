"""Full disks, torn files, killed processes, damaged and missing scans: nothing is lost."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from napari_histodiff.core.errors import StorageError
from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.overlays.overlay import ScanOverlay
from napari_histodiff.slide.scans.scan import ScanError
from tests.slide.overlays.crashing import kill_and_compare
from tests.slide.overlays.fake_scan import (
    Expected,
    FakeScan,
    levels_of,
    make_scan,
    random_edit,
    request,
)
from tests.slide.test_store_faults import FullDisk

PLACE = Region(0, 240, 200, 60, 90)
NEW = np.random.default_rng(1).integers(0, 256, (60, 90, 3), np.uint8)


@pytest.fixture
def scan(tmp_path: Path) -> FakeScan:
    return make_scan(tmp_path / "slide.svs")


@pytest.fixture
def overlay(scan: FakeScan):
    with ScanOverlay.create(scan.path.with_name("edits"), scan) as overlay:
        overlay.write(request(PLACE), NEW)
        yield overlay


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_a_full_disk_leaves_the_edit_out_or_in_wherever_it_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = set()
    for allowed in range(0, 60, 3):
        scan = make_scan(tmp_path / str(allowed) / "slide.svs")
        overlay = ScanOverlay.create(scan.path.with_name("edits"), scan)
        overlay.write(request(PLACE), NEW)
        before = levels_of(overlay)
        expected = Expected(scan)
        expected.write(PLACE, NEW, np.ones(PLACE.shape, np.bool_))
        second = Region(1, 100, 90, 40, 40)
        expected.write(second, NEW[:40, :40], np.ones(second.shape, np.bool_))
        with monkeypatch.context() as patch:
            FullDisk(patch, allowed)
            try:
                overlay.write(request(second), NEW[:40, :40])
                done = True
            except StorageError as error:
                done = False
                told = str(error)
            assert done or "free some space" in told
        outcomes.add(done)
        wanted = expected.shown() if done else before
        assert same(levels_of(overlay), wanted)
        overlay.close()
        with ScanOverlay.open(overlay.path, scan) as again:
            assert same(levels_of(again), wanted)
            assert again.verify().is_whole
    assert outcomes == {True, False}


def test_a_torn_tile_comes_back_from_the_kept_edit(overlay: ScanOverlay, scan: FakeScan) -> None:
    before = levels_of(overlay)
    overlay.close()
    for chunk in overlay.path.glob("[012]/c/*/*/*"):
        chunk.write_bytes(chunk.read_bytes()[:-9])
    with ScanOverlay.open(overlay.path, scan) as again:
        assert again.verify().damaged
        assert same(levels_of(again), before)
        assert again.verify().is_whole


def test_torn_means_are_made_again_and_nothing_around_them_changes(
    overlay: ScanOverlay, scan: FakeScan
) -> None:
    before = levels_of(overlay)
    overlay.forget_steps()  # nothing is kept that could bring them back
    overlay.close()
    torn = list(overlay.path.glob("histodiff/edits/[12]/c/*/*"))
    for chunk in torn:
        chunk.write_bytes(chunk.read_bytes()[:-9])
    with ScanOverlay.open(overlay.path, scan) as again:
        assert torn
        assert same(levels_of(again), before)
        assert again.verify().is_whole
        again.write(request(Region(0, 300, 300, 20, 20)), NEW[:20, :20])
        changed = levels_of(again)[0]
        changed[300:320, 300:320] = before[0][300:320, 300:320]
        np.testing.assert_array_equal(changed, before[0])


def test_a_damaged_tile_of_the_scan_refuses_the_edit_and_changes_nothing(
    overlay: ScanOverlay, scan: FakeScan, monkeypatch: pytest.MonkeyPatch
) -> None:
    overlay.close()
    overlay = ScanOverlay.open(overlay.path, scan)
    before = files_of(overlay.path)
    damage = Region(0, 512, 0, 188, 256)

    def read(region: Region) -> np.ndarray:
        if region.level == 0 and not region.intersect(damage).is_empty:
            raise ScanError("expected pixels, got a torn tile; scan the slide again", damage)
        return FakeScan.read(scan, region)

    monkeypatch.setattr(scan, "read", read)
    with pytest.raises(ScanError, match="torn tile"):
        overlay.write(request(Region(0, 500, 100, 60, 90)), NEW)
    assert files_of(overlay.path) == before
    whole = Region(0, 10, 300, 60, 90)
    overlay.write(request(whole), NEW)
    np.testing.assert_array_equal(overlay.read(whole), NEW)
    overlay.close()


def test_a_scan_that_is_unplugged_is_told_and_nothing_is_half_written(
    overlay: ScanOverlay, scan: FakeScan
) -> None:
    before, shown = files_of(overlay.path), levels_of(overlay)
    away = scan.path.rename(scan.path.with_name("away"))
    for change in (
        overlay.undo,
        lambda: overlay.write(request(PLACE), NEW),
        lambda: overlay.paint(PLACE, np.ones(PLACE.shape, np.int32)),
    ):
        with pytest.raises(StorageError, match="put it back or plug its disk in"):
            change()
    overlay.close()
    assert files_of(overlay.path).keys() <= {*before, "histodiff/journal-1.log"}
    away.rename(scan.path)
    with ScanOverlay.open(overlay.path, scan) as again:
        assert same(levels_of(again), shown)
        assert again.undo() == PLACE


def test_a_scan_that_was_written_to_while_open_is_not_edited(
    overlay: ScanOverlay, scan: FakeScan
) -> None:
    scan.path.write_bytes(scan.path.read_bytes() + b"more")
    with pytest.raises(StorageError, match="close it and open it again"):
        overlay.write(request(PLACE), NEW)


def test_a_damaged_description_is_refused(overlay: ScanOverlay, scan: FakeScan) -> None:
    overlay.close()
    whole = (overlay.path / "zarr.json").read_bytes()
    for torn in (whole[:-100], whole.replace(b'"sha256"', b'"sha"'), b"[]"):
        (overlay.path / "zarr.json").write_bytes(torn)
        with pytest.raises(StorageError, match="restore this file from a backup"):
            ScanOverlay.open(overlay.path, scan)


def test_killed_at_any_moment_no_committed_edit_is_lost(tmp_path: Path) -> None:
    _, wrong = kill_and_compare(tmp_path, 4)
    assert wrong == []


@pytest.mark.slow
def test_a_hundred_kills_lose_no_edit(tmp_path: Path) -> None:
    taken, wrong = kill_and_compare(tmp_path, 100, seed=1)
    assert wrong == []
    assert taken > 100


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_thousand_edits_change_no_byte_outside_their_masks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # most of the time; no power is cut here
    scan = make_scan(tmp_path / "slide.svs", 600, 530)
    checksum = hashlib.sha256(scan.path.read_bytes()).digest()
    rng = np.random.default_rng(0)
    with ScanOverlay.create(tmp_path / "edits", scan) as overlay:
        for _ in range(1000):
            region, new, mask = random_edit(scan.spec, rng)
            bounds = scan.spec.bounds(region.level)
            before = overlay.read(bounds)
            overlay.write(request(region), new, mask)
            inside = region.intersect(bounds)
            part = inside.relative_to(region).slices
            before[inside.slices][mask[part]] = new[part][mask[part]]
            np.testing.assert_array_equal(overlay.read(bounds), before)
    assert hashlib.sha256(scan.path.read_bytes()).digest() == checksum
