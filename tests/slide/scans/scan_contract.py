"""What every scan does, whatever file it lies in."""

from __future__ import annotations

import hashlib
import pickle
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_histodiff.core.box_mean import box_down
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.scans.opening import open_scan
from napari_histodiff.slide.scans.pyramid_scan import PyramidScan
from napari_histodiff.slide.scans.scan import Scan, ScanError, ScanIdentity
from tests.slide.scans.layouts import tissue

#: No side is a multiple of a tile, and both are odd at some level.
HEIGHT, WIDTH = 701, 1099


def checksum(path: Path) -> str:
    """Of a file, or of all files of a folder with their names."""
    files = [path] if path.is_file() else sorted(f for f in path.rglob("*") if f.is_file())
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def regions(scan: Scan, count: int, seed: int = 0) -> Iterator[Region]:
    """Rectangles at every level, also over the border and beyond."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        level = int(rng.integers(scan.spec.levels))
        bounds = scan.spec.bounds(level)
        height, width = (int(rng.integers(1, side + 40)) for side in bounds.shape)
        y, x = int(rng.integers(-60, bounds.height)), int(rng.integers(-60, bounds.width))
        yield Region(level, y, x, min(height, 500), min(width, 500))


class ScanContract(ABC):
    """A scan of `HEIGHT` x `WIDTH` pixels."""

    #: Largest difference of a pixel from what was written; 0 for what is stored without loss.
    tolerance = 0
    #: What the header has to tell.
    mpp: tuple[float, float] | None = (0.25, 0.25)
    reader = ""

    pixels: NDArray[np.uint8]
    path: Path

    @abstractmethod
    def write(self, folder: Path, pixels: NDArray[np.uint8]) -> Path:
        """Write a slide and return where it lies."""

    @pytest.fixture(autouse=True)
    def _written(self, tmp_path: Path) -> None:
        self.pixels = tissue(HEIGHT, WIDTH)
        self.path = self.write(tmp_path, self.pixels)

    @pytest.fixture
    def scan(self) -> Iterator[PyramidScan]:
        scan = open_scan(self.path)
        yield scan
        scan.close()

    def test_it_is_a_scan_of_what_was_written(self, scan: PyramidScan) -> None:
        assert isinstance(scan, Scan)
        assert scan.path == self.path
        assert (scan.spec.height, scan.spec.width, scan.spec.tile) == (HEIGHT, WIDTH, 256)
        assert scan.spec.bounds(scan.spec.levels - 1).shape == (176, 275)
        assert scan.facts.levels[0] == (HEIGHT, WIDTH)
        assert scan.facts.reader == self.reader

    def test_it_knows_how_long_a_pixel_is(self, scan: PyramidScan) -> None:
        assert scan.facts.mpp_from == ("header" if self.mpp else None)
        assert scan.facts.mpp == (pytest.approx(self.mpp, rel=1e-3) if self.mpp else None)
        assert scan.spec.mpp == pytest.approx(self.mpp[0] if self.mpp else 1.0, rel=1e-3)

    def test_a_person_knows_better(self) -> None:
        scan = open_scan(self.path, mpp=0.4)
        assert (scan.facts.mpp, scan.facts.mpp_from) == ((0.4, 0.4), "asked")
        assert scan.spec.mpp == 0.4
        scan.close()

    def test_its_pixels_are_those_that_were_written(self, scan: PyramidScan) -> None:
        got = scan.read(scan.spec.bounds(0)).astype(int)
        difference = np.abs(got - self.pixels)
        assert difference.max() <= self.tolerance
        assert abs((got - self.pixels).mean()) < 0.6  # no loss of JPEG shifts colours

    def test_levels_that_the_file_lacks_are_box_means(self, scan: PyramidScan) -> None:
        in_file = {(h, w) for h, w in scan.facts.levels}
        for level in range(1, scan.spec.levels):
            if scan.spec.bounds(level).shape not in in_file:
                finer = scan.read(scan.spec.bounds(level - 1))
                np.testing.assert_array_equal(scan.read(scan.spec.bounds(level)), box_down(finer))

    def test_a_pixel_is_the_same_in_every_region(self, scan: PyramidScan) -> None:
        whole = {n: scan.read(scan.spec.bounds(n)) for n in range(scan.spec.levels)}
        for region in regions(scan, 60):
            bounds = scan.spec.bounds(region.level)
            wanted = np.full((*region.shape, 3), 255, np.uint8)
            inside = region.intersect(bounds)
            if not inside.is_empty:
                wanted[inside.relative_to(region).slices] = whole[region.level][inside.slices]
            np.testing.assert_array_equal(scan.read(region), wanted)

    def test_what_is_read_may_be_written_to(self, scan: PyramidScan) -> None:
        region = Region(0, 300, 300, 20, 20)
        before = scan.read(region)
        scan.read(region)[:] = 0
        np.testing.assert_array_equal(scan.read(region), before)

    def test_many_threads_read_at_once(self, scan: PyramidScan) -> None:
        alone = [(region, scan.read(region)) for region in regions(scan, 40, seed=1)]
        with ThreadPoolExecutor(4) as pool:
            for wanted, got in zip(
                alone, pool.map(lambda pair: scan.read(pair[0]), alone), strict=True
            ):
                np.testing.assert_array_equal(got, wanted[1])

    def test_levels_that_do_not_exist_are_refused(self, scan: PyramidScan) -> None:
        with pytest.raises(InvalidRequest, match="expected a level from 0"):
            scan.read(Region(scan.spec.levels, 0, 0, 1, 1))

    def test_its_identity_goes_with_its_bytes(self, scan: PyramidScan, tmp_path: Path) -> None:
        identity = scan.identity()
        assert ScanIdentity.from_dict(identity.to_dict()) == identity
        elsewhere = self.write(tmp_path / "other", tissue(HEIGHT, WIDTH, seed=1))
        other = open_scan(elsewhere)
        assert other.identity() != identity
        other.close()
        moved = self.move(tmp_path / "moved")
        again = open_scan(moved)
        assert again.identity() == identity
        again.close()

    def move(self, folder: Path) -> Path:
        """Copy the slide into another folder, under another name."""
        folder.mkdir()
        suffix = self.path.name.partition(".")[2]
        copy = folder / f"renamed.{suffix}"
        (shutil.copytree if self.path.is_dir() else shutil.copy2)(self.path, copy)
        return copy

    def test_reading_changes_nothing_in_the_file(self, scan: PyramidScan) -> None:
        before = checksum(self.path)
        for region in regions(scan, 20):
            scan.read(region)
        scan.close()
        assert checksum(self.path) == before

    def test_a_closed_scan_says_so(self, scan: PyramidScan) -> None:
        scan.close()
        scan.close()
        with pytest.raises(ScanError, match="closed") as caught:
            scan.read(Region(0, 10, 20, 30, 40))
        assert caught.value.region.level == 0
        assert pickle.loads(pickle.dumps(caught.value)).region == caught.value.region
