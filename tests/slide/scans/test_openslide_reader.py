from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from napari_histodiff.core.box_mean import box_down
from napari_histodiff.core.errors import InvalidRequest, ScanInvalid
from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.scans import openslide_reader
from napari_histodiff.slide.scans.opening import open_scan
from napari_histodiff.slide.scans.openslide_reader import OpenSlideSource
from napari_histodiff.slide.scans.scan import ScanError
from tests.slide.scans.layouts import JPEG_2000, pyramid_of, tissue, write_svs
from tests.slide.scans.scan_contract import ScanContract
from tests.slide.scans.test_tiff_reader import damaged


class TestHalves(ScanContract):
    """Levels of exact halves cannot be had of odd sides: OpenSlide places pixels in between."""

    reader = "openslide"

    def write(self, folder: Path, pixels: NDArray[np.uint8]) -> Path:
        return write_svs(folder / "slide.svs", pyramid_of(pixels, 2))


class TestQuarters(ScanContract):
    """Each level in the file a quarter of the one below, as Aperio has them."""

    reader = "openslide"

    def write(self, folder: Path, pixels: NDArray[np.uint8]) -> Path:
        return write_svs(folder / "slide.svs", pyramid_of(pixels, 3)[::2])


class TestJpeg2000(ScanContract):
    """What tifffile decodes, since OpenSlide takes twice as long for the same pixels."""

    reader = "tifffile"

    def write(self, folder: Path, pixels: NDArray[np.uint8]) -> Path:
        return write_svs(folder / "slide.svs", pyramid_of(pixels, 3)[::2], **JPEG_2000)


def test_tiles_read_by_tifffile_are_those_of_openslide_and_so_is_the_header(tmp_path: Path) -> None:
    path = write_svs(tmp_path / "a.svs", pyramid_of(tissue(700, 900), 2), **JPEG_2000)
    scan, slide = open_scan(path), OpenSlideSource(path)
    assert replace(slide.header, reader="tifffile") == scan._source.header
    assert set(scan.facts.associated) == {"label", "macro", "thumbnail"}
    for place in (Region(0, 0, 0, 256, 256), Region(0, 130, 77, 400, 500)):
        wanted = slide.read(0, place.y, place.x, place.height, place.width)
        np.testing.assert_array_equal(scan.read(place), wanted)
    np.testing.assert_array_equal(scan.associated("label"), slide.associated("label"))
    slide.close()
    scan.close()


def test_a_slide_that_lacks_tiles_is_left_to_openslide(tmp_path: Path) -> None:
    path = write_svs(tmp_path / "a.svs", [tissue(700, 900)], **JPEG_2000)
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tag = tif.pages[0].tags["TileByteCounts"]
        tag.overwrite([0, *tag.value[1:]])
    scan = open_scan(path)
    assert scan.facts.reader == "openslide"
    scan.close()


@pytest.mark.parametrize("photometric", ["rgb", "ycbcr"])
def test_jpeg_shows_the_pixels_of_openslide(tmp_path: Path, photometric: str) -> None:
    options = {"compression": "jpeg", "photometric": photometric}
    path = write_svs(tmp_path / "a.svs", [tissue(700, 900)], **options)
    scan, raw = open_scan(path), OpenSlideSource(path)
    assert scan.facts.reader == "tifffile"
    np.testing.assert_array_equal(scan.read(scan.spec.bounds(0)), raw.read(0, 0, 0, 700, 900))
    scan.close()
    raw.close()


def test_levels_are_those_of_the_file(tmp_path: Path) -> None:
    pixels = tissue(1024, 1536)
    scan = open_scan(write_svs(tmp_path / "a.svs", pyramid_of(pixels, 2)))
    np.testing.assert_array_equal(scan.read(scan.spec.bounds(1)), box_down(pixels))
    assert scan.facts.magnification == 40
    assert scan.facts.format == "aperio svs"
    scan.close()


def test_other_pictures_are_read_when_asked_for(tmp_path: Path) -> None:
    scan = open_scan(write_svs(tmp_path / "a.svs", [tissue(300, 300)]))
    assert scan.facts.associated == ("label", "macro", "thumbnail")
    assert (scan.associated("label") == 50).all()
    with pytest.raises(InvalidRequest, match="choose one of those"):
        scan.associated("barcode")
    scan.close()


@pytest.mark.parametrize("properties", ["AppMag = 20", "MPP = ", "MPP = 0", "MPP = 250", "MPP = x"])
def test_lengths_that_are_missing_or_absurd_are_not_believed(
    tmp_path: Path, properties: str
) -> None:
    scan = open_scan(write_svs(tmp_path / "a.svs", [tissue(300, 300)], properties))
    assert scan.facts.mpp is None
    assert scan.facts.notes
    scan.close()


def test_a_decimal_comma_is_read(tmp_path: Path) -> None:
    scan = open_scan(write_svs(tmp_path / "a.svs", [tissue(300, 300)], "MPP = 0,2500"))
    assert scan.facts.mpp == (0.25, 0.25)
    scan.close()


def test_a_damaged_tile_is_told_and_the_handle_opened_anew(tmp_path: Path) -> None:
    pixels = tissue(700, 700)
    scan = open_scan(damaged(write_svs(tmp_path / "a.svs", [pixels]), (1, 1)))
    for _ in range(2):
        with pytest.raises(ScanError, match="copy the file again") as caught:
            scan.read(scan.spec.bounds(0))
        assert caught.value.region == Region(0, 256, 256, 256, 256)
        for place in [Region(0, 0, 0, 256, 700), Region(0, 256, 512, 256, 188)]:
            np.testing.assert_array_equal(scan.read(place), pixels[place.slices])
    scan.close()


def test_without_openslide_a_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise ScanInvalid("expected OpenSlide, got none; install it")

    monkeypatch.setattr(openslide_reader, "_openslide", missing)
    path = tmp_path / "a.dcm"
    path.write_bytes(bytes(128) + b"DICM" + bytes(100))
    with pytest.raises(ScanInvalid, match="install it"):
        open_scan(path)
    pixels = tissue(300, 300)
    scan = open_scan(write_svs(tmp_path / "a.svs", [pixels]))  # which tifffile reads as well
    assert scan.facts.reader == "tifffile"
    assert scan.facts.mpp == (0.25, 0.25)
    np.testing.assert_array_equal(scan.read(scan.spec.bounds(0)), pixels)
    scan.close()


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("1.2.840.10008.5.1.4.1.1.91.1", "got annotations in"),
        ("1.2.840.10008.5.1.4.1.1.66.4", "got a segmentation in"),
        ("1.2.840.10008.5.1.4.1.1.88.34", "got a report in"),
    ],
)
def test_dicom_of_another_kind_is_told_what_it_is(tmp_path: Path, kind: str, says: str) -> None:
    name = kind.encode() + b"\0" * (len(kind) % 2)
    media = b"\x02\0\x02\0UI" + len(name).to_bytes(2, "little") + name
    syntax = b"\x02\0\x10\0UI\x14\x001.2.840.10008.1.2.1\0"
    group = b"\x02\0\0\0UL\x04\0" + len(media + syntax).to_bytes(4, "little")
    file = tmp_path / "slide" / "a.dcm"
    file.parent.mkdir()
    file.write_bytes(bytes(128) + b"DICM" + group + media + syntax)
    for path in (file, file.parent):
        with pytest.raises(ScanInvalid, match=says):
            open_scan(path)
