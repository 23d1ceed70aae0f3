"""The seam of an enrichment study: what trains on tiles, and what it finds afterwards."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidRequest, TrainingError
from napari_histodiff.evaluation.panels import NucleiLike
from napari_histodiff.evaluation.tiles import Tile
from napari_histodiff.studies.enrichment.options import EnrichmentOptions

__all__ = [
    "About",
    "Found",
    "Lesson",
    "Segmenter",
    "Trained",
    "alone",
    "checked",
    "digest_of_files",
    "large_enough",
    "require_package",
    "training_of",
]

_BLOCK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class About:
    """What a segmenter is, for the report.

    Attributes
    ----------
    name : str
        With version: "cellpose 4.2.0".
    weights : str
        Hash of what every training starts from; "" where that is nothing.
    training : str
        How it is trained, one or two sentences.
    tells_classes : bool
        Whether nuclei it finds have classes; else figures of classes are left out.
    augments : bool
        Whether it can be trained with classical augmentation: mixes with "c".
    """

    name: str
    weights: str
    training: str
    tells_classes: bool
    augments: bool


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """One training.

    Attributes
    ----------
    tiles : sequence of Tile
        What is known of each.
    images : sequence of (s, s, 3) uint8
        What each looks like: real, or drawn in its place.
    options : EnrichmentOptions
        Updates, batch and crop.
    seed : int
    classical : bool
        Whether stain, light, focus and grain of the crops change.
    """

    tiles: Sequence[Tile]
    images: Sequence[NDArray[np.uint8]]
    options: EnrichmentOptions
    seed: int
    classical: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Nuclei of a tile: instance map (h, w) int32, class map (h, w) uint8, 0 without classes."""

    instance_map: NDArray[np.int32]
    class_map: NDArray[np.uint8]


class Trained(Protocol):
    """A segmenter after its training."""

    @property
    def losses(self) -> Sequence[float]:
        """The loss of each update."""

    def find(self, image: NDArray[np.uint8]) -> NucleiLike:
        """Find the nuclei of an (h, w, 3) uint8 image at 0.5 um/px."""


class Segmenter(Protocol):
    """Trains from the same beginning on whatever tiles it is given, for equally many updates."""

    @property
    def about(self) -> About:
        """What it is."""

    def train(self, lesson: Lesson) -> Trained:
        """Train on tiles.

        Raises
        ------
        TrainingError
            When no tile is as large as a crop, or the training fails.
        """


def require_package(name: str, package: str) -> Any:
    """Import a module of a package that is not among ours.

    Raises
    ------
    InvalidRequest
        When it is not installed, or does not import.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return import_module(name)
    except ImportError as error:
        raise InvalidRequest(
            f"expected {name}, got '{error}'; pip install {package}, or use our segmenter"
        ) from error


def digest_of_files(paths: Sequence[Path]) -> str:
    """Return a hash of the contents of files."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()[:16]


def large_enough(lesson: Lesson) -> list[int]:
    """Return the tiles of a lesson that a crop fits into, in an order of the seed.

    Raises
    ------
    TrainingError
        When there is none.
    """
    size = lesson.options.crop
    kept = [i for i, image in enumerate(lesson.images) if min(image.shape[:2]) >= size]
    if not kept:
        raise TrainingError(
            f"expected tiles of {size} px or more, got none; choose smaller crops or larger tiles"
        )
    order = np.random.default_rng(lesson.seed).permutation(len(kept))
    return [kept[i] for i in order]


def checked(losses: Iterable[float], name: str) -> tuple[float, ...]:
    """Return the losses of a training.

    Raises
    ------
    TrainingError
        When one is not finite.
    """
    values = tuple(float(loss) for loss in losses)
    if not np.isfinite(values).all():
        raise TrainingError(
            f"expected finite losses of {name}, got one that is not; check the training tiles, or "
            "give other weights"
        )
    return values


@contextmanager
def alone(seed: int) -> Iterator[None]:
    """Seed the generators that others draw from, and hide what they print; then all is as before.

    Parameters
    ----------
    seed : int
    """
    before = np.random.get_state()
    with (
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        redirect_stdout(nowhere),
        redirect_stderr(nowhere),
        warnings.catch_warnings(),
        torch.random.fork_rng(devices=[]),
    ):
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        np.random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(before)


@contextmanager
def training_of(name: str) -> Iterator[None]:
    """Tell in our words what another package says of a training that failed.

    Raises
    ------
    TrainingError
        Instead of the errors that array libraries raise.
    """
    try:
        yield
    except (ValueError, RuntimeError, TypeError, KeyError, IndexError, AssertionError) as error:
        raise TrainingError(
            f"expected {name} to train on the tiles, got '{error}'; check crop and batch, or use "
            "our segmenter"
        ) from error
