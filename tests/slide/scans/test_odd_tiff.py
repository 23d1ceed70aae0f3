"""TIFF as few programs write it, and what must not show as anything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile

from napari_histodiff.core.errors import ScanInvalid
from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.scans.opening import open_scan
from napari_histodiff.slide.scans.scan import ScanError
from tests.slide.scans.layouts import tissue, write_pyramid


def test_colours_that_were_multiplied_by_their_opacity_show_as_they_were(tmp_path: Path) -> None:
    pixels = tissue(300, 300)
    stored = np.dstack([pixels // 2, np.full((300, 300), 128, np.uint8)])
    path = write_pyramid(tmp_path / "a.tif", [stored], extrasamples=["assocalpha"])
    scan = open_scan(path)
    wanted = pixels // 2 + 127.0  # over white
    assert np.abs(scan.read(scan.spec.bounds(0)) - wanted).max() <= 1
    scan.close()


@pytest.mark.parametrize("value", [0, 90, 255])
def test_a_fourth_number_that_is_no_opacity_hides_nothing(tmp_path: Path, value: int) -> None:
    pixels = tissue(300, 300)
    stored = np.dstack([pixels, np.full((300, 300), value, np.uint8)])
    path = write_pyramid(tmp_path / "a.tif", [stored], extrasamples=["unspecified"])
    scan = open_scan(path)
    np.testing.assert_array_equal(scan.read(scan.spec.bounds(0)), pixels)
    scan.close()


def test_pages_that_come_back_to_themselves_are_read_once(tmp_path: Path) -> None:
    pixels = tissue(300, 300)
    path = write_pyramid(tmp_path / "a.tif", [pixels])
    with tifffile.TiffFile(path) as tif:
        first = tif.pages.first.offset
    data = bytearray(path.read_bytes())
    following = first + 2 + 12 * int.from_bytes(data[first : first + 2], "little")
    data[following : following + 4] = first.to_bytes(4, "little")
    path.write_bytes(data)
    scan = open_scan(path)
    np.testing.assert_array_equal(scan.read(scan.spec.bounds(0)), pixels)
    scan.close()


@pytest.mark.parametrize("compression", ["jpeg", "none", "deflate"])
@pytest.mark.parametrize("photometric", ["rgb", "ycbcr"])
def test_a_whole_tile_is_as_in_any_other_region_and_may_be_written_to(
    tmp_path: Path, compression: str, photometric: str
) -> None:
    options = {"compression": compression, "photometric": photometric}
    if photometric == "ycbcr" and compression == "jpeg":
        options["subsampling"] = (2, 2)
    path = write_pyramid(tmp_path / "a.tif", [tissue(600, 600)], **options)
    scan, place = open_scan(path), Region(0, 256, 0, 256, 256)
    first = scan.read(place)
    wanted = first.copy()
    first[:] = 0
    np.testing.assert_array_equal(scan.read(place), wanted)
    around = scan.read(Region(0, 250, 0, 270, 300))  # keeps the tile in memory
    np.testing.assert_array_equal(around[6:262, :256], wanted)
    scan.read(place)[:] = 0
    np.testing.assert_array_equal(scan.read(place), wanted)
    scan.close()


def test_a_tile_of_other_size_than_stated_is_damage(tmp_path: Path) -> None:
    tiles = [imagecodecs.jpeg8_encode(tissue(256, 256)) for _ in range(4)]
    tiles[1] = imagecodecs.jpeg8_encode(tissue(128, 256))
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        iter(tiles),
        shape=(512, 512, 3),
        dtype="uint8",
        photometric="ycbcr",
        compression="jpeg",
        tile=(256, 256),
        metadata=None,
    )
    scan = open_scan(path)
    for place in (Region(0, 0, 256, 256, 256), Region(0, 10, 260, 50, 50)):
        with pytest.raises(ScanError):
            scan.read(place)
    np.testing.assert_array_equal(
        scan.read(Region(0, 0, 0, 256, 256)), imagecodecs.jpeg8_decode(tiles[0])
    )
    scan.close()


@pytest.mark.parametrize("options", [{"tile": (128, 128)}, {"rowsperstrip": 40}])
def test_colours_of_ome_tiff_come_from_all_its_files(tmp_path: Path, options: Any) -> None:
    pixels = tissue(400, 300)
    names = [f"{name}.ome.tif" for name in ("Red", "Green", "Blue")]
    data = "".join(
        f'<TiffData FirstC="{n}" IFD="0" PlaneCount="1">'
        f'<UUID FileName="{name}">urn:uuid:0000000{n}-0000-4000-8000-000000000000</UUID></TiffData>'
        for n, name in enumerate(names)
    )
    channels = "".join(
        f'<Channel ID="Channel:0:{n}" Name="{name.partition(".")[0]}" SamplesPerPixel="1"/>'
        for n, name in enumerate(names)
    )
    for n, name in enumerate(names):
        xml = (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:0000000{n}-0000-4000-8000-000000000000"><Image ID="Image:0">'
            '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="300" SizeY="400" '
            f'SizeC="3" SizeZ="1" SizeT="1">{channels}{data}</Pixels></Image></OME>'
        )
        tifffile.imwrite(
            tmp_path / name,
            pixels[..., n],
            photometric="minisblack",
            description=xml,
            metadata=None,
            byteorder="<>"[n % 2],
            **options,
        )
    scans = [open_scan(tmp_path / name) for name in names]
    for scan in scans:
        np.testing.assert_array_equal(scan.read(scan.spec.bounds(0)), pixels)
    assert len({scan.identity() for scan in scans}) == 1
    for scan in scans:
        scan.close()
    (tmp_path / names[2]).unlink()
    with pytest.raises(ScanInvalid):
        open_scan(tmp_path / names[0])
