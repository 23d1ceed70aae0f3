from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from napari_histodiff.core.errors import ScanInvalid
from napari_histodiff.slide.scans.opening import open_scan
from tests.slide.scans.layouts import tissue
from tests.slide.scans.scan_contract import ScanContract


class TestPng(ScanContract):
    reader = "pillow"

    def write(self, folder: Path, pixels: NDArray[np.uint8]) -> Path:
        folder.mkdir(exist_ok=True)
        path = folder / "slide.png"
        Image.fromarray(pixels).save(path, dpi=(101_600, 101_600))
        return path


class TestJpeg(ScanContract):
    """A photograph held sideways, of a camera that claims 72 dots per inch."""

    reader = "pillow"
    tolerance = 40
    mpp = None

    def write(self, folder: Path, pixels: NDArray[np.uint8]) -> Path:
        folder.mkdir(exist_ok=True)
        exif = Image.Exif()
        exif[0x0112] = 6  # turn a quarter clockwise to look at it
        path = folder / "slide.jpg"
        sideways = Image.fromarray(np.ascontiguousarray(np.rot90(pixels)))
        sideways.save(path, quality=97, exif=exif, dpi=(72, 72), subsampling=0)
        return path


def test_transparent_places_show_white(tmp_path: Path) -> None:
    pixels = np.dstack([tissue(300, 300), np.zeros((300, 300), np.uint8)])
    pixels[200:, :, 3] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    scan = open_scan(tmp_path / "a.png")
    got = scan.read(scan.spec.bounds(0))
    assert (got[:200] == 255).all()
    np.testing.assert_array_equal(got[200:], pixels[200:, :, :3])
    scan.close()


def test_gray_is_refused(tmp_path: Path) -> None:
    Image.fromarray(tissue(300, 300)[..., 0]).save(tmp_path / "a.png")
    with pytest.raises(ScanInvalid, match=r"one channel of uint8.*only bright-field"):
        open_scan(tmp_path / "a.png")


def test_cmyk_is_refused(tmp_path: Path) -> None:
    Image.fromarray(tissue(300, 300)).convert("CMYK").save(tmp_path / "a.jpg")
    with pytest.raises(ScanInvalid, match="CMYK"):
        open_scan(tmp_path / "a.jpg")


def test_a_palette_shows_its_colours(tmp_path: Path) -> None:
    flat = Image.fromarray(tissue(300, 300)).quantize(32)
    flat.save(tmp_path / "a.png")
    scan = open_scan(tmp_path / "a.png")
    np.testing.assert_array_equal(scan.read(scan.spec.bounds(0)), np.asarray(flat.convert("RGB")))
    scan.close()


def png_of(width: int, height: int) -> bytes:
    """The beginning of a PNG that claims to be so large."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("size", "why"),
    [((10_000, 5_000), "claim to be 5000 x 10000"), ((60_000, 60_000), "save it as a tiled TIFF")],
)
def test_bombs_are_refused_before_they_are_decoded(
    tmp_path: Path, size: tuple[int, int], why: str
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_of(*size) + bytes(24_000))
    with pytest.raises(ScanInvalid, match=why):
        open_scan(path)


def test_a_truncated_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(tissue(300, 300)).save(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ScanInvalid):
        open_scan(path)


@pytest.mark.parametrize("name", ["a.svs", "a.ndpi", "a.tif", "a.png", "a.zarr.zip", "a.mrxs"])
def test_what_is_no_slide_is_refused_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("This is a letter, not a slide.")
    with pytest.raises(ScanInvalid, match="check the file"):
        open_scan(path)


def test_a_picture_with_a_wrong_ending_is_read_as_what_it_is(tmp_path: Path) -> None:
    pixels = tissue(300, 300)
    path = tmp_path / "a.svs"
    Image.fromarray(pixels).save(path, format="png")
    scan = open_scan(path)
    np.testing.assert_array_equal(scan.read(scan.spec.bounds(0)), pixels)
    scan.close()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without such files")
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.svs")
    with pytest.raises(ScanInvalid, match="got no file; check the path"):
        open_scan(tmp_path / "a.svs")


def test_folders_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ScanInvalid, match="check the path"):
        open_scan(tmp_path / "nowhere.svs")
    with pytest.raises(ScanInvalid, match="choose the file of a slide"):
        open_scan(tmp_path)
