"""Measure nuclei of the training data: size, elongation, roughness and density of each class.

Writes `napari_histodiff/core/nucleus_statistics.json`, which the stamp and scatter brushes draw
from. Only these numbers are kept, no image and no mask. Areas come from the train split of Lizard
(all six classes) and CoNSeP (epithelial and connective: its inflammatory class mixes four of ours).

    python tools/nucleus_statistics.py ../shared/data
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.io import imread
from skimage.measure import find_contours, regionprops
from skimage.transform import resize

from napari_histodiff.core.maps import CLASS_NAMES
from napari_histodiff.core.nucleus_shapes import HARMONICS, STATISTICS_FILE

MPP = 0.5
CONSEP_MPP = 0.275
CONSEP_CLASSES = (2, 6)
MIN_AREA_PX = 20
ANGLES = np.linspace(-np.pi, np.pi, 64, endpoint=False)
QUANTILES = np.linspace(0.05, 0.95, 10)
WINDOW_PX = 128


class Tile(NamedTuple):
    """One annotated image at `mpp`; `classes` are those whose labels it can be trusted for."""

    instances: NDArray[Any]
    types: NDArray[Any]
    valid: NDArray[np.bool_]
    mpp: float
    classes: tuple[int, ...]


class Nucleus(NamedTuple):
    """Measures of one nucleus; area in um^2, density in nuclei of its class per mm^2 around it."""

    area: float
    axis_ratio: float
    harmonics: NDArray[np.float64]
    density: float


def lizard(folder: Path, names: list[str]) -> Iterator[Tile]:
    """Yield the six-class mosaics of the train split."""
    rows = csv.DictReader((folder / "mosaics.csv").open())
    mpp = {row["mosaic"]: float(row["um_per_px"]) for row in rows}
    for name in names:
        instances, types, valid = (
            imread(folder / kind / f"{name}.png") for kind in ("inst", "type", "valid")
        )
        yield Tile(instances, types, valid > 0, mpp[name], tuple(range(1, 7)))


def consep(folder: Path, names: list[str]) -> Iterator[Tile]:
    """Yield the CoNSeP train tiles, brought to `MPP` by nearest neighbour."""
    for name in names:
        instances, types = (imread(folder / kind / f"{name}.png") for kind in ("inst", "type"))
        shape = tuple(round(side * CONSEP_MPP / MPP) for side in instances.shape)
        instances, types = (
            resize(a, shape, order=0, preserve_range=True, anti_aliasing=False).astype(a.dtype)
            for a in (instances, types)
        )
        yield Tile(instances, types, np.ones(shape, bool), MPP, CONSEP_CLASSES)


def measure(tile: Tile) -> Iterator[tuple[int, Nucleus]]:
    """Yield class and measures of each whole nucleus of a tile."""
    inner = ndimage.binary_erosion(tile.valid, iterations=2)
    found: dict[int, list[Any]] = {c: [] for c in tile.classes}
    for region in regionprops(tile.instances):
        rows, cols = region.coords.T
        ids, counts = np.unique(tile.types[rows, cols], return_counts=True)
        class_id = int(ids[counts.argmax()])
        whole = inner[rows, cols].all()
        if class_id in found and whole and region.area >= MIN_AREA_PX:
            found[class_id].append(region)
    for class_id, regions in found.items():
        centres = np.zeros(tile.instances.shape)
        for region in regions:
            centres[tuple(int(c) for c in region.centroid)] += 1
        near = ndimage.uniform_filter(centres, WINDOW_PX, mode="constant")
        known = ndimage.uniform_filter(tile.valid.astype(float), WINDOW_PX, mode="constant")
        per_mm2 = near / np.maximum(known, 0.05) / (tile.mpp / 1000) ** 2
        for region in regions:
            centre = tuple(int(c) for c in region.centroid)
            if region.axis_minor_length > 0:
                yield class_id, _nucleus(region, tile.mpp, float(per_mm2[centre]))


def _nucleus(region: Any, mpp: float, density: float) -> Nucleus:
    ratio = region.axis_minor_length / region.axis_major_length
    return Nucleus(region.area * mpp**2, ratio, _harmonics(region), density)


def _harmonics(region: Any) -> NDArray[np.float64]:
    """Amplitudes of the boundary around its ellipse, as shares of the ellipse's radius."""
    smooth = ndimage.gaussian_filter(np.pad(region.image, 4).astype(float), 0.7)
    contour = max(find_contours(smooth, 0.5), key=len)
    dy, dx = (contour - contour.mean(axis=0)).T
    along = dy * np.cos(region.orientation) + dx * np.sin(region.orientation)
    across = dx * np.cos(region.orientation) - dy * np.sin(region.orientation)
    along, across = along / region.axis_major_length, across / region.axis_minor_length
    angle, radius = np.arctan2(across, along), 2 * np.hypot(along, across)
    order = np.argsort(angle)
    sampled = np.interp(ANGLES, angle[order], radius[order], period=2 * np.pi)
    spectrum = np.abs(np.fft.rfft(sampled / sampled.mean())) * 2 / len(ANGLES)
    return spectrum[list(HARMONICS)]


def summarise(nuclei: list[Nucleus]) -> dict[str, Any]:
    """Return the committed statistics of one class."""
    log_area = np.log([n.area for n in nuclei])
    ratios = np.quantile([n.axis_ratio for n in nuclei], QUANTILES)
    rms = np.sqrt(np.mean([n.harmonics**2 for n in nuclei], axis=0))
    return {
        "n": len(nuclei),
        "log_area_mean": round(float(log_area.mean()), 4),
        "log_area_sd": round(float(log_area.std()), 4),
        "axis_ratio_quantiles": [round(float(r), 4) for r in ratios],
        "roughness": [round(float(a), 4) for a in rms],
        "density": round(float(np.median([n.density for n in nuclei]))),
    }


def main() -> None:
    """Measure the train split and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with splits.json, lizard/ and consep/")
    data = parser.parse_args().data
    splits = json.loads((data / "splits.json").read_text())
    nuclei: dict[int, list[Nucleus]] = {c: [] for c in range(1, 7)}
    tiles = (
        *lizard(data / "lizard", splits["lizard"]["train"]),
        *consep(data / "consep", splits["consep"]["train"]),
    )
    for tile in tiles:
        for class_id, nucleus in measure(tile):
            nuclei[class_id].append(nucleus)
    result = {
        "source": "train splits of Lizard (six classes) and CoNSeP (epithelial, connective)",
        "units": "areas um^2, densities nuclei of the class per mm^2 around a nucleus of it",
        "harmonics": list(HARMONICS),
        "quantiles": [round(float(q), 2) for q in QUANTILES],
        "classes": {name: summarise(nuclei[i]) for i, name in enumerate(CLASS_NAMES, 1)},
    }
    STATISTICS_FILE.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result["classes"], indent=2))


if __name__ == "__main__":
    main()
