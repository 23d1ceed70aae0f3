from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidRequest, ScanInvalid
from napari_histodiff.core.geometry import Region
from napari_histodiff.datasets.tiff import upright
from napari_histodiff.slide.scans.opening import open_scan
from napari_histodiff.slide.scans.scan import ScanError
from tests.slide.scans.layouts import MPP, pyramid_of, tissue, write_pyramid
from tests.slide.scans.scan_contract import HEIGHT, WIDTH, ScanContract


def write_ome(path: Path, levels: list[NDArray[Any]], **options: Any) -> Path:
    """Levels in SubIFDs, as OME-TIFF has them."""
    path.parent.mkdir(exist_ok=True)
    metadata = {
        "axes": "YXS",
        "PhysicalSizeX": MPP,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": MPP,
        "PhysicalSizeYUnit": "µm",
    } | options.pop("metadata", {})
    options = {"tile": (128, 256), "photometric": "rgb", "compression": "zstd"} | options
    with tifffile.TiffWriter(path, ome=True) as tif:
        tif.write(levels[0], subifds=len(levels) - 1, metadata=metadata, **options)
        for level in levels[1:]:
            tif.write(level, subfiletype=1, **options)
    return path


class TiffContract(ScanContract):
    """A TIFF that tifffile reads."""

    reader = "tifffile"


class TestOme(TiffContract):
    def write(self, folder: Path, pixels: NDArray[np.uint8]) -> Path:
        return write_ome(folder / "slide.ome.tif", pyramid_of(pixels, 3))


class TestOmePlanar(TiffContract):
    def write(self, folder: Path, pixels: NDArray[np.uint8]) -> Path:
        levels = [level.transpose(2, 0, 1) for level in pyramid_of(pixels, 2)]
        return write_ome(
            folder / "slide.ome.tif",
            levels,
            planarconfig="separate",
            metadata={"axes": "SYX"},
            compression="lzw",
        )


class TestOmeChannels(TiffContract):
    def write(self, folder: Path, pixels: NDArray[np.uint8]) -> Path:
        levels = [level.transpose(2, 0, 1) for level in pyramid_of(pixels, 2)]
        channels = {"Name": ["Red", "Green", "Blue"]}
        return write_ome(
            folder / "slide.ome.tif",
            levels,
            photometric="minisblack",
            metadata={"axes": "CYX", "Channel": channels},
        )


class TestOmeJpeg2000(TiffContract):
    def write(self, folder: Path, pixels: NDArray[np.uint8]) -> Path:
        return write_ome(
            folder / "slide.ome.tif",
            [pixels],
            tile=(256, 256),
            compression="jpeg2000",
            compressionargs={"reversible": True},
        )


class TestOmeJpeg(TiffContract):
    tolerance = 40

    def write(self, folder: Path, pixels: NDArray[np.uint8]) -> Path:
        return write_ome(
            folder / "slide.ome.tif",
            pyramid_of(pixels, 2),
            tile=(256, 256),
            compression="jpeg",
            compressionargs={"level": 95},
        )


class TestFlatPyramid(TiffContract):
    def write(self, folder: Path, pixels: NDArray[np.uint8]) -> Path:
        folder.mkdir(exist_ok=True)
        return write_pyramid(folder / "slide.tif", pyramid_of(pixels, 3), bigtiff=True)


class TestStrips(TiffContract):
    def write(self, folder: Path, pixels: NDArray[np.uint8]) -> Path:
        folder.mkdir(exist_ok=True)
        return write_pyramid(folder / "slide.tif", [pixels], tile=None, rowsperstrip=37)


class TestRaw(TiffContract):
    """All pixels in one piece, most significant byte first."""

    mpp = None

    def write(self, folder: Path, pixels: NDArray[np.uint8]) -> Path:
        folder.mkdir(exist_ok=True)
        path = folder / "slide.tif"
        tifffile.imwrite(
            path, pixels, photometric="rgb", rowsperstrip=HEIGHT, byteorder=">", metadata=None
        )
        return path


