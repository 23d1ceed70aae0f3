"""Reads image, label and caption files, and says what is wrong with those it cannot."""

from __future__ import annotations

import csv
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidRequest, TrainingError
from napari_histodiff.core.maps import (
    CLASS_NAMES,
    TISSUE_NAMES,
    as_class_map,
    as_instance_map,
    as_tissue_map,
)
from napari_histodiff.datasets.pictures import Picture, read_picture

__all__ = [
    "CAPTIONS",
    "UNKNOWN",
    "Note",
    "ReadReport",
    "by_stem",
    "check_pairs",
    "has_images",
    "image_folder",
    "plain_name",
    "read_captions",
    "read_classes",
    "read_image",
    "read_instances",
    "read_tissue",
    "slides_among",
    "suffix_of",
    "unread",
    "valid",
    "visible_files",
]

#: The table of what is said of the images.
CAPTIONS: Final = "captions.csv"

_IMAGES: Final = frozenset({".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp", ".webp", ".npy"})

#: Files of scanners, which hold a whole slide.
_SLIDES: Final = frozenset(
    {".svs", ".svslide", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".qptiff", ".dcm"}
)
_TOLD: Final = 4  # names in a message

_T = TypeVar("_T")
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class Note:
    """A row of `captions.csv`: what is said about an image, and the slide it was taken from."""

    caption: str
    slide: str


def image_folder(folder: Path) -> Path:
    """Return `folder/images` where there is one, else `folder`."""
    images = folder / "images"
    return images if images.is_dir() else folder


def has_images(folder: Path) -> bool:
    """Tell whether a folder, or its `images/`, holds an image that is read."""
    return any(suffix_of(path) in _IMAGES for path in image_folder(folder).glob("[!.]*"))


def slides_among(paths: Iterable[Path]) -> str:
    """Return the names of files of whole slides, "" without any."""
    names = [path.name for path in sorted(paths) if suffix_of(path) in _SLIDES]
    return ", ".join(names[:_TOLD]) + (" ..." if len(names) > _TOLD else "")


def suffix_of(path: Path) -> str:
    """Return the suffix in lower case, of a packed file both: `.geojson.gz`."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return "".join(suffixes[-2:]) if suffixes[-1:] == [".gz"] else "".join(suffixes[-1:])


def visible_files(folder: Path) -> Iterator[Path]:
    """Yield the files below `folder`, sorted, without hidden ones (`.DS_Store`, `._a.png`)."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(folder).parts):
            yield path


def plain_name(name: str) -> str:
    """Return a name in one spelling: an umlaut may be one character (NFC) or two (NFD)."""
    return unicodedata.normalize("NFC", name)


def by_stem(paths: Iterable[Path], suffixes: frozenset[str] = _IMAGES) -> dict[str, Path]:
    """Return the files of these suffixes by name without suffix, sorted.

    Raises
    ------
    TrainingError
        When two differ in suffix, folder or spelling (see `plain_name`) only.
    """
    found: dict[str, Path] = {}
    for path in sorted(paths):
        suffix = suffix_of(path)
        if suffix not in suffixes or path.name.startswith(".") or not path.is_file():
            continue
        stem = plain_name(path.name[: -len(suffix)])
        if stem in found:
            looks = " (spelt in two ways of Unicode)" if path.stem != found[stem].stem else ""
            raise TrainingError(
                f"expected one file named {stem}, got {found[stem]} and {path}{looks}; "
                "rename or remove one"
            )
        found[stem] = path
    return found


def unread(folder: Path, used: Iterable[Path]) -> Counter[str]:
    """Count the visible files below `folder` that are not in `used`, as "masks/*.png"."""
    known = {path.resolve() for path in used}
    kinds: Counter[str] = Counter()
    for path in visible_files(folder):
        if path.resolve() not in known:
            place = path.relative_to(folder).parent.as_posix()
            kind = f"*{suffix_of(path)}" if path.suffix else path.name
            kinds[kind if place == "." else f"{place}/{kind}"] += 1
    return kinds


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


