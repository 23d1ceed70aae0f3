"""How well a judge finds and names the nuclei of annotated tissue: the figures on its card."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from napari_histodiff.core.errors import StorageError, TrainingError
from napari_histodiff.core.maps import CLASS_NAMES
from napari_histodiff.datasets.packing import LAYERS, Pack, load_pack
from napari_histodiff.datasets.sources import PackItem
from napari_histodiff.evaluation.metrics.instances import (
    ClassedPair,
    ClassScores,
    aggregated_jaccard,
    binary_dice,
    class_scores,
    panoptic_quality,
)
from napari_histodiff.evaluation.pages import markdown_table
from napari_histodiff.evaluation.panels import Described, NucleiLike
from napari_histodiff.evaluation.tables import Table

__all__ = [
    "GROUP_NAMES",
    "HOVERNET_RADIUS",
    "Finder",
    "JudgeQuality",
    "SourceQuality",
    "measure_judge",
]

#: HoVer-Net's matching radius of 12 px at 40x (3 um), in pixels at 0.5 um/px.
HOVERNET_RADIUS: Final = 6.0

#: Groups of classes for sets that name no more, as CoNSeP ("spindle": our connective).
GROUP_NAMES: Final = ("epithelial", "inflammatory", "spindle")

_GROUP_OF_CLASS: Final = {
    "neutrophil": "inflammatory",
    "epithelial": "epithelial",
    "lymphocyte": "inflammatory",
    "plasma": "inflammatory",
    "eosinophil": "inflammatory",
    "connective": "spindle",
}
_INFLAMMATORY: Final = GROUP_NAMES.index("inflammatory") + 1
_GROUP_IDS: Final = np.array(
    [0, *(GROUP_NAMES.index(_GROUP_OF_CLASS[name]) + 1 for name in CLASS_NAMES)], np.uint8
)
_CLASS, _VALID = LAYERS.index("class"), LAYERS.index("valid")


class Finder(Protocol):
    """A judge as measured here; `segmenter.model.Judge` is one."""

    @property
    def info(self) -> Described:
        """What the judge is."""

    def segment(self, image: NDArray[np.uint8]) -> NucleiLike:
        """Find the nuclei of an (h, w, 3) uint8 image at about 0.5 um/px, in one view."""

    def propose(self, image: NDArray[np.uint8]) -> NucleiLike:
        """Find them in several views."""


@dataclass(frozen=True, slots=True)
class SourceQuality:
    """Figures of one set; all rates in [0, 1], NaN where 0/0.

    Attributes
    ----------
    source : str
        Name of the set.
    images : int
        Images with annotated nuclei.
    dice, aji, pq, sq, rq : float
        Means over the images for which they are defined; matches where IoU > 0.5.
    scores : ClassScores
        Detection and classes over all images, centroids paired within 6 um.
    published : ClassScores
        The same, paired as HoVer-Net's code does: within 3 um, and assigned before distant pairs
        are dropped. Compare `detection_f1` and `hovernet_f1` of this with its published figures.
    class_names : tuple of str
        What `per_class` of both stands for: `CLASS_NAMES`, or `GROUP_NAMES` where some nuclei are
        known as inflammatory only, or nothing where the set names no class.
    """

    source: str
    images: int
    dice: float
    aji: float
    pq: float
    sq: float
    rq: float
    scores: ClassScores
    published: ClassScores
    class_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JudgeQuality:
    """Figures of a judge, set by set.

    Attributes
    ----------
    judge, revision : str
        Name and hash of the weights.
    views : bool
        Whether nuclei were found in the mean of several views.
    sources : tuple of SourceQuality
        In the order of the packed file.
    """

    judge: str
    revision: str
    views: bool
    sources: tuple[SourceQuality, ...]

    def tables(self) -> list[Table]:
        """Return the table of all sets, and one of the classes of each set that names some."""
        return [
            _sets_table(self.sources),
            *(_classes_table(source) for source in self.sources if source.class_names),
        ]

    def table(self) -> str:
        """Return all tables as Markdown, each under its title."""
        return "\n\n".join(f"**{t.title}**\n\n{markdown_table(t)}" for t in self.tables())

    def to_dict(self) -> dict[str, Any]:
        """Return all figures, JSON-ready: undefined ones become None."""
        return {
            "judge": self.judge,
            "revision": self.revision,
            "views": self.views,
            "tables": {table.key: table.to_dict() for table in self.tables()},
        }


def measure_judge(
    judge: Finder, data: Path, output: Path | None = None, *, views: bool = False
) -> JudgeQuality:
    """Compare what a judge finds with the annotated nuclei of a packed file.

    Whatever lies outside the valid area of a mosaic is ignored: nuclei count, on either side, where
    most of their pixels are valid, and by their valid pixels. Nuclei of unknown class count for
    detection only.

    Parameters
    ----------
    judge : Finder
        The judge; it sees the images on the grid of the pack, about 0.5 um/px, unscaled.
    data : Path
        A pack of the test split.
    output : Path, optional
        Folder that receives `judge.md` and `figures.json`.
    views : bool
        Use `propose` (several views, several times as slow) instead of `segment`.

    Raises
    ------
    TrainingError
        When the pack cannot be read or holds no image with annotated nuclei.
    StorageError
        When the folder cannot be written; told before anything is measured.
    """
    packed = load_pack(data)
    wanted = [i for i, item in enumerate(packed.items) if item.annotated]
    if not wanted:
        raise TrainingError(
            f"expected images with annotated nuclei in {data}, got none; pack other data"
        )
    if output is not None:
        _make_folder(output)
    find = judge.propose if views else judge.segment
    by_source: dict[str, list[tuple[PackItem, ClassedPair]]] = {}
    for i in tqdm(wanted, desc="judging", unit="image", leave=False):
        item = packed.items[i]
        pair = _pair(packed, i, find(packed.pixels[i]))
        by_source.setdefault(item.source, []).append((item, pair))
    quality = JudgeQuality(
        judge=judge.info.name,
        revision=judge.info.revision,
        views=views,
        sources=tuple(_measure(source, images) for source, images in by_source.items()),
    )
    if output is not None:
        _write(quality, output)
    return quality


def _pair(packed: Pack, i: int, found: NucleiLike) -> ClassedPair:
    """True and found nuclei of image `i` inside its valid area."""
    layers = packed.layers[i]
    valid = layers[..., _VALID] > 0
    true = _inside(packed.instances[i].astype(np.int32), valid)
    pred = _inside(found.instance_map, valid)
    return ClassedPair(
        true_inst=true,
        true_classes=np.where(true > 0, layers[..., _CLASS], 0),
        pred_inst=pred,
        pred_classes=np.where(pred > 0, found.class_map, 0),
    )


def _inside(instances: NDArray[np.int32], valid: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Nuclei with most of their pixels in `valid`, cut to it."""
    sizes = np.bincount(instances.ravel())
    within = np.bincount(instances[valid], minlength=len(sizes))
    keep = 2 * within > sizes
    keep[0] = False
    return np.where(keep[instances] & valid, instances, 0).astype(np.int32)


