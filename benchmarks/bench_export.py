"""Peak memory and time of each export of a slide of 40,000 x 40,000 pixels.

    python benchmarks/bench_export.py --side 40000 --what ome-tiff-jpeg geojson

Pixels and nuclei are functions of their place, so that the figures are those of the exports alone.
Each runs in a process of its own; its peak memory is measured there, less what importing takes.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import PyramidSpec, Region
from napari_histodiff.slide.exporting.provenance import Provenance
from napari_histodiff.slide.exporting.source import ExportSource


def pixels(region: Region) -> NDArray[np.uint8]:
    """Tissue-like pixels: smooth colours, and grain that does not compress."""
    y = np.arange(region.y, region.bottom)[:, None] << region.level
    x = np.arange(region.x, region.right)[None, :] << region.level
    grain = (y * 2654435761 + x * 40503) >> 7 & 15
    planes = (180 + 40 * np.sin(y / 300) - grain, 120 + 40 * np.cos(x / 200) - grain, 160 - grain)
    return np.stack(np.broadcast_arrays(*planes), -1).astype(np.uint8)


def labels(region: Region) -> NDArray[np.int32]:
    """A nucleus every 127 pixels: 99,225 of them on 40,000 x 40,000."""
    y = np.arange(region.y, region.bottom)[:, None]
    x = np.arange(region.x, region.right)[None, :]
    disc = (y % 127 - 63) ** 2 + (x % 127 - 63) ** 2 < 11**2
    number = y // 127 * 331 + x // 127 + 1
    return np.where(disc, number * 7 + 1 + number % 6, 0).astype(np.int32)


def tissue(region: Region) -> NDArray[np.uint8]:
    """Tissue in squares of a millimetre."""
    y = np.arange(region.y, region.bottom)[:, None] << region.level
    x = np.arange(region.x, region.right)[None, :] << region.level
    return (1 + (y // 2000 + x // 2000) % 3).astype(np.uint8)


def source(side: int) -> ExportSource:
    """A slide with a hundred synthetic discs."""

    def synthetic(region: Region) -> NDArray[np.bool_]:
        y = np.arange(region.y, region.bottom)[:, None] % 4000 - 2000
        x = np.arange(region.x, region.right)[None, :] % 4000 - 2000
        inside: NDArray[np.bool_] = y**2 + x**2 < 300**2
        return inside

    levels = 1
    while side > 512 << (levels - 1):
        levels += 1
    spec = PyramidSpec(side, side, 256, levels, 0.5)
    places = range(2000, side, 4000)
    return ExportSource(
        name="bench",
        spec=spec,
        read=pixels,
        mpp=(0.5, 0.5),
        provenance=Provenance(extent="part", source={}),
        labels=labels,
        tissue=tissue,
        edited=synthetic,
        changed=lambda: [Region(0, y - 300, x - 300, 600, 600) for y in places for x in places],
    )


def ome_tiff(side: int, folder: Path) -> None:
    """OME-TIFF, deflate."""
    from napari_histodiff.slide.exporting.tiff import export_tiff

    export_tiff(source(side), folder / "a.ome.tif")


def ome_tiff_jpeg(side: int, folder: Path) -> None:
    """OME-TIFF, JPEG."""
    from napari_histodiff.slide.exporting.tiff import export_tiff

    export_tiff(source(side), folder / "a.ome.tif", compression="jpeg")


def ome_zarr(side: int, folder: Path) -> None:
    """OME-Zarr 0.4 with every label image."""
    from napari_histodiff.slide.exporting.ome_zarr import export_ome_zarr

    export_ome_zarr(source(side), folder / "a.ome.zarr", version="0.4")


def geojson(side: int, folder: Path) -> None:
    """Nuclei and tissue as GeoJSON."""
    from napari_histodiff.slide.exporting.nuclei import export_geojson

    print(export_geojson(source(side), folder / "a.geojson.gz", tissue=True), file=sys.stderr)


def masks(side: int, folder: Path) -> None:
    """Instances and classes of nuclei and tissue, as TIFF."""
    from napari_histodiff.slide.exporting.masks import export_masks

    export_masks(source(side), folder / "a.instances.tif")


def changes(side: int, folder: Path) -> None:
    """Tiles with synthetic pixels, and their outlines."""
    from napari_histodiff.slide.exporting.changes import export_changes

    export_changes(source(max(side, 5000)), folder / "changes")


def geojson_in(side: int, folder: Path) -> None:
    """100,000 cells as QuPath writes them, painted over a scan (of 300 px: a few)."""
    from napari_histodiff.core.geometry import PyramidSpec
    from napari_histodiff.slide.overlays.annotations import paint_annotations

    path = folder / "cells.geojson"
    with path.open("w") as file:
        file.write('{"type":"FeatureCollection","features":[')
        for number in range(min(100_000, (side // 127) ** 2)):
            y, x = 127 * (number // (side // 127)) + 40, 127 * (number % (side // 127)) + 40
            ring = [
                [round(x + 11 * np.cos(a), 2), round(y + 11 * np.sin(a), 2)]
                for a in np.linspace(0, 2 * np.pi, 24)
            ]
            ring[-1] = ring[0]
            cell = {
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": [ring]},
                "properties": {"objectType": "detection", "classification": {"name": "Lymphocyte"}},
            }
            file.write(("," if number else "") + json.dumps(cell))
        file.write("]}")
    spec = PyramidSpec(side, side, 256, 8, 0.5)
    print(paint_annotations(path, spec, 0.5, lambda *_: None, 1).report, file=sys.stderr)


EXPORTS = {
    "masks": masks,
    "changes": changes,
    "geojson-in": geojson_in,
    "ome-tiff": ome_tiff,
    "ome-tiff-jpeg": ome_tiff_jpeg,
    "ome-zarr": ome_zarr,
    "geojson": geojson,
}


def measure(what: str, side: int, folder: Path) -> dict[str, float]:
    """Run one export here; memory in MiB."""
    for name in ("small", "large"):
        (folder / name).mkdir()
    EXPORTS[what](300, folder / "small")  # imports, caches, pools
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    EXPORTS[what](side, folder / "large")
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size = sum(path.stat().st_size for path in (folder / "large").rglob("*") if path.is_file())
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return {
        "seconds": seconds,
        "more MiB": (peak - before) / unit,
        "peak MiB": peak / unit,
        "size MiB": size / 2**20,
    }


def main() -> None:
    """Measure each export in a process of its own and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=40_000)
    parser.add_argument("--what", nargs="+", choices=EXPORTS, default=list(EXPORTS))
    parser.add_argument("--here", action="store_true", help="in this process; prints JSON")
    options = parser.parse_args()
    if options.here:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(options.what[0], options.side, Path(folder))))
        return
    print(f"{'export':16}{'seconds':>10}{'more MiB':>10}{'peak MiB':>10}{'size MiB':>10}")
    for what in options.what:
        command = [sys.executable, __file__, "--here", "--side", str(options.side), "--what", what]
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(run.stdout)
        print(f"{what:16}" + "".join(f"{found[key]:10.0f}" for key in found))


if __name__ == "__main__":
    main()
