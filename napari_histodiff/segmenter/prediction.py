"""Runs the network on images of any size, in tiles and in turned views.

How much the views disagree on a nucleus is its uncertainty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_histodiff.segmenter.network import (
    CLASSES,
    DISTANCE,
    INTERIOR,
    GlandNetwork,
    JudgeNetwork,
)
from napari_histodiff.segmenter.postprocess import Maps, class_shares

__all__ = [
    "VIEWS",
    "Disagreement",
    "OnView",
    "outputs_of",
    "predict",
    "predict_views",
    "views",
]

#: Turns and mirrorings of an image.
VIEWS: Final = 8

Network = JudgeNetwork | GlandNetwork

#: Called with (done, total) after each view; raise `Cancelled` to stop there.
OnView = Callable[[int, int], None]

#: Turns a map back to how the image lies.
Back = Callable[[NDArray[np.float32]], NDArray[np.float32]]

_TILE: Final = 1024
_MARGIN: Final = 112  # what the network sees around a pixel, a multiple of 16
_BORDER: Final = 32  # px of mirror image around the whole


def predict(network: JudgeNetwork, image: NDArray[np.uint8], tile: int = _TILE) -> Maps:
    """Return the maps of an (h, w, 3) uint8 image at 0.5 um/px.

    The image is mirrored at its border. Above `tile` pixels a side it is done in tiles that overlap
    by as much as the network sees, so that no seam shows.
    """
    outputs = outputs_of(network, image, tile=tile, margin=_MARGIN)
    return Maps(
        interior=outputs[INTERIOR].sigmoid().numpy(),
        distance=outputs[DISTANCE].numpy(),
        classes=outputs[CLASSES].softmax(0).numpy(),
    )


def predict_views(network: JudgeNetwork, image: NDArray[np.uint8]) -> Iterator[Maps]:
    """Yield the maps of the `VIEWS` turned and mirrored images, each turned back."""
    for seen, back in views(image):
        maps = predict(network, seen)
        yield Maps(back(maps.interior), back(maps.distance), back(maps.classes))


def views(image: NDArray[np.uint8]) -> Iterator[tuple[NDArray[np.uint8], Back]]:
    """Yield the `VIEWS` turned and mirrored images, each with what turns (..., h, w) maps back."""
    for view in range(VIEWS):
        turns, flip = view % 4, view >= 4
        seen = np.rot90(image[:, ::-1] if flip else image, turns)
        yield np.ascontiguousarray(seen), partial(_back, turns=turns, flip=flip)


def _back(array: NDArray[np.float32], *, turns: int, flip: bool) -> NDArray[np.float32]:
    turned = np.rot90(array, -turns, axes=(-2, -1))
    return np.ascontiguousarray(turned[..., ::-1] if flip else turned)


@torch.inference_mode()
def outputs_of(
    network: Network, image: NDArray[np.uint8], *, tile: int = _TILE, margin: int = _MARGIN
) -> Tensor:
    """Return what a network answers for an (h, w, 3) uint8 image, (outputs, h, w) float32.

    Parameters
    ----------
    network : JudgeNetwork or GlandNetwork
    image : (h, w, 3) uint8
        At the scale it looks at; mirrored at its border.
    tile, margin : int
        Above `tile` pixels a side it is done in tiles, each seen with `margin` pixels around it;
        both are multiples of `network.multiple_of`.
    """
    height, width = image.shape[:2]
    multiple = network.multiple_of
    pads = [(_BORDER, _BORDER + -side % multiple) for side in (height, width)]
    padded = np.pad(image, (*pads, (0, 0)), mode="symmetric")
    result = torch.empty(network.outputs, *padded.shape[:2])
    for rows, seen_rows in _spans(padded.shape[0], tile, margin):
        for columns, seen_columns in _spans(padded.shape[1], tile, margin):
            outputs = _run(network, padded[seen_rows, seen_columns])
            inner = _within(rows, seen_rows), _within(columns, seen_columns)
            result[:, rows, columns] = outputs[:, *inner]
    return result[:, _BORDER : _BORDER + height, _BORDER : _BORDER + width]


def _spans(length: int, tile: int, margin: int) -> Iterator[tuple[slice, slice]]:
    """Yield each tile's own span and the one the network must see for it."""
    if length <= tile:
        yield slice(0, length), slice(0, length)
        return
    for start in range(0, length, tile):
        stop = min(start + tile, length)
        yield slice(start, stop), slice(max(0, start - margin), min(length, stop + margin))


def _within(part: slice, whole: slice) -> slice:
    return slice(part.start - whole.start, part.stop - whole.start)


def _run(network: Network, pixels: NDArray[np.uint8]) -> Tensor:
    place = network.head.weight.device
    x = torch.from_numpy(np.ascontiguousarray(pixels)).to(place).permute(2, 0, 1)[None]
    x = x.to(torch.float32, memory_format=torch.channels_last) / 255
    outputs: Tensor = network(x)
    return outputs[0].cpu()


@dataclass(slots=True)
class Disagreement:
    """Collects the maps of several views of one image."""

    views: list[Maps] = field(default_factory=list)

    def add(self, maps: Maps) -> None:
        """Take in one more view; all are of one shape."""
        self.views.append(maps)

    def mean(self) -> Maps:
        """Return the mean of the maps."""
        return Maps(
            np.mean([view.interior for view in self.views], 0),
            np.mean([view.distance for view in self.views], 0),
            np.mean([view.classes for view in self.views], 0),
        )

    def of(self, instances: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the uncertainty of each nucleus of an instance map, (n,) float32 in 0..1.

        With a, twice the standard deviation between views of the interior probability, averaged
        over the nucleus, and b, the mean total variation of a view's class probabilities from the
        mean's, it is 1 - (1 - a)(1 - b): 0 where all views agree, 1 where they contradict.
        """
        n = int(instances.max(initial=0))
        inside = instances > 0
        ids = instances[inside]
        interiors = np.stack([view.interior[inside] for view in self.views])
        spread = 2 * interiors.std(0, dtype=np.float64)
        sizes = np.bincount(ids, minlength=n + 1)[1:]
        outline = np.bincount(ids, spread, n + 1)[1:] / np.maximum(sizes, 1)
        shares = np.stack([class_shares(view.classes, instances) for view in self.views])
        classes = np.abs(shares - shares.mean(0)).sum(2).mean(0) / 2
        unsure = 1 - (1 - outline) * (1 - classes)
        return unsure.clip(0, 1).astype(np.float32)
