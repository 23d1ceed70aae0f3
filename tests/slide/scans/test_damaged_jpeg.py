"""Damage inside JPEG tiles, which most decoders show as other tissue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest
import tifffile

from napari_histodiff.core.errors import InvalidImage
from napari_histodiff.core.geometry import Region
from napari_histodiff.datasets.pictures import read_picture
from napari_histodiff.slide.scans.opening import open_scan
from napari_histodiff.slide.scans.scan import ScanError
from tests.slide.scans.layouts import tissue, write_pyramid, write_svs

#: Ways to code what shows the same: options of tifffile's writer.
WAYS: dict[str, dict[str, Any]] = {
    "rgb": {"photometric": "rgb"},
    "ycbcr": {"photometric": "ycbcr"},
    "subsampled": {"photometric": "ycbcr", "subsampling": (2, 2)},
    "planes": {"photometric": "rgb", "planarconfig": "separate"},
    "strips": {"photometric": "ycbcr", "tile": None, "rowsperstrip": 64},
    "without loss": {"photometric": "rgb", "compressionargs": {"lossless": True}},
}


def written(path: Path, name: str) -> Path:
    pixels = tissue(400, 300)
    if name == "planes":
        pixels = np.moveaxis(pixels, -1, 0)
    return write_pyramid(path, [pixels], **({"compression": "jpeg"} | WAYS[name]))


def places(path: Path) -> list[tuple[int, int]]:
    with tifffile.TiffFile(path) as tif:
        page = tif.pages.first
        return list(zip(page.dataoffsets, page.databytecounts, strict=True))


def hurt(path: Path, first: float, length: float, number: int = 0) -> Path:
    """Zero some of a tile's coded pixels, from one share of them to another."""
    offset, count = places(path)[number]
    data = bytearray(path.read_bytes())
    start = data.index(b"\xff\xda", offset) + 14
    whole = offset + count - 2 - start
    at = start + int(first * whole)
    data[at : at + int(length * whole)] = bytes(int(length * whole))
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", WAYS)
def test_whole_tiles_are_as_tifffile_decodes_them(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / "a.tif", name)
    wanted = tifffile.imread(path)
    wanted = np.moveaxis(wanted, 0, -1) if name == "planes" else wanted
    scan = open_scan(path)
    np.testing.assert_array_equal(scan.read(scan.spec.bounds(0)), wanted)
    np.testing.assert_array_equal(read_picture(path).rgb(), wanted)
    scan.close()


@pytest.mark.parametrize("first", [0.1, 0.4, 0.65])
@pytest.mark.parametrize("name", [name for name in WAYS if name != "without loss"])
def test_a_tile_with_a_hole_in_its_code_is_told(tmp_path: Path, name: str, first: float) -> None:
    path = hurt(written(tmp_path / "a.tif", name), first, 0.3)
    tifffile.imread(path)  # shows something all the same
    scan = open_scan(path)
    with pytest.raises(ScanError, match="copy the file again"):
        scan.read(Region(0, 0, 0, 64, 256))
    scan.read(Region(0, 260, 0, 100, 100))
    scan.close()
    with pytest.raises(InvalidImage, match="something else"):
        read_picture(path)


@pytest.mark.parametrize("kind", ["tif", "svs"])
def test_what_openslide_refuses_is_refused(tmp_path: Path, kind: str) -> None:
    make = write_svs if kind == "svs" else write_pyramid
    path = make(tmp_path / f"a.{kind}", [tissue(256, 256)], compression="jpeg")
    whole, [(offset, count)] = path.read_bytes(), places(path)
    rng = np.random.default_rng(3)
    refused = told = 0
    for number in range(40):
        data = bytearray(whole)
        at = offset + int(rng.integers(count // 10, count - 40))
        data[at : at + 4] = rng.integers(0, 255, 4, np.uint8).tobytes()
        one = tmp_path / f"{number}.{kind}"
        one.write_bytes(data)
        scan = open_scan(one)
        try:
            scan.read(scan.spec.bounds(0))
            ours = False
        except ScanError:
            ours = True
        scan.close()
        try:
            openslide.OpenSlide(one).read_region((0, 0), 0, (256, 256))
        except openslide.OpenSlideError:
            refused += 1
            assert ours, number
        told += ours
    assert told >= max(refused, 10)
