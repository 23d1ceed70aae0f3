"""The tissue network: what lies in each cell of a map that is partly known, in plain numpy.

A small U-Net over cells of 4 um, 0.8 million numbers, trained by `tools/tissue_sampler.py`.
It runs beside a window without torch: a convolution is nine matrix products over shifted views.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.captions import ORGANS, TISSUE_WORDS, Caption
from napari_histodiff.core.errors import ModelInvalid, ModelNotFound
from napari_histodiff.core.maps import N_CLASSES, TISSUE_NAMES

__all__ = ["MULTIPLE", "WEIGHTS", "TissueNetwork", "context_of", "tissue_network"]

#: The bundled weights.
WEIGHTS: Final = Path(__file__).parents[2] / "weights" / "tissue-sampler-v1" / "sampler.safetensors"

#: Sides of what the network sees are multiples of this.
MULTIPLE: Final = 8

_SCALES: Final = 3
_TISSUES: Final = len(TISSUE_NAMES)
_EPSILON: Final = np.float32(1e-4)
_WORD_OF: Final = {"smooth muscle": "muscle"}

_Plane = NDArray[np.float32]


def context_of(caption: Caption) -> NDArray[np.float32]:
    """Return what the network is told of a caption: its organ, and the tissues it names.

    One number per organ, one for none, one per tissue id.
    """
    context = np.zeros(len(ORGANS) + 1 + _TISSUES, np.float32)
    organ = len(ORGANS) if caption.organ is None else ORGANS.index(caption.organ)
    context[organ] = 1
    for word in TISSUE_WORDS:
        name = _WORD_OF.get(word, word)
        if word in caption.tissue and name in TISSUE_NAMES:
            context[len(ORGANS) + 1 + TISSUE_NAMES.index(name)] = 1
    return context


@cache
def tissue_network() -> TissueNetwork:
    """Return the bundled network; it is read once.

    Raises
    ------
    ModelNotFound, ModelInvalid
        When its weights are missing or damaged.
    """
    return TissueNetwork.read(WEIGHTS)


class TissueNetwork:
    """Scores of each tissue in each cell.

    Parameters
    ----------
    weights : dict of str to array
        By the names that training gives them.

    Raises
    ------
    ModelInvalid
        When some are missing.
    """

    def __init__(self, weights: dict[str, NDArray[np.float32]]) -> None:
        try:
            self._stem = _Convolution(weights, "stem")
            self._context = weights["cond1.weight"], weights["cond1.bias"]
            self._down = [_Block(weights, f"down.{i}") for i in range(_SCALES + 1)]
            self._pool = [_Convolution(weights, f"pool.{i}") for i in range(_SCALES)]
            self._up = [_Convolution(weights, f"up.{i}") for i in range(_SCALES)]
            self._mid = [_Block(weights, f"mid.{i}") for i in range(_SCALES)]
            self._head = _Convolution(weights, "head")
        except KeyError as error:
            raise ModelInvalid(
                f"expected the weights of a tissue network, got some without {error}; "
                "install napari-histodiff again"
            ) from error

    @classmethod
    def read(cls, path: Path) -> TissueNetwork:
        """Read weights from a safetensors file.

        Raises
        ------
        ModelNotFound, ModelInvalid
            When it is missing or damaged.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        if not path.is_file():
            raise ModelNotFound(
                f"expected the tissue network at {path}, got no file; install napari-histodiff "
                "again"
            )
        try:
            loaded = load_file(path)
        except (SafetensorError, OSError) as error:
            raise ModelInvalid(
                f"expected the weights of a tissue network in {path}, got {error}; install "
                "napari-histodiff again"
            ) from error
        return cls({name: array.astype(np.float32) for name, array in loaded.items()})

    def __call__(
        self,
        tissue: NDArray[np.uint8],
        nuclei: NDArray[np.float32],
        known: NDArray[np.bool_],
        context: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Return the scores (logits) of each tissue, (tissues, h, w) float32; those of 0 are -inf.

        Parameters
        ----------
        tissue : (h, w) uint8
            What is known of the tissue, 0 where nothing is; sides are multiples of `MULTIPLE`.
        nuclei : (7, h, w) float32
            Share of each cell that nuclei of each class cover, those of unknown class last.
        known : (h, w) bool
            Where the nuclei are known; elsewhere `nuclei` is 0.
        context : (n,) float32
            See `context_of`.
        """
        x: _Plane = np.empty((_TISSUES + N_CLASSES + 2, *tissue.shape), np.float32)
        for number in range(_TISSUES):
            np.equal(tissue, number, out=x[number], casting="unsafe")
        np.sqrt(nuclei, out=x[_TISSUES:-1])
        x[-1] = known
        weight, bias = self._context
        told = np.maximum(weight @ context + bias, 0)
        x = self._stem(x)
        kept = []
        for scale in range(_SCALES):
            x = self._down[scale](x, told)
            kept.append(x)
            x = _half(self._pool[scale](x))
        x = self._down[_SCALES](x, told)
        for scale in reversed(range(_SCALES)):
            x = self._up[scale](x).repeat(2, axis=1).repeat(2, axis=2)
            x += kept[scale]
            x = self._mid[scale](x, told)
        scores = self._head(np.maximum(x, 0))
        scores[0] = -np.inf
        return scores


class _Convolution:
    def __init__(self, weights: dict[str, NDArray[np.float32]], name: str) -> None:
        weight = weights[f"{name}.weight"]
        self._size = weight.shape[-1]
        taps = weight.transpose(2, 3, 0, 1).reshape(-1, *weight.shape[:2])
        self._taps, self._bias = np.ascontiguousarray(taps), weights[f"{name}.bias"][:, None, None]

    def __call__(self, x: _Plane) -> _Plane:
        channels, height, width = x.shape
        if self._size == 1:
            flat = self._taps[0] @ x.reshape(channels, -1)
            return np.asarray(flat.reshape(-1, height, width) + self._bias, np.float32)
        wide = width + 2
        padded = np.zeros((channels, height + 3, wide), np.float32)
        padded[:, 1 : height + 1, 1 : width + 1] = x
        padded = padded.reshape(channels, -1)
        total = np.zeros((len(self._bias), height * wide), np.float32)
        for tap, weight in enumerate(self._taps):
            first = tap // 3 * wide + tap % 3
            total += weight @ padded[:, first : first + height * wide]
        out = total.reshape(-1, height, wide)[:, :, :width]
        return np.asarray(out + self._bias, np.float32)


class _Block:
    def __init__(self, weights: dict[str, NDArray[np.float32]], name: str) -> None:
        self._first = _Convolution(weights, f"{name}.a")
        self._second = _Convolution(weights, f"{name}.b")
        self._told = weights[f"{name}.film.weight"], weights[f"{name}.film.bias"]

    def __call__(self, x: _Plane, told: NDArray[np.float32]) -> _Plane:
        weight, bias = self._told
        h = x / np.sqrt(np.einsum("chw,chw->hw", x, x) / np.float32(len(x)) + _EPSILON)
        h = self._first(h)
        h += (weight @ told + bias)[:, None, None]
        np.maximum(h, 0, out=h)
        return np.asarray(x + self._second(h), np.float32)


def _half(x: _Plane) -> _Plane:
    channels, height, width = x.shape
    blocks = x.reshape(channels, height // 2, 2, width // 2, 2)
    return np.asarray(blocks.mean(axis=(2, 4)), np.float32)
