"""Figures of the papers on folders of anybody's images, so that models can be compared.

Every distance is between equally many crops, and real tissue against other real tissue is its
floor: a Frechet distance alone says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from napari_histodiff.core.errors import InvalidImage, InvalidRequest, make_folder
from napari_histodiff.datasets.pictures import read_picture
from napari_histodiff.evaluation.memory import memory_pairs
from napari_histodiff.evaluation.metrics.agreement import Interval
from napari_histodiff.evaluation.metrics.appearance import appearance
from napari_histodiff.evaluation.metrics.copying import memorisation
from napari_histodiff.evaluation.metrics.critic import critic_auc
from napari_histodiff.evaluation.metrics.distances import (
    frechet_distance,
    kernel_distance,
    random_patches,
)
from napari_histodiff.evaluation.metrics.inception import inception_scores
from napari_histodiff.evaluation.pages import image_uri
from napari_histodiff.evaluation.panels import JudgeLike, cut
from napari_histodiff.evaluation.tables import Cell, Table
from napari_histodiff.studies.image_files import image_files, require_one_scale
from napari_histodiff.studies.report import write_study_report

__all__ = ["compare_folders"]

_UNIT: Final = 32  # pixels; crops are compared as thumbnails, too
_BATCH: Final = 64
_MOST: Final = 4000  # crops of a folder
_FOLDS: Final = 8  # of the critic, by image
_LEAST: Final = 4  # images of a folder
_LEAST_FOR_INCEPTION: Final = 20
_OTHER_HALF: Final = "real, other half"
_NOTES: Final = (
    "Each folder against one half of the real images, with equally many crops on either side; the "
    'row "real, other half" is real tissue against other real tissue, the floor. FD and KD are '
    "Frechet and kernel distance in the features of the judge, a segmenter of nuclei: no FID, and "
    "comparable on one page only. Patch FD takes squares at random places; appearance FD is in "
    "plain statistics of colour, contrast, gradients and spectrum. AUC is how well a fresh "
    "classifier tells the folder from real tissue, on images it was not fitted on: 0.5 cannot tell."
)


@dataclass(frozen=True, slots=True, eq=False)
class _Crops:
    """Crops of one side, (n, s, s, 3), with the image each comes from and what describes them."""

    crops: NDArray[np.uint8]
    images: NDArray[np.int64]
    features: NDArray[np.float64]
    looks: NDArray[np.float64]
    patches: NDArray[np.uint8]
    patch_features: NDArray[np.float64]

    def some(self, count: int, seed: int) -> NDArray[np.int64]:
        """Return the indices of `count` crops, by seed."""
        return np.random.default_rng(seed).permutation(len(self.crops))[:count]


def compare_folders(
    judge: JudgeLike,
    real: Path,
    generated: Sequence[Path],
    output: Path,
    *,
    train: Path | None = None,
    size: int = 128,
    inception_weights: Path | None = None,
    seed: int = 0,
) -> list[Table]:
    """Measure folders of generated images against a folder of real ones, and write a report.

    Parameters
    ----------
    judge : JudgeLike
        Whose features are compared.
    real : Path
        Images at about 0.5 um/px that no model was trained on.
    generated : sequence of Path
        One folder a model; its name is its row.
    output : Path
        Folder of the report.
    train : Path, optional
        Images the models were trained on, to look for copies.
    size : int
        Side of the crops that images are cut into, a multiple of 32 pixels.
    inception_weights : Path, optional
        With them FID, KID, inception score and Patch-FID as published.
    seed : int

    Raises
    ------
    InvalidRequest
        When a folder is missing, empty or too small, names are the same, or scales differ.
    InvalidImage
        When a file cannot be read, or is smaller than a crop.
    StorageError
        When the folder cannot be written.
    """
    if size < _UNIT or size % _UNIT:
        raise InvalidRequest(f"expected crops of a multiple of {_UNIT} px, got {size}; choose 128")
    names = [folder.resolve().name for folder in generated]
    if not names or len(set(names)) < len(names) or _OTHER_HALF in names:
        raise InvalidRequest(
            f"expected folders of different names, got {', '.join(names) or 'none'}; rename them"
        )
    images = {
        name: _read(folder, size)
        for name, folder in zip(["", *names], [real, *generated], strict=True)
    }
    for name in names:
        require_one_scale(*([mpp for _, mpp in images[side]] for side in ("", name)))
    bank = None if train is None else [pixels for pixels, _ in _read(train, size)]
    make_folder(output)
    pixels = {name: [shown for shown, _ in some] for name, some in images.items()}
    order = np.random.default_rng(seed).permutation(len(pixels[""]))
    halves = [[pixels[""][i] for i in part] for part in np.array_split(order, 2)]
    sides = {name: _describe(judge, pixels[name], size, seed, name) for name in names}
    sides[_OTHER_HALF] = _describe(judge, halves[1], size, seed, _OTHER_HALF)
    base = _describe(judge, halves[0], size, seed, "real")
    tables = [_distances(base, sides, seed)]
    if inception_weights is not None:
        tables.append(_inception(base, sides, inception_weights, seed))
    more = [_shown(base, sides, seed)]
    if bank is not None:
        known = _describe(judge, bank, size, seed, "training")
        tables.append(_memory(known, sides))
        more += _nearest(known, sides)
    facts = {
        "crop": size,
        "seed": seed,
        "images": {name or "real": len(some) for name, some in pixels.items()},
        "judge": {"name": judge.info.name, "revision": judge.info.revision},
    }
    title = f"{', '.join(names)} against real tissue"
    write_study_report(output, title, _NOTES, tables, plots={}, facts=facts, more=more)
    return tables


def _read(folder: Path, size: int) -> list[tuple[NDArray[np.uint8], float | None]]:
    found = []
    for path in image_files(folder):
        picture = read_picture(path)
        pixels = picture.rgb()
        if min(pixels.shape[:2]) < size:
            raise InvalidImage(
                f"expected images of at least {size} px, got {pixels.shape[0]} x "
                f"{pixels.shape[1]} in {path}; take it out or choose smaller crops"
            )
        found.append((pixels, picture.mpp))
    if len(found) < _LEAST:
        raise InvalidRequest(
            f"expected at least {_LEAST} images in {folder}, got {len(found)}; give more"
        )
    return found


def _describe(
    judge: JudgeLike, images: Sequence[NDArray[np.uint8]], size: int, seed: int, name: str
) -> _Crops:
    cuts = [cut(image, size) for image in images]
    crops, owners = np.concatenate(cuts), np.repeat(np.arange(len(cuts)), [len(c) for c in cuts])
    kept = np.sort(np.random.default_rng(seed).permutation(len(crops))[:_MOST])
    crops, owners = crops[kept], owners[kept]
    patches = random_patches(images, size, len(crops), seed)
    looks = [np.asarray(appearance(crops[i : i + _BATCH]), np.float64) for i in _starts(crops)]
    return _Crops(
        crops,
        owners,
        _features(judge, crops, name),
        np.concatenate(looks),
        patches,
        _features(judge, patches, f"{name}, random squares"),
    )


def _features(judge: JudgeLike, crops: NDArray[np.uint8], name: str) -> NDArray[np.float64]:
    bar = tqdm(_starts(crops), f"features: {name}", disable=None)
    return np.concatenate(
        [np.asarray(judge.features(crops[i : i + _BATCH]), np.float64) for i in bar]
    )


def _starts(crops: NDArray[np.uint8]) -> range:
    return range(0, len(crops), _BATCH)


def _distances(base: _Crops, sides: dict[str, _Crops], seed: int) -> Table:
    count = min(len(side.crops) for side in (base, *sides.values()))
    columns = ("FD", "KD", "patch FD", "appearance FD", "critic's AUC", "crops")
    table = Table("distances", f"Distance from real tissue, {base.crops.shape[1]} px", columns)
    ours = base.some(count, seed)
    centre, spread = base.features.mean(0), base.features.std(0) + 1e-6
    looks = [base.looks.mean(0), base.looks.std(0) + 1e-6]
    for name, side in sides.items():
        theirs = side.some(count, seed + 1)
        scaled = [(s.features[i] - centre) / spread for s, i in ((base, ours), (side, theirs))]
        seen = [(s.looks[i] - looks[0]) / looks[1] for s, i in ((base, ours), (side, theirs))]
        told = critic_auc(
            np.concatenate([scaled[0], seen[0]], 1),
            np.concatenate([scaled[1], seen[1]], 1),
            base.images[ours] % _FOLDS,
            side.images[theirs] % _FOLDS,
        )
        kd = kernel_distance(scaled[0], scaled[1], min(100, count), 20, seed)[0]
        table.rows[name] = (
            frechet_distance(base.features[ours], side.features[theirs]),
            kd,
            frechet_distance(base.patch_features[:count], side.patch_features[:count]),
            frechet_distance(seen[0], seen[1]),
            Interval(told.auc, told.low, told.high),
            count,
        )
    return table


def _inception(base: _Crops, sides: dict[str, _Crops], weights: Path, seed: int) -> Table:
    count = min(len(side.crops) for side in (base, *sides.values()))
    columns = ("FID", "KID x 1000", "inception score", "Patch-FID", "crops")
    table = Table("inception", f"Inception features, {base.crops.shape[1]} px", columns)
    ours = base.some(count, seed)
    for name, side in sides.items():
        row: tuple[Cell, ...] = (None, None, None, None, count)
        if count >= _LEAST_FOR_INCEPTION:
            theirs = side.crops[side.some(count, seed + 1)]
            whole = inception_scores(base.crops[ours], theirs, weights, seed=seed)
            patch = inception_scores(base.patches[:count], side.patches[:count], weights, seed=seed)
            row = (whole.fid, 1000 * whole.kid_mean, whole.is_mean, patch.fid, count)
        table.rows[name] = row
    return table


def _memory(known: _Crops, sides: dict[str, _Crops]) -> Table:
    columns = ("ratio", "median distance", "unseen real", "share nearer than 5 % of real", "crops")
    table = Table("memory", f"Nearest of {len(known.crops)} training crops, features", columns)
    unseen = sides[_OTHER_HALF].features
    for name, side in sides.items():
        if name != _OTHER_HALF:
            m = memorisation(side.features, unseen, known.features)
            figures = (m.ratio, m.generated_median, m.test_median, m.share_below)
            table.rows[name] = (*figures, len(side.crops))
    return table


def _nearest(known: _Crops, sides: dict[str, _Crops]) -> list[str]:
    parts = []
    for name, side in sides.items():
        sheet = memory_pairs(side.crops, side.features, known.crops, known.features)
        title = f"{name}: nearest to training, each beside its nearest training crop"
        parts.append(_picture(title, sheet))
    return parts


def _shown(base: _Crops, sides: dict[str, _Crops], seed: int) -> str:
    rows = [
        np.concatenate(list(side.crops[side.some(8, seed)]), axis=1)
        for side in (base, *sides.values())
    ]
    widest = max(row.shape[1] for row in rows)
    padded = [
        np.pad(r, ((0, 4), (0, widest - r.shape[1]), (0, 0)), constant_values=255) for r in rows
    ]
    return _picture(f"Crops by chance: real, {', '.join(sides)}", np.concatenate(padded))


def _picture(title: str, pixels: NDArray[np.uint8]) -> str:
    shown = image_uri(Image.fromarray(pixels))
    return f'<h2>{escape(title)}</h2><img alt="{escape(title)}" src="{shown}">'
