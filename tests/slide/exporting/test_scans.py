"""Scans with edits are exported as they show, and the edits are what is synthetic."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.exporting.changes import export_changes
from napari_histodiff.slide.exporting.inspection import inspect_file
from napari_histodiff.slide.exporting.source import ExportSource, open_source
from napari_histodiff.slide.exporting.tiff import export_tiff
from napari_histodiff.slide.overlays.overlay import ScanOverlay
from napari_histodiff.slide.overlays.places import open_overlay
from napari_histodiff.slide.scans.opening import open_scan
from tests.slide.overlays.fake_scan import Expected, make_scan, random_edit, request


def write(path: Path, pixels: NDArray[np.uint8]) -> None:
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(128, 128))


def test_edits_of_every_level_are_synthetic_and_nothing_else(tmp_path: Path) -> None:
    scan = make_scan(tmp_path / "scan.raw", mpp=0.25)
    overlay = ScanOverlay.create(tmp_path / "scan.histodiff.ome.zarr", scan)
    expected = Expected(scan)
    rng = np.random.default_rng(3)
    for _ in range(6):
        region, pixels, mask = random_edit(scan.spec, rng)
        overlay.write(request(region), pixels, mask)
        expected.write(region, pixels, mask)
    source = ExportSource.of_scan(scan, overlay)
    path, sidecar, _ = export_tiff(source, tmp_path / "out.ome.tif")
    with tifffile.TiffFile(path) as tiff:
        for shown, wanted in zip(tiff.series[0].levels, expected.shown(), strict=True):
            assert np.array_equal(shown.asarray(), wanted)
    masks, _ = expected.own()
    synthetic = masks[0].copy()
    for level, mask in enumerate(masks[1:], start=1):
        wide = mask.repeat(1 << level, 0).repeat(1 << level, 1)
        synthetic |= wide[: synthetic.shape[0], : synthetic.shape[1]]
    bounds = scan.spec.bounds(0)
    assert np.array_equal(source.edited(bounds), synthetic)
    assert not np.any((scan.read(bounds) != overlay.read(bounds)).any(-1) & ~synthetic)
    inside = np.zeros(synthetic.shape, np.bool_)
    for tile in source.changed():
        inside[tile.slices] = True
    assert not np.any(synthetic & ~inside)
    said = json.loads(sidecar.read_text())
    assert said["extent"] == "part"
    assert abs(said["share"] - synthetic.mean()) < 1e-9
    assert said["source"]["identity"]["sha256"] == scan.identity().sha256


def test_a_scan_without_edits_says_that_nothing_is_synthetic(tmp_path: Path) -> None:
    path = tmp_path / "scan.tif"
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    tifffile.imwrite(
        path,
        pixels,
        photometric="rgb",
        tile=(128, 128),
        resolution=(40000, 40000),
        resolutionunit="CENTIMETER",
    )
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    with open_source(path) as source:
        out, _ = export_tiff(source, tmp_path / "out.ome.tif")
        assert np.array_equal(tifffile.imread(out), pixels)
    assert "Nothing in this image was drawn" in str(inspect_file(out))
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before


def test_the_edits_beside_a_scan_are_found_and_told(tmp_path: Path) -> None:
    path = tmp_path / "scan.tif"
    tifffile.imwrite(
        path, np.full((300, 400, 3), 200, np.uint8), photometric="rgb", tile=(128, 128)
    )
    scan = open_scan(path, mpp=0.5)
    region = Region(0, 40, 60, 30, 50)
    with open_overlay(scan) as overlay:
        drawn = replace(request(region), model_name="histodiff 5", model_revision="0123456789ab")
        overlay.write(drawn, np.full((30, 50, 3), 90, np.uint8))
    scan.close()
    with open_source(path, mpp=0.5) as source:
        assert [edit.region for edit in source.provenance.edits] == [region]
        (folder,) = export_changes(source, tmp_path / "changes")
        for part, extent in ((Region(0, 0, 0, 38, 58), "none"), (region, "part")):
            assert source.part(part).provenance.extent == extent
    text = (folder / "README.txt").read_text()
    assert "Parts of this image are synthetic, 1.25% of its pixels" in text
    assert "histodiff 5" in text
    assert "0123456789ab" in text
