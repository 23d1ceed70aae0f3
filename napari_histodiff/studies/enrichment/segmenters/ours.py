"""Our small segmenter, trained from nothing on the processor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.segmenter.network import JudgeNetwork
from napari_histodiff.segmenter.postprocess import FoundNuclei
from napari_histodiff.studies.enrichment.segmenters.base import About, Lesson
from napari_histodiff.studies.enrichment.training import find_in, targets_of, train_segmenter

__all__ = ["OwnSegmenter"]

_ABOUT: Final = About(
    name="ours",
    weights="",
    training=(
        "The same small segmenter, trained from nothing. Crops are turned, mirrored and zoomed, "
        "and taken more often around rare classes, in every mix."
    ),
    tells_classes=True,
    augments=True,
)


@dataclass(frozen=True, slots=True, eq=False)
class _Trained:
    network: JudgeNetwork
    losses: list[float]

    def find(self, image: NDArray[np.uint8]) -> FoundNuclei:
        return find_in(self.network, image)


class OwnSegmenter:
    """The segmenter of this package, small enough to be trained many times."""

    about = _ABOUT

    def train(self, lesson: Lesson) -> _Trained:
        """Train on tiles, see `train_segmenter`."""
        targets = targets_of(lesson.tiles, lesson.images)
        network, losses = train_segmenter(
            targets, lesson.options, lesson.seed, classical=lesson.classical
        )
        return _Trained(network, losses)
