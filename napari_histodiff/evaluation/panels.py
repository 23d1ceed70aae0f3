"""Images of the same tiles side by side, each judged once: real, drawn, blurred and so on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from tqdm import tqdm

from napari_histodiff.evaluation.metrics.appearance import appearance
from napari_histodiff.evaluation.metrics.distances import random_patches
from napari_histodiff.evaluation.tiles import Tile

__all__ = [
    "Blocks",
    "Described",
    "ImageSet",
    "JudgeLike",
    "NucleiLike",
    "blurred",
    "cut",
    "mirrored",
    "shuffled",
]


class NucleiLike(Protocol):
    """Nuclei found in an image: instance map (h, w) int32 and class map (h, w) uint8."""

    @property
    def instance_map(self) -> NDArray[np.int32]:
        """Nucleus ids, 0 = background."""

    @property
    def class_map(self) -> NDArray[np.uint8]:
        """Classes 0-6."""


class Described(Protocol):
    """What a judge says of itself."""

    @property
    def name(self) -> str:
        """Shown to users."""

    @property
    def revision(self) -> str:
        """Hash of the weights."""


class JudgeLike(Protocol):
    """A network that never saw the generator: finds nuclei and embeds crops; `judge.Judge` is one.

    Seen from here through this protocol so that any segmenter can judge.
    """

    @property
    def info(self) -> Described:
        """What the judge is."""

    def segment(self, image: NDArray[np.uint8], *, mpp: float = 0.5) -> NucleiLike:
        """Find the nuclei of an (h, w, 3) uint8 image."""

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return (n, d) float32 of (n, h, w, 3) uint8."""


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """Rows that belong to tiles: element i holds the (n_i, d) rows of tile i."""

    by_tile: tuple[NDArray[np.float64], ...]

    def of(self, tiles: Iterable[int]) -> NDArray[np.float64]:
        """Return the rows of these tiles, repeated where a tile is repeated."""
        return np.concatenate([self.by_tile[int(i)] for i in tiles])

    def groups(self, tiles: Iterable[int]) -> NDArray[np.int64]:
        """Return the tile of each row of `of`."""
        return np.concatenate([np.full(len(self.by_tile[int(i)]), int(i)) for i in tiles])

    def beside(self, other: Blocks) -> Blocks:
        """Return the rows of both, one after the other along the last axis."""
        pairs = zip(self.by_tile, other.by_tile, strict=True)
        return Blocks(tuple(np.concatenate(pair, axis=1) for pair in pairs))


@dataclass(eq=False)
class ImageSet:
    """One image per tile, in the order of the tiles; what is computed is kept.

    Attributes
    ----------
    name : str
        What the images are, for progress bars.
    tiles : sequence of Tile
    images : sequence of (h, w, 3) uint8
    judge : JudgeLike
    """

    name: str
    tiles: Sequence[Tile]
    images: Sequence[NDArray[np.uint8]]
    judge: JudgeLike
    _kept: dict[tuple[str, int], Blocks] = field(default_factory=dict)

    def head(self, count: int, name: str | None = None) -> ImageSet:
        """Return the images of the first `count` tiles, with what is already computed of them."""
        kept = {key: Blocks(blocks.by_tile[:count]) for key, blocks in self._kept.items()}
        image_set = ImageSet(
            name or self.name, self.tiles[:count], self.images[:count], self.judge, kept
        )
        if "nuclei" in self.__dict__:
            image_set.__dict__["nuclei"] = self.nuclei[:count]
        return image_set

    @property
    def everything(self) -> range:
        """Indices of all tiles."""
        return range(len(self.images))

    @cached_property
    def nuclei(self) -> list[NucleiLike]:
        """What the judge finds in each image."""
        pairs = list(zip(self.images, self.tiles, strict=True))
        bar = tqdm(pairs, f"nuclei: {self.name}", unit="tile", disable=None)
        return [self.judge.segment(image, mpp=tile.mpp) for image, tile in bar]

    def crops(self, size: int) -> list[NDArray[np.uint8]]:
        """Return the (n_i, size, size, 3) crops of each image; crops do not overlap."""
        return [cut(image, size) for image in self.images]

    def features(self, size: int) -> Blocks:
        """Return the judge's features of the crops of `size` px."""
        return self._blocks("features", size, self.crops, self.judge.features)

    def patch_features(self, size: int) -> Blocks:
        """Return the judge's features of as many random squares of `size` px as there are crops.

        The same squares for every image set of the same tiles.
        """
        return self._blocks("patches", size, self._patches, self.judge.features)

    def looks(self, size: int) -> Blocks:
        """Return features and appearance statistics of the crops of `size` px side by side."""
        return self.features(size).beside(self.appearance(size))

    def appearance(self, size: int) -> Blocks:
        """Return the appearance statistics of the crops of `size` px."""
        return self._blocks("appearance", size, self.crops, appearance)

    def _patches(self, size: int) -> list[NDArray[np.uint8]]:
        return [
            random_patches([image], size, len(crops), i)
            for i, (image, crops) in enumerate(zip(self.images, self.crops(size), strict=True))
        ]

    def _blocks(
        self,
        what: str,
        size: int,
        squares: Callable[[int], list[NDArray[np.uint8]]],
        describe: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    ) -> Blocks:
        if (what, size) not in self._kept:
            label = f"{what} of {size} px: {self.name}"
            bar = tqdm(squares(size), label, unit="tile", disable=None)
            rows = (np.asarray(describe(images), np.float64) for images in bar)
            self._kept[what, size] = Blocks(tuple(rows))
        return self._kept[what, size]


def cut(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return the (n, size, size, 3) squares of an image that lie side by side from the corner."""
    rows, columns = image.shape[0] // size, image.shape[1] // size
    kept = image[: rows * size, : columns * size]
    blocks = kept.reshape(rows, size, columns, size, 3).swapaxes(1, 2)
    return blocks.reshape(rows * columns, size, size, 3)


def blurred(image: NDArray[np.uint8], sigma: float = 1.0) -> NDArray[np.uint8]:
    """Return the image after a Gaussian, of 1 px as a slightly washed-out model would draw it."""
    return np.rint(gaussian_filter(image.astype(np.float32), (sigma, sigma, 0))).astype(np.uint8)


def mirrored(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the image left to right: as real as the image itself, but not the same."""
    return np.ascontiguousarray(image[:, ::-1])


def shuffled(image: NDArray[np.uint8], block: int = 8, seed: int = 0) -> NDArray[np.uint8]:
    """Return the image with its blocks of `block` px in random order: right colours, no tissue."""
    blocks = cut(image, block)
    mixed = np.random.default_rng(seed).permutation(blocks)
    rows, columns = image.shape[0] // block, image.shape[1] // block
    grid = mixed.reshape(rows, columns, block, block, 3).swapaxes(1, 2)
    return grid.reshape(rows * block, columns * block, 3)