@pytest.mark.parametrize("orientation", range(2, 9))
def test_it_is_turned_upright(tmp_path: Path, orientation: int) -> None:
    pixels = tissue(300, 520)
    path = write_pyramid(
        tmp_path / "a.tif", [pixels], tile=(128, 128), extratags=[(274, 3, 1, orientation, True)]
    )
    scan = open_scan(path)
    wanted = upright(pixels, orientation)
    np.testing.assert_array_equal(scan.read(scan.spec.bounds(0)), wanted)
    region = Region(0, 17, 33, 90, 141)
    np.testing.assert_array_equal(scan.read(region), wanted[region.slices])
    scan.close()


def test_transparent_places_show_white(tmp_path: Path) -> None:
    pixels = np.dstack([tissue(300, 300), np.full((300, 300), 255, np.uint8)])
    pixels[:100, :, 3] = 0
    pixels[100:200, :, 3] = 128
    path = write_pyramid(tmp_path / "a.tif", [pixels], extrasamples=["unassalpha"])
    scan = open_scan(path)
    got = scan.read(scan.spec.bounds(0))
    assert (got[:100] == 255).all()
    np.testing.assert_array_equal(got[200:], pixels[200:, :, :3])
    mixed = (pixels[100:200, :, :3] * 128.0 + 255 * 127) / 255
    assert np.abs(got[100:200] - mixed).max() <= 1
    scan.close()


def test_a_palette_shows_its_colours(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (3, 256))
    indices = tissue(300, 300)[..., 0]
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        indices,
        photometric="palette",
        colormap=(colours * 257).astype(np.uint16),
        tile=(128, 128),
    )
    scan = open_scan(path)
    np.testing.assert_array_equal(
        scan.read(scan.spec.bounds(0)), colours.astype(np.uint8)[:, indices].transpose(1, 2, 0)
    )
    scan.close()


def test_16_bits_are_refused_or_windowed(tmp_path: Path) -> None:
    pixels = tissue(300, 300).astype(np.uint16) * 16
    path = write_pyramid(tmp_path / "a.tif", [pixels])
    with pytest.raises(ScanInvalid, match=r"got 16 in .*window=\(0, 65535\)"):
        open_scan(path)
    scan = open_scan(path, window=(0, 255 * 16))
    np.testing.assert_array_equal(scan.read(scan.spec.bounds(0)), tissue(300, 300))
    scan.close()
    with pytest.raises(InvalidRequest, match="low below high"):
        open_scan(path, window=(7, 7))


@pytest.mark.parametrize(
    ("pixels", "options", "why"),
    [
        (np.zeros((300, 300), np.uint8), {"photometric": "minisblack"}, "one channel of uint8"),
        (np.zeros((300, 300), np.uint16), {"photometric": "minisblack"}, "one channel of uint16"),
        (np.zeros((300, 300, 4), np.uint8), {"photometric": "separated"}, "SEPARATED"),
        (np.zeros((300, 300, 3), np.float32), {}, "RGB of float32"),
        (np.zeros((300, 300, 3), np.int8), {}, "RGB of int8"),
    ],
)
def test_what_is_not_bright_field_is_refused(
    tmp_path: Path, pixels: NDArray[Any], options: dict[str, Any], why: str
) -> None:
    path = write_pyramid(tmp_path / "a.tif", [pixels], **options)
    with pytest.raises(ScanInvalid, match=f"{why}.*export it as RGB"):
        open_scan(path)


def test_fluorescence_is_refused(tmp_path: Path) -> None:
    pixels = np.zeros((3, 300, 300), np.uint8)
    path = write_ome(
        tmp_path / "a.ome.tif",
        [pixels],
        photometric="minisblack",
        metadata={"axes": "CYX", "Channel": {"Name": ["DAPI", "FITC", "TRITC"]}},
    )
    with pytest.raises(ScanInvalid, match="only bright-field"):
        open_scan(path)


