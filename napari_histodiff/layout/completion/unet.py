"""A small U-Net over maps of cells, in plain numpy.

It runs beside a window without torch: a convolution is nine matrix products over shifted views.
`tools/tissue_sampler.py` and `tools/layout_sampler.py` train what it runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import ModelInvalid, ModelNotFound

__all__ = ["MULTIPLE", "UNet"]

#: Sides of what the network sees are multiples of this.
MULTIPLE: Final = 8

_SCALES: Final = 3
_EPSILON: Final = np.float32(1e-4)

_Plane = NDArray[np.float32]


class UNet:
    """Planes of numbers to planes of numbers, under a vector of what is told about all of them.

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
                f"expected the weights of a network of cells, got some without {error}; "
                "install napari-histodiff again"
            ) from error

    @classmethod
    def read(cls, path: Path) -> UNet:
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
                f"expected the network of cells at {path}, got no file; install napari-histodiff "
                "again"
            )
        try:
            loaded = load_file(path)
        except (SafetensorError, OSError) as error:
            raise ModelInvalid(
                f"expected the weights of a network of cells in {path}, got {error}; install "
                "napari-histodiff again"
            ) from error
        return cls({name: array.astype(np.float32) for name, array in loaded.items()})

    def __call__(self, x: NDArray[np.float32], context: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the network makes of planes, (outputs, h, w) float32.

        Parameters
        ----------
        x : (inputs, h, w) float32
            Sides are multiples of `MULTIPLE`.
        context : (n,) float32
        """
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
        return self._head(np.maximum(x, 0))


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
