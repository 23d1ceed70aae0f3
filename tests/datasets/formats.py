"""Writes one small annotated image in each published format, nuclei where the caller says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat
from skimage.io import imsave

Maps = tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.uint8]]


def drawing(size: int = 64) -> Maps:
    """Pixels, instances and classes: nuclei 3, 7 and 9, a neutrophil, lymphocyte, connective."""
    rng = np.random.default_rng(size)
    pixels = rng.integers(0, 256, (size, size, 3), np.uint8)
    instances = np.zeros((size, size), np.int32)
    classes = np.zeros((size, size), np.uint8)
    for i, kind, corner in ((3, 1, 4), (7, 3, 20), (9, 6, 40)):
        place = (slice(corner, corner + 8), slice(corner, corner + 10))
        instances[place], classes[place] = i, kind
    return pixels, instances, classes


def save(path: Path, array: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        imsave(path, array, check_contrast=False)


def write_plain(folder: Path, name: str = "a", maps: Maps | None = None) -> Maps:
    pixels, instances, classes = drawing() if maps is None else maps
    save(folder / "images" / f"{name}.png", pixels)
    save(folder / "instances" / f"{name}.tif", instances)
    save(folder / "classes" / f"{name}.npy", classes)
    return pixels, instances, classes


def write_lizard(folder: Path, name: str = "dpath_1") -> Maps:
    """As published: ids in another order than their numbers, MATLAB floats, columns."""
    pixels, instances, classes = drawing()
    save(folder / "Lizard_Images1" / f"{name}.png", pixels)
    (folder / "Labels").mkdir(exist_ok=True)
    content = {
        "inst_map": instances.astype(np.float64),
        "id": np.array([[9], [3], [7]]),
        "class": np.array([[6], [1], [3]], np.uint8),
        "bbox": np.zeros((3, 4)),
        "centroid": np.zeros((3, 2)),
    }
    savemat(folder / "Labels" / f"{name}.mat", content)
    return pixels, instances, classes


def write_conic(folder: Path, count: int = 4) -> list[Maps]:
    patches = [drawing(size=64) for _ in range(count)]
    patches = [(np.roll(p, i), n, c) for i, (p, n, c) in enumerate(patches)]
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "images.npy", np.stack([p for p, _, _ in patches]))
    labels = [np.stack([n, c], -1) for _, n, c in patches]
    np.save(folder / "labels.npy", np.stack(labels).astype(np.uint16))
    return patches


def square(x: float, y: float, side: float) -> list[list[float]]:
    """A closed ring, clockwise on the screen."""
    return [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]


def feature(
    *rings: list[list[float]], name: str | None = None, kind: str = "detection", **more: Any
) -> dict[str, Any]:
    properties: dict[str, Any] = {"objectType": kind}
    if name is not None:
        properties["classification"] = {"name": name, "color": [200, 0, 0]}
    geometry = {"type": "Polygon", "coordinates": list(rings)}
    return {"type": "Feature", "geometry": geometry, "properties": properties, **more}


def write_geojson(folder: Path, features: list[Any], name: str = "a", size: int = 64) -> None:
    save(folder / "images" / f"{name}.png", drawing(size)[0])
    content = {"type": "FeatureCollection", "features": features}
    (folder / f"{name}.geojson").write_text(json.dumps(content))