@pytest.mark.parametrize(("dpi", "believed"), [(72, None), (300, None), (50_800, 0.5)])
def test_dots_per_inch_are_believed_where_a_microscope_has_them(
    tmp_path: Path, dpi: int, believed: float | None
) -> None:
    path = write_pyramid(
        tmp_path / "a.tif",
        [tissue(300, 300)],
        mpp=None,
        resolution=(dpi, dpi),
        resolutionunit="INCH",
    )
    scan = open_scan(path)
    assert scan.facts.mpp == (None if believed is None else pytest.approx((believed, believed)))
    assert bool(scan.facts.notes) == (believed is None)
    scan.close()


@pytest.mark.parametrize(("y", "x"), [(0.0, 0.0), (0.25, 0.5), (1e9, 1e9), (float("nan"), 0.25)])
def test_absurd_lengths_are_not_believed(tmp_path: Path, y: float, x: float) -> None:
    path = write_ome(
        tmp_path / "a.ome.tif",
        [tissue(300, 300)],
        metadata={"PhysicalSizeX": x, "PhysicalSizeY": y},
    )
    scan = open_scan(path)
    assert scan.facts.mpp is None
    scan.close()


def damaged(path: Path, at: tuple[int, int], page: int = 0) -> Path:
    """Overwrite the middle of one tile of a page, by row and column."""
    with tifffile.TiffFile(path) as tif:
        found = tif.pages[page]
        cols = -(-found.imagewidth // found.tilewidth)
        number = at[0] * cols + at[1]
        offset, count = found.dataoffsets[number], found.databytecounts[number]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\x07" * count)
    return path


@pytest.mark.parametrize("compression", ["deflate", "jpeg", "zstd", "lzw", "jpeg2000"])
def test_a_damaged_tile_is_told_and_the_rest_can_be_read(tmp_path: Path, compression: str) -> None:
    pixels = tissue(700, 700)
    path = write_pyramid(tmp_path / "a.tif", [pixels], compression=compression)
    whole = open_scan(path)
    wanted = whole.read(whole.spec.bounds(0))
    whole.close()
    scan = open_scan(damaged(path, (1, 1)))
    with pytest.raises(ScanError, match="copy the file again") as caught:
        scan.read(scan.spec.bounds(0))
    assert caught.value.region == Region(0, 256, 256, 256, 256)
    for place in [Region(0, 0, 0, 256, 700), Region(0, 256, 512, 256, 188)]:
        np.testing.assert_array_equal(scan.read(place), wanted[place.slices])
    with pytest.raises(ScanError):
        scan.read(scan.spec.bounds(1))  # its level 1 is made of that tile
    scan.close()


def test_a_truncated_file_is_told(tmp_path: Path) -> None:
    path = write_ome(tmp_path / "a.ome.tif", pyramid_of(tissue(HEIGHT, WIDTH), 2))
    whole = open_scan(path)
    assert not whole.facts.notes
    whole.close()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    scan = open_scan(path)
    assert any("copied in part" in note for note in scan.facts.notes)
    with pytest.raises(ScanError, match="ends early"):
        scan.read(scan.spec.bounds(0))
    scan.close()
    path.write_bytes(data[:100])
    with pytest.raises(ScanInvalid, match="copy the file again"):
        open_scan(path)


def test_a_level_in_one_huge_piece_is_refused(tmp_path: Path) -> None:
    strip = imagecodecs.zlib_encode(b"\xff" * 1000)
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        iter([strip]),
        shape=(30_000, 30_000, 3),
        dtype="uint8",
        photometric="rgb",
        compression="deflate",
        rowsperstrip=30_000,
    )
    with pytest.raises(ScanInvalid, match="save it tiled"):
        open_scan(path)


def test_tiles_that_were_not_scanned_are_white(tmp_path: Path) -> None:
    path = write_pyramid(tmp_path / "a.tif", [tissue(300, 300)], mpp=None)
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tag = tif.pages[0].tags["TileByteCounts"]
        tag.overwrite([0, *tag.value[1:]])
    scan = open_scan(path)
    assert (scan.read(Region(0, 0, 0, 256, 256)) == 255).all()
    scan.close()
