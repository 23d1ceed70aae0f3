"""InstanSeg in an enrichment study: goes on from the folder of one of its trainings."""

from __future__ import annotations

import ast
import csv
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.datasets.crop_windows import orient, window_around
from napari_histodiff.studies.enrichment.segmenters.base import (
    About,
    Found,
    Lesson,
    alone,
    checked,
    digest_of_files,
    large_enough,
    require_package,
    training_of,
)

__all__ = ["InstanSegSegmenter", "load"]

#: What `pip install` needs: two of them it does not bring along by itself.
_PACKAGES: Final = "instanseg-torch seaborn edt"
_LOG: Final = "experiment_log.csv"
_WEIGHTS: Final = "model_weights.pth"
#: The only network of InstanSeg that is trained here; the others need packages of their own.
_NETWORK: Final = "instanseg_unet"
_RATE: Final = 1e-3  # of Adam, and the clip: what its own training takes
_CLIP: Final = 20.0
_UNIT: Final = 32  # what the levels of its network divide
_WORDS: Final = (
    "{name}, trained further from the folder of one of its trainings, with its own loss and "
    "optimizer. Crops are turned and mirrored. It tells no classes, so figures of classes are left "
    "out."
)


@dataclass(frozen=True, slots=True, eq=False)
class _Trained:
    network: Any
    method: Any
    losses: tuple[float, ...]

    def find(self, image: NDArray[np.uint8]) -> Found:
        height, width = image.shape[:2]
        padded = np.pad(image, ((0, -height % _UNIT), (0, -width % _UNIT), (0, 0)), "reflect")
        with alone(0), torch.no_grad():
            output = self.network(_normal(padded)[None])
            labels = self.method.postprocessing(output[0], img=None)
        instances = labels.numpy().squeeze().astype(np.int32)[:height, :width]
        return Found(instances, np.zeros(instances.shape, np.uint8))


class InstanSegSegmenter:
    """InstanSeg for nuclei, on the processor.

    Parameters
    ----------
    weights : Path
        The folder of a training: `experiment_log.csv` and `model_weights.pth`. It is only read.

    Raises
    ------
    InvalidRequest
        When instanseg-torch, or what its training needs, is missing, or the folder is no such
        training.
    """

    def __init__(self, weights: Path) -> None:
        self._settings = _settings_of(weights)
        self._losses = require_package("instanseg.utils.loss.instanseg_loss", _PACKAGES)
        self._loader = require_package("instanseg.utils.model_loader", _PACKAGES)
        require_package("edt", _PACKAGES)  # which it asks for only while it trains
        self._state = _state_of(weights / _WEIGHTS)
        name = f"instanseg {version('instanseg-torch')}"
        self.about = About(
            name=name,
            weights=digest_of_files([weights / _LOG, weights / _WEIGHTS]),
            training=_WORDS.format(name=name),
            tells_classes=False,
            augments=False,
        )

    def train(self, lesson: Lesson) -> _Trained:
        """Train on tiles."""
        kept, rng = large_enough(lesson), np.random.default_rng(lesson.seed)
        pictures = [_normal(lesson.images[i]).numpy().transpose(1, 2, 0) for i in kept]
        labels = [lesson.tiles[i].instance_map for i in kept]
        losses = []
        with alone(lesson.seed), training_of(self.about.name):
            network, method = self._model()
            network.train()
            optimizer = torch.optim.Adam(network.parameters(), lr=_RATE)
            for _ in range(lesson.options.updates):
                images, instances = _batch(pictures, labels, lesson, rng)
                loss = method(network(images), instances).mean()
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), _CLIP)
                optimizer.step()
                losses.append(float(loss.detach()))
            network.eval()
        return _Trained(network, method, checked(losses, self.about.name))

    def _model(self) -> tuple[Any, Any]:
        settings = self._settings
        network = self._loader.build_model_from_dict(dict(settings))
        method = self._losses.InstanSeg(
            n_sigma=settings["n_sigma"],
            device="cpu",
            binary_loss_fn_str="lovasz_hinge",
            seed_loss_fn="l1_distance",
            window_size=settings["window_size"],
            feature_engineering_function=settings["feature_engineering"],
            dim_coords=settings["dim_coords"],
            dim_seeds=settings["dim_seeds"],
        )
        network = method.initialize_pixel_classifier(network, MLP_width=settings["mlp_width"])
        network.load_state_dict(self._state, strict=True)
        return network, method


