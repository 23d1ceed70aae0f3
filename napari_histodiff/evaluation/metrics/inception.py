"""FID, KID and inception score with the published Inception weights, for users who have them."""

from __future__ import annotations

import hashlib
import pickle
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_histodiff.core.errors import InvalidImage, ModelInvalid, ModelNotFound
from napari_histodiff.evaluation.metrics.distances import (
    GivenFeatures,
    frechet_distance,
    kernel_distance,
)

__all__ = ["InceptionScores", "inception_scores"]

#: Start of the SHA-256 of the one file with which published FIDs are computed; part of its name.
_WEIGHTS_SHA256: Final = "6726825d"
_BATCH: Final = 32
_SUBSET: Final = 100  # images of a KID subset, where there are as many
_SUBSETS: Final = 50


@dataclass(frozen=True, slots=True)
class InceptionScores:
    """FID from 0 (equal), KID about 0 (equal), and the score of the generated images, from 1.

    KID is over random subsets, the inception score over 10 splits; `std` is how much these differ.
    The inception score was made for photographs of objects; on tissue it says little.
    """

    fid: float
    kid_mean: float
    kid_std: float
    is_mean: float
    is_std: float


def inception_scores(
    real: NDArray[np.uint8], generated: NDArray[np.uint8], weights: Path, *, seed: int = 0
) -> InceptionScores:
    """Return FID, KID and inception score with Inception-2015-12-05 features, by torchmetrics.

    Images are resized to 299 px with anti-aliasing. Nothing is downloaded. Thousands of images are
    needed for a steady FID.

    Parameters
    ----------
    real, generated : (n, s, s, 3) and (m, s, s, 3) uint8
        At least 2 real and 20 generated images.
    weights : Path
        `pt_inception-2015-12-05-6726825d.pth` of pytorch-fid, the same file as torch-fidelity's
        `weights-inception-2015-12-05-6726825d.pth`.
    seed : int
        Of subsets and splits; torch's own generator is left as it was.

    Raises
    ------
    ModelNotFound
        When the weights file is missing, or torch-fidelity, which defines the network.
    ModelInvalid
        When the file is another one.
    InvalidImage
        When images are too few or of the wrong kind.
    """
    for images, least in ((real, 2), (generated, 20)):
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
            raise InvalidImage(
                f"expected (n, s, s, 3) uint8 images, got {images.shape} {images.dtype}; convert"
            )
        if len(images) < least:
            raise InvalidImage(f"expected at least {least} images, got {len(images)}; add more")
    _require_weights(weights)
    from torchmetrics.image.fid import NoTrainInceptionV3
    from torchmetrics.image.inception import InceptionScore

    pooled, logits = (
        NoTrainInceptionV3("inception-v3-compat", [layer], str(weights))
        for layer in ("2048", "logits_unbiased")
    )
    theirs, ours = _outputs(pooled, real), _outputs(pooled, generated)
    subset = min(_SUBSET, len(theirs), len(ours))
    kid = kernel_distance(theirs, ours, subset_size=subset, subsets=_SUBSETS, seed=seed)
    scores = torch.from_numpy(_outputs(logits, generated))
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.filterwarnings("ignore", message=".*will save all extracted features.*")
        torch.manual_seed(seed)
        metric = InceptionScore(GivenFeatures(scores.shape[1]))
        metric.update(scores)
        mean, std = metric.compute()
    return InceptionScores(frechet_distance(theirs, ours), *kid, float(mean), float(std))


def _outputs(network: nn.Module, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    parts = []
    with torch.inference_mode():
        for start in range(0, len(images), _BATCH):
            batch = np.ascontiguousarray(images[start : start + _BATCH].transpose(0, 3, 1, 2))
            parts.append(network(torch.from_numpy(batch)).double().numpy())
    return np.concatenate(parts)


def _require_weights(weights: Path) -> None:
    if not weights.is_file():
        raise ModelNotFound(
            f"expected the Inception weights of pytorch-fid at {weights}, got no file; download "
            "pt_inception-2015-12-05-6726825d.pth from its GitHub releases, or leave FID out"
        )
    if find_spec("torch_fidelity") is None:
        raise ModelNotFound(
            "expected the package torch-fidelity, which defines the Inception network, got none; "
            "pip install torch-fidelity, or leave FID out"
        )
    found = hashlib.sha256(weights.read_bytes()).hexdigest()
    if not found.startswith(_WEIGHTS_SHA256):
        raise ModelInvalid(
            f"expected the file with SHA-256 {_WEIGHTS_SHA256}..., got {found[:8]}... in "
            f"{weights}; download it again, as other weights give a FID that compares with no other"
        )
    try:  # torch-fidelity would run any code that the pickle holds
        torch.load(weights, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ModelInvalid(
            f"expected tensors only in {weights}, got {error}; download the file again"
        ) from error
