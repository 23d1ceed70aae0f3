"""Annotated tiles in the formats that training scripts read, written one tile after another."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Protocol, Self

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.measure import label

from napari_histodiff.core.maps import CLASS_NAMES
from napari_histodiff.datasets.tracing import Corners, trace

__all__ = ["WRITERS", "SetWriter", "TrainingTile"]


@dataclass(frozen=True, slots=True, eq=False)
class TrainingTile:
    """An image with its maps, all (h, w).

    Attributes
    ----------
    name : str
        Of the files; no two tiles have the same.
    slide : str
        What must not be on two sides of a split.
    pixels : (h, w, 3) uint8
    instances : (h, w) int32
        Numbered from 1 without gaps.
    classes : (h, w) uint8
        Of each pixel of a nucleus; 0 = none or unknown.
    tissue : (h, w) uint8, optional
    mpp : float, optional
    caption : str
    """

    name: str
    slide: str
    pixels: NDArray[np.uint8]
    instances: NDArray[np.int32]
    classes: NDArray[np.uint8]
    tissue: NDArray[np.uint8] | None = None
    mpp: float | None = None
    caption: str = ""

    @property
    def class_of_nuclei(self) -> NDArray[np.int64]:
        """The class of each nucleus, that of the most of its pixels, (n,) int64."""
        count = int(self.instances.max(initial=0))
        keys = self.instances.ravel().astype(np.int64) * _BASE + self.classes.ravel()
        table = np.bincount(keys, minlength=(count + 1) * _BASE).reshape(-1, _BASE)
        found: NDArray[np.int64] = table[1:].argmax(1)
        return found


_BASE: Final = len(CLASS_NAMES) + 1


class SetWriter(Protocol):
    """Writes one side of a split into a folder of its own."""

    def __init__(self, folder: Path) -> None:
        """Begin; the folder is there and empty."""

    def add(self, tile: TrainingTile) -> None:
        """Write a tile."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, *_: object) -> None:
        """Write what comes last."""


class _Writer:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with self._stack:
            if error[0] is None:
                self._finish()

    def _finish(self) -> None:
        """Write what comes last."""

    def _table(self, name: str, *columns: str) -> Callable[..., None]:
        """Begin a CSV file; returns what adds a row."""
        file = self._stack.enter_context(
            (self._folder / name).open("w", newline="", encoding="utf-8")
        )
        rows = csv.writer(file)
        rows.writerow(columns)
        return lambda *row: rows.writerow(row)

    def _image(self, folder: str, tile: TrainingTile, array: NDArray[Any]) -> Path:
        path = self._folder / folder / f"{tile.name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(array).save(path)
        return path

    def _tiff(self, folder: str, tile: TrainingTile, array: NDArray[Any]) -> Path:
        path = self._folder / folder / f"{tile.name}.tif"
        path.parent.mkdir(exist_ok=True)
        size: dict[str, Any] = (
            {} if tile.mpp is None else {"resolution": (1e4 / tile.mpp, 1e4 / tile.mpp)}
        )
        tifffile.imwrite(
            path,
            array,
            photometric="rgb" if array.ndim == 3 else "minisblack",
            compression="zlib",
            resolutionunit="CENTIMETER" if size else None,
            metadata=None,
            **size,
        )
        return path


class FolderWriter(_Writer):
    """`images/`, `instances/`, `classes/` and `tissue/`, with `captions.csv`; ours to read."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._caption = self._table("captions.csv", "name", "caption", "slide")

    def add(self, tile: TrainingTile) -> None:
        """Write a tile."""
        self._tiff("images", tile, tile.pixels)
        self._tiff("instances", tile, tile.instances.astype(np.uint16))
        self._image("classes", tile, tile.classes)
        if tile.tissue is not None:
            self._image("tissue", tile, tile.tissue)
        self._caption(tile.name, tile.caption, tile.slide)


class ConicWriter(_Writer):
    """`images.npy`, `labels.npy`, `counts.csv` and `patch_info.csv`, as CoNIC publishes them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._arrays = [
            _GrowingArray(self._stack.enter_context((folder / name).open("wb")))
            for name in ("images.npy", "labels.npy")
        ]
        self._count = self._table("counts.csv", *CLASS_NAMES)
        self._info = self._table("patch_info.csv", "patch_info")

    def add(self, tile: TrainingTile) -> None:
        """Write a tile."""
        images, labels = self._arrays
        images.add(tile.pixels)
        labels.add(np.stack([tile.instances, tile.classes], -1).astype(np.int32))
        counts = np.bincount(tile.class_of_nuclei, minlength=_BASE)
        self._count(*counts[1:].tolist())
        # The last part of the name is the patch, the rest the image it was cut from.
        self._info(f"{tile.slide}-{tile.name.removeprefix(tile.slide).replace('-', '_')}")

    def _finish(self) -> None:
        for array in self._arrays:
            array.finish()


class _GrowingArray:
    """A `.npy` file to whose first axis arrays are added."""

    _HEAD: Final = 128

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._count = 0
        self._like: NDArray[Any] = np.zeros((0,), np.uint8)
        file.write(b" " * self._HEAD)

    def add(self, array: NDArray[Any]) -> None:
        self._file.write(np.ascontiguousarray(array).data)
        self._count += 1
        self._like = array

    def finish(self) -> None:
        shape = (self._count, *self._like.shape)
        said = f"{{'descr': '{self._like.dtype.str}', 'fortran_order': False, 'shape': {shape}, }}"
        room = self._HEAD - 10
        self._file.seek(0)
        self._file.write(b"\x93NUMPY\x01\x00" + room.to_bytes(2, "little"))
        self._file.write(said.ljust(room - 1).encode() + b"\n")