def load(weights: Path) -> InstanSegSegmenter:
    """Return InstanSeg with the folder of a training."""
    return InstanSegSegmenter(weights)


def _settings_of(folder: Path) -> dict[str, Any]:
    """Return what a network is built from; values are read, never run.

    Raises
    ------
    InvalidRequest
        When the folder is no training of nuclei in three colours.
    """
    try:
        with (folder / _LOG).open(newline="", encoding="utf-8") as file:
            rows = {row[0]: row[1] for row in csv.reader(file) if len(row) == 2}
        settings: dict[str, Any] = {
            name: int(rows[name]) for name in ("dim_in", "n_sigma", "dim_out", "dim_coords")
        }
        settings |= {
            "model_str": rows["model_str"],
            "layers": tuple(int(n) for n in ast.literal_eval(rows["layers"])),
            "norm": None if rows.get("norm", "None") in {"", "None"} else rows["norm"],
            "dropprob": float(rows.get("dropprob") or 0),
            "feature_engineering": rows.get("feature_engineering", "0"),
            "mlp_width": int(rows.get("mlp_width", 5)),
            "window_size": int(rows.get("window_size", 128)),
            "dim_seeds": int(rows.get("dim_seeds", 1)),
            "multihead": rows.get("multihead") == "True",
            "cells_and_nuclei": rows.get("cells_and_nuclei") == "True",
        }
    except (OSError, KeyError, ValueError, SyntaxError, TypeError) as error:
        raise InvalidRequest(
            f"expected {_LOG} of a training of InstanSeg in {folder}, got '{error}'; give its "
            f"folder, with {_WEIGHTS}"
        ) from error
    if (
        settings["model_str"].lower() != _NETWORK
        or settings["dim_in"] != 3
        or settings["cells_and_nuclei"]
    ):
        raise InvalidRequest(
            f"expected an InstanSeg_UNet for nuclei in three colours in {folder}, got "
            f"{settings['model_str']} for {'cells' if settings['cells_and_nuclei'] else 'nuclei'} "
            f"in {settings['dim_in']} channels; give another training"
        )
    return settings


def _state_of(path: Path) -> dict[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)["model_state_dict"]
        return {name.removeprefix("module."): value for name, value in state.items()}
    except (OSError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        told = f"'{error}'"
    except pickle.UnpicklingError:
        told = "code instead of weights"
    raise InvalidRequest(
        f"expected weights of InstanSeg in {path}, got {told}; give the folder of a training"
    )


def _normal(image: NDArray[np.uint8]) -> Tensor:
    """Return (3, h, w) float32, each colour from its 0.1st to its 99.9th percentile, as it does."""
    low, high = np.percentile(image, [0.1, 99.9], axis=(0, 1))
    scaled = (image - low) / np.maximum(high - low, 1e-3)
    return torch.from_numpy(scaled.astype(np.float32)).permute(2, 0, 1)


def _batch(
    pictures: Sequence[NDArray[np.float32]],
    labels: Sequence[NDArray[np.int32]],
    lesson: Lesson,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Return images (b, 3, s, s) float32 and instances (b, 1, s, s) int64."""
    images, instances = [], []
    for _ in range(lesson.options.batch):
        i = int(rng.integers(len(pictures)))
        shape = labels[i].shape
        centre = rng.integers(shape[0]), rng.integers(shape[1])
        window = window_around(centre, lesson.options.crop, shape)
        turns, flip = int(rng.integers(4)), bool(rng.integers(2))
        images.append(orient(pictures[i][window], turns, flip))
        instances.append(orient(labels[i][window], turns, flip))
    return (
        torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous(),
        torch.from_numpy(np.stack(instances)).long()[:, None],
    )
