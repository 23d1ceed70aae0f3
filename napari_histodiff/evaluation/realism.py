"""Whether drawn tissue is distributed as real tissue is, and by what a critic tells them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.evaluation.metrics.agreement import Interval, bootstrap
from napari_histodiff.evaluation.metrics.appearance import APPEARANCE_NAMES
from napari_histodiff.evaluation.metrics.critic import CriticScore, critic_auc
from napari_histodiff.evaluation.metrics.distances import (
    frechet_distance,
    kernel_distance,
    random_patches,
)
from napari_histodiff.evaluation.metrics.inception import inception_scores
from napari_histodiff.evaluation.options import StudyOptions
from napari_histodiff.evaluation.panels import Blocks, ImageSet
from napari_histodiff.evaluation.tables import Cell, ReportSection, Table

__all__ = [
    "critic_score",
    "critic_section",
    "distance",
    "distance_section",
    "halves",
    "inception_table",
    "kernel",
]

_SPLITS: Final = 5
_DRAWS: Final = 50  # each draw is a Frechet distance
_LEAST_FOR_INCEPTION: Final = 20

#: From two panels, and the tiles of either, to a distance.
_Measure = Callable[[ImageSet, ImageSet, Sequence[int], Sequence[int]], float]


def distance(
    first: ImageSet, second: ImageSet, size: int, ours: Sequence[int], theirs: Sequence[int]
) -> float:
    """Return the Frechet distance of the judge's features of crops of `size` px."""
    return frechet_distance(first.features(size).of(ours), second.features(size).of(theirs))


def kernel(
    first: ImageSet,
    second: ImageSet,
    size: int,
    ours: Sequence[int],
    theirs: Sequence[int],
    seed: int,
) -> float:
    """Return the kernel distance of the judge's features of crops of `size` px.

    Features are brought to unit variance over the tiles of `second`, the real one.
    """
    centre, spread = _scale(second.features(size))
    a, b = (
        (p.features(size).of(t) - centre) / spread for p, t in ((first, ours), (second, theirs))
    )
    subset = min(100, len(a), len(b))
    return kernel_distance(a, b, subset_size=subset, subsets=20, seed=seed)[0]


def distance_section(
    real: ImageSet, drawn: ImageSet, blur: ImageSet, mixed: ImageSet, options: StudyOptions
) -> ReportSection:
    """Return distances of drawn from real tissue, beside those of real from other real tissue."""
    columns = (
        *("drawn", "crops", "drawn, half", "real, half", "drawn / real"),
        *("drawn, other half", "blurred, half", "shuffled, half"),
    )
    table = Table("distances", "Distance from real tissue, 0 is best", columns)
    splits = halves(len(real.tiles), options.seed)
    for name, measure, size in _measures(options):
        crops = sum(map(len, real.crops(size)))
        whole = _whole(measure, drawn, real, options)
        same = [measure(drawn, real, a, a) for a, _ in splits]
        floor = [measure(real, real, a, b) for a, b in splits]
        other = [measure(drawn, real, a, b) for a, b in splits]
        blur_same, mixed_same = ([measure(p, real, a, a) for a, _ in splits] for p in (blur, mixed))
        base = float(np.mean(floor))
        ratio: Cell = float(np.mean(same)) / base if base > 0 else None
        spans = map(_span, (same, floor, other, blur_same, mixed_same))
        first, second, *rest = spans
        table.rows[name] = (whole, crops, first, second, ratio, *rest)
    tables = [table]
    if options.inception_weights is not None:
        tables.append(inception_table(real, drawn, options.inception_weights, options))
    text = (
        "Frechet (FD) and kernel (KD) distance in the judge's features, on crops of a quarter and "
        "half of a tile; patch FD takes squares at random places; appearance FD "
        "is in plain statistics of colour, contrast, gradients and spectrum, which see blur that "
        "the judge's features do not. 'drawn' compares all tiles with "
        "the real tiles they were drawn from; bracket: 95 % bootstrap over tiles, which pushes a "
        "Frechet distance up. Frechet distances fall with the number of crops, so all further "
        "columns have half of the tiles on each side, mean (least to greatest) over "
        f"{_SPLITS} random splits: drawn against the same real tiles; real against other real "
        "tiles, the floor; their ratio; drawn against other real tiles, which a perfect model "
        "brings to the floor; blurred (Gaussian of 1 px) and shuffled (blocks of 8 px) real tissue "
        "against the same real tiles."
    )
    return ReportSection("distances", "Does tissue look real to the judge?", text, tables)


