"""The layout network: tissue and the middle of a nucleus in each cell of 4 um, in plain numpy.

Trained by `tools/layout_sampler.py`; `weights/layout-sampler-v1/README.md` says on what.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.captions import ORGANS, TISSUE_WORDS
from napari_histodiff.core.maps import N_CLASSES, TISSUE_NAMES
from napari_histodiff.layout.completion.unet import UNet

__all__ = [
    "CONTEXT",
    "INPUTS",
    "N_TISSUES",
    "OUTPUTS",
    "TOKENS",
    "WEIGHTS",
    "LayoutNetwork",
    "LayoutScores",
    "Told",
    "layout_network",
]

#: The bundled weights.
WEIGHTS: Final = Path(__file__).parents[2] / "weights" / "layout-sampler-v1" / "sampler.safetensors"

N_TISSUES: Final = len(TISSUE_NAMES)
#: What a cell holds: no middle of a nucleus (0), or that of one of a class.
TOKENS: Final = N_CLASSES + 1

#: Planes in: tissue one-hot (0 = not known), token one-hot (all 0 where it is not known).
INPUTS: Final = N_TISSUES + TOKENS
#: Planes out: scores of tissue, scores of tokens, and of a nucleus cos and sin of twice its angle
#: times its stretch, size beside its class in standard deviations, and stretch.
OUTPUTS: Final = N_TISSUES + TOKENS + 4

_ORGAN: Final = len(ORGANS) + 1
_SHARES: Final = _ORGAN + len(TISSUE_WORDS)
_DENSITIES: Final = _SHARES + 1 + N_TISSUES
#: Numbers that are told of a whole field.
CONTEXT: Final = _DENSITIES + 2 * TOKENS


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """What is known of a whole field.

    Attributes
    ----------
    organ : str, optional
        One of `ORGANS`.
    words : tuple of str
        Of `TISSUE_WORDS`.
    shares : (tissues,) float32, optional
        Share of the field that each tissue covers.
    densities : (7,) float32
        Nuclei per mm^2: all of them, then those of each class; NaN where it is not known.
    """

    organ: str | None
    words: tuple[str, ...]
    shares: NDArray[np.float32] | None
    densities: NDArray[np.float32]

    @property
    def vector(self) -> NDArray[np.float32]:
        """The same as the network reads it, (CONTEXT,) float32."""
        told = np.zeros(CONTEXT, np.float32)
        told[len(ORGANS) if self.organ is None else ORGANS.index(self.organ)] = 1
        for word in self.words:
            told[_ORGAN + TISSUE_WORDS.index(word)] = 1
        if self.shares is not None:
            told[_SHARES] = 1
            told[_SHARES + 1 : _DENSITIES] = np.sqrt(self.shares)
        known = np.isfinite(self.densities)
        told[_DENSITIES : _DENSITIES + TOKENS] = known
        scaled = np.log1p(np.where(known, self.densities, 0) / 50) / 5
        told[_DENSITIES + TOKENS :] = scaled
        return told


@dataclass(frozen=True, slots=True, eq=False)
class LayoutScores:
    """What the network says of each cell.

    Attributes
    ----------
    tissue : (tissues, h, w) float32
        Logits; those of 0, unspecified, are -inf.
    tokens : (7, h, w) float32
        Logits of no nucleus, and of a nucleus of each class.
    shape : (4, h, w) float32
        See `OUTPUTS`.
    """

    tissue: NDArray[np.float32]
    tokens: NDArray[np.float32]
    shape: NDArray[np.float32]


@cache
def layout_network() -> LayoutNetwork:
    """Return the bundled network; it is read once.

    Raises
    ------
    ModelNotFound, ModelInvalid
        When its weights are missing or damaged.
    """
    return LayoutNetwork(UNet.read(WEIGHTS))


class LayoutNetwork:
    """Scores of tissue and nuclei in each cell.

    Parameters
    ----------
    network : UNet
        As training leaves it.
    """

    def __init__(self, network: UNet) -> None:
        self._network = network

    def __call__(
        self,
        tissue: NDArray[np.uint8],
        tokens: NDArray[np.int8],
        told: NDArray[np.float32],
    ) -> LayoutScores:
        """Return the scores of each cell.

        Parameters
        ----------
        tissue : (h, w) uint8
            What is known of the tissue, 0 where nothing is; sides are multiples of 8.
        tokens : (h, w) int8
            What is known of the nuclei: -1 nothing, 0 no middle of one here, 1-6 one of a class.
        told : (CONTEXT,) float32
            See `Told.vector`.
        """
        x = np.empty((INPUTS, *tissue.shape), np.float32)
        for number in range(N_TISSUES):
            np.equal(tissue, number, out=x[number], casting="unsafe")
        for token in range(TOKENS):
            np.equal(tokens, token, out=x[N_TISSUES + token], casting="unsafe")
        out = self._network(x, told)
        out[0] = -np.inf
        last = N_TISSUES + TOKENS
        return LayoutScores(out[:N_TISSUES], out[N_TISSUES:last], out[last:])
