"""From an annotated image at its own scale, with the class names of other programs, to samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.captions import parse_caption
from napari_histodiff.core.errors import TrainingError
from napari_histodiff.core.maps import CLASS_NAMES, N_CLASSES
from napari_histodiff.datasets.files import UNKNOWN, ReadReport
from napari_histodiff.datasets.pictures import same_scale
from napari_histodiff.datasets.resampling import (
    TARGET_MPP,
    reduce_labels,
    reduce_pixels,
    reduction,
    tiles,
)
from napari_histodiff.datasets.sources import PackItem, Sample

__all__ = [
    "COARSEST",
    "FINEST",
    "INFLAMMATORY",
    "MOST_PIXELS",
    "SYNONYMS",
    "Annotated",
    "Entry",
    "Origin",
    "class_of",
    "samples_of",
    "scale_of",
]

#: Micrometres per pixel that can be trained on.
FINEST, COARSEST = 0.05, 8.0

#: Longest side of an image in a training file; larger ones are cut into tiles.
MOST_PIXELS: Final = 2048


@dataclass(frozen=True, slots=True, eq=False)
class Annotated:
    """One image as its files have it; None stands for labels that were not given.

    `pixels` (h, w, 3) uint8; `classes` uint8, `instances` int32, `tissue` uint8, all (h, w).
    `mpp`: um/px that the image file states. `unmapped` and `notes` go into the report.
    """

    pixels: NDArray[np.uint8]
    instances: NDArray[np.int32] | None = None
    classes: NDArray[np.uint8] | None = None
    tissue: NDArray[np.uint8] | None = None
    mpp: float | None = None
    unknown_is_inflammatory: bool = False
    unmapped: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Entry:
    """An image that can be loaded from `files`; `slide` is what must not be split between sets."""

    name: str
    slide: str
    load: Callable[[], Annotated]
    files: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Origin:
    """What is said of a whole folder: its name, organ, and um/px when its files do not decide."""

    source: str
    mpp: float | None = None
    organ: str | None = None


def samples_of(entry: Entry, caption: str, origin: Origin, report: ReadReport) -> Iterator[Sample]:
    """Load an image and yield it at about 0.5 um/px, in tiles when it is larger than 2048 px.

    Raises
    ------
    TrainingError
        When a file cannot be read, or a map differs from its image in shape.
    """
    image = entry.load()
    _check_shapes(image, entry.name)
    mpp = scale_of(origin.mpp, image.mpp)
    if not FINEST <= mpp <= COARSEST:
        raise TrainingError(
            f"expected {FINEST:g} to {COARSEST:g} micrometres per pixel, got {mpp:g} from the file "
            f"of {entry.name}; say what is right with --mpp"
        )
    step = reduction(mpp)
    pixels = reduce_pixels(image.pixels, step)
    blank = np.zeros(image.pixels.shape[:2], np.uint8)
    classes, tissue = (
        reduce_labels(blank if m is None else m, step) for m in (image.classes, image.tissue)
    )
    instances = reduce_labels(
        blank.astype(np.int32) if image.instances is None else image.instances, step
    )
    parsed = parse_caption(caption)
    item = PackItem(
        name=entry.name,
        source=origin.source,
        mpp=mpp * step,
        organ=None if parsed.caption.organ else origin.organ,  # a caption knows its image better
        caption=caption,
        has_nuclei=image.instances is not None,
        has_classes=image.classes is not None,
        has_tissue=image.tissue is not None,
        slide=entry.slide,
        unknown_is_inflammatory=image.unknown_is_inflammatory,
    )
    _record(report, image)
    if (said := _about_scale(origin.mpp, image.mpp)) is not None:
        report.notes[said] += 1
    for word in parsed.report.ignored:
        report.notes[f"caption word without meaning to the model, {word!r}"] += 1
    yield from _cut(item, pixels, (classes, instances, tissue), report)


def scale_of(told: float | None, stated: float | None) -> float:
    """Return um/px of an image: what the user told, else what its file states, else 0.5."""
    return told or stated or TARGET_MPP


def _about_scale(told: float | None, stated: float | None) -> str | None:
    if told is None:
        if stated is None:
            return f"images that state no pixel size, taken as {TARGET_MPP:g} um per pixel"
        return f"images of {stated:.4g} um per pixel, as their files state"
    if stated is not None and not same_scale(told, stated):
        return f"images whose files state {stated:.4g} um per pixel, read at {told:g} as told"
    return None


def _cut(
    item: PackItem, pixels: NDArray[np.uint8], maps: tuple[NDArray[Any], ...], report: ReadReport
) -> Iterator[Sample]:
    classes, instances, tissue = maps
    places = list(tiles(pixels.shape, MOST_PIXELS))
    counted: NDArray[np.int64] = np.empty(0, np.int64)
    for i, place in enumerate(places, start=1):
        here = _nuclei(instances[place], classes[place])
        new = np.setdiff1d(here, counted)
        counted = np.union1d(counted, new)
        counts = np.bincount(new % (N_CLASSES + 1), minlength=N_CLASSES + 1).tolist()
        for name, count in zip((UNKNOWN, *CLASS_NAMES), counts, strict=True):
            report.nuclei[name] += count
        report.tiles += 1
        cut = item
        if len(places) > 1:
            cut = item.tile(f"{item.name}-{i}", tuple(counts))
        yield Sample(
            cut,
            np.ascontiguousarray(pixels[place]),
            classes[place],
            instances[place],
            tissue[place],
            np.ones(classes[place].shape, np.uint8),
        )


def _nuclei(instances: NDArray[np.int32], classes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """One number per nucleus; a nucleus of two classes is two."""
    inside = instances > 0
    keys = instances[inside].astype(np.int64) * (N_CLASSES + 1) + classes[inside]
    return np.unique(keys)


def _record(report: ReadReport, image: Annotated) -> None:
    report.images += 1
    labels = (image.instances, image.classes, image.tissue)
    report.unlabelled += all(label is None for label in labels)
    report.unmapped.update(image.unmapped)
    report.notes.update(image.notes)


def _check_shapes(image: Annotated, name: str) -> None:
    maps = {"an instance": image.instances, "a class": image.classes, "a tissue": image.tissue}
    for what, labels in maps.items():
        if labels is not None and labels.shape != image.pixels.shape[:2]:
            raise TrainingError(
                f"expected {what} map of shape {image.pixels.shape[:2]} like the image {name}, "
                f"got {labels.shape}; crop or scale both to the same frame"
            )


#: Other names of the classes: singular, lower case, without "cell" or "nucleus" at the end.
SYNONYMS: Final[dict[str, tuple[str, ...]]] = {
    "neutrophil": ("polymorphonuclear", "pmn"),
    "epithelial": (
        "epithelium",
        "tumor",
        "tumour",
        "tumor epithelial",
        "tumour epithelial",
        "malignant epithelial",
        "benign epithelial",
        "healthy epithelial",
        "normal epithelial",
        "dysplastic/malignant epithelial",
        "neoplastic",
        "neoplastic epithelial",
        "non neoplastic epithelial",
        "cancer",
        "carcinoma",
        "malignant",
        "gland",
        "glandular",
    ),
    "lymphocyte": ("lymphoid", "immune", "til", "lymph"),
    "plasma": ("plasmacyte", "plasmocyte"),
    "eosinophil": ("eosinophilic granulocyte",),
    "connective": (
        "connective tissue",
        "stroma",
        "stromal",
        "fibroblast",
        "fibrocyte",
        "muscle",
        "smooth muscle",
        "endothelial",
        "endothelium",
        "spindle shaped",
        "spindle",
    ),
}

#: Names of the mixture of lymphocytes, plasma cells, neutrophils and eosinophils: class unknown.
INFLAMMATORY: Final = frozenset({"inflammatory", "inflammation", "inflamed", "leukocyte"})

_TABLE: Final = {
    word: CLASS_NAMES.index(name) + 1 for name in CLASS_NAMES for word in (name, *SYNONYMS[name])
}
_ENDINGS: Final = (" cells", " cell", " nuclei", " nucleus")


def class_of(name: str) -> int | None:
    """Return the class id 1-6 of a nucleus by `name`, 0 for a mixture, None for an unknown name.

    Case, plural, underscores, hyphens and a last word "cell" or "nucleus" do not matter; of a
    derived QuPath class such as "Tumor: Positive" the first part counts.
    """
    word = " ".join(name.split(":")[0].lower().replace("_", " ").replace("-", " ").split())
    for ending in _ENDINGS:
        word = word.removesuffix(ending)
    for form in (word, word.removesuffix("s")):
        if form in _TABLE:
            return _TABLE[form]
        if form in INFLAMMATORY:
            return 0
    return None
