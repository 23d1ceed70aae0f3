"""A segmenter that learns one number: how dark nuclei are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

from napari_histodiff.studies.enrichment.segmenters.base import (
    About,
    Found,
    Lesson,
    large_enough,
)


@dataclass(frozen=True)
class _Threshold:
    value: float
    losses: tuple[float, ...]

    def find(self, image: NDArray[np.uint8]) -> Found:
        instances = label(image.mean(-1) < self.value).astype(np.int32)
        return Found(instances, np.zeros(instances.shape, np.uint8))


class DarkSegmenter:
    """Learns the grey between nuclei and the rest of the tiles; it counts its trainings."""

    def __init__(self, weights: str = "abc") -> None:
        self.about = About("dark 1.0", weights, "It learns one number.", False, False)
        self.trained = 0

    def train(self, lesson: Lesson) -> _Threshold:
        self.trained += 1
        rng = np.random.default_rng(lesson.seed)
        values = []
        for i in large_enough(lesson):
            grey, inside = lesson.images[i].mean(-1), lesson.tiles[i].instance_map > 0
            values.append((grey[inside].mean() + grey[~inside].mean()) / 2)
        losses = rng.random(lesson.options.updates)
        return _Threshold(float(np.mean(values)), tuple(losses.tolist()))