def inception_table(real: ImageSet, drawn: ImageSet, weights: Path, options: StudyOptions) -> Table:
    """Return FID, KID and inception score on crops of half a tile, and FID of random squares.

    A row needs 20 crops per side. "Patch-FID" takes squares of a quarter of a tile at random
    places, the same in both.
    """
    size = options.size // 2
    columns = ("FID", "KID x 1000", "inception score", "crops")
    table = Table("inception", f"Inception features, {size} px", columns)
    first, second = halves(len(real.tiles), options.seed)[0]
    rows = {
        "drawn, same tiles": (real, drawn, real.everything, real.everything),
        "drawn, half": (real, drawn, first, first),
        "drawn, other half": (real, drawn, second, first),
        "real, other half": (real, real, second, first),
    }
    for name, (a, b, ours, theirs) in rows.items():
        against, crops = _stacked(a, size, ours), _stacked(b, size, theirs)
        table.rows[name] = _inception_row(against, crops, weights, options.seed)
    squares = [
        random_patches(image_set.images, size // 2, 8 * len(real.tiles), options.seed)
        for image_set in (real, drawn)
    ]
    name = f"Patch-FID, {size // 2} px"
    table.rows[name] = _inception_row(squares[0], squares[1], weights, options.seed)
    return table


def _inception_row(
    real: NDArray[np.uint8], drawn: NDArray[np.uint8], weights: Path, seed: int
) -> tuple[Cell, ...]:
    if min(len(real), len(drawn)) < _LEAST_FOR_INCEPTION:
        return (None, None, None, len(drawn))
    scores = inception_scores(real, drawn, weights, seed=seed)
    return (scores.fid, 1000 * scores.kid_mean, scores.is_mean, len(drawn))


def halves(tiles: int, seed: int, count: int = _SPLITS) -> list[tuple[list[int], list[int]]]:
    """Return `count` random splits of the tiles into halves; an odd one is left out in turn."""
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(tiles).tolist() for _ in range(count)]
    middle = tiles // 2
    return [(order[:middle], order[middle : 2 * middle]) for order in orders]


def _measures(options: StudyOptions) -> Iterator[tuple[str, _Measure, int]]:
    for size in (options.size // 4, options.size // 2):
        yield f"FD {size} px", _frechet(size), size
        yield f"KD {size} px", _kernel(size, options.seed), size
    size = options.size // 4
    yield f"patch FD {size} px", _patch_frechet(size), size
    yield f"appearance FD {size} px", _appearance_frechet(size), size


def _frechet(size: int) -> _Measure:
    return lambda a, b, ours, theirs: distance(a, b, size, ours, theirs)


def _kernel(size: int, seed: int) -> _Measure:
    return lambda a, b, ours, theirs: kernel(a, b, size, ours, theirs, seed)


def _patch_frechet(size: int) -> _Measure:
    return lambda a, b, ours, theirs: frechet_distance(
        a.patch_features(size).of(ours), b.patch_features(size).of(theirs)
    )


def _appearance_frechet(size: int) -> _Measure:
    def measure(a: ImageSet, b: ImageSet, ours: Sequence[int], theirs: Sequence[int]) -> float:
        centre, spread = _scale(b.appearance(size))
        first, second = a.appearance(size).of(ours), b.appearance(size).of(theirs)
        return frechet_distance((first - centre) / spread, (second - centre) / spread)

    return measure


def _whole(measure: _Measure, drawn: ImageSet, real: ImageSet, options: StudyOptions) -> Interval:
    return bootstrap(
        lambda tiles: measure(drawn, real, tiles.tolist(), tiles.tolist()),
        len(real.tiles),
        draws=min(options.draws, _DRAWS),
        seed=options.seed,
    )


def _stacked(image_set: ImageSet, size: int, tiles: Sequence[int]) -> NDArray[np.uint8]:
    crops = image_set.crops(size)
    return np.concatenate([crops[i] for i in tiles])


def _scale(blocks: Blocks) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rows = blocks.of(range(len(blocks.by_tile)))
    return rows.mean(0), rows.std(0) + 1e-6


def _span(values: Sequence[float]) -> Interval:
    return Interval(float(np.mean(values)), float(np.min(values)), float(np.max(values)))


_CLUES: Final = 10


def critic_score(real: ImageSet, other: ImageSet, size: int) -> CriticScore:
    """Return how well a critic tells `other` from `real` on tiles it was not fitted on."""
    tiles = real.everything
    a, b = real.looks(size), other.looks(size)
    learnt = a.by_tile[0].shape[1] - len(APPEARANCE_NAMES)
    names = [*(f"judge feature {i}" for i in range(learnt)), *APPEARANCE_NAMES]
    ours, theirs = a.groups(tiles), b.groups(tiles)
    return critic_auc(a.of(tiles), b.of(tiles), ours, theirs, names=names, top=_CLUES)


def critic_section(
    real: ImageSet, drawn: ImageSet, others: Sequence[ImageSet], options: StudyOptions
) -> ReportSection:
    """Return the critic's AUC for drawn tissue, and for real tissue changed in known ways."""
    size = options.size // 4
    table = Table("critic", "Told from real tissue", ("AUC", "crops", "tiles"))
    clues = Table("clues", "What the critic goes by, drawn tissue", ("weight",))
    for image_set in (drawn, *others):
        score = critic_score(real, image_set, size)
        interval = Interval(score.auc, score.low, score.high)
        table.rows[image_set.name] = (interval, score.n_generated, score.tiles)
        if image_set is drawn:
            clues.rows.update({name: (weight,) for name, weight in score.top})
    text = (
        f"A classifier fitted to tell crops of {size} px from real ones by the judge's features "
        "and plain statistics of appearance, tested on tiles it was not fitted on. Area under the "
        "ROC curve: at 0.5 or below it cannot tell, at 1 it always can. Mirrored real tissue shows "
        "what chance looks like here; blurred (Gaussian of 1 px) and shuffled (blocks of 8 px) "
        "what is seen at a glance. A positive weight speaks for drawn tissue."
    )
    return ReportSection("critic", "Can a fresh critic tell?", text, [table, clues])
