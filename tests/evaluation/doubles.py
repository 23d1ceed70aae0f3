"""A judge and backends whose answers are known: for studies in seconds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.draw import disk
from skimage.measure import label

from napari_histodiff.core.backend import BackendInfo, OnStep
from napari_histodiff.core.maps import instance_edges, nuclei_union
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.datasets.sources import PackItem
from napari_histodiff.evaluation.options import StudyOptions
from napari_histodiff.evaluation.tiles import Tile
from tests.fakes import FAKE_INFO

#: Nucleus colours of epithelial, plasma and connective cells.
COLOURS = {2: (90, 50, 140), 4: (160, 50, 100), 6: (60, 130, 110)}

#: The smallest study that has everything.
TINY = StudyOptions(
    tiles=4,
    size=128,
    part="all",
    guidances=(1.0, 2.0),
    steps=(2, 8),
    default_steps=4,
    sweep_tiles=2,
    frames=1,
    frame_size=256,
    draws=5,
)


@dataclass(frozen=True)
class Found:
    instance_map: NDArray[np.int32]
    class_map: NDArray[np.uint8]


@dataclass(frozen=True)
class FakeInfo:
    name: str = "fake judge"
    revision: str = "0"


class FakeJudge:
    """Dark pixels are nuclei of the class with that colour; features are mean and spread."""

    info = FakeInfo()

    def segment(self, image: NDArray[np.uint8], *, mpp: float = 0.5) -> Found:
        dark = image.mean(-1) < 150
        colours = np.array(list(COLOURS.values()))
        nearest = np.abs(image[..., None, :].astype(int) - colours).sum(-1).argmin(-1)
        classes = np.where(dark, np.array(list(COLOURS), np.uint8)[nearest], 0)
        return Found(label(dark).astype(np.int32), classes.astype(np.uint8))

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        pixels = images.astype(np.float32).reshape(len(images), -1, 3)
        return np.concatenate([pixels.mean(1), pixels.std(1)], axis=1)


class Painter:
    """Implements `Backend`; keeps what it was asked for."""

    def __init__(self) -> None:
        self.requests: list[EditRequest] = []

    @property
    def drawn(self) -> int:
        return len(self.requests)

    @property
    def info(self) -> BackendInfo:
        return replace(FAKE_INFO, name=type(self).__name__)

    def evaluations(self, request: EditRequest) -> int:
        return request.steps * request.variants

    def render(
        self, requests: Sequence[EditRequest], *, on_step: OnStep | None = None
    ) -> list[NDArray[np.uint8]]:
        self.requests += requests
        return [np.stack([self.paint(r)] * r.variants) for r in requests]

    def paint(self, request: EditRequest) -> NDArray[np.uint8]:
        raise NotImplementedError


class Grey(Painter):
    """Draws nothing but grey."""

    def paint(self, request: EditRequest) -> NDArray[np.uint8]:
        return np.full((*request.shape, 3), 200, np.uint8)


class Echo(Painter):
    """Knows the real tissue of every nuclei mask and gives it back."""

    def __init__(self, tiles: Sequence[Tile]) -> None:
        super().__init__()
        self._real = {tile.instance_map.tobytes(): tile.image for tile in tiles}

    def paint(self, request: EditRequest) -> NDArray[np.uint8]:
        if request.kind in (EditKind.INPAINT, EditKind.OUTPAINT):
            assert request.image is not None
            return request.image
        assert request.instance_map is not None
        return self._real[request.instance_map.tobytes()]


def write_pack(path: Path, seed: int = 0, prefix: str = "") -> Path:
    """Write two images each of two sources, and a mosaic with holes of a third, all 0.5 um/px.

    `prefix` comes before the names of the images: other names are other patients.
    """
    rng = np.random.default_rng(seed)
    items: list[PackItem] = []
    arrays: dict[str, NDArray[np.generic]] = {}
    for source, name in (
        *(("consep", f"test_{i}") for i in (1, 2)),
        *(("monuseg", f"TCGA-{i}") for i in (1, 2)),
        ("lizard", "mosaic"),
    ):
        i, classed = len(items), source != "monuseg"
        items.append(PackItem(prefix + name, source, 0.5, "colon", "", True, classed, False))
        image, classes, instances = _tissue(rng)
        valid = np.ones(classes.shape, np.uint8)
        if source == "lizard":
            valid[:, 70:80] = valid[:, 220:230] = 0
        known = classes if classed else np.zeros_like(classes)
        maps = (
            known,
            instance_edges(instances, known),
            nuclei_union(known, instances),
            np.zeros_like(known),
            valid,
        )
        arrays[f"pixels_{i}"] = image
        arrays[f"layers_{i}"] = np.stack(maps, -1).astype(np.uint8)
        arrays[f"instances_{i}"] = instances.astype(np.uint16)
    np.savez(path, index=np.array(json.dumps([asdict(item) for item in items])), **arrays)
    return path


def _tissue(
    rng: np.random.Generator, side: int = 300
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int32]]:
    """Pink noise with round nuclei in the colours of their classes."""
    image = rng.integers(180, 250, (side, side, 3)).astype(np.uint8)
    classes, instances = np.zeros((side, side), np.uint8), np.zeros((side, side), np.int32)
    for y in range(12, side, 25):
        for x in range(12, side, 25):
            name = int(rng.choice(list(COLOURS)))
            place = disk((y, x), rng.uniform(4, 8), shape=classes.shape)
            classes[place], instances[place] = name, instances.max() + 1
            image[place] = COLOURS[name] + rng.integers(-8, 8, (len(place[0]), 3))
    return image, classes, instances
