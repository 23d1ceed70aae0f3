"""SCN of Leica, BIF of Ventana and VMS of Hamamatsu, written here in their layouts.

No scanner made them: they hold what OpenSlide asks of such files, and one rectangle each.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from napari_histodiff.core.errors import HistodiffError, ScanInvalid
from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.scans.opening import open_scan
from napari_histodiff.slide.scans.scan import ScanError
from tests.slide.scans.layouts import pyramid_of, tissue
from tests.slide.scans.scan_contract import ScanContract
from tests.slide.scans.test_tiff_reader import damaged

_SCN = "http://www.leica-microsystems.com/scn/2010/10/01"
_TIFF = {"photometric": "rgb", "compression": "deflate", "metadata": None}
_NM = 250


def _scn_image(sizes: list[tuple[int, int, int]], view: str, light: str) -> str:
    levels = "".join(
        f'<dimension sizeX="{width}" sizeY="{height}" r="{number}" ifd="{page}"/>'
        for number, (page, width, height) in enumerate(sizes)
    )
    return (
        f'<image name="image" uuid="x"><creationDate>2020-01-01T00:00:00Z</creationDate>'
        f'<device model="Leica SCN400" version="1.5"/><pixels>{levels}</pixels><view {view}/>'
        "<scanSettings><objectiveSettings><objective>20</objective></objectiveSettings>"
        "<illuminationSettings><numericalAperture>0.4</numericalAperture>"
        f"<illuminationSource>{light}</illuminationSource></illuminationSettings></scanSettings>"
        "</image>"
    )


def write_scn(path: Path, levels: list[NDArray[np.uint8]], light: str = "brightfield") -> Path:
    """Write a macro picture and a scanned rectangle somewhere on the glass."""
    path.parent.mkdir(exist_ok=True)
    height, width = levels[0].shape[:2]
    glass = 'sizeX="26564529" sizeY="76734375" offsetX="0" offsetY="0"'
    macro = _scn_image([(0, 128, 256)], glass, light)
    place = f'sizeX="{width * _NM}" sizeY="{height * _NM}" offsetX="1000000" offsetY="2000000"'
    sizes = [(n + 1, one.shape[1], one.shape[0]) for n, one in enumerate(levels)]
    scanned = _scn_image(sizes, place, light)
    text = (
        f'<?xml version="1.0"?><scn xmlns="{_SCN}"><collection name="c" uuid="y" '
        f'sizeX="26564529" sizeY="76734375">{macro}{scanned}</collection></scn>'
    )
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        options = {**_TIFF, "tile": (256, 256), "resolutionunit": "CENTIMETER"}
        picture = np.full((256, 128, 3), 200, np.uint8)
        tif.write(picture, description=text, resolution=(625, 625), **options)
        for number, pixels in enumerate(levels):
            per_cm = 1e7 / _NM / 2**number
            tif.write(pixels, resolution=(per_cm, per_cm), **options)
    return path


def write_bif(path: Path, levels: list[NDArray[np.uint8]]) -> Path:
    """Write tiles that do not overlap, numbered to and fro from the bottom."""
    rows, columns = (side // 256 for side in levels[0].shape[:2])
    joint = '<TileJointInfo FlagJoined="1" Confidence="99" OverlapX="0" OverlapY="0" '

    def number(row: int, column: int) -> int:
        return row * columns + (column if row % 2 == 0 else columns - 1 - column) + 1

    def joined(way: str, first: tuple[int, int], second: tuple[int, int]) -> str:
        return f'{joint}Direction="{way}" Tile1="{number(*first)}" Tile2="{number(*second)}"/>'

    places = [(row, column) for row in range(rows) for column in range(columns)]
    joints = "".join(joined("RIGHT", (r, c), (r, c + 1)) for r, c in places if c + 1 < columns)
    joints += "".join(joined("UP", (r, c), (r + 1, c)) for r, c in places if r + 1 < rows)
    size = f'NumRows="{rows}" NumCols="{columns}" Pos-X="0" Pos-Y="0"'
    scanner = '<iScan Magnification="20" ScanRes="0.465" UnitNumber="1" BuildVersion="1" Mode="0"/>'
    stitched = (
        f'<?xml version="1.0"?><EncodeInfo Ver="2"><SlideInfo>{scanner}<AoiInfo XIMAGESIZE="256" '
        f'YIMAGESIZE="256" NUMROWS="{rows}" NUMCOLS="{columns}" Pos-X="0" Pos-Y="0"/></SlideInfo>'
        '<SlideStitchInfo><ImageInfo AOIScanned="1" AOIIndex="0" Width="256" Height="256" '
        f"{size}>{joints}</ImageInfo></SlideStitchInfo>"
        '<AoiOrigin><AOI0 OriginX="0" OriginY="0"/></AoiOrigin></EncodeInfo>'
    ).encode()
    said = f'<?xml version="1.0"?><Metadata>{scanner}</Metadata>'.encode()
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        tag = [(700, 1, len(said), said, True)]
        label = np.full((256, 128, 3), 200, np.uint8)
        tif.write(label, description="Label Image", tile=(128, 128), extratags=tag, **_TIFF)
        for level, pixels in enumerate(levels):
            tag = [(700, 1, len(stitched), stitched, True)] if level == 0 else []
            text = f"level={level} mag={20 / 2**level:g} quality=95"
            tif.write(pixels, description=text, tile=(256, 256), extratags=tag, **_TIFF)
    return path


def write_vms(path: Path, pixels: NDArray[np.uint8]) -> Path:
    """Write one JPEG with restart markers, a map, a macro and the file that names them."""
    path.parent.mkdir(exist_ok=True)
    options = {"quality": 95, "subsampling": 0}
    stem = path.with_suffix("")
    Image.fromarray(pixels).save(f"{stem}.jpg", restart_marker_blocks=4, **options)
    Image.fromarray(pixels[::4, ::4]).save(f"{stem}_map.jpg", restart_marker_blocks=4, **options)
    Image.fromarray(pixels[::4, ::4]).save(f"{stem}_macro.jpg", **options)
    height, width = pixels.shape[:2]
    lines = [
        "[Virtual Microscope Specimen]",
        *("NoLayers=1", "NoJpegColumns=1", "NoJpegRows=1", "SourceLens=20", "OptimisationFile="),
        *(f"ImageFile={stem.name}.jpg", f"MapFile={stem.name}_map.jpg"),
        f"MacroImage={stem.name}_macro.jpg",
        *(f"PhysicalWidth={width * 500}", f"PhysicalHeight={height * 500}"),
        *(f"PhysicalMacroWidth={width * 500}", f"PhysicalMacroHeight={height * 500}"),
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


class TestScn(ScanContract):
    """The whole contract of a scan, on a rectangle of a slide of 3 x 8 cm."""

    reader = "openslide"

    def write(self, folder: Path, pixels: NDArray[np.uint8]) -> Path:
        # One level: of rectangles with odd sides OpenSlide rounds those of others down.
        return write_scn(folder / "slide.scn", [pixels])


def test_scn_is_cropped_to_what_was_scanned(tmp_path: Path) -> None:
    pixels = tissue(1024, 768)
    scan = open_scan(write_scn(tmp_path / "a.scn", pyramid_of(pixels, 2)))
    for level, wanted in enumerate(pyramid_of(pixels, 2)):
        np.testing.assert_array_equal(scan.read(scan.spec.bounds(level)), wanted)
    assert scan.facts.format == "leica scn"
    assert scan.facts.magnification == 20
    assert scan.facts.associated == ("macro",)
    scan.close()


def test_bif_is_stitched(tmp_path: Path) -> None:
    levels = pyramid_of(tissue(1024, 768), 2)
    scan = open_scan(write_bif(tmp_path / "a.bif", levels))
    assert scan.facts.format == "ventana bif"
    assert scan.facts.mpp == (0.465, 0.465)
    for level in range(2):
        np.testing.assert_array_equal(scan.read(scan.spec.bounds(level)), levels[level])
    scan.close()


def test_vms_is_read_and_known_by_all_its_files(tmp_path: Path) -> None:
    pixels = np.repeat(np.repeat(tissue(64, 48), 16, 0), 16, 1)
    path = write_vms(tmp_path / "slides" / "a.vms", pixels)
    scan = open_scan(path)
    assert scan.facts.format == "hamamatsu vms"
    assert scan.facts.mpp == (0.5, 0.5)
    difference = np.abs(scan.read(scan.spec.bounds(0)).astype(int) - pixels)
    assert difference.mean() < 3
    assert scan.facts.nbytes > sum(file.stat().st_size for file in path.parent.glob("*.jpg")) / 2
    identity = scan.identity()
    scan.close()
    write_vms(path, pixels[::-1].copy())  # the file that names the others stays the same
    other = open_scan(path)
    assert other.identity() != identity
    other.close()


@pytest.mark.parametrize("broken", ["a.jpg", "a_map.jpg"])
def test_vms_without_one_of_its_files_is_refused(tmp_path: Path, broken: str) -> None:
    path = write_vms(tmp_path / "a.vms", tissue(512, 512))
    (tmp_path / broken).unlink()
    with pytest.raises(ScanInvalid, match="expected"):
        open_scan(path)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.scn", lambda path: write_scn(path, pyramid_of(tissue(700, 700), 1))),
        ("a.bif", lambda path: write_bif(path, pyramid_of(tissue(768, 768), 1))),
    ],
)
def test_half_a_file_is_refused_or_damaged_and_never_other_pixels(
    tmp_path: Path, name: str, write: Callable[[Path], Path]
) -> None:
    path = write(tmp_path / name)
    whole = open_scan(path)
    right = whole.read(whole.spec.bounds(0))
    whole.close()
    data = path.read_bytes()
    for share in (0.05, 0.5, 0.9):
        path.write_bytes(data[: int(len(data) * share)])
        try:
            scan = open_scan(path)
        except HistodiffError:
            continue
        for tile in scan.spec.tiles(scan.spec.bounds(0)):
            region = scan.spec.region(tile)
            try:
                pixels = scan.read(region)
            except ScanError:
                continue
            np.testing.assert_array_equal(pixels, right[region.slices])
        scan.close()


def test_a_damaged_tile_of_scn_is_told_where_it_is(tmp_path: Path) -> None:
    pixels = tissue(700, 700)
    path = write_scn(tmp_path / "a.scn", [pixels])
    scan = open_scan(damaged(path, (1, 1), page=1))
    with pytest.raises(ScanError) as caught:
        scan.read(scan.spec.bounds(0))
    assert caught.value.region == Region(0, 256, 256, 256, 256)
    np.testing.assert_array_equal(scan.read(Region(0, 0, 0, 256, 700)), pixels[:256])
    scan.close()
