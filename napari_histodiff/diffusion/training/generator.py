"""The network as training sees it."""

from __future__ import annotations

from torch import Tensor, nn

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
