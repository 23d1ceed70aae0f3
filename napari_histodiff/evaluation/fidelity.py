"""Whether the judge finds the painted nuclei again, in drawn tissue and beside it in real."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.captions import LEVELS, caption_from_maps
from napari_histodiff.core.maps import CLASS_NAMES, nuclei_union
from napari_histodiff.evaluation.metrics.agreement import (
    Interval,
    accuracy,
    bootstrap,
    quadratic_kappa,
)
from napari_histodiff.evaluation.metrics.instances import (
    ClassedPair,
    PanopticQuality,
    aggregated_jaccard,
    binary_dice,
    class_scores,
    count_r2,
    match_centroids,
    panoptic_quality,
    pooled_quality,
)
from napari_histodiff.evaluation.metrics.objects import centroids, object_classes
from napari_histodiff.evaluation.options import StudyOptions
from napari_histodiff.evaluation.panels import ImageSet, NucleiLike
from napari_histodiff.evaluation.realism import critic_score, distance, inception_table, kernel
from napari_histodiff.evaluation.tables import Cell, ReportSection, Table
from napari_histodiff.evaluation.tiles import Tile

__all__ = [
    "FIGURES",
    "TileScore",
    "caption_section",
    "fidelity_section",
    "figure",
    "guidance_section",
    "steps_section",
    "tile_scores",
]

#: Figures of the fidelity table: how the nuclei are found, then how each class is.
FIGURES: Final = (
    *("Dice", "AJI", "PQ", "SQ", "RQ", "count R2"),
    *(f"F1 {name}" for name in CLASS_NAMES),
)


@dataclass(frozen=True, slots=True)
class TileScore:
    """What one tile adds to every figure.

    `hits` and `sums` are, per class, the right matches and the true plus predicted nuclei, so that
    F1 = 2 hits / sums over any tiles. `density` holds true and found nuclei per 10,000 px.
    """

    dice: float
    aji: float
    quality: PanopticQuality
    hits: NDArray[np.float64]
    sums: NDArray[np.float64]
    support: NDArray[np.float64]
    density: tuple[float, float]


def tile_scores(tiles: Sequence[Tile], nuclei: Sequence[NucleiLike]) -> list[TileScore]:
    """Compare what the judge found with what was painted, tile by tile."""
    return [_score(tile, found) for tile, found in zip(tiles, nuclei, strict=True)]


def figure(scores: Sequence[TileScore], name: str) -> float:
    """Return one of `FIGURES` over tiles.

    Dice and AJI are means over tiles, the others pooled; NaN where there is nothing to find.
    """
    if not scores:
        return float("nan")
    if name in {"Dice", "AJI"}:
        values = np.array([getattr(s, name.lower()) for s in scores])
        return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
    if name in {"PQ", "SQ", "RQ"}:
        return float(getattr(pooled_quality(s.quality for s in scores), name.lower()))
    if name == "count R2":
        true, found = np.array([s.density for s in scores]).T
        return count_r2(true, found)
    c = CLASS_NAMES.index(name.removeprefix("F1 "))
    total = sum(float(s.sums[c]) for s in scores)
    supported = any(s.support[c] for s in scores)
    return 2 * sum(float(s.hits[c]) for s in scores) / total if supported else float("nan")


def fidelity_section(
    real: ImageSet, drawn: ImageSet, blur: ImageSet, options: StudyOptions
) -> ReportSection:
    """Return the figures of drawn and of real tissue, their ratio, and two to compare with."""
    tiles = real.tiles
    on_drawn, on_real = tile_scores(tiles, drawn.nuclei), tile_scores(tiles, real.nuclei)
    on_blur = tile_scores(tiles, blur.nuclei)
    wrong = _score_against_others(tiles, drawn.nuclei)
    columns = ("drawn", "real tissue", "drawn / real", "blurred real", "other masks", "nuclei")
    table = Table("fidelity", "Painted nuclei found again by the judge", columns)
    for name in FIGURES:
        support: Cell = sum(tile.nuclei for tile in tiles)
        if name.startswith("F1 "):
            c = CLASS_NAMES.index(name.removeprefix("F1 "))
            support = int(sum(s.support[c] for s in on_real))
        table.rows[name] = (
            _interval(name, options, on_drawn),
            _interval(name, options, on_real),
            _interval(name, options, on_drawn, on_real),
            figure(on_blur, name),
            figure(wrong, name),
            support,
        )
    text = (
        "The judge, a segmenter trained apart from the generator, looks for the painted nuclei in "
        "the drawn tiles; the same judge on the real tiles says how much of an error is its own. "
        "Blurred real tissue (Gaussian of 1 px) is what a washed-out model would reach; other "
        "masks (drawn tiles against the nuclei of another tile) is the floor of a model that "
        "ignores the paint. Brackets: 95 % bootstrap over tiles. F1 counts tiles with known "
        "classes only; nuclei of unknown class are left out of it."
    )
    return ReportSection(
        "fidelity", "Does tissue follow the paint?", text, [table], ("guidance.png",)
    )


def caption_section(real: ImageSet, drawn: ImageSet) -> ReportSection:
    """Return how well the class levels of the captions are met, per class."""
    asked = [_levels(t.class_map, t.instance_map) for t in real.tiles]
    columns = ("accuracy drawn", "accuracy real", "kappa drawn", "kappa real", "tiles")
    table = Table("captions", "Caption levels none, low, medium, high met", columns)
    met = [
        [_judged_levels(t, n) for t, n in zip(p.tiles, p.nuclei, strict=True)]
        for p in (drawn, real)
    ]
    everything: tuple[list[int], list[int], list[int]] = ([], [], [])
    for c, name in enumerate(CLASS_NAMES):
        used = [
            i
            for i, tile in enumerate(real.tiles)
            if tile.has_classes and None not in (asked[i][c], met[0][i][c], met[1][i][c])
        ]
        levels = tuple([int(rows[i][c] or 0) for i in used] for rows in (asked, *met))
        for kept, more in zip(everything, levels, strict=True):
            kept.extend(more)
        table.rows[name] = _agreement(*levels)
    table.rows["all classes"] = _agreement(*everything)
    text = (
        "The level of each class in the asked caption against the level the judge's nuclei give; "
        "chance-corrected by quadratic kappa. Pixels of nuclei whose class nobody knows are left "
        "out on both sides. Kappa is undefined where every tile has one and the same level. "
        "Confusion: rows are what was asked for or painted, columns what the judge found."
    )
    tables = [
        table,
        _confusion("captions_drawn", "Level asked for, and found in drawn tissue", *everything[:2]),
        _confusion("captions_real", "Level asked for, and found in real tissue", *everything[::2]),
        _class_confusion("classes_drawn", "Class painted, and found in drawn tissue", drawn),
        _class_confusion("classes_real", "Class annotated, and found in real tissue", real),
    ]
    return ReportSection("captions", "Does tissue follow the caption?", text, tables)


def _confusion(key: str, title: str, asked: list[int], found: list[int]) -> Table:
    """Count levels: a row is what was asked for, a column what was found."""
    table = Table(key, title, LEVELS)
    counts = np.zeros((len(LEVELS), len(LEVELS)), np.int64)
    np.add.at(counts, (asked, found), 1)
    for name, row in zip(LEVELS, counts.tolist(), strict=True):
        table.rows[name] = tuple(row)
    return table


def _class_confusion(key: str, title: str, image_set: ImageSet) -> Table:
    """Count nuclei that were found: a row is the class painted, a column the one found."""
    table = Table(key, title, (*CLASS_NAMES, "not found"))
    counts = np.zeros((len(CLASS_NAMES) + 1, len(CLASS_NAMES) + 2), np.int64)
    for tile, found in zip(image_set.tiles, image_set.nuclei, strict=True):
        if tile.has_classes:
            true = object_classes(tile.instance_map, tile.class_map)
            named = object_classes(found.instance_map, found.class_map)
            rows, columns = match_centroids(
                centroids(tile.instance_map), centroids(found.instance_map)
            )
            nearest = np.full(len(true), len(CLASS_NAMES) + 1)
            nearest[rows] = named[columns]
            np.add.at(counts, (true, nearest), 1)
    for name, row in zip(CLASS_NAMES, counts[1:, 1:].tolist(), strict=True):
        table.rows[name] = tuple(row)
    return table


def _agreement(asked: list[int], drawn: list[int], real: list[int]) -> tuple[Cell, ...]:
    if not asked:
        return (None, None, None, None, 0)
    a, d, r = (np.array(values) for values in (asked, drawn, real))
    n = len(LEVELS)
    kappas = quadratic_kappa(a, d, n), quadratic_kappa(a, r, n)
    return (accuracy(a, d), accuracy(a, r), *kappas, len(asked))


def _judged_levels(tile: Tile, found: NucleiLike) -> tuple[int | None, ...]:
    unknown = nuclei_union(tile.class_map, tile.instance_map) & (tile.class_map == 0)
    return _levels(
        np.where(unknown, 0, found.class_map).astype(np.uint8),
        np.where(unknown, 0, found.instance_map).astype(np.int32),
    )


def _levels(
    class_map: NDArray[np.uint8], instance_map: NDArray[np.int32]
) -> tuple[int | None, ...]:
    return caption_from_maps(class_map, instance_map).levels


def _score(tile: Tile, found: NucleiLike) -> TileScore:
    true, instances = tile.instance_map, found.instance_map
    n = len(CLASS_NAMES)
    hits, sums, support = np.zeros(n), np.zeros(n), np.zeros(n)
    if tile.has_classes:
        pair = ClassedPair(true, tile.class_map, instances, found.class_map)
        for c, score in enumerate(class_scores([pair]).per_class):
            sums[c] = score.support + score.predicted
            hits[c] = score.f1 * sums[c] / 2 if sums[c] else 0.0
            support[c] = score.support
    area = true.size / 10_000
    return TileScore(
        dice=binary_dice(true > 0, instances > 0),
        aji=aggregated_jaccard(true, instances),
        quality=panoptic_quality(true, instances),
        hits=hits,
        sums=sums,
        support=support,
        density=(tile.nuclei / area, np.unique(instances[instances > 0]).size / area),
    )


def _score_against_others(tiles: Sequence[Tile], nuclei: Sequence[NucleiLike]) -> list[TileScore]:
    """Score nuclei against the next tile of the same size; a tile alone of its size is left out."""
    scores = []
    for i, found in enumerate(nuclei):
        order = [*range(i + 1, len(tiles)), *range(i)]
        like = (j for j in order if tiles[j].class_map.shape == found.class_map.shape)
        other = next(like, None)
        if other is not None:
            scores.append(_score(tiles[other], found))
    return scores


def _interval(
    name: str,
    options: StudyOptions,
    scores: Sequence[TileScore],
    under: Sequence[TileScore] | None = None,
) -> Interval:
    def statistic(indices: NDArray[np.intp]) -> float:
        value = figure([scores[i] for i in indices], name)
        if under is None:
            return value
        base = figure([under[i] for i in indices], name)
        return value / base if base > 0 else float("nan")

    return bootstrap(statistic, len(scores), draws=options.draws, seed=options.seed)


_FIGURES: Final = ("Dice", "PQ", *(f"F1 {name}" for name in CLASS_NAMES))
_COLUMNS: Final = ("FD", "KD", "AUC", *_FIGURES)


def guidance_section(
    real: ImageSet, drawn: Mapping[float, ImageSet], options: StudyOptions
) -> ReportSection:
    """Return a row of figures per guidance scale, real tissue last."""
    weights = options.inception_weights
    columns = _COLUMNS if weights is None else (*_COLUMNS, "FID", "inception score")
    table = Table("guidance", "Guidance scale", columns)
    for guidance, image_set in drawn.items():
        row = _row(real, image_set, options)
        if weights is not None:
            found = inception_table(real, image_set, weights, options)
            row += tuple(found.get("drawn, same tiles", name) for name in columns[-2:])
        table.rows[f"{guidance:g}"] = row
    nothing = (None,) * (len(columns) - len(_COLUMNS))
    table.rows["real tissue"] = (*_real_row(real), *nothing)
    text = (
        f"{len(real.tiles)} tiles at {options.default_steps} steps. FD and KD are distances from "
        f"the same real tiles on crops of {options.size // 4} px, AUC the critic's, the rest what "
        "the judge finds of the painted nuclei (see above). A scale of 1 is no guidance; "
        "NASDM's s is the scale less 1."
    )
    return ReportSection("guidance", "What guidance does", text, [table], ("guidance.png",))


def steps_section(
    real: ImageSet, drawn: Mapping[int, ImageSet], options: StudyOptions
) -> ReportSection:
    """Return a row of figures per number of steps, and how much fewest cost against most."""
    table = Table("steps", "Solver steps", _COLUMNS)
    for steps, image_set in drawn.items():
        table.rows[str(steps)] = _row(real, image_set, options)
    table.rows["real tissue"] = _real_row(real)
    few, many = min(drawn), max(drawn)
    base = table.get(str(many), "FD")
    ratio: Cell = table.get(str(few), "FD") / base if base > 0 else None
    cost = Table("steps_ratio", "Fewest against most steps", (f"{few} / {many} steps",))
    cost.rows["FD ratio"] = (ratio,)
    text = (
        f"{len(real.tiles)} tiles at guidance {options.guidance:g}, columns as for guidance. A "
        "ratio of 1 says that the fewest steps are as good as the most."
    )
    return ReportSection("steps", "What steps do", text, [table, cost], ("steps.png",))


def _row(real: ImageSet, image_set: ImageSet, options: StudyOptions) -> tuple[Cell, ...]:
    size, tiles = options.size // 4, real.everything
    scores = tile_scores(image_set.tiles, image_set.nuclei)
    return (
        distance(image_set, real, size, tiles, tiles),
        kernel(image_set, real, size, tiles, tiles, options.seed),
        critic_score(real, image_set, size).auc,
        *(figure(scores, name) for name in _FIGURES),
    )


def _real_row(real: ImageSet) -> tuple[Cell, ...]:
    scores = tile_scores(real.tiles, real.nuclei)
    return (None, None, None, *(figure(scores, name) for name in _FIGURES))