def _measure(source: str, images: Sequence[tuple[PackItem, ClassedPair]]) -> SourceQuality:
    pairs = [pair for _, pair in images]
    class_names: tuple[str, ...] = ()
    if any(item.unknown_is_inflammatory for item, _ in images):
        class_names, classed = GROUP_NAMES, [_grouped(item, pair) for item, pair in images]
    elif any(item.has_classes for item, _ in images):
        class_names, classed = CLASS_NAMES, pairs
    else:
        classed = [_unnamed(pair) for pair in pairs]
    panoptic = [panoptic_quality(pair.true_inst, pair.pred_inst) for pair in pairs]
    return SourceQuality(
        source=source,
        images=len(pairs),
        dice=_mean(binary_dice(pair.true_inst > 0, pair.pred_inst > 0) for pair in pairs),
        aji=_mean(aggregated_jaccard(pair.true_inst, pair.pred_inst) for pair in pairs),
        pq=_mean(quality.pq for quality in panoptic),
        sq=_mean(quality.sq for quality in panoptic),
        rq=_mean(quality.rq for quality in panoptic),
        scores=class_scores(classed, len(class_names)),
        published=class_scores(classed, len(class_names), radius=HOVERNET_RADIUS, gated=False),
        class_names=class_names,
    )


def _grouped(item: PackItem, pair: ClassedPair) -> ClassedPair:
    """The pair with groups instead of classes."""
    true = _GROUP_IDS[pair.true_classes]
    if item.unknown_is_inflammatory:
        unknown = (pair.true_inst > 0) & (pair.true_classes == 0)
        others = np.isin(pair.true_inst, item.other_nuclei)
        true = np.where(unknown & ~others, _INFLAMMATORY, true)
    return ClassedPair(pair.true_inst, true, pair.pred_inst, _GROUP_IDS[pair.pred_classes])


