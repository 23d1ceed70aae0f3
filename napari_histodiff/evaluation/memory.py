"""Whether the model repeats its training tissue, with unseen real tissue beside it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.datasets.packing import LAYERS, Pack
from napari_histodiff.evaluation.metrics.copying import (
    Memorisation,
    memorisation,
    nearest_distances,
    nearest_rows,
    pixel_memorisation,
)
from napari_histodiff.evaluation.options import StudyOptions
from napari_histodiff.evaluation.panels import ImageSet, JudgeLike
from napari_histodiff.evaluation.sheets import contact_sheet
from napari_histodiff.evaluation.tables import ReportSection, Table

__all__ = ["MEMORY_SHEET", "memory_pairs", "memory_section", "memory_sheet", "training_crops"]

_TRAINING_CROPS: Final = 4000
_BATCH: Final = 64
_SHOWN: Final = 12  # crops of either kind on the sheet
_PAIRS: Final = 4  # a row
_CELL: Final = 128  # pixels

#: Name of the sheet's file.
MEMORY_SHEET: Final = "memory.png"


def memory_section(
    real: ImageSet, drawn: ImageSet, bank: NDArray[np.uint8], options: StudyOptions
) -> ReportSection:
    """Return how near drawn and unseen real crops are to the nearest of `bank`, training crops."""
    size = options.size // 4
    crops, unseen = (np.concatenate(image_set.crops(size)) for image_set in (drawn, real))
    features, unseen_features = (p.features(size).of(p.everything) for p in (drawn, real))
    columns = ("ratio", "drawn", "unseen real", "share nearer than 5 % of real", "training crops")
    table = Table("memory", "Distance to the nearest training crop", columns)
    compared: dict[str, Memorisation] = {
        "features": memorisation(features, unseen_features, _features(real.judge, bank)),
        "pixels": pixel_memorisation(crops, unseen, bank),
    }
    for name, m in compared.items():
        table.rows[name] = (
            *(m.ratio, m.generated_median, m.test_median, m.share_below),
            len(bank),
        )
    text = (
        f"Median distance of crops of {size} px to the nearest of {len(bank)} random training "
        "crops: drawn tiles, and the unseen real tiles beside, whose ratio is about 1 for new "
        "tissue and near 0 for copies. Pixels are compared as 32 px thumbnails in all eight "
        "orientations. A smooth image lies near everything in pixels: read features first. "
        "The sheet shows the drawn crops (upper half) and unseen real crops (lower half) that lie "
        "nearest to training tissue, each beside the training crop it lies nearest to."
    )
    title, sheets = "Does the model repeat its training tissue?", (MEMORY_SHEET,)
    return ReportSection("memory", title, text, [table], sheets)


def memory_sheet(
    real: ImageSet, drawn: ImageSet, bank: NDArray[np.uint8], options: StudyOptions
) -> NDArray[np.uint8] | None:
    """Return the crops nearest to training tissue beside their nearest training crop.

    Drawn ones in the upper half, unseen real ones in the lower: a copy would be seen at a glance,
    and the lower half shows how alike tissue is that nobody copied. None without training crops.
    """
    if not len(bank):
        return None
    size = options.size // 4
    known = _features(real.judge, bank)
    halves = [
        memory_pairs(
            np.concatenate(image_set.crops(size)),
            image_set.features(size).of(image_set.everything),
            *(bank, known),
        )
        for image_set in (drawn, real)
    ]
    return np.concatenate(halves)


def memory_pairs(
    crops: NDArray[np.uint8],
    features: NDArray[np.float64],
    bank: NDArray[np.uint8],
    known: NDArray[np.float64],
) -> NDArray[np.uint8]:
    """Return a sheet of the crops nearest to a bank, each beside its nearest there.

    Parameters
    ----------
    crops, bank : (n, s, s, 3) and (m, s, s, 3) uint8
    features, known : (n, d) and (m, d)
        What the distance is in, of crops and bank.
    """
    nearest = np.argsort(nearest_distances(features, known))[:_SHOWN]
    beside = bank[nearest_rows(features[nearest], known)]
    cells = [cell for pair in zip(crops[nearest], beside, strict=True) for cell in pair]
    rows = [cells[i : i + 2 * _PAIRS] for i in range(0, len(cells), 2 * _PAIRS)]
    labels = ["image", "nearest in training"] * _PAIRS
    return contact_sheet(labels, rows, max(crops.shape[1], _CELL))


def training_crops(
    train: Pack, size: int, count: int = _TRAINING_CROPS, seed: int = 0
) -> NDArray[np.uint8]:
    """Return (n, size, size, 3) uint8: up to `count` random valid crops, images by their area."""
    rng = np.random.default_rng(seed)
    large = [i for i, p in enumerate(train.pixels) if min(p.shape[:2]) >= size]
    if not large:
        return np.empty((0, size, size, 3), np.uint8)
    areas = np.array([float(np.prod(train.pixels[i].shape[:2])) for i in large])
    crops = []
    for i in rng.choice(large, count, p=areas / areas.sum()):
        y, x = (int(rng.integers(0, side - size + 1)) for side in train.pixels[i].shape[:2])
        place = slice(y, y + size), slice(x, x + size)
        if train.layers[i][place][..., LAYERS.index("valid")].all():
            crops.append(train.pixels[i][place])
    return np.stack(crops) if crops else np.empty((0, size, size, 3), np.uint8)


def _features(judge: JudgeLike, crops: NDArray[np.uint8]) -> NDArray[np.float64]:
    batches = [crops[i : i + _BATCH] for i in range(0, len(crops), _BATCH)] or [crops]
    return np.concatenate([np.asarray(judge.features(batch), np.float64) for batch in batches])