class CocoWriter(_Writer):
    """`images/` and `annotations.json` of COCO, file names relative to it, outlines as polygons.

    A nucleus with a hole, or of several pieces one of which has one, is run-length encoded.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._file = self._stack.enter_context(
            (folder / "annotations.json").open("w", encoding="utf-8")
        )
        self._images: list[dict[str, Any]] = []
        self._count = 0
        names = enumerate(CLASS_NAMES, start=1)
        kinds = [{"id": i, "name": name, "supercategory": "nucleus"} for i, name in names]
        kinds.append({"id": _BASE, "name": "unknown", "supercategory": "nucleus"})
        info = {
            "description": "see README.txt",
            "contributor": "napari-histodiff",
        }
        self._file.write(f'{{"info":{json.dumps(info)},"categories":{json.dumps(kinds)},')
        self._file.write('"annotations":[')

    def add(self, tile: TrainingTile) -> None:
        """Write a tile."""
        path = self._image("images", tile, tile.pixels)
        height, width = tile.classes.shape
        self._images.append(
            {
                "id": len(self._images) + 1,
                "file_name": path.relative_to(self._folder).as_posix(),
                "height": height,
                "width": width,
                "slide": tile.slide,
                "caption": tile.caption,
            }
        )
        for class_id, box, mask, pieces in _nuclei(tile):
            holes = any(len(rings) > 1 for rings in pieces)
            y, x = box
            self._count += 1
            one = {
                "id": self._count,
                "image_id": len(self._images),
                "category_id": class_id or _BASE,
                "bbox": [x, y, mask.shape[1], mask.shape[0]],
                "area": int(mask.sum()),
                "iscrowd": 0,
                "segmentation": _run_lengths(mask, box, tile.classes.shape)
                if holes
                else [rings[0].ravel().tolist() for rings in pieces],
            }
            self._file.write("\n" if self._count == 1 else ",\n")
            json.dump(one, self._file, separators=(",", ":"))

    def _finish(self) -> None:
        self._file.write('\n],"images":')
        json.dump(self._images, self._file)
        self._file.write("}\n")


class YoloWriter(_Writer):
    """`images/` and `labels/` with one outline a line, and `data.yaml`, as Ultralytics reads."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        names = "".join(f"  {i}: {name}\n" for i, name in enumerate((*CLASS_NAMES, "unknown")))
        (folder / "data.yaml").write_text(
            f"path: .\ntrain: images\nval: images\nnames:\n{names}", encoding="utf-8"
        )

    def add(self, tile: TrainingTile) -> None:
        """Write a tile; of a nucleus of several pieces the largest is kept, holes are filled."""
        self._image("images", tile, tile.pixels)
        size = np.array([tile.classes.shape[1], tile.classes.shape[0]])
        lines = []
        for class_id, _, _, pieces in _nuclei(tile):
            outer = max(
                (rings[0] for rings in pieces), key=lambda ring: np.ptp(ring, axis=0).prod()
            )
            corners = " ".join(f"{value:.6f}" for value in (outer / size).ravel())
            lines.append(f"{(class_id or _BASE) - 1} {corners}\n")
        path = self._folder / "labels" / f"{tile.name}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(lines), encoding="utf-8")


class StardistWriter(_Writer):
    """`images/` and `masks/` of nucleus ids, TIFF, as StarDist and Cellpose train on."""

    def add(self, tile: TrainingTile) -> None:
        """Write a tile."""
        self._tiff("images", tile, tile.pixels)
        self._tiff("masks", tile, tile.instances.astype(np.uint16))


#: What writes each format.
WRITERS: Final[dict[str, type[SetWriter]]] = {
    "conic": ConicWriter,
    "coco": CocoWriter,
    "folder": FolderWriter,
    "yolo": YoloWriter,
    "stardist": StardistWriter,
}


def _nuclei(
    tile: TrainingTile,
) -> Iterator[tuple[int, tuple[int, int], NDArray[np.bool_], list[list[Corners]]]]:
    """Yield class, corner (y, x) of the box, mask and outlines of each nucleus, tile pixels."""
    classes = tile.class_of_nuclei
    for number, place in enumerate(ndimage.find_objects(tile.instances), start=1):
        if place is None:
            continue
        mask = tile.instances[place] == number
        y, x = place[0].start, place[1].start
        pieces = trace(label(mask, connectivity=1).astype(np.int32))
        moved = [[ring + np.array([x, y]) for ring in rings] for rings in pieces]
        yield int(classes[number - 1]), (y, x), mask, moved


def _run_lengths(
    mask: NDArray[np.bool_], box: tuple[int, int], shape: tuple[int, ...]
) -> dict[str, Any]:
    """Return COCO's run lengths, column by column, beginning with those outside."""
    whole = np.zeros(shape, np.bool_)
    whole[box[0] : box[0] + mask.shape[0], box[1] : box[1] + mask.shape[1]] = mask
    flat = whole.ravel(order="F")
    ends = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], ends, [flat.size]])).tolist()
    return {"size": list(shape), "counts": [0, *runs] if flat[0] else runs}
