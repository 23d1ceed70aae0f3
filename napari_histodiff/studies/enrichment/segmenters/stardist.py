"""StarDist in an enrichment study: goes on from a model folder, with a head for our six classes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.maps import CLASS_NAMES
from napari_histodiff.evaluation.metrics.objects import object_classes
from napari_histodiff.evaluation.tiles import Tile
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

__all__ = ["StarDistSegmenter", "load"]

_CONFIG: Final = "config.json"
_WEIGHTS: Final = ("weights_best.h5", "weights_last.h5")
_THRESHOLDS: Final = "thresholds.json"
#: What tells classes; begun anew where the given model tells others, or none.
_HEAD: Final = ("features_class", "prob_class")
_PERCENTILES: Final = (1, 99.8)  # as the published models were trained
_WORDS: Final = (
    "{name}, trained further from one model folder, with a head for our six classes{head}. Crops "
    "are turned and mirrored; nine of ten hold nuclei."
)

Image = NDArray[np.float32]
Labels = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class _Trained:
    model: Any
    losses: tuple[float, ...]

    def find(self, image: NDArray[np.uint8]) -> Found:
        with alone(0):
            labels, told = self.model.predict_instances(_normal(image))
        instances = np.asarray(labels).astype(np.int32)
        classes = np.zeros(int(instances.max(initial=0)) + 1, np.uint8)
        # Nothing is no class of a nucleus that was found: the likeliest of the six.
        sure = np.asarray(told["class_prob"]).reshape(-1, len(CLASS_NAMES) + 1)[:, 1:]
        classes[1 : len(sure) + 1] = sure.argmax(1)[: len(classes) - 1] + 1
        return Found(instances, classes[instances])


class StarDistSegmenter:
    """StarDist for images.

    Parameters
    ----------
    weights : Path
        A model folder: `config.json`, `weights_best.h5` or `weights_last.h5`, and, where there are
        some, `thresholds.json`. It is only read.

    Raises
    ------
    InvalidRequest
        When stardist or tensorflow is not installed, or the folder holds no model for colours.
    """

    def __init__(self, weights: Path) -> None:
        config, path = _files_of(weights)
        self._tensorflow = require_package("tensorflow", "tensorflow")
        self._models = require_package("stardist.models", "stardist")
        self._config, self._path = config, path
        self._thresholds = _thresholds(weights)
        same = config.get("n_classes") == len(CLASS_NAMES)
        name = f"stardist {version('stardist')}"
        self.about = About(
            name=name,
            weights=digest_of_files([weights / _CONFIG, path]),
            training=_WORDS.format(name=name, head="" if same else " that begins anew"),
            tells_classes=True,
            augments=False,
        )

    def train(self, lesson: Lesson) -> _Trained:
        """Train on tiles: one epoch of all updates, without a choice among its states."""
        options, kept = lesson.options, large_enough(lesson)
        images = [_normal(lesson.images[i]) for i in kept]
        labels = [lesson.tiles[i].instance_map.astype(np.int32) for i in kept]
        classes = [_classes(lesson.tiles[i]) for i in kept]
        rng = np.random.default_rng(lesson.seed)
        keras = self._tensorflow.keras
        with alone(lesson.seed), training_of(self.about.name):
            keras.utils.set_random_seed(lesson.seed)
            model = self._model(
                train_patch_size=(options.crop, options.crop),
                train_batch_size=options.batch,
                train_reduce_lr=None,
                train_n_val_patches=1,
                train_tensorboard=False,
            )
            model.prepare_for_training()
            means = _record(model, keras)
            model.train(
                images,
                labels,
                classes=classes,
                validation_data=(images[:1], labels[:1], classes[:1]),
                augmenter=lambda x, y: _turned(x, y, rng),
                epochs=1,
                steps_per_epoch=options.updates,
            )
        sums = np.array(means) * np.arange(1, len(means) + 1)
        return _Trained(model, checked(np.diff(sums, prepend=0.0), self.about.name))

    def _model(self, **settings: Any) -> Any:
        """Return a network of its own, in no folder, with the weights that were given."""
        old = self._models.StarDist2D(self._models.Config2D(**self._config), "given", None)
        old.keras_model.load_weights(str(self._path))
        count, changed = len(CLASS_NAMES), dict(self._config)
        skipped: tuple[str, ...] = ()
        if self._config.get("n_classes") != count:
            skipped = _HEAD
            changed |= {
                "n_classes": count,
                "train_loss_weights": (1, 0.2, 1),
                "train_class_weights": (1,) * (count + 1),
            }
        config = self._models.Config2D(**changed | settings)
        model = self._models.StarDist2D(config, "trained", None)
        layers = [_layers(network.keras_model, skipped) for network in (old, model)]
        for before, after in zip(*layers, strict=True):
            after.set_weights(before.get_weights())
        if self._thresholds:
            model.thresholds = self._thresholds
        return model


def load(weights: Path) -> StarDistSegmenter:
    """Return StarDist with a model folder."""
    return StarDistSegmenter(weights)


def _files_of(folder: Path) -> tuple[dict[str, Any], Path]:
    """Return the configuration of a model folder and the file of its weights.

    Raises
    ------
    InvalidRequest
        When it is no model for three colours.
    """
    path = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
    try:
        config = json.loads((folder / _CONFIG).read_text("utf-8"))
    except (OSError, ValueError):
        config = None
    if path is None or not isinstance(config, dict):
        raise InvalidRequest(
            f"expected {_CONFIG} and {' or '.join(_WEIGHTS)} in {folder}, got something else; "
            "give the folder of a StarDist model for images"
        )
    if config.get("n_dim") != 2 or config.get("n_channel_in") != 3:
        raise InvalidRequest(
            f"expected a StarDist model for images of three colours in {folder}, got "
            f"{config.get('n_dim')} dimensions and {config.get('n_channel_in')} channels; give one "
            "for stained tissue"
        )
    return config, path


def _thresholds(folder: Path) -> dict[str, float]:
    try:
        found = json.loads((folder / _THRESHOLDS).read_text("utf-8"))
        return {name: float(found[name]) for name in ("prob", "nms")}
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # its own defaults


def _layers(network: Any, skipped: tuple[str, ...]) -> list[Any]:
    """Return the layers with weights, in order: names count on from one network to the next."""
    return [one for one in network.layers if one.weights and one.name not in skipped]


def _normal(image: NDArray[np.uint8]) -> Image:
    low, high = np.percentile(image, _PERCENTILES)
    scaled = (image.astype(np.float32) - low) / max(high - low, 1.0)
    return np.asarray(scaled, np.float32)


def _classes(tile: Tile) -> dict[int, int | None]:
    """Return the class of each nucleus; None, where nobody knows it, is left out of the loss."""
    ids = np.unique(tile.instance_map[tile.instance_map > 0])
    if not tile.has_classes:
        return dict.fromkeys(ids.tolist())
    known = object_classes(tile.instance_map, tile.class_map).tolist()
    return {i: c or None for i, c in zip(ids.tolist(), known, strict=True)}


def _turned(x: Image, y: Labels, rng: np.random.Generator) -> tuple[Image, Labels]:
    turns, flip = int(rng.integers(4)), bool(rng.integers(2))
    x, y = np.rot90(x, turns), np.rot90(y, turns)
    return (x[:, ::-1], y[:, ::-1]) if flip else (x, y)


def _record(model: Any, keras: Any) -> list[float]:
    """Return the list that the mean loss so far is added to after every update."""
    means: list[float] = []

    class _Losses(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
            means.append(float((logs or {})["loss"]))

    model.callbacks.append(_Losses())
    return means
