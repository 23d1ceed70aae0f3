"""A handle as OpenSlide makes of MRXS, of which there is no small public file.

`test_other_scanners.py` writes SCN, BIF and VMS.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest
from PIL import Image

from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.scans.openslide_reader import OpenSlideSource
from napari_histodiff.slide.scans.pyramid_scan import PyramidScan
from tests.slide.scans.layouts import pyramid_of, tissue


class StandIn:
    """An OpenSlide handle of 2048 x 3072 pixels, scanned in a rectangle of it only."""

    def __init__(self, path: Path) -> None:
        self.opened = path
        pixels = np.dstack([tissue(2048, 3072), np.zeros((2048, 3072), np.uint8)])
        pixels[..., :3][:300] = 0
        pixels[512:1536, 768:2304, 3] = 255
        self.levels = [level[..., :4] for level in pyramid_of(pixels, 3)]
        self.level_dimensions = tuple(level.shape[1::-1] for level in self.levels)
        self.level_downsamples = (1.0, 2.0, 4.0)
        self.associated_images: dict[str, Image.Image] = {}
        self.properties = {
            "openslide.vendor": "mirax",
            "openslide.mpp-x": "0.25",
            "openslide.mpp-y": "0.25",
            "openslide.background-color": "F0F1F2",
            "openslide.bounds-x": "512",
            "openslide.bounds-y": "256",
            "openslide.bounds-width": "2048",
            "openslide.bounds-height": "1536",
        }

    def read_region(self, place: tuple[int, int], level: int, size: tuple[int, int]) -> Image.Image:
        x, y = (at >> level for at in place)
        return Image.fromarray(self.levels[level][y : y + size[1], x : x + size[0]])


@pytest.fixture
def scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PyramidScan:
    path = tmp_path / "slide.mrxs"
    path.write_bytes(b"index")
    (tmp_path / "slide").mkdir()
    (tmp_path / "slide" / "Data0000.dat").write_bytes(b"pixels")
    made: list[StandIn] = []

    def opened(path: Path) -> Any:
        made.append(StandIn(path))
        return made[-1]

    monkeypatch.setattr(openslide, "OpenSlide", opened)
    return PyramidScan(path, OpenSlideSource(path))


def test_it_is_cropped_to_what_was_scanned(scan: PyramidScan) -> None:
    assert (scan.spec.height, scan.spec.width) == (1536, 2048)
    assert scan.facts.levels == ((1536, 2048), (768, 1024), (384, 512))
    assert scan.facts.format == "mirax mrxs"
    whole = StandIn(scan.path).levels[0]
    np.testing.assert_array_equal(
        scan.read(Region(0, 256, 256, 1024, 1536)), whole[512:1536, 768:2304, :3]
    )


def test_transparent_places_show_the_background(scan: PyramidScan) -> None:
    assert (scan.read(Region(0, 0, 0, 256, 2048)) == (0xF0, 0xF1, 0xF2)).all()
    assert (scan.read(Region(1, 0, 0, 128, 1024)) == (0xF0, 0xF1, 0xF2)).all()


def test_levels_lie_on_each_other(scan: PyramidScan) -> None:
    fine = scan.read(Region(0, 256, 256, 1024, 1536))
    np.testing.assert_array_equal(scan.read(Region(1, 128, 128, 512, 768)), pyramid_of(fine, 2)[1])


def test_all_files_of_the_slide_count(scan: PyramidScan) -> None:
    assert scan.facts.nbytes == len(b"index") + len(b"pixels")
    before = scan.identity()
    (scan.path.parent / "slide" / "Data0000.dat").write_bytes(b"piXels")
    assert PyramidScan(scan.path, OpenSlideSource(scan.path)).identity() != before
