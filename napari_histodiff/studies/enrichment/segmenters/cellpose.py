"""Cellpose 3 and 4 in an enrichment study: every training goes on from one file of weights."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidRequest
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

__all__ = ["CellposeSegmenter", "load"]

#: In weights of cellpose 3: the first layer, of as many values as the network has channels.
_FIRST: Final = "downsample.down.res_down_0.conv.conv_0.0.weight"
#: Only in weights of cellpose 4.
_LAST: Final = "W2"
_WORDS: Final = (
    "{name}, trained further from one file of weights, as its makers do ({crops}). It tells no "
    "classes, so figures of classes are left out."
)
_CROPS: Final = {
    3: "crops are turned, mirrored and scaled, nuclei to about 30 px",
    4: "crops of 256 px are turned, mirrored and scaled, whatever the size that was asked for",
}


@dataclass(frozen=True, slots=True, eq=False)
class _Trained:
    model: Any
    losses: tuple[float, ...]
    settings: Mapping[str, Any]

    def find(self, image: NDArray[np.uint8]) -> Found:
        with alone(0):
            masks = self.model.eval(image, channel_axis=2, **self.settings)[0]
        instances = np.asarray(masks).astype(np.int32).reshape(image.shape[:2])
        return Found(instances, np.zeros(instances.shape, np.uint8))


class CellposeSegmenter:
    """Cellpose, whichever version is installed.

    Parameters
    ----------
    weights : Path
        A file of cellpose's own; nothing else is looked for, and nothing fetched.

    Raises
    ------
    InvalidRequest
        When cellpose is not installed, or the file is not of its version.
    """

    def __init__(self, weights: Path) -> None:
        self._models = require_package("cellpose.models", "cellpose")
        self._training = require_package("cellpose.train", "cellpose")
        self._weights, number = weights, version("cellpose")
        self._version = int(number.partition(".")[0])
        if self._version not in _CROPS:
            raise InvalidRequest(
                f"expected cellpose 3 or 4, got {number}; install one of them, or use our segmenter"
            )
        self._channels = _channels(weights, self._version)
        name = f"cellpose {number}"
        self.about = About(
            name=name,
            weights=digest_of_files([weights]),
            training=_WORDS.format(name=name, crops=_CROPS[self._version]),
            tells_classes=False,
            augments=False,
        )

    def train(self, lesson: Lesson) -> _Trained:
        """Train on tiles: an update is an epoch of one batch."""
        options, kept = lesson.options, large_enough(lesson)
        settings: dict[str, Any] = {"channel_axis": 2, "min_train_masks": 1}
        if self._version == 3:
            settings |= {"bsize": options.crop, "channels": self._colours}
        with alone(lesson.seed), training_of(self.about.name), TemporaryDirectory() as folder:
            model = self._model()
            _, losses, _ = self._training.train_seg(
                model.net,
                train_data=[lesson.images[i] for i in kept],
                train_labels=[lesson.tiles[i].instance_map.astype(np.int32) for i in kept],
                batch_size=options.batch,
                n_epochs=options.updates,
                nimg_per_epoch=options.batch,
                save_path=folder,
                save_every=options.updates + 1,
                **settings,
            )
        found = {}
        if self._version == 3:  # it was told nuclei of the usual size; they are as in training
            size = float(model.net.diam_labels.detach().cpu().numpy()[0])
            found = {"channels": self._colours, "diameter": size}
        return _Trained(model, checked(losses, self.about.name), found)

    @property
    def _colours(self) -> list[int] | None:
        return [0, 0] if self._channels < 3 else None  # grey, as networks of two channels want it

    def _model(self) -> Any:
        settings: dict[str, Any] = {"use_bfloat16": False}
        if self._version == 3:
            settings = {"nchan": self._channels, "mkldnn": False}  # which cannot be trained
        path = str(self._weights.resolve())  # a name alone would be looked up, and fetched
        return self._models.CellposeModel(
            gpu=torch.cuda.is_available(), pretrained_model=path, **settings
        )


def load(weights: Path) -> CellposeSegmenter:
    """Return cellpose with weights."""
    return CellposeSegmenter(weights)


def _channels(path: Path, version: int) -> int:
    """Return how many channels a network of these weights takes.

    Raises
    ------
    InvalidRequest
        When they are not of this version of cellpose.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=version == 4)
        first = state[_FIRST if version == 3 else _LAST].shape[0]
        return int(first) if version == 3 else 3
    except (OSError, RuntimeError, KeyError, AttributeError, TypeError, IndexError, ValueError):
        told = "something else"
    except pickle.UnpicklingError:
        told = "code instead of weights"
    raise InvalidRequest(
        f"expected weights of cellpose {version} in {path}, got {told}; give a file that this "
        "version has written, or install the other one"
    )
