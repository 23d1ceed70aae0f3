"""Opening a scan and reading its tiles, beside raw OpenSlide and raw tifffile in the same run.

    python benchmarks/bench_scans.py [SLIDE ...] [--side 40000]

Without slides it makes a pyramid of JPEG tiles, `--side` pixels a side, and deletes it afterwards.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import openslide
import tifffile

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.slide.overlays.overlay import ScanOverlay
from napari_histodiff.slide.overlays.recipe import SUFFIX
from napari_histodiff.slide.scans.opening import open_scan

TILE, TILES = 256, 400


def made(path: Path, side: int) -> Path:
    """Write a pyramid of a few tiles again and again, so that it takes seconds.

    Their grain makes them as long as tiles of tissue, about 20 kB: decoding takes as long, too.
    """
    rng = np.random.default_rng(0)
    smooth = np.kron(rng.integers(120, 240, (8, 8, 8, 3)), np.ones((1, 32, 32, 1)))
    grain = rng.normal(0, 12, (8, TILE, TILE, 1))
    tiles = [
        imagecodecs.jpeg8_encode(one, level=80)
        for one in np.clip(smooth + grain, 0, 255).astype(np.uint8)
    ]
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        for level in range(7):
            length = -(-side // 2**level)
            count = (-(-length // TILE)) ** 2
            tif.write(
                (tiles[n % len(tiles)] for n in range(count)),
                shape=(length, length, 3),
                dtype="uint8",
                tile=(TILE, TILE),
                photometric="ycbcr",
                subsampling=(2, 2),
                compression="jpeg",
                subfiletype=int(level > 0),
                metadata=None,
                resolution=(4e4 / 2**level,) * 2,
                resolutionunit="CENTIMETER",
            )
    return path


def milliseconds(read: Callable[[int, int], object], places: np.ndarray) -> np.ndarray:
    """Return what each tile takes, on the clock and of this thread's processor, (n, 2)."""
    took = []
    for y, x in places:
        start, busy = time.perf_counter(), time.thread_time()
        read(int(y), int(x))
        took.append((time.perf_counter() - start, time.thread_time() - busy))
    return 1e3 * np.array(took)


def first_view(path: Path, what: str) -> dict[str, float]:
    """Open a slide, read its overview and a hundred tiles; in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    if what == "ours":
        scan = open_scan(path)
        scan.read(scan.spec.bounds(scan.spec.levels - 1))
    else:
        slide = openslide.OpenSlide(path)
        slide.read_region((0, 0), slide.level_count - 1, slide.level_dimensions[-1]).convert("RGB")
    took = time.perf_counter() - start
    for number in range(100):
        y, x = number // 10 * TILE, number % 10 * TILE
        if what == "ours":
            scan.read(Region(0, y, x, TILE, TILE))
        else:
            np.asarray(slide.read_region((x, y), 0, (TILE, TILE)).convert("RGB"))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"ms": 1e3 * took, "MB": (after - before) / 1024}


def show_first_views(path: Path) -> None:
    """Print what opening takes, both readers by turns, the median of five processes each."""
    found: dict[str, list[dict[str, float]]] = {"ours": [], "openslide": []}
    for _ in range(5):
        for what, runs in found.items():
            command = [sys.executable, __file__, str(path), "--first-view", what]
            run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            runs.append(json.loads(run.stdout))
    middle = {
        what: {key: float(np.median([run[key] for run in runs])) for key in ("ms", "MB")}
        for what, runs in found.items()
    }
    for what, one in middle.items():
        print(f"  open to overview, {what}: {one['ms']:.1f} ms, and 100 tiles {one['MB']:.1f} MB")
    time_, memory = (
        middle["ours"][key] / max(middle["openslide"][key], least)
        for key, least in (("ms", 1e-3), ("MB", 0.1))  # a small slide may need no more memory
    )
    print(f"  ours over openslide: {time_:.2f} in time, {memory:.2f} in memory")


def measure(path: Path) -> None:
    scan = open_scan(path)
    slide = openslide.OpenSlide(path)
    print(f"{path.name}: {scan.spec.height} x {scan.spec.width}, read by {scan.facts.reader}")
    show_first_views(path)
    edits = tempfile.TemporaryDirectory()
    below = open_scan(path)  # its own, else it has in memory what was read a moment ago
    overlay = ScanOverlay.create(Path(edits.name) / f"edits{SUFFIX}", below)
    corner = Region(0, 0, 0, TILE, TILE)
    request = EditRequest(kind=EditKind.GENERATE, region=corner)
    overlay.write(request, np.zeros((TILE, TILE, 3), np.uint8))
    rng = np.random.default_rng(1)
    rows, cols = scan.spec.height // TILE, scan.spec.width // TILE
    numbers = 1 + rng.permutation(rows * cols - 1)[:TILES]  # the first one is edited
    places = np.stack([numbers // cols, numbers % cols], 1) * TILE
    readers: dict[str, Callable[[int, int], object]] = {
        "ours": lambda y, x: scan.read(Region(0, y, x, TILE, TILE)),
        "ours, with edits": lambda y, x: overlay.read(Region(0, y, x, TILE, TILE)),
        "openslide": lambda y, x: np.asarray(
            slide.read_region((x, y), 0, (TILE, TILE)).convert("RGB")
        ),
    }
    with tifffile.TiffFile(path) as tif:
        page = tif.pages[0]
        wide = -(-page.imagewidth // TILE)

        def by_tifffile(y: int, x: int) -> object:
            number = y // TILE * wide + x // TILE
            tif.filehandle.seek(page.dataoffsets[number])
            data = tif.filehandle.read(page.databytecounts[number])
            return page.decode(data, number, jpegtables=page.jpegtables)[0]

        if page.is_tiled and page.tilewidth == page.tilelength == TILE:
            readers["tifffile"] = by_tifffile
        parts = np.array_split(places, 8)
        took: dict[str, list[np.ndarray]] = {name: [] for name in readers}
        for part in parts:  # by turns, so that a busy machine slows all of them
            for name, read in readers.items():
                took[name].append(milliseconds(read, part))
    middles = {name: np.median(np.concatenate(times), axis=0) for name, times in took.items()}
    best = np.min([middle for name, middle in middles.items() if "ours" not in name], axis=0)
    for name, times in took.items():
        middle, end = np.percentile(np.concatenate(times)[:, 0], (50, 95))
        print(f"  tile, {name}: p50 {middle:.2f} ms, p95 {end:.2f} ms")
    for name in ("ours", "ours, with edits"):
        wall, busy = middles[name] / best
        print(f"  {name}, over the faster of the others: {wall:.2f}; of the processor {busy:.2f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  peak memory of the process, all readers: {peak:.0f} MB")
    overlay.close()
    edits.cleanup()
    below.close()
    scan.close()
    slide.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("slides", nargs="*", type=Path)
    parser.add_argument("--side", type=int, default=40_000)
    parser.add_argument("--first-view", choices=["ours", "openslide"], help="in this process")
    options = parser.parse_args()
    if options.first_view:
        print(json.dumps(first_view(options.slides[0], options.first_view)))
        return
    for path in options.slides:
        measure(path)
    if not options.slides:
        with tempfile.TemporaryDirectory() as folder:
            measure(made(Path(folder) / "made.tif", options.side))


if __name__ == "__main__":
    main()