def read_image(path: Path) -> tuple[NDArray[np.uint8], float | None]:
    """Read an image, (h, w, 3) uint8 RGB, and the micrometres per pixel that its file states.

    Raises
    ------
    TrainingError
        When the file cannot be read, or not in one way.
    """
    picture = _picture(path)
    return valid(Picture.rgb, picture), picture.mpp


def read_classes(path: Path) -> NDArray[np.uint8]:
    """Read a class map, (h, w) uint8 of ids 0-6; TrainingError when it is none."""
    return _map(path, as_class_map)


def read_instances(path: Path) -> NDArray[np.int32]:
    """Read an instance map, (h, w) int32; TrainingError when it is none."""
    return _map(path, as_instance_map)


def read_tissue(path: Path) -> NDArray[np.uint8]:
    """Read a tissue map, (h, w) uint8 of `TISSUE_NAMES`; TrainingError when it is none."""
    return _map(path, partial(as_tissue_map, n_classes=len(TISSUE_NAMES)))


def _picture(path: Path) -> Picture:
    return valid(read_picture, path)


def _map(path: Path, check: Callable[[NDArray[Any]], _T]) -> _T:
    picture = _picture(path)
    return valid(check, valid(Picture.ids, picture), path)


def valid(check: Callable[[_V], _T], value: _V, place: object = None) -> _T:
    """Return `check(value)`, its refusal as a TrainingError that names the place, if given."""
    try:
        return check(value)
    except InvalidRequest as error:
        raise TrainingError(f"{error} (in {place})" if place else str(error)) from error


def read_captions(folder: Path, names: Iterable[str]) -> dict[str, Note]:
    """Read `captions.csv` (columns name, caption and, if wanted, slide), where there is one.

    Raises
    ------
    TrainingError
        When a column is missing, a row names no image, or two differ on one.
    """
    path = folder / CAPTIONS
    if not path.is_file():
        return {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, ValueError, csv.Error) as error:
        raise TrainingError(f"expected a CSV file in {path}, got {error}; save it again") from error
    known = set(names)
    notes: dict[str, Note] = {}
    for row in rows:
        name = row.get("name") and plain_name(row["name"])
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
        note = Note(row["caption"].strip(), plain_name(row.get("slide") or "").strip())
        if notes.setdefault(stem, note) != note:
            raise TrainingError(
                f"expected one row for {stem} in {path}, got two that differ; remove one"
            )
    return notes


_KINDS: Final = 24  # of unread files, named in a report

#: Name under which nuclei of unknown class are counted.
UNKNOWN: Final = "unknown"


@dataclass(slots=True)
class ReadReport:
    """Counts of what was read; filled while a folder is read, printed with `str`.

    `images`, of them `unlabelled`; `tiles` cut from them; `nuclei` by class name or "unknown";
    `unmapped`: class names of the files that mean none of the six classes, with their nuclei;
    `notes`: everything else worth knowing, with how often it happened; `unread`: the files of
    the folder that nothing was read from, by place and suffix.
    """

    images: int = 0
    unlabelled: int = 0
    tiles: int = 0
    nuclei: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys((*CLASS_NAMES, UNKNOWN), 0)
    )
    unmapped: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        images = f"{self.images} images ({self.unlabelled} without labels), {self.tiles} tiles"
        nuclei = ", ".join(f"{name} {count}" for name, count in self.nuclei.items())
        lines = [images, f"nuclei: {nuclei}"]
        if self.unmapped:
            names = ", ".join(f"{name!r} {count}" for name, count in self.unmapped.most_common())
            lines.append(f"class unknown, because no class goes by that name: {names}")
        lines += [f"{note}: {count}" for note, count in self.notes.items()]
        if self.unread:
            kinds = ", ".join(f"{kind} {count}" for kind, count in self.unread.most_common(_KINDS))
            rest = sum(self.unread.values()) - sum(n for _, n in self.unread.most_common(_KINDS))
            more = f", others {rest}" if rest else ""
            lines.append(f"files that nothing was read from: {kinds}{more}")
        return "\n".join(lines)
