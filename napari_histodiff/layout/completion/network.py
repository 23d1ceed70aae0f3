"""The tissue network: what lies in each cell of a map that is partly known, in plain numpy.

A small U-Net over cells of 4 um, 0.8 million numbers, trained by `tools/tissue_sampler.py`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.captions import ORGANS, TISSUE_WORDS, Caption
from napari_histodiff.core.maps import N_CLASSES, TISSUE_NAMES
from napari_histodiff.layout.completion.unet import UNet

__all__ = ["WEIGHTS", "TissueNetwork", "context_of", "tissue_network"]

#: The bundled weights.
WEIGHTS: Final = Path(__file__).parents[2] / "weights" / "tissue-sampler-v1" / "sampler.safetensors"

_TISSUES: Final = len(TISSUE_NAMES)
_WORD_OF: Final = {"smooth muscle": "muscle"}


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
    network : UNet
        As training leaves it.
    """

    def __init__(self, network: UNet) -> None:
        self._network = network

    @classmethod
    def read(cls, path: Path) -> TissueNetwork:
        """Read weights from a safetensors file.

        Raises
        ------
        ModelNotFound, ModelInvalid
            When it is missing or damaged.
        """
        return cls(UNet.read(path))

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
        x = np.empty((_TISSUES + N_CLASSES + 2, *tissue.shape), np.float32)
        for number in range(_TISSUES):
            np.equal(tissue, number, out=x[number], casting="unsafe")
        np.sqrt(nuclei, out=x[_TISSUES:-1])
        x[-1] = known
        scores = self._network(x, context)
        scores[0] = -np.inf
        return scores
