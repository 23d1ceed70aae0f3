"""How near an image is to the nearest training crop of a model, beside what unseen tissue has.

An index holds features of training crops, never pixels. Without torch, but for what measures the
features.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from napari_histodiff.core.errors import InvalidRequest, ModelInvalid, ModelNotFound
from napari_histodiff.core.json_data import from_json
from napari_histodiff.core.model_files import check_safetensors, read_model_json
from napari_histodiff.segmenter.images import rescaled

__all__ = [
    "CROP",
    "INDEX_FOLDER",
    "Features",
    "TrainingIndex",
    "bundled_index",
    "crops_of",
    "index_of",
    "nearest_distances",
]

#: Side of a crop in pixels of 0.5 um, and those.
CROP: Final = 128
MPP: Final = 0.5

#: Folder of a model's index, inside that of the model.
INDEX_FOLDER: Final = "training-index"

_FILE: Final = "index.safetensors"
_INFO: Final = "index_info.json"
_BUNDLED: Final = Path(__file__).parent.parent / "weights" / "training-index-v1"
_CHUNK: Final = 2048

#: Components that are kept of the features.
_KEPT: Final = 128

#: Mean grey level above which a crop is bare glass, which lies near all glass.
_GLASS: Final = 232.0


class Features(Protocol):
    """What measures images; the judge does."""

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return one vector per (h, w, 3) uint8 image of 0.5 um per pixel."""


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """What is said of an index.

    Attributes
    ----------
    models : tuple of str
        Revisions of the models that learnt from these crops.
    judge : str
        Revision of the judge whose features they are.
    typical : float
        Median distance of a crop of held-out real tissue to the nearest of them.
    near : float
        What 1 % of such crops are below, in multiples of `typical`.
    held_out : int
        How many such crops were measured.
    """

    models: tuple[str, ...]
    judge: str
    typical: float
    near: float
    held_out: int


