"""The network as training sees it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.diffusion.caption_encoder import CaptionEncoder
from napari_histodiff.diffusion.network import HistoUNet

__all__ = ["Generator"]


class Generator(nn.Module):
    """Network and caption encoder trained as one."""

    def __init__(self, network: HistoUNet, captions: CaptionEncoder) -> None:
        super().__init__()
        self.network = network
        self.captions = captions

    def forward(
        self,
        z: Tensor,
        t: Tensor,
        spatial: Tensor,
        slots: Tensor,
        mpp: Tensor,
        stain: Tensor,
        jump_guidance: Tensor | None = None,
    ) -> Tensor:
        """Return the estimate of the clean images, (b, 3, s, s) float32."""
        return self.network(z, t, spatial, self.captions(slots), mpp, stain, jump_guidance)

    def learn_only(self, tissues: Sequence[str]) -> None:
        """Train nothing but how some tissues modulate the blocks; all other weights stay.

        Parameters
        ----------
        tissues : sequence of str
            Names of `TISSUE_NAMES`.

        Raises
        ------
        TrainingError
            When the network is not told tissue at its blocks, or does not know one of them.
        """
        known = TISSUE_NAMES[1 : self.network.tissue_classes + 1]
        told = [name for name, _ in self.named_parameters() if ".tissue." in name]
        if not told or not set(tissues) <= set(known):
            raise TrainingError(
                "expected a network with tissue modulation that knows "
                f"{', '.join(tissues)}, got one that "
                + (f"knows {', '.join(known)}" if told else "has none")
                + '; set "tissue_modulation" and "tissue_classes" under "network", or leave '
                '"tissues" out'
            )
        learnt = torch.tensor([name in tissues for name in known])[:, None, None]
        for name, weights in self.named_parameters():
            weights.requires_grad_(name in told)
            if name in told:
                weights.register_hook(lambda slope: slope * learnt.to(slope))
