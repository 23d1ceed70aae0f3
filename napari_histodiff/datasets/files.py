"""Reads image, label and caption files, and says what is wrong with those it cannot."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from napari_histodiff.core.errors import InvalidRequest, TrainingError
from napari_histodiff.core.maps import CLASS_NAMES, as_class_map, as_instance_map, as_rgb

__all__ = [
    "UNKNOWN",
    "Note",
    "ReadReport",
    "by_stem",
    "check_pairs",
    "image_folder",
    "read_array",
    "read_captions",
    "read_classes",
    "read_instances",
    "read_rgb",
    "valid",
]

_IMAGES: Final = frozenset({".png", ".tif", ".tiff", ".jpg", ".jpeg", ".npy"})
_TIFF: Final = frozenset({".tif", ".tiff"})

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Note:
    """A row of `captions.csv`: what is said about an image, and the slide it was taken from."""

    caption: str
    slide: str


def image_folder(folder: Path) -> Path:
    """Return `folder/images` where there is one, else `folder`."""
    images = folder / "images"
    return images if images.is_dir() else folder


def by_stem(paths: Iterable[Path], suffixes: frozenset[str] = _IMAGES) -> dict[str, Path]:
    """Return the files of these suffixes by name without suffix, sorted.

    Raises
    ------
    TrainingError
        When two differ in suffix or folder only.
    """
    found: dict[str, Path] = {}
    for path in sorted(paths):
        if path.suffix.lower() not in suffixes or path.name.startswith("."):
            continue
        if path.stem in found:
            raise TrainingError(
                f"expected one file named {path.stem}, got {found[path.stem]} and {path}; "
                "rename or remove one"
            )
        found[path.stem] = path
    return found


def check_pairs(images: dict[str, Path], labels: dict[str, Path], folder: Path) -> None:
    """Refuse a folder without images, and labels that belong to none.

    Raises
    ------
    TrainingError
        In both cases.
    """
    if not images:
        raise TrainingError(
            f"expected images (PNG, TIFF, JPEG or .npy) in {image_folder(folder)}, got none; "
            "put them there"
        )
    lonely = sorted(set(labels) - set(images))
    if lonely:
        raise TrainingError(
            f"expected an image for every label file, got none for {labels[lonely[0]].name} "
            f"({len(lonely)} in all); give image and labels the same name"
        )


def read_array(path: Path, *, colour: bool = False) -> NDArray[Any]:
    """Read PNG, TIFF, JPEG or `.npy`; a palette becomes RGB with `colour`, else its indices.

    Raises
    ------
    TrainingError
        When the file cannot be read, or is a pickled `.npy`.
    """
    try:
        if path.suffix.lower() == ".npy":
            return np.asarray(np.load(path, allow_pickle=False))
        if path.suffix.lower() in _TIFF:
            return _tiff(path)
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB") if colour and image.mode == "P" else image)
    except Exception as error:  # decoders raise whatever they like at a damaged file
        raise TrainingError(
            f"expected an image or a plain .npy array in {path}, got something else ({error}); "
            "save it as PNG, TIFF or an unpickled .npy"
        ) from error


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Read an image as (h, w, 3) uint8 RGB; TrainingError when there is not one way to."""
    return valid(as_rgb, read_array(path, colour=True), path)


def read_classes(path: Path) -> NDArray[np.uint8]:
    """Read a class map, (h, w) uint8 of ids 0-6; TrainingError when it is none."""
    return valid(as_class_map, read_array(path), path)


def read_instances(path: Path) -> NDArray[np.int32]:
    """Read an instance map, (h, w) int32; TrainingError when it is none."""
    return valid(as_instance_map, read_array(path), path)


def valid(check: Callable[[NDArray[Any]], _T], array: NDArray[Any], place: object) -> _T:
    """Return `check(array)`, its refusal as a TrainingError that names the place."""
    try:
        return check(array)
    except InvalidRequest as error:
        raise TrainingError(f"{error} (in {place})") from error


def read_captions(folder: Path, names: Iterable[str]) -> dict[str, Note]:
    """Read `captions.csv` (columns name, caption and, if wanted, slide), where there is one.

    Raises
    ------
    TrainingError
        When a column is missing or a row names no image.
    """
    path = folder / "captions.csv"
    if not path.is_file():
        return {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, ValueError, csv.Error) as error:
        raise TrainingError(f"expected a CSV file in {path}, got {error}; save it again") from error
    known = set(names)
    notes = {}
    for row in rows:
        name = row.get("name")
        if name is None or row.get("caption") is None:
            raise TrainingError(
                f"expected columns name and caption in {path}, got {', '.join(map(str, row))}; "
                "write them into the first line"
            )
        stem = name if name in known else Path(name).stem
        if stem not in known:
            raise TrainingError(
                f"expected names of images in {path}, got {name!r}; use file names of the images"
            )
        notes[stem] = Note(row["caption"].strip(), (row.get("slide") or "").strip())
    return notes


def _tiff(path: Path) -> NDArray[Any]:
    try:
        return np.asarray(tifffile.imread(path))
    except ValueError:  # JPEG inside, which tifffile reads with an extra package only
        with Image.open(path) as image:
            return np.asarray(image)


#: Name under which nuclei of unknown class are counted.
UNKNOWN: Final = "unknown"


@dataclass(slots=True)
class ReadReport:
    """Counts of what was read; filled while a folder is read, printed with `str`.

    `images`, of them `unlabelled`; `tiles` cut from them; `nuclei` by class name or "unknown";
    `unmapped`: class names of the files that mean none of the six classes, with their nuclei;
    `notes`: everything else worth knowing, with how often it happened.
    """

    images: int = 0
    unlabelled: int = 0
    tiles: int = 0
    nuclei: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys((*CLASS_NAMES, UNKNOWN), 0)
    )
    unmapped: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        images = f"{self.images} images ({self.unlabelled} without labels), {self.tiles} tiles"
        nuclei = ", ".join(f"{name} {count}" for name, count in self.nuclei.items())
        lines = [images, f"nuclei: {nuclei}"]
        if self.unmapped:
            names = ", ".join(f"{name!r} {count}" for name, count in self.unmapped.most_common())
            lines.append(f"class unknown, because no class goes by that name: {names}")
        lines += [f"{note}: {count}" for note, count in self.notes.items()]
        return "\n".join(lines)
