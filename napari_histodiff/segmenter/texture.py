"""How near the texture and the colour of images are to those of a reference, for torch to climb.

Texture is what the segmenter's first levels see together, wherever it is: Gram matrices of their
features (Gatys et al., "Texture synthesis using convolutional neural networks", arXiv 1505.07376),
here of a network that was trained on stained tissue.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from napari_histodiff.segmenter.images import at_scale

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_histodiff.segmenter.network import JudgeNetwork

__all__ = ["TextureScore"]

#: Levels of the network that are texture: at a half, a quarter and an eighth of the resolution.
_LEVELS: Final = 3

#: Pixels are not blacker than this, so that their density is finite.
_LEAST_LIGHT: Final = 1 / 255


@dataclass(frozen=True, slots=True)
class TextureScore:
    """Minus the distance of images from a reference; 0 = alike.

    Attributes
    ----------
    network : JudgeNetwork
    wanted : tuple of (1, n, m) float32
        What `_statistics` says of the reference.
    mpp : float
        Micrometres per pixel of the images.
    """

    network: JudgeNetwork
    wanted: tuple[Tensor, ...]
    mpp: float

    @classmethod
    def of(
        cls, network: JudgeNetwork, reference: NDArray[np.uint8], reference_mpp: float, mpp: float
    ) -> TextureScore:
        """Measure a reference.

        Parameters
        ----------
        network : JudgeNetwork
            On its device.
        reference : (h, w, 3) uint8
        reference_mpp, mpp : float
            Micrometres per pixel of the reference, and of the images that are scored.
        """
        place = network.stem.weight.device
        pixels = torch.from_numpy(reference.copy()).to(place).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode(mode=False), torch.no_grad():
            pixels = at_scale(pixels.clone(), reference_mpp, network.multiple_of)
            return cls(network, tuple(_statistics(network, pixels)), mpp)

    def __call__(self, images: Tensor) -> Tensor:
        """Return (b,) scores of (b, 3, h, w) float32 RGB in [0, 1]."""
        found = _statistics(self.network, at_scale(images, self.mpp, self.network.multiple_of))
        total = torch.zeros(len(images), device=images.device)
        for have, want in zip(found, self.wanted, strict=True):
            # The root is not differentiable where both are alike.
            apart = ((have - want).square().sum((1, 2)) + 1e-12).sqrt()
            total = total - apart / want.square().sum().sqrt()
        return total


def _statistics(network: JudgeNetwork, images: Tensor) -> list[Tensor]:
    """Gram matrices of features, and mean and spread of the density of each colour."""
    found = []
    for level in network.encode(images)[:_LEVELS]:
        features = level.float()
        features = features * torch.rsqrt(features.square().mean(1, keepdim=True) + 1e-6)
        flat = features.flatten(2)
        found.append(flat @ flat.transpose(1, 2) / flat.shape[-1])
    density = -images.clamp_min(_LEAST_LIGHT).log()
    spread, mean = torch.std_mean(density, dim=(2, 3))
    return [*found, torch.stack([mean, spread], 2)]