def _unnamed(pair: ClassedPair) -> ClassedPair:
    """The pair without classes."""
    nothing = np.zeros_like(pair.true_inst)
    return ClassedPair(pair.true_inst, nothing, pair.pred_inst, nothing)


def _mean(values: Iterable[float]) -> float:
    """Mean of what is defined, NaN where nothing is."""
    defined = [value for value in values if math.isfinite(value)]
    return sum(defined) / len(defined) if defined else math.nan


def _sets_table(sources: Sequence[SourceQuality]) -> Table:
    columns = ("images", "nuclei", "Dice", "AJI", "PQ", "SQ", "RQ", "precision", "recall", "F1")
    table = Table("sets", "Nuclei found", columns)
    for s in sources:
        d = s.scores
        detection = (d.detection_precision, d.detection_recall, d.detection_f1)
        table.rows[s.source] = (s.images, d.true, s.dice, s.aji, s.pq, s.sq, s.rq, *detection)
    return table


def _classes_table(source: SourceQuality) -> Table:
    columns = ("nuclei", "found", "precision", "recall", "F1", "HoVer-Net's F")
    table = Table(f"classes {source.source}", f"Nuclei named, {source.source}", columns)
    a, b = source.scores, source.published
    found = (a.detection_precision, a.detection_recall, a.detection_f1, b.detection_f1)
    table.rows["any"] = (a.true, a.predicted, *found)
    for name, ours, theirs in zip(source.class_names, a.per_class, b.per_class, strict=True):
        figures = (ours.precision, ours.recall, ours.f1, theirs.hovernet_f1)
        table.rows[name] = (ours.support, ours.predicted, *figures)
    return table


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refusal(folder, error) from error


def _write(quality: JudgeQuality, folder: Path) -> None:
    views = "several views" if quality.views else "one view"
    heading = f"# {quality.judge} ({quality.revision}), {views}"
    figures = json.dumps(quality.to_dict(), indent=2)
    try:
        (folder / "figures.json").write_text(figures + "\n", encoding="utf-8")
        text = f"{heading}\n\n{_NOTES}\n\n{quality.table()}\n"
        (folder / "judge.md").write_text(text, encoding="utf-8")
    except OSError as error:
        raise _refusal(folder, error) from error


def _refusal(folder: Path, error: OSError) -> StorageError:
    return StorageError(
        f"expected a folder to write into at {folder}, got '{error.strerror or error}'; "
        "choose another place"
    )


_NOTES: Final = (
    "Dice, AJI and PQ = SQ x RQ (IoU > 0.5) are means over images. Precision, recall and F1 are "
    "over all nuclei, centroids paired within 6 um; a class is hit where a nucleus is found and "
    "named right. HoVer-Net's F is paired as its code does, within 3 um, and a wrong name weighs "
    "twice. An en dash is 0/0."
)