@dataclass(frozen=True, slots=True, eq=False)
class TrainingIndex:
    """Features of training crops.

    Attributes
    ----------
    info : IndexInfo
    mean, axes : (d,) and (k, d) float32
        Brings features to the components that are kept.
    crops : (n, k) float16
    """

    info: IndexInfo
    mean: NDArray[np.float32]
    axes: NDArray[np.float32]
    crops: NDArray[np.float16]

    @classmethod
    def of(
        cls,
        training: NDArray[np.float32],
        held_out: NDArray[np.float32],
        *,
        models: Sequence[str],
        judge: str,
    ) -> Self:
        """Make an index of (n, d) features of training crops, measured on (m, d) of unseen ones.

        Raises
        ------
        InvalidRequest
            When there are too few of either to say what is near.
        """
        if min(len(training), len(held_out)) < 100:
            raise InvalidRequest(
                f"expected 100 crops of training and of held-out tissue, got {len(training)} and "
                f"{len(held_out)}; give larger sets"
            )
        mean = training.mean(0)
        axes = np.linalg.svd(training - mean, full_matrices=False)[2][:_KEPT].astype(np.float32)
        crops = ((training - mean) @ axes.T).astype(np.float16)
        bare = cls(IndexInfo(tuple(models), judge, 1.0, 0.0, len(held_out)), mean, axes, crops)
        far = bare._distances(held_out)
        typical = float(np.median(far))
        near = float(np.quantile(far, 0.01)) / typical
        info = IndexInfo(tuple(models), judge, typical, near, len(held_out))
        return cls(info, mean, axes, crops)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read an index.

        Raises
        ------
        ModelNotFound, ModelInvalid
            When it is missing or damaged.
        """
        check_safetensors(folder / _FILE)
        try:
            info = from_json(IndexInfo, read_model_json(folder / _INFO))
            arrays = load_file(folder / _FILE)
            index = cls(info, *(arrays[name] for name in ("mean", "axes", "crops")))
            shapes = index.axes.shape[1:], index.crops.shape[1:]
            if shapes != (index.mean.shape, index.axes.shape[:1]) or info.typical <= 0:
                raise ValueError("arrays that do not fit one another")
        except (ValueError, LookupError, TypeError) as error:
            raise ModelInvalid(
                f"expected an index of training crops in {folder}, got {error}; make it again"
            ) from error
        return index

    def save(self, folder: Path) -> None:
        """Write it into a folder, which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {"mean": self.mean, "axes": self.axes, "crops": self.crops}
        save_file({name: np.ascontiguousarray(a) for name, a in arrays.items()}, folder / _FILE)
        (folder / _INFO).write_text(json.dumps(asdict(self.info), indent=1) + "\n", "utf-8")

    def nearness(self, judge: Features, image: NDArray[np.uint8], mpp: float) -> float | None:
        """Return how far the crop of an image that is nearest to training tissue is from it.

        Parameters
        ----------
        judge : Features
        image : (h, w, 3) uint8
        mpp : float
            Micrometres per pixel.

        Returns
        -------
        float or None
            In multiples of what is typical of unseen real tissue; 0 = a copy. None of an image
            smaller than a crop, or of glass alone.
        """
        crops = crops_of(rescaled(image, mpp, MPP))
        if not len(crops):
            return None
        return float(self._distances(judge.features(crops)).min()) / self.info.typical

    def _distances(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        kept = (features - self.mean) @ self.axes.T
        return nearest_distances(kept, self.crops.astype(np.float32))


def bundled_index() -> TrainingIndex:
    """Return that of the bundled model."""
    return TrainingIndex.load(_BUNDLED)


def index_of(model: Path | None, revision: str) -> Path | None:
    """Return the folder of the index of a model; None where it has none.

    Parameters
    ----------
    model : Path, optional
        Its folder; None = the bundled one.
    revision : str
        Of the weights that drew: an index tells of those it was made for.
    """
    folders = (_BUNDLED,) if model is None else (model / INDEX_FOLDER, _BUNDLED)
    for folder in folders:
        try:
            if revision in read_model_json(folder / _INFO).get("models", ()):
                return folder
        except (ModelInvalid, ModelNotFound, OSError):
            continue
    return None


def crops_of(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the (n, 128, 128, 3) squares side by side of an image of 0.5 um, without bare glass.

    The last ones of each row and column overlap those before, so that they cover all of it.
    """
    starts = []
    for side in image.shape[:2]:
        if side < CROP:
            return np.empty((0, CROP, CROP, 3), np.uint8)
        count = -(-side // CROP)
        starts.append(np.linspace(0, side - CROP, count).round().astype(int))
    squares = [image[y : y + CROP, x : x + CROP] for y in starts[0] for x in starts[1]]
    tissue = [square for square in squares if square.mean() <= _GLASS]
    return np.stack(tissue) if tissue else np.empty((0, CROP, CROP, 3), np.uint8)


def nearest_distances(
    queries: NDArray[np.floating[Any]], bank: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Return the Euclidean distance of each (n, k) query to the nearest row of the (m, k) bank.

    (n,) float64, at least 0; inf when the bank is empty. Memory stays at a few tens of MB.

    Raises
    ------
    InvalidRequest
        When the vectors differ in length.
    """
    if queries.ndim != 2 or bank.ndim != 2 or queries.shape[1] != bank.shape[1]:
        raise InvalidRequest(
            f"expected (n, k) and (m, k) vectors, got {queries.shape} and {bank.shape}; "
            "compute both in one way"
        )
    # Shifted to the bank's mean, as the expanded square below loses digits far from zero.
    shift = bank.mean(0, dtype=np.float64) if len(bank) else 0.0
    nearest = np.full(len(queries), np.inf)
    for b in range(0, len(bank), _CHUNK):
        known = bank[b : b + _CHUNK] - shift
        known_norms = (known**2).sum(1)
        for q in range(0, len(queries), _CHUNK):
            asked = queries[q : q + _CHUNK] - shift
            squares = (asked**2).sum(1)[:, None] + known_norms - 2 * asked @ known.T
            part = nearest[q : q + _CHUNK]
            np.minimum(part, np.sqrt(np.maximum(squares.min(1), 0)), out=part)
    return nearest
