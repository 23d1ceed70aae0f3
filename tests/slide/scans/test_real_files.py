"""Files of scanners, read as their own libraries read them."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile

from napari_histodiff.core.errors import ScanInvalid
from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.scans.opening import open_scan
from napari_histodiff.slide.scans.openslide_reader import OpenSlideSource
from napari_histodiff.slide.scans.pyramid_scan import PyramidScan
from tests.slide.scans.scan_contract import checksum, regions

pytestmark = pytest.mark.data

#: Path, size, um per pixel, magnification, format.
FILES = {
    "CMU-1-Small-Region.svs": (2967, 2220, 0.499, 20, "aperio svs"),
    "TCGA-CR-7395-01A-01-TS1.svs": (3567, 4443, None, None, "aperio svs"),
    "ndpi/slideio_test3-TRITC 2 (560).ndpi": (4864, 3968, 0.22818, 40, "hamamatsu ndpi"),
    "dicom/jcupitt_cmu-1-small-region": (2967, 2220, 0.499, None, "dicom"),
    "dicom/napari-wsi_CMU-1-Small-Region": (2967, 2220, 0.499, None, "dicom"),
    "tiff/diag_packer_example.tif": (690, 1472, 0.9872, None, "tiff"),
}


@pytest.fixture(params=FILES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def path(data_root: Path, name: str) -> Path:
    path = data_root / "wsi" / name
    if not path.exists():
        pytest.skip(f"no {path}")
    return path


def opened(path: Path) -> PyramidScan:
    """Return a scan; of fluorescence, which is refused, as if it were not.

    The one public NDPI file that is small enough is of fluorescence.
    """
    if path.suffix == ".ndpi":
        return PyramidScan(path, OpenSlideSource(path))
    return open_scan(path)


def test_its_header_is_read(path: Path, name: str) -> None:
    height, width, mpp, magnification, kind = FILES[name]
    scan = opened(path)
    facts = scan.facts
    assert (scan.spec.height, scan.spec.width, facts.format) == (height, width, kind)
    assert facts.magnification == magnification
    assert facts.mpp == (None if mpp is None else pytest.approx((mpp, mpp), rel=1e-3))
    scan.close()


def test_its_pixels_are_those_of_openslide(path: Path) -> None:
    file = path if path.is_file() else max(path.glob("*.dcm"), key=lambda f: f.stat().st_size)
    scan, slide = opened(path), openslide.OpenSlide(file)
    rng = np.random.default_rng(0)
    for _ in range(12):
        y, x = (int(rng.integers(0, side - 300)) for side in (scan.spec.height, scan.spec.width))
        raw = slide.read_region((x, y), 0, (290, 270)).convert("RGB")
        np.testing.assert_array_equal(scan.read(Region(0, y, x, 270, 290)), np.asarray(raw))
    scan.close()
    slide.close()


def test_every_region_is_a_part_of_the_whole_and_the_file_stays(path: Path) -> None:
    before = checksum(path)
    scan = opened(path)
    whole = {n: scan.read(scan.spec.bounds(n)) for n in range(scan.spec.levels)}
    for region in regions(scan, 25):
        inside = region.intersect(scan.spec.bounds(region.level))
        if not inside.is_empty:
            np.testing.assert_array_equal(scan.read(inside), whole[inside.level][inside.slices])
    scan.close()
    assert checksum(path) == before


def test_levels_of_the_file_look_like_the_level_below(path: Path) -> None:
    scan = opened(path)
    for level in range(1, scan.spec.levels):
        coarse = scan.read(scan.spec.bounds(level)).astype(float)
        fine = scan.read(scan.spec.bounds(level - 1)).astype(float)
        fine = np.pad(fine, [(0, side % 2) for side in fine.shape[:2]] + [(0, 0)], mode="edge")
        mean = (fine[::2, ::2] + fine[1::2, ::2] + fine[::2, 1::2] + fine[1::2, 1::2]) / 4
        assert np.abs(coarse - mean).mean() < 8, level
    scan.close()


def test_fluorescence_is_refused(data_root: Path) -> None:
    path = data_root / "wsi" / "ndpi/slideio_test3-TRITC 2 (560).ndpi"
    if not path.exists():
        pytest.skip(f"no {path}")
    with pytest.raises(ScanInvalid, match=r"fluorescence \(TRITC 2 \(560\), light of 622 nm\)"):
        open_scan(path)


def test_tifffile_reads_jpeg_2000_of_aperio_as_openslide_does(data_root: Path) -> None:
    path = data_root / "wsi" / "TCGA-CR-7395-01A-01-TS1.svs"
    if not path.exists():
        pytest.skip(f"no {path}")
    source, scan = OpenSlideSource(path), open_scan(path)
    assert scan.facts.reader == "tifffile"
    for tile in scan.spec.tiles(scan.spec.bounds(0)):
        y, x, height, width = astuple(scan.spec.region(tile))[1:]
        wanted = source.read(0, y, x, height, width)
        np.testing.assert_array_equal(scan.read(scan.spec.region(tile)), wanted)
    source.close()
    scan.close()


def test_a_profile_of_srgb_changes_nothing(data_root: Path) -> None:
    path = data_root / "wsi" / "dicom/napari-wsi_CMU-1-Small-Region"
    if not path.exists():
        pytest.skip(f"no {path}")
    plain, managed = open_scan(path), open_scan(path, icc=True)
    region = Region(0, 1000, 1000, 200, 200)
    assert plain.facts.has_icc
    difference = np.abs(plain.read(region).astype(int) - managed.read(region))
    assert difference.max() <= 1
    plain.close()
    managed.close()


def test_tiles_of_a_tiff_are_those_of_tifffile(data_root: Path) -> None:
    path = data_root / "wsi" / "tiff/diag_packer_example.tif"
    if not path.exists():
        pytest.skip(f"no {path}")
    scan = open_scan(path)
    np.testing.assert_array_equal(scan.read(scan.spec.bounds(0)), tifffile.imread(path, key=0))
    scan.close()
